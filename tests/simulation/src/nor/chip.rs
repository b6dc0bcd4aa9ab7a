//! The flash itself: its cells, its rules, and what goes wrong with it.

use crate::choices::Choices;
use crate::coverage::Seen;

/// How often things go wrong, in ten thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built with struct update")]
pub struct NorRates {
    /// Programs that fail, having done nothing, a part or all of it.
    pub program: u64,
    /// Programs that report success and do nothing.
    pub ignored: u64,
    /// Erases that fail, having done nothing, a part or all of it, or report success and do nothing.
    pub erase: u64,
    /// Reads in which one bit is wrong, once.
    pub flip: u64,
    /// Reads that fail, once.
    pub read: u64,
}

/// What a power cut makes of the word or the page that is being changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "checks enumerate every case")]
pub enum Tear {
    /// Nothing has happened yet.
    Nothing,
    /// All of it has happened.
    All,
    /// The first bytes have changed.
    Prefix,
    /// Random bits have changed.
    Bits,
    /// Random bits of all that is there: of an erase, cells between old and new.
    Noise,
    /// As random bits; and error correction refuses to read the words.
    Unreadable,
}

impl Tear {
    /// Every case.
    pub const ALL: [Self; 6] =
        [Self::Nothing, Self::All, Self::Prefix, Self::Bits, Self::Noise, Self::Unreadable];
}

/// How often operations were made, and how many bytes they moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NorCounts {
    /// Erases.
    pub erases: u64,
    /// Bytes programmed.
    pub programmed: u64,
    /// Calls of read.
    pub reads: u64,
    /// Bytes read.
    pub read: u64,
}

impl NorCounts {
    /// Adds what another flash did.
    pub fn add(&mut self, other: &Self) {
        self.erases = self.erases.saturating_add(other.erases);
        self.programmed = self.programmed.saturating_add(other.programmed);
        self.reads = self.reads.saturating_add(other.reads);
        self.read = self.read.saturating_add(other.read);
    }
}

/// The state of one flash.
#[derive(Debug, Clone)]
pub(super) struct Chip {
    pub(super) bytes: Vec<u8>,
    /// Words that must be erased before they can be programmed.
    programmed: Vec<bool>,
    /// Units whose last erase did not come to its end: they are to be erased whatever they read as.
    weak: Vec<bool>,
    /// Words that cannot be read until they are erased.
    unreadable: Vec<bool>,
    /// Bits that are 0 for ever: the address of the byte, and the mask.
    stuck: Vec<(usize, u8)>,
    pub(super) erases: Vec<u64>,
    word: usize,
    unit: usize,
    pub(super) rates: NorRates,
    pub(super) choices: Choices,
    /// Changes of a word or a page before the power fails; `None` for never.
    pub(super) cut_in: Option<u64>,
    /// What the cut does; drawn when `None`.
    pub(super) tear: Option<Tear>,
    pub(super) off: bool,
    /// Without power calls hang; otherwise they fail.
    pub(super) hangs: bool,
    /// Every operation waits before and behind its effect.
    pub(super) pauses: bool,
    pub(super) counts: NorCounts,
    /// Changes of a word or a page so far.
    pub(super) changes: u64,
    /// Changes that a fault hit: a page may be erased once more for each.
    pub(super) hits: u64,
    pub(super) seen: Seen,
    /// The first breach of the rules of NOR flash by who uses it.
    pub(super) breach: Option<String>,
}

/// What becomes of a change.
enum Fate {
    Done,
    Failed,
    Off,
}

impl Chip {
    pub(super) fn new(word: usize, unit: usize, units: usize, choices: Choices) -> Self {
        let size = unit.saturating_mul(units);
        let words = size.checked_div(word).unwrap_or(0);
        Self {
            bytes: vec![0xFF; size],
            programmed: vec![false; words],
            weak: vec![false; units],
            unreadable: vec![false; words],
            stuck: Vec::new(),
            erases: vec![0; units],
            word,
            unit,
            rates: NorRates::default(),
            choices,
            cut_in: None,
            tear: None,
            off: false,
            hangs: true,
            pauses: false,
            counts: NorCounts::default(),
            changes: 0,
            hits: 0,
            seen: Seen::default(),
            breach: None,
        }
    }

