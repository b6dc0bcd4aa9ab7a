//! The victim and the checker on an ordinary directory, and that the checker can fail.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use whisperr_crash::check::{self, Promise, Verdict};
use whisperr_crash::journal::Said;
use whisperr_crash::options::Victim;
use whisperr_crash::report::Row;
use whisperr_std::Fsync;

const PROGRAM: &str = env!("CARGO_BIN_EXE_whisperr-crash");

/// A queue that a victim filled and left, and what it said.
fn filled(root: &Path) -> (PathBuf, Said) {
    let (queue, journal) = (root.join("queue"), root.join("journal"));
    let victim = Victim::storage(&queue, &journal).ops(60).fsync(Fsync::Never);
    assert!(victim.command(Path::new(PROGRAM)).status().unwrap().success());
    let said = Said::read(&journal).unwrap();
    assert_eq!((said.accepted.len(), said.ended), (60, 1));
    assert!(said.owed().count() > 3);
    (queue, said)
}

fn checked(queue: &Path, said: &Said) -> Verdict {
    check::storage(queue, said, Promise::Process).unwrap()
}

#[test]
fn what_a_victim_said_is_there() {
    let root = tempfile::tempdir().unwrap();
    let (queue, said) = filled(root.path());

    let verdict = checked(&queue, &said);

    assert!(verdict.is_kept(), "{verdict:?}");
    assert_eq!(verdict.accepted, 60);
}

#[test]
fn one_record_that_is_gone_is_found_and_reported() {
    let root = tempfile::tempdir().unwrap();
    let (queue, said) = filled(root.path());
    assert!(check::lose_one(&queue, &said).unwrap());

    let verdict = checked(&queue, &said);

    assert_eq!((verdict.lost.len(), verdict.is_kept()), (1, false));
    let mut row = Row::default();
    row.add(verdict, "on purpose");
    assert_eq!((row.lost, row.broken.len()), (1, 1));
}

#[test]
fn one_byte_that_changed_is_found() {
    let root = tempfile::tempdir().unwrap();
    let (queue, said) = filled(root.path());
    let segments = fs::read_dir(&queue).unwrap().map(|entry| entry.unwrap().path());
    let newest = segments.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap();
    let bytes = fs::read(&newest).unwrap();
    // In the middle of what it holds: a cut would not leave that.
    let at = bytes.len() / 2;
    let file = OpenOptions::new().write(true).open(&newest).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();

    assert!(!checked(&queue, &said).is_kept());
}

#[test]
fn records_and_values_that_nobody_said_are_found() {
    let root = tempfile::tempdir().unwrap();
    let (queue, mut said) = filled(root.path());
    let last = *said.tried.last().unwrap();

    let mut other = said.clone();
    other.slot = "somebody else".into();
    assert!(!checked(&queue, &other).is_kept());

    let kept = *said.taken.first().unwrap();
    other = said.clone();
    other.taken.remove(&kept);
    other.taking.remove(&kept);
    assert_eq!(checked(&queue, &other).lost, [kept]);

    said.tried.remove(&last);
    assert!(!checked(&queue, &said).is_kept());
}

#[test]
fn events_that_are_lost_or_come_under_two_ids_are_found() {
    let mut said = Said::default();
    said.tried.extend(1..=3);
    said.accepted.extend(1..=3);

    assert!(check::arrived(&[1, 2, 3], &said).is_kept());
    assert_eq!(check::arrived(&[1, 3], &said).lost, [2]);
    assert!(!check::arrived(&[1, 2, 3, 3], &said).is_kept());
    assert!(!check::arrived(&[2, 1, 3], &said).is_kept());
    assert!(!check::arrived(&[1, 2, 3, 4], &said).is_kept());
    said.complaints.push("1 event evicted".into());
    assert!(!check::arrived(&[1, 2, 3], &said).is_kept());
}

fn harness(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

#[test]
fn the_harness_kills_and_finds_everything_and_fails_when_one_is_taken_away() {
    let kept = harness(&["--only", "kill"]);
    let text = String::from_utf8(kept.stdout).unwrap();
    assert!(kept.status.success(), "{text}");
    assert!(text.starts_with("## Real crashes\n") && text.contains("| kill | 30 |"), "{text}");

    let lost = harness(&["--only", "kill", "--lose-one"]);
    let text = String::from_utf8(lost.stdout).unwrap();
    assert_eq!(lost.status.code(), Some(1), "{text}");
    assert!(text.contains("- BROKEN kill: policy 0, run "), "{text}");
}

#[test]
fn wrong_arguments_are_told_apart() {
    assert_eq!(harness(&["--only", "nothing"]).status.code(), Some(2));
    assert_eq!(harness(&["--scale", "0"]).status.code(), Some(2));
    assert!(harness(&["--list"]).status.success());
    assert!(harness(&["--help"]).stdout.starts_with(b"Kills"));
}
