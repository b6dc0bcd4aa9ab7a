//! What happens beside a call on the disk: another thread at work, another process in the files.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use whisperr_core::Storage;

use super::super::simulated::{SimulatedDisk, SimulatedFile, Survivors};
use super::super::{Disk, DiskFile};
use super::{FileError, FileOptions, FileStorage, Fsync, append, numbers, open, record, small, wipe};

/// A call that something happens beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// The size of a file was asked for, and is known.
    Size,
    /// A file is about to be read.
    Read,
    /// What was written to a file is about to be synced.
    Sync,
    /// The directory is about to be synced.
    Names,
}

/// Is told the call and the name of the file; an error takes the place of the call.
type Event = dyn Fn(Call, &str) -> io::Result<()> + Send + Sync;

#[derive(Clone)]
struct Beside {
    disk: SimulatedDisk,
    event: Arc<Event>,
}

struct BesideFile {
    file: SimulatedFile,
    name: String,
    event: Arc<Event>,
}

impl Beside {
    fn new(
        disk: &SimulatedDisk,
        event: impl Fn(Call, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { disk: disk.clone(), event: Arc::new(event) }
    }

    fn file(&self, file: SimulatedFile, name: &str) -> BesideFile {
        BesideFile { file, name: name.into(), event: Arc::clone(&self.event) }
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beside")
    }
}

impl fmt::Debug for BesideFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Disk for Beside {
    type File = BesideFile;

    fn list(&self) -> io::Result<Vec<OsString>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<BesideFile> {
        self.disk.create(name).map(|file| self.file(file, name))
    }

    fn open(&self, name: &str) -> io::Result<BesideFile> {
        self.disk.open(name).map(|file| self.file(file, name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        (self.event)(Call::Names, "")?;
        self.disk.sync_directory()
    }
}

impl DiskFile for BesideFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (self.event)(Call::Read, &self.name)?;
        self.file.read_at(offset, buffer)
    }

