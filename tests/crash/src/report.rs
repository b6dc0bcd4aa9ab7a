//! What the campaigns found, as Markdown.

use core::fmt::Write;

use crate::check::Verdict;

/// Most broken promises of a campaign that are told one by one.
const BROKEN_MAX: usize = 20;

/// One line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// How often something was killed, cut or failed.
    pub runs: u64,
    /// Operations that had to survive, over all runs.
    pub accepted: u64,
    /// Those that did not.
    pub lost: u64,
    /// Operations that came again, as they may.
    pub duplicates: u64,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Promises that were broken, with how to do it again.
    pub broken: Vec<String>,
}

impl Row {
    /// Counts one run.
    pub fn add(&mut self, verdict: Verdict, how: &str) {
        self.runs = self.runs.saturating_add(1);
        self.accepted = self.accepted.saturating_add(verdict.accepted);
        self.lost = self.lost.saturating_add(verdict.lost.len() as u64);
        self.duplicates = self.duplicates.saturating_add(verdict.duplicates);
        if !verdict.lost.is_empty() {
            let first: Vec<String> = verdict.lost.iter().take(5).map(u64::to_string).collect();
            let (count, first) = (verdict.lost.len(), first.join(", "));
            self.broken.push(format!("{how}: {count} lost ({first} ...)"));
        }
        self.broken.extend(verdict.broken.into_iter().map(|broken| format!("{how}: {broken}")));
    }

    /// Adds what another worker counted.
    pub fn join(&mut self, other: Self) {
        self.runs = self.runs.saturating_add(other.runs);
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.lost = self.lost.saturating_add(other.lost);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.notes.extend(other.notes);
        self.broken.extend(other.broken);
    }

    /// Adds something else worth knowing.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a broken promise.
    pub fn breaks(&mut self, broken: impl Into<String>) {
        self.broken.push(broken.into());
    }
}

/// How a campaign ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a report shows every case")]
pub enum Outcome {
    /// It ran.
    Ran(Row),
    /// It could not run on this machine, for this reason.
    Skipped(String),
}

/// All campaigns of one run of the harness.
#[derive(Debug, Default)]
pub struct Report {
    outcomes: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Adds a campaign.
    pub fn add(&mut self, campaign: &'static str, outcome: Outcome) {
        self.outcomes.push((campaign, outcome));
    }

    /// Whether nothing was lost and no promise broken.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| match outcome {
            Outcome::Ran(row) => row.lost == 0 && row.broken.is_empty(),
            Outcome::Skipped(_) => true,
        })
    }

    /// One section.
    #[must_use]
    pub fn markdown(&self, under: &str) -> String {
        let mut text = format!("## Real crashes\n\n{under}\n\n");
        text.push_str("| campaign | runs | accepted operations | lost | duplicates | notes |\n");
        text.push_str("|---|---:|---:|---:|---:|---|\n");
        for (campaign, outcome) in &self.outcomes {
            if let Outcome::Ran(row) = outcome {
                let Row { runs, accepted, lost, duplicates, .. } = row;
                let mut notes = row.notes.join("; ");
                if !row.broken.is_empty() {
                    let _ = write!(notes, " **{} broken promises**", row.broken.len());
                }
                let _ = writeln!(
                    text,
                    "| {campaign} | {runs} | {accepted} | {lost} | {duplicates} | {} |",
                    notes.trim()
                );
            }
        }
        text.push('\n');
        for (campaign, outcome) in &self.outcomes {
            match outcome {
                Outcome::Skipped(why) => {
                    let _ = writeln!(text, "- SKIPPED {campaign}: {why}");
                }
                Outcome::Ran(row) => {
                    for broken in row.broken.iter().take(BROKEN_MAX) {
                        let _ = writeln!(text, "- BROKEN {campaign}: {broken}");
                    }
                    let more = row.broken.len().saturating_sub(BROKEN_MAX);
                    if more > 0 {
                        let _ = writeln!(text, "- BROKEN {campaign}: and {more} more");
                    }
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_and_fails_and_a_skip_is_told() {
        let mut row = Row::default();
        row.add(Verdict { accepted: 9, ..Verdict::default() }, "kept");
        let mut report = Report::default();
        report.add("kill", Outcome::Ran(row.clone()));
        report.add("power", Outcome::Skipped("only root mounts".into()));
        assert!(report.is_kept());
        let text = report.markdown("seed 1");
        assert!(text.starts_with("## Real crashes\n"), "{text}");
        assert!(text.contains("| kill | 1 | 9 | 0 | 0 |  |"), "{text}");
        assert!(text.contains("- SKIPPED power: only root mounts"), "{text}");

        row.add(Verdict { accepted: 9, lost: vec![3], ..Verdict::default() }, "seed 7, run 2");
        report.add("kill", Outcome::Ran(row));
        assert!(!report.is_kept());
        assert!(report.markdown("").contains("- BROKEN kill: seed 7, run 2: 1 lost (3 ...)"));
    }
}