    /// Fills the flash with what an unknown program left.
    pub(super) fn fill(&mut self, bytes: impl Fn(usize) -> u8) {
        for (at, byte) in self.bytes.iter_mut().enumerate() {
            *byte = bytes(at);
        }
        self.programmed.fill(true);
    }

    pub(super) fn stick(&mut self, at: usize, mask: u8) {
        self.stuck.push((at, mask));
        self.hold_stuck();
    }

    fn hold_stuck(&mut self) {
        for (at, mask) in &self.stuck {
            if let Some(byte) = self.bytes.get_mut(*at) {
                *byte &= !mask;
            }
        }
    }

    fn breach(&mut self, what: impl FnOnce() -> String) {
        if self.breach.is_none() {
            self.breach = Some(what());
        }
    }

    /// Whether the power fails in the middle of this change, and how.
    fn cut(&mut self) -> Option<Tear> {
        self.changes = self.changes.saturating_add(1);
        let left = self.cut_in.as_mut()?;
        if *left > 0 {
            *left = left.saturating_sub(1);
            return None;
        }
        self.cut_in = None;
        self.off = true;
        self.hits = self.hits.saturating_add(1);
        self.seen.note("cut");
        Some(self.tear.unwrap_or_else(|| self.choices.one_of(&Tear::ALL)))
    }

    fn happens(&self, rate: u64) -> bool {
        rate > 0 && self.choices.below(10_000) >= 10_000_u64.saturating_sub(rate)
    }

    fn draw_tear(&self) -> Tear {
        self.choices.one_of(&[Tear::Nothing, Tear::Prefix, Tear::Bits, Tear::Noise, Tear::All])
    }

    /// Programs one word; `None` when the power failed.
    pub(super) fn program(&mut self, at: usize, word: &[u8]) -> Option<Result<(), ()>> {
        let index = at.checked_div(self.word).unwrap_or(0);
        if self.programmed.get(index) != Some(&false) {
            self.breach(|| format!("the word at {at} is programmed twice"));
        }
        let fate = match self.cut() {
            Some(tear) => (tear, Fate::Off),
            None if self.happens(self.rates.program) => {
                self.hits = self.hits.saturating_add(1);
                self.seen.note("program failed");
                (self.draw_tear(), Fate::Failed)
            }
            None if self.happens(self.rates.ignored) => {
                self.hits = self.hits.saturating_add(1);
                self.seen.note("program ignored");
                (Tear::Nothing, Fate::Done)
            }
            None => (Tear::All, Fate::Done),
        };
        let (tear, fate) = fate;
        self.counts.programmed = self.counts.programmed.saturating_add(word.len() as u64);
        let kept = if tear == Tear::Prefix { self.choices.below(word.len() as u64) } else { 0 };
        for (offset, value) in word.iter().enumerate() {
            let mask = match tear {
                Tear::Nothing => 0xFF,
                Tear::All => 0,
                Tear::Prefix => {
                    if (offset as u64) < kept {
                        0
                    } else {
                        0xFF
                    }
                }
                Tear::Bits | Tear::Noise | Tear::Unreadable => {
                    u8::try_from(self.choices.below(256)).unwrap_or(0)
                }
            };
            if let Some(byte) = self.bytes.get_mut(at.saturating_add(offset)) {
                *byte &= value | mask;
            }
        }
        self.hold_stuck();
        if let Some(programmed) = self.programmed.get_mut(index) {
            *programmed = true;
        }
        if matches!(tear, Tear::Unreadable)
            && let Some(unreadable) = self.unreadable.get_mut(index)
        {
            self.seen.note("unreadable word");
            *unreadable = true;
        }
        match fate {
            Fate::Done => Some(Ok(())),
            Fate::Failed => Some(Err(())),
            Fate::Off => None,
        }
    }

