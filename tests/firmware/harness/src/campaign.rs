//! What is done to the kiosk.

use core::time::Duration;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;
use whisperr_collector::{Collector, Fault};

use crate::arguments::Arguments;
use crate::chance::Chance;
use crate::check;
use crate::image::{Image, Life};
use crate::layout::{BOOTS, CHANGES, ERASES, LEDGER, LEDGER_NAMES, REPROGRAMMED, STACK, end, mode, tear};
use crate::machine::{End, Firmware};
use crate::report::{Report, Row};
use crate::{Result, tell};

/// Longer than any life that ends by itself, on a machine with other things to do.
const LONGEST: Duration = Duration::from_secs(90);
/// Lives between two looks at what arrived.
const LIVES_AT_ONCE: u32 = 10;

/// Everything that was asked for.
pub(crate) fn run(firmware: &Firmware, arguments: &Arguments) -> Result<Report> {
    let mut report = Report::default();
    let mut bench = Bench::new(firmware, arguments.seed)?;
    report.rows.push(short_day(&mut bench)?);
    if arguments.kills > 0 {
        report.rows.push(random(&mut bench, arguments)?);
    }
    if arguments.cuts != Some(0) {
        report.rows.push(script(&mut bench, arguments.cuts)?);
    }
    Ok(report)
}

/// A machine, its image and its collector.
struct Bench<'a> {
    firmware: &'a Firmware,
    image: Image,
    collector: Collector,
    chance: Chance,
    version: u32,
    _directory: TempDir,
}

impl<'a> Bench<'a> {
    fn new(firmware: &'a Firmware, seed: u64) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        Ok(Self {
            firmware,
            image: Image::new(&directory.path().join("flash.img"))?,
            collector: Collector::start()?,
            chance: Chance(seed),
            version: 0,
            _directory: directory,
        })
    }

    /// A life with a seed of its own.
    fn life(&mut self, mode: u32) -> Life {
        Life {
            mode,
            seed: self.chance.next() as u32,
            port: self.collector.addr().port(),
            cut_at: 0,
            tear: tear::ALL,
            version: self.version,
        }
    }

    /// Lets it run to its end.
    fn run(&self, life: &Life, row: &mut Row) -> Result<End> {
        self.image.prepare(life)?;
        row.boots = row.boots.saturating_add(1);
        Ok(self.firmware.boot(&self.image)?.wait(LONGEST, || Ok(false))?)
    }

    /// Lets the next life, which runs other firmware, deliver everything.
    fn drain(&mut self, row: &mut Row, how: &str) -> Result<()> {
        self.collector.clear_faults();
        self.version = self.version.wrapping_add(1);
        let life = self.life(mode::DRAIN);
        let ended = self.run(&life, row)?;
        if let Some(wrong) = ended.wrong(false, &[end::DONE]) {
            row.breaks(how, &format!("the life that delivers: {wrong}"));
        }
        let ledger = self.ledger()?;
        let [accepted, acknowledged, others @ ..] = ledger;
        if accepted != acknowledged || others != [0; 6] {
            row.breaks(how, &format!("the ledger: {LEDGER_NAMES:?} are {ledger:?}"));
        }
        let twice = self.image.word(REPROGRAMMED)?;
        if twice > 0 {
            row.breaks(how, &format!("{twice} words programmed twice between two erases"));
        }
        Ok(())
    }

    fn ledger(&self) -> Result<[u32; LEDGER_NAMES.len()]> {
        let mut ledger = [0; LEDGER_NAMES.len()];
        for (at, counter) in (LEDGER..).step_by(4).zip(&mut ledger) {
            *counter = self.image.word(at)?;
        }
        Ok(ledger)
    }

    /// Starts over with this flash.
    fn restore(&self, flash: &[u8]) -> Result<()> {
        self.collector.clear_faults();
        self.collector.clear();
        Ok(self.image.restore(flash)?)
    }

    fn misbehave(&mut self) {
        self.collector.clear_faults();
        match self.chance.below(10) {
            0 => self.collector.fault(Fault::status(503).times(3)),
            1 => self.collector.fault(Fault::status(503).retry_after("1").once()),
            2 => self.collector.fault(Fault::Close.times(2)),
            3 | 4 => self.collector.fault(Fault::LoseReply.times(2)),
            5 => self.collector.fault(Fault::Hang.once()),
            6 => self.collector.fault(Fault::delay_ms(80).times(5)),
            _ => {}
        }
    }
}

/// A day without accidents: nothing here is worth anything if that one does not work. It measures the stack.
fn short_day(bench: &mut Bench<'_>) -> Result<Row> {
    let start = Instant::now();
    let mut row = Row { name: "a short day", ..Row::default() };
    let life = bench.life(mode::SHORT_DAY);
    let ended = bench.run(&life, &mut row)?;
    if let Some(wrong) = ended.wrong(false, &[end::DONE]) {
        row.breaks("the only life", &wrong);
    }
    let stack = bench.image.word(STACK)?;
    bench.drain(&mut row, "the only life")?;
    row.add(check::arrived(&bench.collector, &bench.image.journal()?), "the only life");
    row.note = format!("{stack} bytes of stack, network and interrupts included");
    row.erases = bench.image.word(ERASES)?.into();
    row.time = start.elapsed();
    Ok(row)
}

