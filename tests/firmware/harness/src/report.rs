//! What came out, for people.

use core::fmt;
use core::time::Duration;

use crate::check::Verdict;

/// Breaches that are told in full.
const TOLD: usize = 10;

/// One campaign.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Lives that ended by a kill.
    pub(crate) kills: usize,
    /// Lives that ended by a power cut in a change of the flash.
    pub(crate) cuts: usize,
    /// Boots altogether.
    pub(crate) boots: usize,
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) cut_short: usize,
    pub(crate) lost: usize,
    pub(crate) repeated: usize,
    pub(crate) erases: u64,
    /// Most bytes of stack in a life that was not killed, network and interrupts included.
    pub(crate) stack: u32,
    pub(crate) broken: Vec<String>,
    pub(crate) time: Duration,
    pub(crate) note: String,
}

impl Row {
    /// Adds the outcome of a queue that nobody looks at again.
    pub(crate) fn add(&mut self, verdict: Verdict, how: &str) {
        self.acknowledged = self.acknowledged.saturating_add(verdict.acknowledged);
        self.refused = self.refused.saturating_add(verdict.refused);
        self.cut_short = self.cut_short.saturating_add(verdict.cut_short);
        self.lost = self.lost.saturating_add(verdict.lost);
        self.repeated = self.repeated.saturating_add(verdict.repeated);
        for breach in verdict.broken {
            self.breaks(how, &breach);
        }
    }

    /// Together with another part of the same campaign, which ran beside it.
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.kills = self.kills.saturating_add(other.kills);
        self.cuts = self.cuts.saturating_add(other.cuts);
        self.boots = self.boots.saturating_add(other.boots);
        self.acknowledged = self.acknowledged.saturating_add(other.acknowledged);
        self.refused = self.refused.saturating_add(other.refused);
        self.cut_short = self.cut_short.saturating_add(other.cut_short);
        self.lost = self.lost.saturating_add(other.lost);
        self.repeated = self.repeated.saturating_add(other.repeated);
        self.erases = self.erases.saturating_add(other.erases);
        self.stack = self.stack.max(other.stack);
        self.broken.extend(other.broken);
        self.time = self.time.max(other.time);
        self.note = format!("{}; {}", self.note, other.note);
        self
    }

    pub(crate) fn breaks(&mut self, how: &str, breach: &str) {
        crate::tell(&format!("BROKEN {how}: {breach}"));
        self.broken.push(format!("{how}: {breach}"));
    }
}

/// All campaigns.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
}

impl Report {
    pub(crate) fn is_kept(&self) -> bool {
        self.rows.iter().all(|row| row.broken.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Firmware in QEMU (mps2-an386, Cortex-M4)\n")?;
        writeln!(
            f,
            "| campaign | kills | power cuts | boots | acknowledged | refused | cut short | lost | repeated | erases | \
             stack, bytes | broken | seconds |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                row.kills,
                row.cuts,
                row.boots,
                row.acknowledged,
                row.refused,
                row.cut_short,
                row.lost,
                row.repeated,
                row.erases,
                row.stack,
                row.broken.len(),
                row.time.as_secs()
            )?;
        }
        for row in &self.rows {
            if !row.note.is_empty() {
                writeln!(f, "\n{}: {}", row.name, row.note)?;
            }
            for breach in row.broken.iter().take(TOLD) {
                writeln!(f, "\nBROKEN {}: {breach}", row.name)?;
            }
        }
        Ok(())
    }
}
