//! An opt-out lasts from the moment its call returns, whatever the storage had room for when it began.

use core::convert::Infallible;

use whisperr_core::{
    Client, Config, Fault, MemoryStorage, Now, Seq, SeqRange, Slot, Storage, Stored, Track, ready,
};

use super::{Stopped, UTC};

/// Has room for the choice only once everything was deleted. What it holds lasts once it was wiped or asked to last.
struct Tight {
    inner: MemoryStorage<Vec<u8>>,
    wiped: bool,
    /// The choice, as a power cut would leave it.
    lasting: Vec<u8>,
}

impl Tight {
    async fn last(&mut self) -> Result<(), Fault<Infallible>> {
        let mut value = [0; 64];
        let len = self.inner.load(Slot::Consent, &mut value).await?;
        self.lasting = value[..len].to_vec();
        Ok(())
    }
}

impl Storage for Tight {
    type Error = Infallible;

    fn next_seq(&self) -> Seq {
        self.inner.next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Infallible>> {
        self.inner.append(seq, record).await
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Infallible>> {
        self.inner.read(from, buffer).await
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Infallible>> {
        self.inner.remove(range).await
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Infallible>> {
        self.inner.set_aside(seq).await
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Infallible>> {
        self.inner.load(slot, buffer).await
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Infallible>> {
        if slot == Slot::Consent && !self.wiped {
            Err(Fault::Full)
        } else {
            self.inner.store(slot, value).await
        }
    }

    async fn wipe(&mut self) -> Result<(), Fault<Infallible>> {
        self.wiped = true;
        self.inner.wipe().await?;
        self.last().await
    }

    async fn persist(&mut self) -> Result<(), Fault<Infallible>> {
        self.last().await
    }

    fn take_damaged(&mut self) -> u32 {
        0
    }
}

#[test]
fn an_opt_out_that_had_to_make_its_own_room_lasts_when_the_call_returns() {
    let now = Now::read(&Stopped { ms: 1000, utc: Some(UTC) });
    let mut storage = Tight { inner: MemoryStorage::new(vec![0; 4096]), wiped: false, lasting: Vec::new() };
    let mut client =
        ready(Client::open(&mut storage, vec![0; 512], &Config::DEFAULT, 7, now)).unwrap().unwrap();
    let _accepted = ready(client.track(now, &Track::new("door_opened").user("u"))).unwrap().unwrap();

    let _farewell = ready(client.opt_out(now)).unwrap().unwrap();

    drop(client);
    assert_ne!(storage.lasting, [0; 0]);
    let lasting = storage.lasting.clone();
    let mut after = MemoryStorage::new(vec![0; 4096]);
    ready(after.store(Slot::Consent, &lasting)).unwrap().unwrap();
    let client = ready(Client::open(after, vec![0; 512], &Config::DEFAULT, 7, now)).unwrap().unwrap();
    assert!(client.is_opted_out());
}
