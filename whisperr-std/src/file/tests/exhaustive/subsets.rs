//! Every subset of what is not durable.

use core::iter::once;
use std::collections::HashSet;

use super::super::super::simulated::{Fate, Judge, Pending};
use super::super::{Op, Slot};
use super::scripts::{Case, Script, Step};
use super::{Failed, check, expect_cases, first_cuts, image, knowledge, prepare, run, tell};

/// Counts through all combinations of choices.
#[derive(Debug, Default)]
struct Counter {
    /// The choices of this round, and how many there were for each.
    digits: Vec<(u8, u8)>,
    /// How many of them are made.
    at: usize,
}

impl Counter {
    fn choose(&mut self, end: u8) -> u8 {
        if self.at == self.digits.len() {
            self.digits.push((0, end));
        }
        let (digit, _) = self.digits[self.at];
        self.at += 1;
        digit
    }

    /// Goes on to the next combination, if there is one.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((digit, end)) = self.digits.pop() {
            if digit + 1 < end {
                self.digits.push((digit + 1, end));
                return true;
            }
        }
        false
    }
}

impl Judge for Counter {
    fn keeps(&mut self) -> bool {
        self.choose(2) == 0
    }

    fn fate(&mut self, write: Pending) -> Fate {
        let torn = |kept: usize| Fate::Parts { kept: once(0..kept).collect(), grown: false };
        match self.choose(if write.len < 4 { 2 } else { 5 }) {
            0 => Fate::Whole,
            1 => Fate::Lost,
            2 => torn(1),
            3 => torn(write.len / 2),
            _ => torn(write.len - 1),
        }
    }

    fn stale(&mut self, _: &[usize]) -> Option<(usize, usize)> {
        None
    }
}

/// Eight writes without a sync, in a segment and over the edge to the next one; and a wipe, which
/// also has removals of names that are not durable.
const SCRIPT: Script = Script {
    name: "subsets",
    cases: &[Case::Started, Case::Deleted],
    before: &[Op::Append(100), Op::Append(9), Op::Sync],
    steps: &[
        Step::Do(Op::Append(12)),
        Step::Do(Op::Store(Slot::Consent, 1, 3)),
        Step::Do(Op::Append(0)),
        Step::Do(Op::Remove(2, 2)),
        Step::Do(Op::Append(20)),
        Step::Do(Op::Remove(4, 4)),
        Step::Do(Op::Store(Slot::Consent, 2, 3)),
        Step::Do(Op::Append(9)),
        Step::Do(Op::Sync),
        Step::Do(Op::Append(30)),
        Step::Do(Op::Append(200)),
        Step::Do(Op::Remove(3, 3)),
        Step::Do(Op::Wipe),
        Step::Do(Op::Append(7)),
    ],
};

#[test]
fn every_subset_of_unsynced_writes() {
    let (before, known) = prepare(&SCRIPT);
    let places = expect_cases(&SCRIPT, &before, &known);
    // Not in the middle of a write: here each is torn anyway.
    let mut calls = 0;
    let most_subsets = match first_cuts() {
        Some(1) => u64::MAX,
        Some(_) => 10_000,
        None => 300,
    };
    // What leaves the same bytes under the same promises is the same.
    let mut seen = HashSet::new();
    let (mut cuts, mut subsets, mut most) = (0, 0_u64, 0);
    for place in 0..=places {
        let disk = before.after_kill();
        disk.cut_after(place);
        let stopped = run(&disk, &known, SCRIPT.steps, false);
        if disk.calls() == calls {
            continue;
        }
        calls = disk.calls();
        let promises = knowledge(&stopped.model);
        let mut counter = Counter::default();
        for _ in 0..most_subsets {
            let left = disk.after_cut_as(&mut counter);
            most = most.max(counter.digits.len());
            subsets += 1;
            if seen.insert((promises, image(&left))) {
                let failed = Failed(|| {
                    let choices = &counter.digits;
                    println!("cut at {place} in step {}: (choice, of) {choices:?}", stopped.step);
                });
                check(&left, &stopped.model);
                failed.defuse();
                cuts += 1;
            }
            if !counter.advance() {
                break;
            }
        }
    }
    assert_eq!(most, 9, "writes at once");
    assert!(subsets > cuts);
    tell("subsets", cuts);
}
