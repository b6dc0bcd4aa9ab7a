//! Many lives, and what is kept of one that breaks a promise.

use core::fmt;

use crate::choices::Choices;
use crate::coverage::Seen;
#[cfg(feature = "file")]
use crate::file::FileMedium;
#[cfg(feature = "flash")]
use crate::flash::FlashMedium;
use crate::life::{Life, Violation, live};
use crate::shrink::shrink;
use crate::storage::SimStorage;

/// Most runs that shrinking takes.
const SHRINK_RUNS: u32 = 1500;

/// Last lines of a life that a failure prints.
const TRACE_LINES: usize = 50;

/// Every how many-th life is lived twice.
const TWICE_EVERY: u64 = 100;

/// The media that this crate brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediumKind {
    /// Memory that survives the client, durable with every `Ok`.
    Memory,
    /// The queue file over a simulated file system.
    #[cfg(feature = "file")]
    File,
    /// The flash log over a model of NOR flash.
    #[cfg(feature = "flash")]
    Flash,
}

impl MediumKind {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::Memory,
        #[cfg(feature = "file")]
        Self::File,
        #[cfg(feature = "flash")]
        Self::Flash,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            #[cfg(feature = "file")]
            Self::File => "file",
            #[cfg(feature = "flash")]
            Self::Flash => "flash",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Lives one life on it.
    #[must_use]
    pub fn live(self, choices: &Choices) -> Life {
        match self {
            Self::Memory => live(choices, |_, setup| SimStorage::new(setup.storage_bytes())),
            #[cfg(feature = "file")]
            Self::File => live(choices, FileMedium::draw),
            #[cfg(feature = "flash")]
            Self::Flash => live(choices, FlashMedium::<4, 4096, 8>::draw),
        }
    }

    /// What must have happened at least once in a search worth its name.
    #[must_use]
    pub const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Memory => ALWAYS,
            #[cfg(feature = "file")]
            Self::File => FILE,
            #[cfg(feature = "flash")]
            Self::Flash => FLASH,
        }
    }
}

const ALWAYS: &[&str] = &[
    "413 by size",
    "Retry-After",
    "append failed",
    "append found no room",
    "automatic event",
    "call dropped half way",
    "clock jump",
    "duplicate delivery",
    "evicted",
    "expired",
    "identify refused",
    "killed",
    "killed in flight",
    "killed in the middle of a call",
    "lying Date",
    "opt-out dropped half way",
    "opt-out not done",
    "opted in",
    "opted out",
    "over capacity",
    "poisoned batch",
    "power cut",
    "processed and then 5xx",
    "processed, answered too late",
    "push token opted out",
    "push token set",
    "read failed",
    "refused as too old or of the future",
    "removal failed",
    "request timed out",
    "response lost",
    "slot change failed",
    "storage waited",
    "track refused",
    "unpromised found",
    "wiped",
];

#[cfg(feature = "file")]
const FILE: &[&str] = &[
    "cut during recovery",
    "cut in the middle of a call",
    "dropped names",
    "durable failures",
    "evicted",
    "expired",
    "failed calls",
    "failed syncs",
    "flipped bits",
    "full",
    "interrupted",
    "kills",
    "lost writes",
    "power cut",
    "removal undone",
    "resurrected",
    "short writes",
    "stale tails",
    "sync failed",
    "torn writes",
    "undurable lost",
    "unpromised found",
    "wiped",
    "written back",
    "zero tails",
];

#[cfg(feature = "flash")]
const FLASH: &[&str] = &[
    "bit flipped",
    "cut",
    "cut during recovery",
    "cut in an erase",
    "cut in the middle of a call",
    "erase failed",
    "erase ignored",
    "evicted",
    "expired",
    "power cut",
    "program failed",
    "program ignored",
    "read failed",
    "unpromised found",
    "unreadable word",
    "wiped",
];