    /// Erases one unit; `None` when the power failed.
    pub(super) fn erase(&mut self, unit: usize) -> Option<Result<(), ()>> {
        if let Some(erases) = self.erases.get_mut(unit) {
            *erases = erases.saturating_add(1);
        }
        self.counts.erases = self.counts.erases.saturating_add(1);
        let (tear, fate) = match self.cut() {
            Some(tear) => {
                self.seen.note("cut in an erase");
                (tear, Fate::Off)
            }
            None if self.happens(self.rates.erase) => {
                self.hits = self.hits.saturating_add(1);
                if self.choices.percent(50) {
                    self.seen.note("erase failed");
                    (self.draw_tear(), Fate::Failed)
                } else {
                    self.seen.note("erase ignored");
                    (self.choices.one_of(&[Tear::Nothing, Tear::Bits]), Fate::Done)
                }
            }
            None => (Tear::All, Fate::Done),
        };
        let from = unit.saturating_mul(self.unit);
        let kept = if tear == Tear::Prefix { self.choices.below(self.unit as u64) } else { 0 };
        let noisy = !matches!(tear, Tear::All | Tear::Nothing | Tear::Prefix);
        let rate = if noisy { self.choices.one_of(&[0x11_u64, 0x01, 0x55, 0xFF]) } else { 0 };
        for offset in 0..self.unit {
            let Some(byte) = self.bytes.get_mut(from.saturating_add(offset)) else { continue };
            let noise = || {
                let drawn = self.choices.below(1 << 16);
                u8::try_from((drawn >> 8) & drawn & rate & 0xFF).unwrap_or(0)
            };
            match tear {
                Tear::Nothing => {}
                Tear::All => *byte = 0xFF,
                Tear::Prefix => {
                    if (offset as u64) < kept {
                        *byte = 0xFF;
                    }
                }
                // Some cells have become 1.
                Tear::Bits => *byte |= !noise(),
                // Every cell is anything.
                Tear::Noise | Tear::Unreadable => *byte = !noise(),
            }
        }
        self.hold_stuck();
        let words = self.unit.checked_div(self.word).unwrap_or(0);
        let first = unit.saturating_mul(words);
        // After a failure nobody may take the unit for erased; after success, whoever looks may.
        let done = matches!(fate, Fate::Done);
        for index in first..first.saturating_add(words) {
            let at = index.saturating_mul(self.word);
            let blank = self.bytes.iter().skip(at).take(self.word).all(|byte| *byte == 0xFF);
            if let Some(word) = self.programmed.get_mut(index)
                && (done || tear != Tear::Nothing)
            {
                *word = !(tear == Tear::All || (done && blank));
            }
        }
        if let Some(weak) = self.weak.get_mut(unit)
            && (done || tear != Tear::Nothing)
        {
            *weak = !done && tear != Tear::All;
        }
        let unreadable = matches!(tear, Tear::Unreadable);
        for word in self.unreadable.iter_mut().skip(first).take(words) {
            *word = unreadable && self.choices.percent(30);
        }
        match fate {
            Fate::Done => Some(Ok(())),
            Fate::Failed => Some(Err(())),
            Fate::Off => None,
        }
    }

    /// After a start nobody knows of a program that left no trace: what reads as erased is erased, as for
    /// the controllers themselves, unless an erase was cut short there.
    pub(super) fn forget(&mut self) {
        let words = self.unit.checked_div(self.word).unwrap_or(1);
        for (index, (word, bytes)) in self.programmed.iter_mut().zip(self.bytes.chunks(self.word)).enumerate()
        {
            let unit = index.checked_div(words).unwrap_or(0);
            let weak = self.weak.get(unit).copied().unwrap_or(false);
            *word &= weak || bytes.iter().any(|byte| *byte != 0xFF);
        }
    }

    pub(super) fn read(&mut self, at: usize, to: &mut [u8]) -> Result<(), ()> {
        self.counts.reads = self.counts.reads.saturating_add(1);
        self.counts.read = self.counts.read.saturating_add(to.len() as u64);
        let end = at.saturating_add(to.len());
        if self.happens(self.rates.read) {
            self.seen.note("read failed");
            return Err(());
        }
        let first = at.checked_div(self.word).unwrap_or(0);
        let last = end.div_ceil(self.word);
        if self.unreadable.iter().take(last).skip(first).any(|word| *word) {
            return Err(());
        }
        to.copy_from_slice(self.bytes.get(at..end).unwrap_or_default());
        if self.happens(self.rates.flip) {
            self.seen.note("bit flipped");
            let drawn = self.choices.below((to.len() as u64).saturating_mul(8));
            let place = usize::try_from(drawn / 8).unwrap_or(0);
            if let Some(byte) = to.get_mut(place) {
                *byte ^= 1_u8.rotate_left(u32::try_from(drawn % 8).unwrap_or(0));
            }
        }
        Ok(())
    }
}