/// Lives that end at random, in a chain on one flash.
fn random(bench: &mut Bench<'_>, arguments: &Arguments) -> Result<Row> {
    let lives = arguments.kills;
    let start = Instant::now();
    let mut row = Row { name: "random kills", ..Row::default() };
    let flash = bench.image.flash()?;
    bench.restore(&flash)?;
    for number in 1..=lives {
        if bench.chance.below(20) == 0 {
            bench.version = bench.version.wrapping_add(1);
        }
        bench.misbehave();
        let how = format!("life {number}");
        let is_cut = bench.chance.below(4) == 0;
        let life = bench.life(mode::KIOSK);
        let ended = if is_cut { cut(bench, life, &mut row)? } else { kill(bench, &life, &mut row)? };
        if let Some(wrong) = ended.wrong(true, &[end::CUT]) {
            row.breaks(&how, &wrong);
        }
        if number.is_multiple_of(LIVES_AT_ONCE) || number == lives {
            if arguments.forget {
                bench.image.erase()?;
            }
            bench.drain(&mut row, &how)?;
            // The whole chain again, to see that nothing changes behind a look.
            let broken = check::arrived(&bench.collector, &bench.image.journal()?).broken;
            let is_broken = !broken.is_empty() || !row.broken.is_empty();
            tell(&format!("{number} lives, {} boots, {} broken", bench.image.word(BOOTS)?, broken.len()));
            if is_broken {
                // What is broken stays broken: the next looks would only repeat it.
                break;
            }
        }
    }
    row.erases = bench.image.word(ERASES)?.into();
    row.add(check::arrived(&bench.collector, &bench.image.journal()?), "all lives");
    row.time = start.elapsed();
    Ok(row)
}

/// Kills the machine after some changes of the flash, or after some time; never later than a few seconds.
fn kill(bench: &mut Bench<'_>, life: &Life, row: &mut Row) -> Result<End> {
    const MOST_CHANGES: u32 = 1500;
    let by_time = bench.chance.below(4) == 0;
    let time = Duration::from_millis(bench.chance.below(400).into());
    let changes = bench.chance.below(MOST_CHANGES);
    let beyond = Duration::from_micros(bench.chance.below(5000).into());
    bench.image.prepare(life)?;
    row.boots = row.boots.saturating_add(1);
    row.kills = row.kills.saturating_add(1);
    let longest = if by_time { time } else { Duration::from_secs(4) };
    let machine = bench.firmware.boot(&bench.image)?;
    let image = &bench.image;
    Ok(machine.wait(longest, || {
        let is_due = !by_time && image.word(CHANGES)? >= changes;
        if is_due {
            thread::sleep(beyond);
        }
        Ok(is_due)
    })?)
}

/// Lets the power fail in a change of the flash.
fn cut(bench: &mut Bench<'_>, mut life: Life, row: &mut Row) -> Result<End> {
    const MOST_CHANGES: u32 = 1000;
    life.cut_at = bench.chance.below(MOST_CHANGES).saturating_add(1);
    life.tear = bench.chance.below(tear::COUNT);
    let ended = bench.run(&life, row)?;
    row.cuts = row.cuts.saturating_add(1);
    Ok(ended)
}

/// The same steps again and again on the same flash, with the power failing in another change each time.
fn script(bench: &mut Bench<'_>, most: Option<u32>) -> Result<Row> {
    /// Runs that wear the flash in, so that its pages turn in the runs that count.
    const BEFORE: u32 = 3;
    let start = Instant::now();
    let mut row = Row { name: "script", ..Row::default() };
    for _ in 0..BEFORE {
        let life = bench.life(mode::SCRIPT);
        if let Some(wrong) = bench.run(&life, &mut row)?.wrong(false, &[end::DONE]) {
            row.breaks("a run before", &wrong);
        }
        bench.drain(&mut row, "a run before")?;
    }
    let flash = bench.image.flash()?;
    bench.restore(&flash)?;
    // Chance is the same in every run, up to the cut.
    let mut life = bench.life(mode::SCRIPT);
    if let Some(wrong) = bench.run(&life, &mut row)?.wrong(false, &[end::DONE]) {
        row.breaks("the run without a cut", &wrong);
    }
    let changes = bench.image.word(CHANGES)?;
    let points = most.map_or(changes, |most| most.min(changes));
    let mut cut_before: u32 = 0;
    for index in 0..points {
        let at = u64::from(index).saturating_mul(changes.into()).checked_div(points.into()).unwrap_or(0);
        let at = u32::try_from(at).unwrap_or(0).saturating_add(1);
        bench.restore(&flash)?;
        (life.cut_at, life.tear) = (at, index % tear::COUNT);
        let how = format!("cut in change {at}, tear {}", life.tear);
        let ended = bench.run(&life, &mut row)?;
        match ended.wrong(false, &[end::CUT, end::DONE]) {
            Some(wrong) => row.breaks(&how, &wrong),
            // The network took another turn, and the run was over before.
            None if matches!(ended, End::Off(end::DONE, _)) => cut_before = cut_before.saturating_add(1),
            None => row.cuts = row.cuts.saturating_add(1),
        }
        bench.drain(&mut row, &how)?;
        row.erases = row.erases.saturating_add(bench.image.word(ERASES)?.into());
        row.add(check::arrived(&bench.collector, &bench.image.journal()?), &how);
        if index % 100 == 99 {
            tell(&format!("{} of {points} cuts, {} broken", index.saturating_add(1), row.broken.len()));
        }
    }
    row.note =
        format!("{points} of {changes} changes of the flash; {cut_before} runs ended before their cut");
    row.time = start.elapsed();
    Ok(row)
}