    fn size(&self) -> io::Result<u64> {
        let size = self.file.size()?;
        (self.event)(Call::Size, &self.name)?;
        Ok(size)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.event)(Call::Sync, &self.name)?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Lets the other threads get as far as they can, which nothing depends on.
fn let_others_run() {
    for _ in 0..2000 {
        thread::yield_now();
    }
}

/// A hundred records of 100 bytes in one segment of three pages, and its name.
fn three_pages() -> (SimulatedDisk, FileOptions, String) {
    let options = small().segment_bytes(16 << 10);
    let disk = SimulatedDisk::new();
    let mut storage = open(&disk, options);
    for seq in 1..=100 {
        append(&mut storage, seq, &record(seq, 90)).unwrap();
    }
    drop(storage);
    let disk = disk.after_cut(Survivors::All);
    let name = disk.files().into_keys().next().unwrap();
    (disk, options, name)
}

/// What is left of the log that shrank: the records up to `last`, and no number twice.
fn check_shrunk(storage: &mut FileStorage<Beside>, last: u64) {
    assert_eq!(numbers(storage), Vec::from_iter(1..=last));
    // Nobody can say how many stood behind the new end.
    assert_eq!(storage.take_damaged(), 1);
    let next = storage.next_seq().get();
    assert!(next > 101, "the number of a record that was there is given out again");
    append(storage, next, b"more").unwrap();
    assert_eq!(numbers(storage).pop(), Some(next));
}

#[test]
fn a_file_that_shrinks_between_its_size_and_its_reading_ends_where_it_ends() {
    let (disk, options, name) = three_pages();
    let others = disk.clone();
    let once = AtomicBool::new(false);
    let beside = Beside::new(&disk, move |call, file| {
        if call == Call::Size && file == name && !once.swap(true, Ordering::Relaxed) {
            // The middle of record 90.
            others.open(file)?.truncate(32 + 89 * 100 + 50)?;
        }
        Ok(())
    });

    let mut storage = FileStorage::open_on(beside, options).unwrap();

    check_shrunk(&mut storage, 89);
}

#[test]
fn a_file_that_shrinks_while_it_is_hard_to_read_keeps_its_whole_pages() {
    let (disk, options, name) = three_pages();
    let others = disk.clone();
    let once = AtomicBool::new(false);
    let beside = Beside::new(&disk, move |call, file| {
        if call == Call::Read && file == name && !once.swap(true, Ordering::Relaxed) {
            others.open(file)?.truncate(9000)?;
            return Err(io::Error::other("once"));
        }
        Ok(())
    });

    let mut storage = FileStorage::open_on(beside, options).unwrap();

    // Record 82 begins in the second page and ends in the third, which is not whole.
    check_shrunk(&mut storage, 81);
}

/// Eight threads wait while one of them syncs.
fn wait_together(fails: bool) -> (SimulatedDisk, FileStorage<Beside>, Vec<Result<(), FileError>>, u32) {
    const THREADS: u32 = 8;
    let disk = SimulatedDisk::new();
    let waiting = Arc::new(AtomicU32::new(0));
    let syncs = Arc::new(AtomicU32::new(0));
    let (waits, counted) = (Arc::clone(&waiting), Arc::clone(&syncs));
    let beside = Beside::new(&disk, move |call, _| {
        if call != Call::Sync || counted.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        while waits.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
        let_others_run();
        if fails { Err(io::Error::other("sync")) } else { Ok(()) }
    });
    let mut storage = FileStorage::open_on(beside, FileOptions::new().fsync(Fsync::Always)).unwrap();
    let tickets: Vec<_> = (1..=THREADS.into())
        .map(|seq| {
            append(&mut storage, seq, &record(seq, 50)).unwrap();
            (storage.ticket(), storage.syncer())
        })
        .collect();
    let answers = thread::scope(|scope| {
        let threads: Vec<_> = tickets
            .into_iter()
            .map(|(ticket, syncer)| {
                let waiting = &waiting;
                scope.spawn(move || {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    syncer.wait_durable(ticket)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let syncs = syncs.load(Ordering::SeqCst);
    (disk, storage, answers, syncs)
}

#[test]
fn all_who_wait_are_served_by_the_sync_of_one() {
    let (disk, _storage, answers, syncs) = wait_together(false);

    assert_eq!(answers, [Ok(()); 8]);
    assert_eq!(syncs, 1);
    let mut cut = open(&disk.after_cut(Survivors::None), FileOptions::new());
    assert_eq!(numbers(&mut cut), Vec::from_iter(1..=8));
}

#[test]
fn all_who_wait_are_told_that_the_sync_of_one_failed() {
    let (disk, mut storage, answers, syncs) = wait_together(true);

    assert_eq!(answers, [Err(FileError::SyncFailed); 8]);
    assert_eq!(syncs, 1, "a file whose sync failed was synced again");
    storage.maintain().unwrap();
    let ticket = storage.ticket();
    assert_eq!(storage.syncer().wait_durable(ticket), Ok(()));
    let mut cut = open(&disk.after_cut(Survivors::None), FileOptions::new());
    assert_eq!(numbers(&mut cut), Vec::from_iter(1..=8));
}

#[test]
fn a_sync_that_fails_beside_a_wipe_is_no_failure_of_the_new_segment() {
    let disk = SimulatedDisk::new();
    let (syncing, wiping) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (began, wiped) = (Arc::clone(&syncing), Arc::clone(&wiping));
    let beside = Beside::new(&disk, move |call, _| {
        match call {
            Call::Sync if !began.swap(true, Ordering::SeqCst) => {
                while !wiped.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                let_others_run();
                return Err(io::Error::other("sync"));
            }
            // The last call before the new segment takes over.
            Call::Names if began.load(Ordering::SeqCst) => wiped.store(true, Ordering::SeqCst),
            _ => {}
        }
        Ok(())
    });
    let mut storage = FileStorage::open_on(beside, small()).unwrap();
    append(&mut storage, 1, b"one").unwrap();
    let syncer = storage.syncer();

    let synced = thread::scope(|scope| {
        let synced = scope.spawn(|| syncer.sync());
        while !syncing.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        wipe(&mut storage).unwrap();
        synced.join().unwrap()
    });

    // What the sync was to cover is gone: either answer is true.
    assert!(matches!(synced, Ok(()) | Err(FileError::SyncFailed)), "{synced:?}");
    assert!(!syncer.has_failed());
    append(&mut storage, 2, b"two").unwrap();
    syncer.sync().unwrap();
    assert_eq!(numbers(&mut open(&disk.after_cut(Survivors::None), small())), [2]);
}

#[test]
fn a_sync_that_fails_under_load_is_not_told_again_before_the_interval() {
    const INTERVAL: Duration = Duration::from_millis(20);
    let disk = SimulatedDisk::new();
    let held: Arc<Mutex<Option<FileStorage<Beside>>>> = Arc::default();
    let appending = Arc::clone(&held);
    let beside = Beside::new(&disk, move |call, _| {
        if call != Call::Sync {
            return Ok(());
        }
        // So much that a sync is asked for at once, while this one still runs.
        if let Some(storage) = &mut *appending.lock().unwrap() {
            for seq in 2..=20 {
                append(storage, seq, &record(seq, 60_000)).unwrap();
            }
        }
        Err(io::Error::other("sync"))
    });
    let options = FileOptions::new().segment_bytes(4 << 20).fsync(Fsync::Interval(INTERVAL));
    let mut storage = FileStorage::open_on(beside, options).unwrap();
    append(&mut storage, 1, b"one").unwrap();
    let syncer = storage.syncer();
    *held.lock().unwrap() = Some(storage);
    assert_eq!(syncer.sync(), Err(FileError::SyncFailed));

    let mut told = Vec::new();
    let began = Instant::now();
    syncer.run(|synced| {
        told.push((synced, began.elapsed()));
        if told.len() == 2 {
            syncer.stop();
        }
    });

    assert!(told.iter().all(|(synced, _)| *synced == Err(FileError::SyncFailed)));
    assert!(told[0].1 >= INTERVAL && told[1].1 >= 2 * INTERVAL, "{told:?}");
    let mut storage = held.lock().unwrap().take().unwrap();
    storage.maintain().unwrap();
    assert_eq!(numbers(&mut storage), Vec::from_iter(1..=20));
    assert_eq!(open(&disk.after_cut(Survivors::None), FileOptions::new()).stats().records, 20);
}
