//! One life of a log on a model flash: random operations, faults, cuts and starts.

use core::fmt;

use whisperr_core::Slot;

use super::check::{Checked, Ended};
use super::chip::{NorCounts, NorRates};
use super::flash::SimNor;
use crate::choices::Choices;
use crate::coverage::Seen;

/// What a life is made of, drawn before it starts.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FlashSetup {
    /// Starts of the device.
    pub starts: u64,
    rates: NorRates,
    cuts: bool,
    drops: bool,
    /// What the flash holds before the first start: erased, or bytes of an unknown program.
    fill: Option<u64>,
    record_max: u64,
    /// Removals take the oldest, as a queue does, or anything.
    in_order: bool,
}

/// What many lives came to.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FlashSummary {
    /// Lives lived.
    pub lives: u64,
    /// Starts in them, each behind a power cut.
    pub cycles: u64,
    /// Cuts in the middle of a word or of an erase.
    pub cuts: u64,
    /// Futures dropped half way.
    pub drops: u64,
    /// Appends that returned `Ok`.
    pub appended: u64,
    /// Bytes of their records.
    pub record_bytes: u64,
    /// What the flash did.
    pub counts: NorCounts,
    /// What happened how often.
    pub seen: Seen,
}

impl fmt::Display for FlashSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lives, {} power cycles, {} of them in the middle of a word or an erase, {} dropped futures, \
             {} acknowledged records, {} erases",
            self.lives, self.cycles, self.cuts, self.drops, self.appended, self.counts.erases
        )
    }
}

impl FlashSetup {
    fn draw<const WRITE: usize, const ERASE: usize>(choices: &Choices) -> Self {
        let faults = choices.percent(40);
        let rate = |often: &[u64]| if faults { choices.one_of(often) } else { 0 };
        // A word of one byte is programmed many times for one frame.
        let (some, many): (&[u64], &[u64]) =
            if WRITE < 4 { (&[0, 1, 5], &[0, 2, 10]) } else { (&[0, 10, 50], &[0, 20, 100]) };
        let rates = NorRates {
            program: rate(some),
            ignored: rate(some),
            erase: rate(&[0, 200, 1000]),
            flip: rate(many),
            read: rate(many),
        };
        let most = (ERASE as u64).min(1 << 14);
        Self {
            starts: choices.below(40).saturating_add(4),
            rates,
            cuts: choices.percent(85),
            drops: choices.percent(50),
            fill: choices.percent(15).then(|| choices.below(4)),
            record_max: choices.one_of(&[most / 4, most / 2, most, 40, 120]).max(8),
            in_order: choices.percent(60),
        }
    }
}

/// Lives one life.
///
/// # Errors
/// The promise that was broken, in words.
pub fn live_on_flash<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
    choices: &Choices,
    units: usize,
    summary: &mut FlashSummary,
) -> Result<(), String> {
    let setup = FlashSetup::draw::<WRITE, ERASE>(choices);
    let mut life = Life::<WRITE, ERASE, PAGES>::new(choices, setup, units);
    let lived = life.live();
    summary.lives = summary.lives.saturating_add(1);
    summary.cycles = summary.cycles.saturating_add(life.starts);
    summary.drops = summary.drops.saturating_add(life.drops);
    summary.appended = summary.appended.saturating_add(life.checked.appended);
    summary.record_bytes = summary.record_bytes.saturating_add(life.checked.record_bytes);
    let nor = life.checked.nor();
    summary.counts.add(&nor.counts());
    summary.seen.merge(&nor.seen());
    summary.seen.merge(&life.seen);
    summary.cuts = summary.seen.count("cut");
    lived.map_err(|broken| format!("{broken} ({setup:?}){}", life.checked.trace()))
}

struct Life<'a, const WRITE: usize, const ERASE: usize, const PAGES: usize> {
    choices: &'a Choices,
    setup: FlashSetup,
    checked: Checked<WRITE, ERASE, PAGES>,
    starts: u64,
    drops: u64,
    seen: Seen,
}

