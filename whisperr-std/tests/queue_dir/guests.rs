//! What else may stand in a queue directory: files of others, and segments of a later format.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::{deliver, files, numbers, owe, segments};

/// Where the header of a segment says its version, and the checksum that covers all before it.
const VERSION: usize = 8;
const CHECKSUM: usize = 28;

#[test]
fn files_of_others_are_left_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let queue = root.path().join("queue");
    owe(&queue, 1..=3);
    let own = segments(&queue).into_keys().next().unwrap().into_os_string().into_string().unwrap();
    let mut names: Vec<PathBuf> =
        ["notes.txt", ".hidden", "1-1.log", "queue.log", "lock.old"].map(PathBuf::from).into();
    names.push(format!("{own}.bak").into());
    names.push(own.to_uppercase().into());
    if fs::write(root.path().join(OsStr::from_bytes(b"\xFE")), "").is_ok() {
        names.push(OsStr::from_bytes(b"\xFE.log").into());
    }
    for name in &names {
        fs::write(queue.join(name), "precious").unwrap();
    }
    fs::create_dir(queue.join("directory")).unwrap();
    fs::write(queue.join("directory/file"), "precious").unwrap();
    symlink("directory/file", queue.join("link")).unwrap();

    assert_eq!(numbers(&deliver(&queue)), [1, 2, 3]);
    owe(&queue, [4]);
    assert_eq!(numbers(&deliver(&queue)), [4]);

    let left = files(&queue);
    for name in &names {
        assert_eq!(left.get(name).map(Vec::as_slice), Some(&b"precious"[..]), "{}", name.display());
    }
    assert_eq!(fs::read(queue.join("directory/file")).unwrap(), b"precious");
    assert_eq!(fs::read_link(queue.join("link")).unwrap(), PathBuf::from("directory/file"));
}

#[test]
fn segments_of_a_later_format_are_left_as_they_are_and_delivery_goes_on() {
    let root = tempfile::tempdir().unwrap();
    owe(root.path(), 1..=3);
    let own = segments(root.path()).into_values().next().unwrap();
    let mut later = Vec::new();
    // One beside what is owed, and one of a format that kept nothing but the start of the header.
    for (id, version, len) in [(2_u64, 2_u16, own.len()), (7, 300, VERSION + 2)] {
        let (first, mut bytes) = (4_u64, own.clone());
        bytes[VERSION..][..2].copy_from_slice(&version.to_le_bytes());
        bytes[VERSION + 4..][..8].copy_from_slice(&id.to_le_bytes());
        bytes[VERSION + 12..][..8].copy_from_slice(&first.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM]);
        bytes[CHECKSUM..][..4].copy_from_slice(&checksum.to_le_bytes());
        bytes.truncate(len);
        let name = PathBuf::from(format!("{id:016x}-{first:016x}.log"));
        fs::write(root.path().join(&name), &bytes).unwrap();
        later.push((name, bytes));
    }

    assert_eq!(numbers(&deliver(root.path())), [1, 2, 3]);
    owe(root.path(), 4..=6);
    owe(root.path(), 7..=9);
    assert_eq!(numbers(&deliver(root.path())), [4, 5, 6, 7, 8, 9]);
    assert_eq!(deliver(root.path()), [""; 0]);

    let left = files(root.path());
    for (name, bytes) in &later {
        assert_eq!(left.get(name), Some(bytes), "{}", name.display());
    }
}

#[test]
fn a_directory_that_holds_only_a_later_format_takes_a_queue_beside_it() {
    let root = tempfile::tempdir().unwrap();
    owe(root.path(), 1..=3);
    let (name, mut later) = segments(root.path()).pop_first().unwrap();
    later[VERSION] += 1;
    let checksum = crc32c::crc32c(&later[..CHECKSUM]);
    later[CHECKSUM..][..4].copy_from_slice(&checksum.to_le_bytes());
    fs::write(root.path().join(&name), &later).unwrap();

    assert_eq!(deliver(root.path()), [""; 0]);
    owe(root.path(), 4..=6);

    assert_eq!(numbers(&deliver(root.path())), [4, 5, 6]);
    assert_eq!(files(root.path()).get(&name), Some(&later));
}
