use std::collections::BTreeMap;

use whisperr_core::{Seq, Slot, Storage, ready};
use whisperr_std::file::simulated::{SimulatedDisk, Survivors};
use whisperr_std::file::{FileOptions, FileStorage, Fsync};

/// Names that a directory may hold: segments, beginnings of them, and what is not the queue's.
const NAMES: [&str; 12] = [
    "0000000000000001-0000000000000001.log",
    "0000000000000002-0000000000000001.log",
    "0000000000000002-0000000000000009.log",
    "0000000000000003-0000000000000009.log",
    "0000000000000009-0000000000000100.log",
    "2000000000000000-2000000000000000.log",
    "3fffffffffffffff-3fffffffffffffff.log",
    "0000000000000001-0000000000000001.log.tmp",
    "damaged",
    "lock",
    "7.log",
    "ffffffffffffffff-ffffffffffffffff.log",
];

type Log = FileStorage<SimulatedDisk>;
type Records = BTreeMap<u64, Vec<u8>>;

fn options() -> FileOptions {
    FileOptions::new().segment_bytes(512).max_bytes(1 << 20).fsync(Fsync::Always)
}

/// Any directory: files of any content, or a good log with any damage. It opens, opening again
/// changes nothing, what stands before the damage is there, and the log works on.
///
/// # Panics
/// When it does not.
pub fn log(data: &[u8]) {
    match data.split_first() {
        Some((mode, rest)) if mode % 2 == 0 => check(&any_files(rest), None),
        Some((_, rest)) => {
            let (disk, good) = good_log();
            let intact = damage(&disk, rest, &good);
            check(&disk, Some((&good.into_iter().map(|(seq, good)| (seq, good.bytes)).collect(), &intact)));
        }
        None => {}
    }
}

/// Files of the content that the input says: a name, a length, and so many bytes.
fn any_files(data: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut rest = data;
    while let Some(([name, low, high], more)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let (content, more) = more.split_at(len);
        if let Some(name) = NAMES.get(usize::from(*name).checked_rem(NAMES.len()).unwrap_or(0)) {
            disk.put(name, content);
        }
        rest = more;
    }
    disk
}

/// A record of a good log, and where it ends.
struct Good {
    bytes: Vec<u8>,
    file: String,
    end: usize,
}

/// Ten records over a few segments, slots, and nothing removed.
fn good_log() -> (SimulatedDisk, BTreeMap<u64, Good>) {
    let disk = SimulatedDisk::new();
    let mut log = FileStorage::open_on(disk.clone(), options()).unwrap();
    let mut good = BTreeMap::new();
    for seq in 1..=10_u8 {
        let bytes = vec![seq.wrapping_mul(17); usize::from(seq).saturating_mul(13).min(90)];
        let slot = if seq.is_multiple_of(2) { Slot::Identity } else { Slot::Consent };
        ready(log.store(slot, &[seq; 5])).unwrap().unwrap();
        ready(log.append(Seq::new(seq.into()), &bytes)).unwrap().unwrap();
        let (file, content) = disk.files().pop_last().unwrap();
        good.insert(seq.into(), Good { bytes, file, end: content.len() });
    }
    log.syncer().sync().unwrap();
    drop(log);
    (disk.after_cut(Survivors::None), good)
}