impl<'a, const WRITE: usize, const ERASE: usize, const PAGES: usize> Life<'a, WRITE, ERASE, PAGES> {
    fn new(choices: &'a Choices, setup: FlashSetup, units: usize) -> Self {
        let nor = SimNor::new(units, choices.clone());
        match setup.fill {
            Some(0) => nor.fill(|_| 0),
            Some(1) => nor.fill(|at| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0]),
            Some(2) => nor.fill(|at| if at % 64 < 40 { 0x21 } else { 0xFF }),
            Some(_) => nor.fill(|_| 0x5A),
            None => {}
        }
        nor.set_pauses(setup.drops);
        Self { choices, setup, checked: Checked::new(nor), starts: 0, drops: 0, seen: Seen::default() }
    }

    fn live(&mut self) -> Result<(), String> {
        while self.starts < self.setup.starts {
            self.start()?;
            if !self.run()? {
                self.checked.lose();
            }
        }
        // Everything heals: the log must too.
        self.start_whole()?;
        self.checked.check()?;
        self.checked.check_not_wedged()?;
        let disturbances = self.starts.saturating_add(self.drops);
        self.checked.check_wear(disturbances.saturating_add(self.checked.nor().hits()))
    }

    fn start_whole(&mut self) -> Result<(), String> {
        let nor = self.checked.nor();
        nor.power_on();
        nor.set_rates(NorRates::default());
        self.starts = self.starts.saturating_add(1);
        if self.checked.open()? { Ok(()) } else { Err("no power".to_owned()) }
    }

    /// Starts until it comes up: recovery is cut short, too.
    fn start(&mut self) -> Result<(), String> {
        loop {
            let nor = self.checked.nor().clone();
            nor.power_on();
            nor.set_rates(self.setup.rates);
            if self.setup.cuts {
                nor.cut_after(self.choices.below(1 << self.choices.below(11)), None);
            }
            self.starts = self.starts.saturating_add(1);
            if self.choices.percent(5) {
                // The first start is dropped half way.
                let polls = Some(u32::try_from(self.choices.below(40)).unwrap_or(0));
                self.checked.open_dropped(polls);
            }
            if self.checked.open()? && self.checked.check()? {
                return Ok(());
            }
            self.seen.note("cut in an opening");
        }
    }

    /// Operations until the power fails; `false` when it did.
    fn run(&mut self) -> Result<bool, String> {
        let steps = self.choices.below(60).saturating_add(1);
        for _ in 0..steps {
            let ended = self.step()?;
            match ended {
                Ended::Off => return Ok(false),
                Ended::Done => {}
                Ended::Full => self.seen.note("full"),
                Ended::Failed => self.seen.note("failed"),
                Ended::Dropped => {
                    self.drops = self.drops.saturating_add(1);
                    self.seen.note("dropped");
                }
            }
            let unsure = matches!(ended, Ended::Failed | Ended::Dropped);
            if (unsure || self.choices.percent(4)) && !self.checked.check()? {
                return Ok(false);
            }
        }
        Ok(!self.checked.nor().is_off())
    }

    fn step(&mut self) -> Result<Ended, String> {
        let polls = (self.setup.drops && self.choices.percent(20))
            .then(|| u32::try_from(self.choices.below(1 << self.choices.below(10))).unwrap_or(0));
        let numbers = self.checked.numbers();
        let pick = |choices: &Choices| {
            let at = usize::try_from(choices.below(numbers.len() as u64)).unwrap_or(0);
            numbers.get(at).copied().unwrap_or(1)
        };
        match self.choices.below(20) {
            0..=8 => {
                let max = self.setup.record_max.min(self.checked.record_bytes_max() as u64);
                let bytes = self.choices.below(max.saturating_add(1));
                let bytes = usize::try_from(bytes).unwrap_or(0);
                let ended = if self.choices.percent(3) {
                    let gap = self.choices.below(5);
                    self.checked.append_behind(gap, bytes, polls)?
                } else {
                    self.checked.append(bytes, polls)?
                };
                if ended == Ended::Full && self.setup.in_order {
                    // As a queue does: the oldest goes.
                    let first = numbers.first().copied().unwrap_or(1);
                    let replaced = self.checked.replace((first, first), 0, bytes, polls)?;
                    if replaced != Ended::Full {
                        self.seen.note("replaced");
                        return Ok(replaced);
                    }
                    return self.checked.remove(first, first, None);
                }
                Ok(ended)
            }
            9..=13 => {
                let first = if self.setup.in_order {
                    numbers.first().copied().unwrap_or(1)
                } else {
                    pick(self.choices)
                };
                let last = first.saturating_add(self.choices.below(1 << self.choices.below(6)));
                match self.choices.below(4) {
                    0 | 1 => self.checked.remove(first, last, polls),
                    2 => {
                        self.seen.note("removed with a record");
                        let gap = if self.choices.percent(5) { self.choices.below(5) } else { 0 };
                        let bytes = usize::try_from(self.choices.below(40)).unwrap_or(0);
                        self.checked.replace((first, last), gap, bytes, polls)
                    }
                    _ => {
                        self.seen.note("removed with a slot");
                        let (slot, value) = self.slot();
                        self.checked.settle((first, last), slot, &value, polls)
                    }
                }
            }
            14 => self.checked.set_aside(pick(self.choices), polls),
            15..=17 => {
                let (slot, value) = self.slot();
                self.checked.store(slot, &value, polls)
            }
            18 if self.choices.percent(30) => {
                self.seen.note("wipe");
                self.checked.wipe(polls)
            }
            _ => {
                self.checked.peek(pick(self.choices), polls.or(Some(u32::MAX)))?;
                Ok(if self.checked.nor().is_off() { Ended::Off } else { Ended::Done })
            }
        }
    }

    fn slot(&self) -> (Slot, Vec<u8>) {
        let slot = self.choices.one_of(&Slot::ALL);
        let most = (ERASE as u64 / 32).min(100).saturating_add(1);
        let len = usize::try_from(self.choices.below(most)).unwrap_or(0);
        let drawn = self.choices.below(256);
        (slot, vec![u8::try_from(drawn).unwrap_or(0); len])
    }
}