/// What many lives came to.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Lives lived.
    pub lives: u64,
    /// Actions in them.
    pub steps: u64,
    /// Power cuts in them.
    pub cuts: u64,
    /// Operations said in them.
    pub operations: u64,
    /// What happened how often.
    pub seen: Seen,
}

impl Summary {
    /// Adds one life.
    pub fn add(&mut self, life: &Life) {
        self.lives = self.lives.saturating_add(1);
        self.steps = self.steps.saturating_add(life.steps);
        self.cuts = self.cuts.saturating_add(life.cuts);
        self.operations = self.operations.saturating_add(life.accepted);
        self.seen.merge(&life.seen);
    }

    /// Adds what another search came to.
    pub fn merge(&mut self, other: &Self) {
        self.lives = self.lives.saturating_add(other.lives);
        self.steps = self.steps.saturating_add(other.steps);
        self.cuts = self.cuts.saturating_add(other.cuts);
        self.operations = self.operations.saturating_add(other.operations);
        self.seen.merge(&other.seen);
    }
}

/// A life that broke a promise, made as short as it gets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// On which medium.
    pub medium: MediumKind,
    /// Its seed.
    pub seed: u64,
    /// What was broken in the life of this seed.
    pub found: Violation,
    /// The choices of the shortest life found that breaks the same invariant.
    pub choices: Vec<u64>,
    /// That life.
    pub life: Life,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let medium = self.medium.name();
        writeln!(f, "medium {medium}, seed {}: {}", self.seed, self.found)?;
        writeln!(
            f,
            "again: cargo run --release -p whisperr-simulation -- replay --medium {medium} --seed {}",
            self.seed
        )?;
        writeln!(f, "shrunk to {} choices, whose last steps are:", self.choices.len())?;
        for line in self.life.trace.iter().rev().take(TRACE_LINES).rev() {
            writeln!(f, "    {line}")?;
        }
        if let Some(violation) = &self.life.violation {
            writeln!(f, "    {violation}")?;
        }
        write!(f, "drawn for it: {:?}", self.life.setup)
    }
}

/// Lives the life of one seed. Every hundredth is lived twice and must be the same both times (R1).
///
/// # Errors
/// The shortest life found that breaks the same promise.
pub fn check_seed(medium: MediumKind, seed: u64, summary: &mut Summary) -> Result<(), Box<Failure>> {
    let choices = Choices::seeded(seed);
    let mut life = medium.live(&choices);
    if seed.is_multiple_of(TWICE_EVERY) && life.violation.is_none() {
        let again = medium.live(&Choices::seeded(seed));
        if again.hash != life.hash {
            let detail = format!("two runs of seed {seed} differ");
            life.violation = Some(Violation { invariant: "R1", detail });
        }
    }
    summary.add(&life);
    let Some(found) = life.violation.clone() else { return Ok(()) };
    let breaks = |values: &[u64]| {
        let again = medium.live(&Choices::recorded(values)).violation;
        again.is_some_and(|again| again.invariant == found.invariant)
    };
    let choices = shrink(&choices.values(), SHRINK_RUNS, breaks);
    let shrunk = medium.live(&Choices::recorded(&choices));
    let life = if shrunk.violation.is_some() { shrunk } else { life };
    Err(Box::new(Failure { medium, seed, found, choices, life }))
}

/// The choices in a file of `regressions/`: numbers, apart from lines that start with `#`.
#[must_use]
pub fn parse_choices(text: &str) -> Option<Vec<u64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(|number| number.parse().ok()).collect()
}

/// The content of such a file.
#[must_use]
pub fn print_choices(failure: &Failure) -> String {
    let numbers: Vec<String> = failure.choices.iter().map(u64::to_string).collect();
    let lines: Vec<String> = numbers.chunks(25).map(|line| line.join(" ")).collect();
    format!("# {} by seed {}: {}\n{}\n", failure.medium.name(), failure.seed, failure.found, lines.join("\n"))
}