/// Damages a log as the input says, and returns the records that stand before any damage.
fn damage(disk: &SimulatedDisk, data: &[u8], good: &BTreeMap<u64, Good>) -> Records {
    let mut first_damage: BTreeMap<String, usize> = BTreeMap::new();
    for step in data.chunks_exact(5).take(64) {
        let &[kind, file, low, high, value] = step else { continue };
        let files = disk.files();
        let Some((name, content)) = files.iter().nth(usize::from(file).checked_rem(files.len()).unwrap_or(0))
        else {
            continue;
        };
        let mut content = content.clone();
        let at = usize::from(u16::from_le_bytes([low, high])).min(content.len());
        let end = at.saturating_add(value.into()).min(content.len());
        let mut from = at;
        match kind % 8 {
            0 => {
                if let Some(byte) = content.get_mut(at) {
                    *byte ^= value;
                }
            }
            1 => content.truncate(at),
            2 => drop(content.drain(at..end)),
            3 => drop(content.splice(at..at, vec![value; usize::from(value % 32)])),
            4 => content.splice(at..end, vec![0; end.saturating_sub(at)]).for_each(drop),
            5 => {
                // Its own bytes once more, as a stale block shows them.
                from = content.len();
                content.extend_from_within(at..end);
            }
            6 => {
                disk.take(name);
                first_damage.insert(name.clone(), 0);
                continue;
            }
            _ => {
                // The bytes of one segment under the name of another.
                if let Some(other) = NAMES.get(usize::from(value).checked_rem(NAMES.len()).unwrap_or(0)) {
                    first_damage.insert((*other).to_owned(), 0);
                    disk.put(other, content.get(at..).unwrap_or_default());
                }
                continue;
            }
        }
        let first = first_damage.entry(name.clone()).or_insert(from);
        *first = from.min(*first);
        disk.put(name, &content);
    }
    let before = |good: &Good| first_damage.get(&good.file).is_none_or(|first| good.end <= *first);
    good.iter().filter(|(_, good)| before(good)).map(|(seq, good)| (*seq, good.bytes.clone())).collect()
}

/// Every record, by a walk.
fn walk(log: &mut Log) -> Records {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut records = Records::new();
    let mut from = Seq::new(0);
    while let Some(stored) = ready(log.read(from, &mut buffer)).unwrap().unwrap() {
        assert!(stored.seq >= from, "the walk goes back");
        records.insert(stored.seq.get(), buffer.get(..stored.len).unwrap().to_vec());
        from = stored.seq.next();
    }
    records
}

fn slots(log: &mut Log) -> Vec<Vec<u8>> {
    let load = |slot| {
        let mut buffer = [0; 1024];
        let len = ready(log.load(slot, &mut buffer)).unwrap().unwrap();
        buffer.get(..len).unwrap().to_vec()
    };
    Slot::ALL.map(load).into()
}

fn check(disk: &SimulatedDisk, good: Option<(&Records, &Records)>) {
    let bytes: u64 = disk.files().values().map(|content| content.len() as u64).sum();
    let calls = disk.calls();
    let mut log = FileStorage::open_on(disk.clone(), options()).unwrap();
    let calls = disk.calls().saturating_sub(calls);
    assert!(calls < bytes.saturating_add(1000), "{calls} calls for {bytes} bytes");

    let found = walk(&mut log);
    let slots_found = slots(&mut log);
    if let Some((all, intact)) = good {
        for (seq, bytes) in &found {
            assert_eq!(all.get(seq), Some(bytes), "record {seq} was never written");
        }
        for seq in intact.keys() {
            assert!(found.contains_key(seq), "record {seq} stands before the damage");
        }
    }

    // Once more, in the same run of the machine and after a power cut.
    for again in [disk.after_kill(), disk.after_cut(Survivors::None)] {
        let mut again = FileStorage::open_on(again, options()).unwrap();
        assert_eq!(walk(&mut again), found, "opening again finds something else");
        assert_eq!(slots(&mut again), slots_found);
    }

    log.take_damaged();
    let first = log.next_seq().get();
    for seq in first..first.saturating_add(4) {
        ready(log.append(Seq::new(seq), &[7; 150])).unwrap().unwrap();
    }
    ready(log.store(Slot::Push, b"token")).unwrap().unwrap();
    log.syncer().sync().unwrap();
    log.maintain().unwrap();
    assert!(disk.files().get("damaged").is_none_or(|copies| copies.len() as u64 <= bytes.max(1 << 20)));
    drop(log);

    let mut log = FileStorage::open_on(disk.after_cut(Survivors::None), options()).unwrap();
    let later = walk(&mut log);
    assert_eq!(later.len(), found.len().saturating_add(4), "what was written afterwards");
    assert!(found.iter().all(|(seq, bytes)| later.get(seq) == Some(bytes)), "what was there before");
    assert_eq!(slots(&mut log).get(usize::from(Slot::Push.number())).unwrap(), b"token");
    assert_eq!(log.take_damaged(), 0, "a loss is counted twice");
    let last = first.saturating_add(3);
    assert_eq!(later.last_key_value().map(|(seq, _)| *seq), Some(last));
}
