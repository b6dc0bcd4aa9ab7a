//! Segments with flipped bytes, cut short, emptied, full of zeros: whatever a medium gives back.

use core::ops::Range;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use whisperr_core::{Client, Clock, Config, Now, Track, ready};
use whisperr_std::file::{FileOptions, FileStorage};
use whisperr_std::{Flush, Identify, Notice, NoticeKind, SystemClock};

use crate::support::{Notices, SOON, Server, builder, deliver, lay, open, segments, try_open, undisturbed};

/// A queue that is owed, and where on the medium each operation stands.
struct Queue {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What is delivered from it, in order.
    operations: Vec<Value>,
    /// The file of each operation, and the bytes that were written when it was accepted.
    places: Vec<(PathBuf, Range<usize>)>,
}

/// What happened to a file.
struct Damage<'a> {
    what: String,
    file: &'a Path,
    /// What it holds instead; nothing when it is gone.
    bytes: Vec<u8>,
    /// The bytes that are not what they were.
    damaged: Range<usize>,
}

impl Queue {
    /// An identify and five events, as a client writes them: one segment.
    fn short() -> Self {
        let root = tempfile::tempdir().unwrap();
        let whisperr = open(builder(root.path()), &Server::default());
        whisperr.pause();
        let mut places = Vec::new();
        for n in 0..6 {
            let before = segments(root.path());
            match n {
                0 => whisperr.identify(Identify::new("user_1").email("ada@example.com")).unwrap(),
                _ => drop(whisperr.track("door_opened", json!({ "n": n })).unwrap()),
            }
            places.push(place(&before, &segments(root.path())));
        }
        drop(whisperr);
        Self::new(root.path(), places)
    }

    /// Twelve events in segments of 512 bytes: three in each.
    fn long() -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = SystemClock::new();
        let mut places = Vec::new();
        {
            let options = FileOptions::new().segment_bytes(512);
            let storage = undisturbed(|| FileStorage::open(root.path(), options)).unwrap();
            let opened = ready(Client::open(storage, vec![0; 1024], &Config::DEFAULT, 8842, now(&clock)));
            let mut client = opened.unwrap().unwrap();
            for n in 0..12 {
                let before = segments(root.path());
                let properties = json!({ "n": n, "text": "a door was opened" });
                let event = Track::new("door_opened").user("user_1").properties(properties);
                let _nobody_to_wake = ready(client.track(now(&clock), &event)).unwrap().unwrap();
                places.push(place(&before, &segments(root.path())));
            }
        }
        Self::new(root.path(), places)
    }

    fn new(path: &Path, places: Vec<(PathBuf, Range<usize>)>) -> Self {
        let files = segments(path);
        let operations = deliver(path);
        assert_eq!(operations.len(), places.len());
        Self { files, operations, places }
    }

    fn last_file(&self) -> &Path {
        self.files.keys().next_back().unwrap()
    }

    /// Delivers from the damaged queue: every operation whose bytes are whole arrives as it was
    /// said, every one that is missing is surfaced, and the queue works.
    fn check(&self, damage: &Damage<'_>) {
        let Damage { what, file, bytes, damaged } = damage;
        let root = tempfile::tempdir().unwrap();
        lay(root.path(), &self.files);
        fs::write(root.path().join(file), bytes).unwrap();
        let (server, notices) = (Server::default(), Notices::default());
        let whisperr = try_open(notices.listen(builder(root.path())), &server);
        let whisperr = whisperr.unwrap_or_else(|error| panic!("{what}: {error}"));
        whisperr.track("still_works", ()).unwrap();
        assert_eq!(whisperr.flush(SOON), Flush::Delivered, "{what}");
        let counters = whisperr.status().counters;
        drop(whisperr);

        let mut delivered = server.operations();
        assert_eq!(delivered.pop().unwrap()["event_type"], "still_works", "{what}");
        let mut arrived = delivered.iter().peekable();
        let arrives = |operation: &&Value| arrived.next_if_eq(operation).is_none();
        let missing: Vec<_> = self.operations.iter().filter(arrives).collect();
        assert_eq!(arrived.next(), None, "{what}: changed, twice, or out of order");
        let hit = |(name, range): &(PathBuf, Range<usize>)| {
            name == file && range.start < damaged.end && damaged.start < range.end
        };
        for (operation, place) in self.operations.iter().zip(&self.places) {
            assert!(hit(place) || !missing.contains(&operation), "{what}: {operation} is missing");
        }
        // Damage behind which nothing is whole cannot be told from a write that was cut.
        let torn = missing.contains(&self.operations.last().unwrap());
        let expected = if torn { 0 } else { missing.len() as u64 };
        assert_eq!(counters.damaged, expected, "{what}");
        assert_eq!(counters.owed(), 0, "{what}: {counters:?}");
        check_told(&notices, expected, what);
        assert_eq!(deliver(root.path()), [""; 0], "{what}");
    }
}

