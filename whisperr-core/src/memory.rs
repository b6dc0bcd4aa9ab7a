//! A storage in a fixed array: for running without persistence, and for tests.

use core::convert::Infallible;

use crate::storage::{Fault, RECORD_BYTES_MAX, RemoveWith, Seq, SeqRange, Slot, Storage, Stored};

/// Length (2 bytes), kind (1 byte) and number (8 bytes) in front of each record.
const HEAD: usize = 11;

/// What a frame holds; slots are `SLOT` and up.
const DEAD: u8 = 0;
const RECORD: u8 = 1;
const SLOT: u8 = 2;

/// Operations and slots in a buffer of the caller's: an array, a `&'static mut [u8]`, a `Box<[u8]>`.
///
/// Nothing survives a restart. The buffer's length bounds everything; a record costs 11 bytes more
/// than itself. When the end is reached, what is still owed moves to the front.
///
/// ```
/// use whisperr_core::{MemoryStorage, Seq, Storage, ready};
///
/// let mut storage = MemoryStorage::new([0; 1024]);
/// ready(storage.append(Seq::FIRST, b"record")).unwrap().unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStorage<B> {
    buffer: B,
    /// Where frames end.
    end: usize,
    /// Bytes of dead frames.
    dead: usize,
    next: Seq,
    /// Where the first record that is owed may stand: none lies before.
    head: usize,
    /// Where the last walk stood: no record of this number or a higher one lies before.
    cursor: (Seq, usize),
}

