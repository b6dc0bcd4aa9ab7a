//! What a victim says, one line for each step, in a file that is not on the medium under test.

use core::{fmt, mem};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Where a victim says what was accepted.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Opens the journal, and goes on behind what earlier victims said.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(path).map(Self)
    }

    /// Says one line. It is one `write`, so a kill leaves all of it or nothing.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn say(&self, line: impl fmt::Display) -> io::Result<()> {
        (&self.0).write_all(format!("{line}\n").as_bytes())
    }
}

/// Whether an operation was accepted behind the byte `from`.
///
/// # Errors
/// Those of the file system.
pub fn has_accepted(path: &Path, from: u64) -> io::Result<bool> {
    let mut journal = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        journal => journal?,
    };
    journal.seek(SeekFrom::Start(from))?;
    let mut said = String::new();
    journal.read_to_string(&mut said)?;
    Ok(said.lines().any(|line| line.starts_with("ok ")))
}

/// Takes back what was said behind the byte `from`: calls were made, but what they came to was not
/// seen any more.
///
/// # Errors
/// Those of the file system.
pub fn unsay(path: &Path, from: u64) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let (seen, unseen) = text.split_at_checked(usize::try_from(from).unwrap_or(0)).unwrap_or((&text, ""));
    let outcome =
        |line: &&str| ["ok ", "is ", "taken ", "wiped", "durable "].iter().any(|word| line.starts_with(word));
    let made = unseen.split_inclusive('\n').filter(|line| !outcome(line));
    fs::write(path, made.fold(seen.to_owned(), |text, line| text + line))
}

/// What a journal says up to the first outcome for which the log of block writes had to be longer.
#[must_use]
pub fn until(journal: &str, length: u64) -> &str {
    let mut end = 0_usize;
    for line in journal.split_inclusive('\n') {
        let at = line.strip_prefix("at ").and_then(|at| at.trim_end().parse::<u64>().ok());
        if at.is_some_and(|at| at > length) {
            break;
        }
        end = end.saturating_add(line.len());
    }
    journal.get(..end).unwrap_or(journal)
}

/// Everything that the victims of one queue said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// Operations whose call was made.
    pub tried: BTreeSet<u64>,
    /// Those whose call returned `Ok`.
    pub accepted: BTreeSet<u64>,
    /// Those whose call returned an error, with its words.
    pub refused: BTreeMap<u64, String>,
    /// Operations whose removal was asked for.
    pub taking: BTreeSet<u64>,
    /// Those whose removal returned `Ok`.
    pub taken: BTreeSet<u64>,
    /// Those that were deleted for good, by a call that returned `Ok`.
    pub wiped: BTreeSet<u64>,
    /// The last value of the slot whose call returned `Ok`.
    pub slot: String,
    /// Values that a call after it may have left.
    pub slot_tried: BTreeSet<String>,
    /// Every value of the slot so far.
    pub slot_ever: BTreeSet<String>,
    /// Everything accepted up to this operation was covered by a sync that returned.
    pub durable: u64,
    /// How often a victim opened the queue.
    pub opened: u64,
    /// How often a victim came to its end by itself.
    pub ended: u64,
    /// What went wrong that no campaign expects, in the victim's words.
    pub complaints: Vec<String>,
    /// Operations tried since the last `wiping`.
    tried_since: Vec<u64>,
    /// Operations asked for since the last `wiped`.
    taking_since: Vec<u64>,
}