fn now(clock: &SystemClock) -> Now {
    Now { instant: clock.now(), utc: clock.utc() }
}

/// The file that grew, and by which bytes.
fn place(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) -> (PathBuf, Range<usize>) {
    let len = |name: &PathBuf| before.get(name).map_or(0, Vec::len);
    let (name, bytes) = after.iter().find(|(name, bytes)| bytes.len() > len(name)).unwrap();
    (name.clone(), len(name)..bytes.len())
}

/// The application is told of as many damaged operations as there are, as `persistence`.
fn check_told(notices: &Notices, damaged: u64, what: &str) {
    let mut told = 0;
    for notice in notices.all() {
        let Notice::Damaged { count } = notice else { panic!("{what}: {notice}") };
        assert_eq!(notice.kind(), NoticeKind::Persistence);
        told += u64::from(count);
    }
    assert_eq!(told, damaged, "{what}");
}

fn flip_every_byte(queue: &Queue, flips: &[u8]) {
    for (file, bytes) in &queue.files {
        for (at, flip) in (0..bytes.len()).flat_map(|at| flips.iter().map(move |flip| (at, flip))) {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let what = format!("{} byte {at} ^ {flip:#04x}", file.display());
            queue.check(&Damage { what, file, bytes, damaged: at..at + 1 });
        }
    }
}

#[test]
fn a_flipped_byte_costs_at_most_the_operation_it_stands_in() {
    let queue = Queue::short();
    assert_eq!(queue.files.len(), 1);

    flip_every_byte(&queue, &[0x01, 0x80, 0xFF]);
}

#[test]
fn a_flipped_byte_in_one_of_several_segments_costs_no_more() {
    let queue = Queue::long();
    assert!(queue.files.len() >= 3, "{} segments", queue.files.len());

    flip_every_byte(&queue, &[0xFF]);
}

fn cut_at_every_byte(queue: &Queue, file: &Path, bytes: &[u8]) {
    for len in 0..bytes.len() {
        let what = format!("{} cut to {len}", file.display());
        let damaged = len..bytes.len();
        queue.check(&Damage { what, file, bytes: bytes[..len].to_vec(), damaged });
    }
}

#[test]
fn a_segment_cut_at_any_byte_keeps_what_stands_before_the_cut() {
    let queue = Queue::short();
    for (file, bytes) in &queue.files {
        cut_at_every_byte(&queue, file, bytes);
    }
}

#[test]
fn any_segment_of_several_cut_at_any_byte_costs_only_what_stood_behind_the_cut() {
    let queue = Queue::long();
    for (file, bytes) in &queue.files {
        cut_at_every_byte(&queue, file, bytes);
    }
}

fn overwrite(queue: &Queue, file: &Path, len: usize) {
    for bytes in [vec![], vec![0; 7], vec![0; 32], vec![0; len], vec![0; 1 << 20], vec![0xFF; len]] {
        let what = format!("{} of {} times {:?}", file.display(), bytes.len(), bytes.first());
        queue.check(&Damage { what, file, bytes, damaged: 0..len });
    }
}

#[test]
fn a_queue_of_zeros_or_of_nothing_opens_and_works() {
    let queue = Queue::short();
    for (file, bytes) in &queue.files {
        overwrite(&queue, file, bytes.len());
    }
}

#[test]
fn any_segment_of_several_made_of_zeros_or_of_nothing_costs_only_itself() {
    let queue = Queue::long();
    for (file, bytes) in &queue.files {
        overwrite(&queue, file, bytes.len());
    }
}

#[test]
fn a_segment_that_was_only_begun_costs_nothing() {
    for queue in [Queue::short(), Queue::long()] {
        let (id, first) = (queue.files.len() + 1, queue.operations.len() + 1);
        let next = PathBuf::from(format!("{id:016x}-{first:016x}.log"));
        for bytes in [vec![], vec![0; 32], vec![0; 4096], b"whsprlog".to_vec()] {
            let what = format!("{} bytes behind {}", bytes.len(), queue.last_file().display());
            queue.check(&Damage { what, file: &next, bytes, damaged: 0..0 });
        }
    }
}