#[derive(Clone, Copy)]
struct Frame {
    kind: u8,
    seq: Seq,
    /// Where its payload starts and ends.
    start: usize,
    end: usize,
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> MemoryStorage<B> {
    /// An empty storage in `buffer`, whose content does not matter.
    pub const fn new(buffer: B) -> Self {
        Self { buffer, end: 0, dead: 0, next: Seq::FIRST, head: 0, cursor: (Seq::FIRST, 0) }
    }

    fn frame(&self, at: usize) -> Option<Frame> {
        let head = self.buffer.as_ref().get(at..self.end)?.first_chunk::<HEAD>()?;
        let [low, high, kind, seq @ ..] = *head;
        let start = at.saturating_add(HEAD);
        let end = start.saturating_add(usize::from(u16::from_le_bytes([low, high])));
        Some(Frame { kind, seq: Seq::new(u64::from_le_bytes(seq)), start, end })
    }

    fn payload(&self, frame: Frame) -> &[u8] {
        self.buffer.as_ref().get(frame.start..frame.end).unwrap_or_default()
    }

    fn kill(&mut self, at: usize, frame: Frame) {
        if let Some(kind) = self.buffer.as_mut().get_mut(at.saturating_add(2)) {
            *kind = DEAD;
            self.dead = self.dead.saturating_add(frame.end.saturating_sub(at));
        }
        if at == self.head {
            self.head = frame.end;
        }
        if self.dead == self.end {
            self.end = 0;
            self.restart();
        }
    }

    /// Everything that is owed starts at the front.
    const fn restart(&mut self) {
        self.dead = 0;
        self.head = 0;
        self.cursor = (Seq::FIRST, 0);
    }

    fn put(&mut self, kind: u8, seq: Seq, payload: &[u8]) -> Result<(), Fault<Infallible>> {
        let len = u16::try_from(payload.len()).map_err(|_| Fault::Full)?;
        let needed = HEAD.saturating_add(payload.len());
        let capacity = self.buffer.as_ref().len();
        if capacity.saturating_sub(self.end) < needed {
            if capacity.saturating_sub(self.end).saturating_add(self.dead) < needed {
                return Err(Fault::Full);
            }
            self.compact();
        }
        let mut head = [0; HEAD];
        let [low, high] = len.to_le_bytes();
        let numbers = [low, high, kind].into_iter().chain(seq.get().to_le_bytes());
        head.iter_mut().zip(numbers).for_each(|(to, from)| *to = from);
        let free = self.buffer.as_mut().get_mut(self.end..).ok_or(Fault::Full)?;
        let (to_head, rest) = free.split_at_mut_checked(HEAD).ok_or(Fault::Full)?;
        let to_payload = rest.get_mut(..payload.len()).ok_or(Fault::Full)?;
        to_head.copy_from_slice(&head);
        to_payload.copy_from_slice(payload);
        self.end = self.end.saturating_add(needed);
        Ok(())
    }

    fn compact(&mut self) {
        let (mut from, mut to) = (0, 0);
        while let Some(frame) = self.frame(from) {
            if frame.kind != DEAD {
                self.buffer.as_mut().copy_within(from..frame.end, to);
                to = to.saturating_add(frame.end.saturating_sub(from));
            }
            from = frame.end;
        }
        self.end = to;
        self.restart();
    }

    /// The first live record whose number is `from` or higher, and where its frame starts.
    fn find(&mut self, from: Seq) -> Option<(usize, Frame)> {
        let mut at = if self.cursor.0 <= from { self.cursor.1 } else { self.head };
        while let Some(frame) = self.frame(at) {
            if frame.kind == RECORD && frame.seq >= from {
                self.cursor = (from, at);
                return Some((at, frame));
            }
            if at == self.head && frame.kind != RECORD {
                self.head = frame.end;
            }
            at = frame.end;
        }
        self.cursor = (from, at);
        None
    }

    fn find_slot(&self, slot: Slot) -> Option<(usize, Frame)> {
        let mut at = 0;
        while let Some(frame) = self.frame(at) {
            if frame.kind == SLOT.saturating_add(slot.number()) {
                return Some((at, frame));
            }
            at = frame.end;
        }
        None
    }
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> Storage for MemoryStorage<B> {
    type Error = Infallible;

    fn next_seq(&self) -> Seq {
        self.next
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Infallible>> {
        self.put(RECORD, seq, record)?;
        self.next = seq.next();
        Ok(())
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Infallible>> {
        Ok(self.find(from).map(|(_, frame)| {
            let record = self.payload(frame);
            let len = record.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..len), record.get(..len)) {
                to.copy_from_slice(from);
            }
            Stored { seq: frame.seq, len: record.len() }
        }))
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Infallible>> {
        while let Some((at, frame)) = self.find(range.first) {
            if frame.seq > range.last {
                break;
            }
            self.kill(at, frame);
        }
        Ok(())
    }

    /// In one step where there is room for the new beside the old.
    async fn remove_with(
        &mut self,
        range: SeqRange,
        with: RemoveWith<'_>,
    ) -> Result<bool, Fault<Infallible>> {
        // What is stored, and not what is about to be.
        let newest = Seq::new(self.next.get().saturating_sub(1));
        let range = SeqRange { last: range.last.min(newest), ..range };
        let written = match with {
            RemoveWith::Record { seq, record } => self.append(seq, record).await,
            RemoveWith::Slot { slot, value } => self.store(slot, value).await,
        };
        match written {
            Ok(()) => self.remove(range).await.map(|()| true),
            Err(_full) => Ok(false),
        }
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Infallible>> {
        self.remove(SeqRange::one(seq)).await
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Infallible>> {
        let value = self.find_slot(slot).map(|(_, frame)| self.payload(frame)).unwrap_or_default();
        match buffer.get_mut(..value.len()) {
            Some(to) => to.copy_from_slice(value),
            None => return Ok(0),
        }
        Ok(value.len())
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Infallible>> {
        let old = self.find_slot(slot);
        if let Some((_, frame)) = old
            && let Some(to) = self.buffer.as_mut().get_mut(frame.start..frame.end)
            && to.len() == value.len()
        {
            to.copy_from_slice(value);
            return Ok(());
        }
        // The new value first: without room for it the old one stays.
        if !value.is_empty() {
            self.put(SLOT.saturating_add(slot.number()), Seq::new(0), value)?;
        }
        if let Some((at, frame)) = self.find_slot(slot).filter(|_| old.is_some()) {
            self.kill(at, frame);
        }
        Ok(())
    }

    async fn wipe(&mut self) -> Result<(), Fault<Infallible>> {
        let mut at = 0;
        while let Some(frame) = self.frame(at) {
            if frame.kind == RECORD {
                self.kill(at, frame);
            }
            if frame.kind <= RECORD
                && let Some(bytes) = self.buffer.as_mut().get_mut(frame.start..frame.end)
            {
                bytes.fill(0);
            }
            at = frame.end;
        }
        Ok(())
    }

    fn is_persistent(&self) -> bool {
        false
    }

    fn take_damaged(&mut self) -> u32 {
        0
    }
}

const _: () = assert!(RECORD_BYTES_MAX <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ready;
    use std::vec::Vec;

    #[test]
    fn what_is_written_in_the_step_that_removes_everything_stays() {
        let mut storage = MemoryStorage::new([0; 64]);
        ready(storage.append(Seq::FIRST, b"old")).unwrap().unwrap();
        let all = SeqRange { first: Seq::FIRST, last: Seq::LAST };

        let with = RemoveWith::Record { seq: Seq::new(2), record: b"new" };
        assert_eq!(ready(storage.remove_with(all, with)), Some(Ok(true)));
        assert_eq!(walk(&mut storage), [(2, b"new".to_vec())]);

        // Without room for both, nothing changes.
        let with = RemoveWith::Record { seq: Seq::new(3), record: &[7; 50] };
        assert_eq!(ready(storage.remove_with(all, with)), Some(Ok(false)));
        assert_eq!(walk(&mut storage), [(2, b"new".to_vec())]);
        let with = RemoveWith::Slot { slot: Slot::Ledger, value: b"4" };
        assert_eq!(ready(storage.remove_with(all, with)), Some(Ok(true)));
        assert_eq!(walk(&mut storage), []);
        assert_eq!(ready(storage.load(Slot::Ledger, &mut [0; 4])), Some(Ok(1)));
    }

    fn walk<B: AsMut<[u8]> + AsRef<[u8]>>(storage: &mut MemoryStorage<B>) -> Vec<(u64, Vec<u8>)> {
        let (mut found, mut from, mut buffer) = (Vec::new(), Seq::FIRST, [0; 64]);
        while let Some(stored) = ready(storage.read(from, &mut buffer)).unwrap().unwrap() {
            found.push((stored.seq.get(), buffer[..stored.len].to_vec()));
            from = stored.seq.next();
        }
        found
    }

    fn append<B: AsMut<[u8]> + AsRef<[u8]>>(storage: &mut MemoryStorage<B>, record: &[u8]) -> bool {
        let seq = storage.next_seq();
        ready(storage.append(seq, record)).unwrap().is_ok()
    }

    fn remove<B: AsMut<[u8]> + AsRef<[u8]>>(storage: &mut MemoryStorage<B>, first: u64, last: u64) {
        ready(storage.remove(SeqRange { first: Seq::new(first), last: Seq::new(last) })).unwrap().unwrap();
    }

    #[test]
    fn a_full_storage_keeps_what_it_has_and_takes_more_after_a_removal() {
        let mut storage = MemoryStorage::new([0; 3 * (HEAD + 5)]);
        for record in [b"first", b"secnd", b"third"] {
            assert!(append(&mut storage, record));
        }

        assert!(!append(&mut storage, b"forth"));
        remove(&mut storage, 2, 2);
        assert!(append(&mut storage, b"forth"));

        let found = walk(&mut storage);
        assert_eq!(found, [(1, b"first".to_vec()), (3, b"third".to_vec()), (4, b"forth".to_vec())]);
    }

    #[test]
    fn slots_survive_removal_and_wiping_of_records() {
        let mut storage = MemoryStorage::new([0; 256]);
        let mut buffer = [0; 16];
        append(&mut storage, b"record");
        for value in [&b"ada"[..], b"bob", b"carol"] {
            ready(storage.store(Slot::Identity, value)).unwrap().unwrap();
        }

        remove(&mut storage, 1, 1);
        append(&mut storage, b"secret");
        ready(storage.wipe()).unwrap().unwrap();

        assert_eq!(ready(storage.load(Slot::Identity, &mut buffer)).unwrap(), Ok(5));
        assert_eq!(&buffer[..5], b"carol");
        assert_eq!(walk(&mut storage), []);
        assert!(!storage.buffer.windows(6).any(|bytes| bytes == b"secret"));
        ready(storage.store(Slot::Identity, b"")).unwrap().unwrap();
        assert_eq!(ready(storage.load(Slot::Identity, &mut buffer)).unwrap(), Ok(0));
    }

    #[test]
    fn a_long_run_agrees_with_a_list() {
        let mut storage = MemoryStorage::new([0; 400]);
        let mut model: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut rng = crate::rng::Rng::new(11);

        for _ in 0..20_000 {
            match rng.up_to(3) {
                0 | 1 => {
                    let record = [rng.next_u64() as u8; 20];
                    let record = &record[..rng.up_to(20) as usize];
                    let seq = storage.next_seq().get();
                    if append(&mut storage, record) {
                        model.push((seq, record.to_vec()));
                    }
                }
                2 if !model.is_empty() => {
                    let first = model[rng.up_to(model.len() as u64 - 1) as usize].0;
                    let last = first + rng.up_to(3);
                    remove(&mut storage, first, last);
                    model.retain(|(seq, _)| !(first..=last).contains(seq));
                }
                _ => {
                    let value = [7; 12];
                    let _full = ready(storage.store(Slot::Boot, &value[..rng.up_to(12) as usize]));
                }
            }
            assert_eq!(walk(&mut storage), model);
        }
    }

    #[test]
    fn a_slot_that_is_longer_than_the_buffer_is_as_if_it_held_nothing() {
        let mut storage = MemoryStorage::new([0; 64]);
        let mut buffer = [0; 4];
        ready(storage.store(Slot::Platform, b"four")).unwrap().unwrap();

        assert_eq!(ready(storage.load(Slot::Platform, &mut buffer)).unwrap(), Ok(4));
        assert_eq!(ready(storage.load(Slot::Platform, &mut buffer[..3])).unwrap(), Ok(0));
        assert_eq!(ready(storage.load(Slot::Boot, &mut buffer)).unwrap(), Ok(0));
    }

    #[test]
    fn a_slot_without_room_for_its_new_value_keeps_the_old_one() {
        let mut storage = MemoryStorage::new([0; HEAD + 10]);
        let mut buffer = [0; 32];
        ready(storage.store(Slot::Boot, b"old")).unwrap().unwrap();

        assert_eq!(ready(storage.store(Slot::Boot, b"longer")).unwrap(), Err(Fault::Full));
        assert_eq!(ready(storage.store(Slot::Identity, b"")).unwrap(), Ok(()));

        assert_eq!(ready(storage.load(Slot::Boot, &mut buffer)).unwrap(), Ok(3));
        assert_eq!(&buffer[..3], b"old");
    }

    #[test]
    fn a_record_longer_than_a_head_can_say_is_refused() {
        let mut storage = MemoryStorage::new(std::vec![0; 1 << 17]);
        let longest = std::vec![7; RECORD_BYTES_MAX];

        assert!(append(&mut storage, &longest));
        assert!(!append(&mut storage, &std::vec![7; RECORD_BYTES_MAX + 1]));
        let stored = ready(storage.read(Seq::FIRST, &mut [])).unwrap().unwrap();
        assert_eq!(stored, Some(Stored { seq: Seq::FIRST, len: RECORD_BYTES_MAX }));
    }
}
