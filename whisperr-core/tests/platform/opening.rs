//! A client that is opened where it stays, and what a medium says when it fails.

use whisperr_core::{
    Client, Config, EnqueueError, Fault, MemoryStorage, Now, Place, Seq, SeqRange, Slot, Storage, Stored,
    Track, ready,
};

use super::{Stopped, UTC};

const CLOCK: Stopped = Stopped { ms: 1000, utc: Some(UTC) };

/// A medium that says why it fails.
struct Moody {
    inner: MemoryStorage<Vec<u8>>,
    /// Why nothing is read.
    unreadable: Option<&'static str>,
    /// Why nothing is written.
    unwritable: Option<&'static str>,
}

impl Moody {
    fn new() -> Self {
        Self { inner: MemoryStorage::new(vec![0; 4096]), unreadable: None, unwritable: None }
    }
}

fn moved<T>(done: Result<T, Fault<core::convert::Infallible>>) -> Result<T, Fault<&'static str>> {
    done.map_err(|_| Fault::Full)
}

fn ask(mood: Option<&'static str>) -> Result<(), Fault<&'static str>> {
    mood.map_or(Ok(()), |words| Err(Fault::Medium(words)))
}

impl Storage for Moody {
    type Error = &'static str;

    fn next_seq(&self) -> Seq {
        self.inner.next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<&'static str>> {
        ask(self.unwritable)?;
        moved(self.inner.append(seq, record).await)
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<&'static str>> {
        ask(self.unreadable)?;
        moved(self.inner.read(from, buffer).await)
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<&'static str>> {
        ask(self.unwritable)?;
        moved(self.inner.remove(range).await)
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<&'static str>> {
        ask(self.unwritable)?;
        moved(self.inner.set_aside(seq).await)
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<&'static str>> {
        ask(self.unreadable)?;
        moved(self.inner.load(slot, buffer).await)
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<&'static str>> {
        ask(self.unwritable)?;
        moved(self.inner.store(slot, value).await)
    }

    async fn wipe(&mut self) -> Result<(), Fault<&'static str>> {
        ask(self.unwritable)?;
        moved(self.inner.wipe().await)
    }

    fn take_damaged(&mut self) -> u32 {
        0
    }
}

type InPlace = Place<Moody, Vec<u8>>;

fn open_in(place: &mut InPlace, storage: Moody) -> Result<&mut Client<Moody, Vec<u8>>, Fault<&'static str>> {
    let put = place.put(storage, vec![0; 512], &Config::DEFAULT);
    ready(put.unwrap().finish(7, Now::read(&CLOCK))).unwrap()
}

#[test]
fn a_place_gives_out_no_client_whose_storage_was_not_read() {
    let mut place = Place::new();
    let storage = Moody { unreadable: Some("no contact"), ..Moody::new() };
    assert_eq!(open_in(&mut place, storage).map(|_| ()), Err(Fault::Medium("no contact")));

    let client = open_in(&mut place, Moody::new()).unwrap();
    let accepted = ready(client.track(Now::read(&CLOCK), &Track::new("door_opened"))).unwrap();

    assert_eq!(accepted.unwrap().seq, Some(Seq::FIRST));
}

#[test]
fn a_place_is_used_again_and_takes_no_setting_outside_its_range() {
    let mut place = Place::default();
    let client = open_in(&mut place, Moody::new()).unwrap();
    let said = ready(client.track(Now::read(&CLOCK), &Track::new("door_opened"))).unwrap();
    assert!(said.is_ok());

    let wrong = Config { max_queue_size: 0, ..Config::DEFAULT };
    let refused = place.put(Moody::new(), vec![0; 512], &wrong);
    assert!(refused.is_err());
    let client = open_in(&mut place, Moody::new()).unwrap();
    assert_eq!(client.status().owed, 0);
}

#[test]
fn what_the_medium_says_is_told_to_the_call_that_failed() {
    let mut place = Place::new();
    let client = open_in(&mut place, Moody::new()).unwrap();
    let now = Now::read(&CLOCK);

    client.storage().unwritable = Some("write protected");
    let refused = ready(client.track(now, &Track::new("door_opened").user("u"))).unwrap().unwrap_err();
    assert_eq!(refused, EnqueueError::Storage(Fault::Medium("write protected")));
    client.storage().unwritable = None;
    assert!(ready(client.track(now, &Track::new("door_opened").user("u"))).unwrap().is_ok());

    client.storage().unreadable = Some("no contact");
    assert_eq!(ready(client.oldest()).unwrap(), Err(Fault::Medium("no contact")));
    client.storage().unreadable = None;
    client.storage().unwritable = Some("worn out");
    assert_eq!(ready(client.opt_out(now)).unwrap(), Err(EnqueueError::Storage(Fault::Medium("worn out"))));
}