impl Said {
    /// Reads a journal. A file that is not there says nothing.
    ///
    /// # Errors
    /// Those of the file system, and a line that no victim says.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text?,
        };
        Self::parse(&text)
    }

    /// Reads the text of a journal.
    ///
    /// # Errors
    /// A line that no victim says.
    pub fn parse(text: &str) -> io::Result<Self> {
        let mut said = Self::default();
        // A line without an end was not said.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            said.hear(line).ok_or_else(|| io::Error::other(format!("not a line of a victim: {line}")))?;
        }
        Ok(said)
    }

    fn hear(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "try" => {
                let tried = numbers(rest)?;
                self.tried.extend(&tried);
                self.tried_since.extend(tried);
            }
            "ok" => self.accepted.extend(numbers(rest)?),
            "no" => {
                let (n, why) = rest.split_once(' ')?;
                self.refused.insert(n.parse().ok()?, why.into());
            }
            "take" => self.take(numbers(rest)?),
            "taken" => self.taken.extend(numbers(rest)?),
            // Everything goes, also what could not be read at the time.
            "wiping" => {
                let tried = mem::take(&mut self.tried_since);
                self.take(tried);
            }
            "wiped" => self.wiped.extend(self.taking_since.drain(..)),
            "set" => {
                self.slot_tried.insert(rest.into());
                self.slot_ever.insert(rest.into());
            }
            "is" => {
                self.slot = rest.into();
                self.slot_tried.clear();
            }
            "durable" => self.durable = self.durable.max(rest.parse().ok()?),
            "open" => self.opened = self.opened.saturating_add(1),
            "end" => self.ended = self.ended.saturating_add(1),
            "complaint" => self.complaints.push(rest.into()),
            // Errors without a number are for people; where the medium was, for `until`.
            "failed" | "flush" | "at" => {}
            _ => return None,
        }
        Some(())
    }

    fn take(&mut self, operations: Vec<u64>) {
        self.taking.extend(&operations);
        self.taking_since.extend(operations);
    }

    /// Operations that must be owed: accepted, and nobody asked for their removal.
    pub fn owed(&self) -> impl Iterator<Item = u64> {
        self.accepted.difference(&self.taking).copied()
    }

    /// The number behind the last one that was tried.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.tried.last().map_or(1, |last| last.saturating_add(1))
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split_whitespace().map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_read_and_half_a_line_was_not_said() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        for line in ["open", "try 1", "ok 1", "try 2", "no 2 the disk is full", "take 1", "taken 1"] {
            journal.say(line).unwrap();
        }
        for line in ["set a", "is a", "set b", "durable 1", "at 512", "end"] {
            journal.say(line).unwrap();
        }
        (&journal.0).write_all(b"ok 2").unwrap();

        let said = Said::read(&path).unwrap();

        assert_eq!((said.accepted.len(), said.tried.len(), said.next()), (1, 2, 3));
        assert_eq!(said.refused[&2], "the disk is full");
        assert_eq!(said.owed().count(), 0);
        assert_eq!((said.slot.as_str(), said.slot_tried.len(), said.slot_ever.len()), ("a", 1, 2));
        assert_eq!((said.durable, said.opened, said.ended), (1, 1, 1));
    }

    #[test]
    fn a_journal_ends_where_the_medium_did() {
        let journal = "open\ntry 1\nat 10\nok 1\ntry 2\nat 20\nok 2\n";

        assert_eq!(until(journal, 9), "open\ntry 1\n");
        assert_eq!(until(journal, 10), "open\ntry 1\nat 10\nok 1\ntry 2\n");
        assert_eq!(until(journal, 20), journal);
    }

    #[test]
    fn what_came_too_late_is_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("journal");
        fs::write(&path, "open\ntry 1\nok 1\n").unwrap();
        let from = fs::metadata(&path).unwrap().len();
        let journal = Journal::open(&path).unwrap();
        for line in ["try 2", "ok 2", "set a", "is a", "durable 2"] {
            journal.say(line).unwrap();
        }

        unsay(&path, from).unwrap();

        let said = Said::read(&path).unwrap();
        assert_eq!((said.accepted.len(), said.tried.len(), said.durable), (1, 2, 0));
        assert_eq!((said.slot.as_str(), said.slot_tried.len()), ("", 1));
    }

    #[test]
    fn a_line_of_somebody_else_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("journal");
        Journal::open(&path).unwrap().say("thread panicked").unwrap();

        assert!(Said::read(&path).is_err());
        assert_eq!(Said::read(&root.path().join("none")).unwrap(), Said::default());
    }
}
