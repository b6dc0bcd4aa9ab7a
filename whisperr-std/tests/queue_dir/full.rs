//! A medium without room.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use whisperr_std::{Error, Flush, Identify, Notice, Overflow};

use crate::support::{Notices, SOON, Server, alone, builder, deliver, numbers, open, owe};

/// A small file system of its own, gone when this is dropped.
struct Disk<'p>(&'p Path);

impl<'p> Disk<'p> {
    fn mount(path: &'p Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).stderr(Stdio::null());
        if alone(|| mount.status()).is_ok_and(|status| status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: a full file system: only root mounts one, on Linux");
        None
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Also below a client that still holds it.
        let _still_there = alone(|| Command::new("umount").arg("-l").arg(self.0).status());
    }
}

/// Takes all the room that is left.
fn fill(path: &Path) -> PathBuf {
    let filler = path.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write(&[7; 4096]).is_ok_and(|written| written > 0) {}
    filler
}

fn event(n: u64) -> Value {
    json!({ "n": n, "text": "x".repeat(1000) })
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_was_accepted() {
    let root = tempfile::tempdir().unwrap();
    for size in ["2560k", "3500k", "6m"] {
        let Some(_disk) = Disk::mount(root.path(), size) else { return };
        let (server, notices) = (Server::default(), Notices::default());
        let whisperr = open(notices.listen(builder(root.path()).max_queue_size(1_000_000)), &server);
        whisperr.pause();
        // An identify, which is never evicted, in the oldest segment.
        whisperr.identify(Identify::new("user_1")).unwrap();
        let mut accepted = Vec::new();
        for n in 1..=8000 {
            match whisperr.track("door_opened", event(n)) {
                Ok(_) => accepted.push(n),
                Err(error) => assert_eq!(error, Error::StorageFull, "{size}"),
            }
        }
        whisperr.resume();

        assert_eq!(whisperr.flush(SOON), Flush::Delivered, "{size}");
        for n in 8001..=8100 {
            whisperr.track("door_opened", event(n)).unwrap();
            accepted.push(n);
        }
        whisperr.pause();
        drop(whisperr);
        let next = open(builder(root.path()), &server);
        assert_eq!(next.flush(SOON), Flush::Delivered, "{size}");
        drop(next);

        assert!((1000..8000).contains(&accepted.len()), "{size}: {}", accepted.len());
        assert_eq!(numbers(&server.operations()[1..]), accepted, "{size}");
        assert_eq!(notices.all(), [], "{size}");
    }
}

#[test]
fn a_refused_event_on_a_disk_that_others_filled_costs_no_other() {
    let root = tempfile::tempdir().unwrap();
    let Some(_disk) = Disk::mount(root.path(), "256k") else { return };
    let queue = root.path().join("queue");
    owe(&queue, 1..=20);
    let _filler = fill(root.path());
    let server = Server::default();
    let whisperr = open(builder(&queue), &server);
    whisperr.pause();
    let large = json!({ "text": "x".repeat(5000) });

    assert_eq!(whisperr.track("door_opened", large), Err(Error::StorageFull));

    whisperr.resume();
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    assert_eq!(numbers(&server.operations()), Vec::from_iter(1..=20));
}

#[test]
fn what_is_owed_is_delivered_from_a_disk_that_others_filled() {
    let root = tempfile::tempdir().unwrap();
    // Without and with blocks that are set aside, in one segment and in two.
    for (size, owed) in [("256k", 20), ("1100k", 20), ("2560k", 20), ("2560k", 1500)] {
        let Some(_disk) = Disk::mount(root.path(), size) else { return };
        let queue = root.path().join("queue");
        let whisperr = open(builder(&queue).max_queue_size(10_000), &Server::default());
        whisperr.pause();
        for n in 1..=owed {
            whisperr.track("door_opened", event(n)).unwrap();
        }
        drop(whisperr);
        let filler = fill(root.path());

        let server = Server::default();
        let whisperr = open(builder(&queue), &server);
        assert_eq!(whisperr.flush(SOON), Flush::Delivered, "{size}");
        assert_eq!(numbers(&server.operations()), Vec::from_iter(1..=owed), "{size}");
        fs::remove_file(filler).unwrap();
        for n in owed + 1..=owed + 20 {
            whisperr.track("door_opened", event(n)).unwrap();
        }
        whisperr.pause();
        drop(whisperr);

        assert_eq!(numbers(&deliver(&queue)), Vec::from_iter(owed + 1..=owed + 20), "{size}");
    }
}

#[test]
fn a_disk_that_others_filled_still_takes_events_into_blocks_set_aside() {
    let root = tempfile::tempdir().unwrap();
    let Some(_disk) = Disk::mount(root.path(), "2560k") else { return };
    let queue = root.path().join("queue");
    owe(&queue, [1]);
    let _filler = fill(root.path());

    owe(&queue, 2..=1000);

    assert_eq!(numbers(&deliver(&queue)), Vec::from_iter(1..=1000));
    owe(&queue, [1001]);
    assert_eq!(numbers(&deliver(&queue)), [1001]);
}

#[test]
fn a_client_that_refuses_on_a_full_disk_keeps_all_it_accepted() {
    let root = tempfile::tempdir().unwrap();
    // And how many fit behind them, once they are delivered: a disk smaller than a segment has room
    // for another one only when somebody makes some.
    for (size, more) in [("256k", 0), ("1100k", 50), ("2560k", 100), ("3500k", 100)] {
        let Some(_disk) = Disk::mount(root.path(), size) else { return };
        let (server, notices) = (Server::default(), Notices::default());
        let settings = builder(root.path()).max_queue_size(1_000_000).overflow(Overflow::Refuse);
        let whisperr = open(notices.listen(settings), &server);
        whisperr.pause();
        whisperr.identify(Identify::new("user_1")).unwrap();
        let first_refused = (1..9000).find(|n| whisperr.track("door_opened", event(*n)).is_err()).unwrap();
        assert_eq!(whisperr.track("door_opened", event(0)), Err(Error::StorageFull), "{size}");
        assert_eq!(
            whisperr.identify(Identify::new("user_2").traits(event(0))),
            Err(Error::StorageFull),
            "{size}"
        );
        assert_eq!(whisperr.status().current_user.as_deref(), Some("user_1"), "{size}");
        drop(whisperr);
        let whisperr = open(notices.listen(builder(root.path())), &server);

        assert_eq!(whisperr.flush(SOON), Flush::Delivered, "{size}");

        assert_eq!(numbers(&server.operations()[1..]), Vec::from_iter(1..first_refused), "{size}");
        for n in first_refused..first_refused + more {
            whisperr.track("door_opened", event(n)).unwrap();
        }
        whisperr.pause();
        drop(whisperr);
        let owed = Vec::from_iter(first_refused..first_refused + more);
        assert_eq!(numbers(&deliver(root.path())), owed, "{size}");
        assert!(notices.all().iter().all(|notice| *notice == Notice::Storage), "{:?}", notices.all());
    }
}
