//! A body that cannot be written or read to its end is not sent, and nothing of it is lost.

use core::convert::Infallible;

use embedded_io_async::{ErrorKind, ErrorType, Write};
use serde_json::Value;
use whisperr_core::{
    Body, BodyError, Client, Config, Fault, Identify, MemoryStorage, Notice, Now, Reply, Request, Seq,
    SeqRange, Slot, Storage, Stored, Track, Transport, Waiting, props, ready,
};

use super::{Stopped, UTC, Wire, deliver};

const CLOCK: Stopped = Stopped { ms: 0, utc: Some(UTC) };

/// Takes so many bytes, in as small pieces as a slow connection does, and then breaks.
struct Breaking {
    left: usize,
    taken: Vec<u8>,
}

impl ErrorType for Breaking {
    type Error = ErrorKind;
}

impl Write for Breaking {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let len = bytes.len().min(self.left).min(100);
        if len == 0 {
            return Err(ErrorKind::ConnectionReset);
        }
        self.left = self.left.saturating_sub(len);
        self.taken.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A connection that breaks so many times, each time one byte later, before a body gets through.
struct Flaky {
    breaks: usize,
    whole: Vec<String>,
}

impl Transport for Flaky {
    type Error = ErrorKind;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, ErrorKind> {
        assert_eq!(body.bytes(), request.body_bytes);
        let mut part: Vec<Vec<u8>> = Vec::new();
        for left in 0..self.breaks.min(request.body_bytes) {
            let mut writer = Breaking { left, taken: Vec::new() };
            let written = body.write_to(&mut writer).await;
            assert_eq!(written, Err(BodyError::Writer(ErrorKind::ConnectionReset)), "after {left} bytes");
            part.push(writer.taken);
        }
        let mut writer = Breaking { left: request.body_bytes, taken: Vec::new() };
        assert_eq!(body.write_to(&mut writer).await, Ok(()));
        assert!(part.iter().all(|part| writer.taken.starts_with(part)), "each try starts over");
        self.whole.push(String::from_utf8(writer.taken).unwrap());
        Ok(Reply::new(202))
    }
}

fn open<S: Storage>(storage: S) -> Client<S, Vec<u8>> {
    let opening = Client::open(storage, vec![0; 4096], &Config::DEFAULT, 7, Now::read(&CLOCK));
    ready(opening).unwrap().unwrap()
}

/// Identifies a user, and tracks events with a short property, one that is longer than what is
/// collected for a packet, and a short one.
fn say<S: Storage>(client: &mut Client<S, Vec<u8>>) {
    let identify = Identify::new("ada").traits(props! { "plan" => "pro" }).email("ada@example.com");
    let _accepted = ready(client.identify(Now::read(&CLOCK), &identify)).unwrap().unwrap();
    for note in ["short", &"long ".repeat(120), "short"] {
        let event = Track::new("noted").properties(props! { "note" => note });
        let _accepted = ready(client.track(Now::read(&CLOCK), &event)).unwrap().unwrap();
    }
}

#[test]
fn a_connection_that_breaks_within_a_body_is_given_the_same_body_again() {
    let mut client = open(MemoryStorage::new(vec![0; 8192]));
    say(&mut client);
    let mut flaky = Flaky { breaks: usize::MAX, whole: Vec::new() };

    let (client, notices) = deliver(client, &CLOCK, &mut flaky);

    let mut bodies = flaky.whole.iter().map(|body| serde_json::from_str::<Value>(body).unwrap());
    assert_eq!(bodies.next().unwrap()["traits"]["plan"], "pro");
    let events = bodies.next().unwrap();
    let notes: Vec<_> =
        (0..3).map(|n| events["events"][n]["properties"]["note"].as_str().unwrap().len()).collect();
    assert_eq!((notes, bodies.next()), (vec![5, 600, 5], None));
    assert_eq!((client.status().owed, client.status().counters.acknowledged, notices.len()), (0, 4, 0));
}

/// What a medium may do to its records behind a batch that stands: the reads after this many find
/// another record, or fail, or find nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rot {
    Version,
    Value,
    Fails,
    Gone,
}

struct Rotting {
    inner: MemoryStorage<Vec<u8>>,
    rot: Option<Rot>,
    /// Reads that still find what was stored.
    sound: u32,
}

impl Storage for Rotting {
    type Error = &'static str;

    fn next_seq(&self) -> Seq {
        self.inner.next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<&'static str>> {
        own(self.inner.append(seq, record).await)
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<&'static str>> {
        let found = own(self.inner.read(from, buffer).await)?;
        let Some(rot) = self.rot else { return Ok(found) };
        if self.sound > 0 {
            self.sound = self.sound.saturating_sub(1);
            return Ok(found);
        }
        let Some(stored) = found else { return Ok(None) };
        match rot {
            Rot::Version => buffer.iter_mut().take(1).for_each(|byte| *byte = 9),
            // The end of the properties is no end any more.
            Rot::Value => buffer
                .iter_mut()
                .take(stored.len)
                .skip(stored.len.saturating_sub(3))
                .for_each(|byte| *byte = 0x0a),
            Rot::Fails => return Err(Fault::Medium("no answer")),
            Rot::Gone => return Ok(None),
        }
        Ok(Some(stored))
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<&'static str>> {
        own(self.inner.remove(range).await)
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<&'static str>> {
        own(self.inner.set_aside(seq).await)
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<&'static str>> {
        own(self.inner.load(slot, buffer).await)
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<&'static str>> {
        own(self.inner.store(slot, value).await)
    }

    async fn wipe(&mut self) -> Result<(), Fault<&'static str>> {
        own(self.inner.wipe().await)
    }

    fn take_damaged(&mut self) -> u32 {
        0
    }
}

fn own<T>(result: Result<T, Fault<Infallible>>) -> Result<T, Fault<&'static str>> {
    result.map_err(|fault| match fault {
        Fault::Full => Fault::Full,
        Fault::Medium(never) => match never {},
    })
}

/// A transport that gives a request up when its body does not come, as all must.
struct Honest {
    sent: usize,
    failed: usize,
}

impl Transport for Honest {
    type Error = BodyError<ErrorKind>;

    async fn send<B: Body>(&mut self, request: Request, body: &mut B) -> Result<Reply, Self::Error> {
        let mut writer = Breaking { left: request.body_bytes, taken: Vec::new() };
        let written = body.write_to(&mut writer).await;
        if written.is_ok() {
            self.sent = self.sent.saturating_add(1);
        } else {
            assert_eq!(written, Err(BodyError::Storage));
            self.failed = self.failed.saturating_add(1);
        }
        written.map(|()| Reply::new(202))
    }
}

#[test]
fn a_body_that_cannot_be_read_any_more_is_given_up_and_kept() {
    for rot in [Rot::Version, Rot::Value, Rot::Fails, Rot::Gone] {
        let storage = Rotting { inner: MemoryStorage::new(vec![0; 8192]), rot: None, sound: 0 };
        let mut client = open(storage);
        let _accepted = ready(client.track(Now::read(&CLOCK), &Track::new("e").user("u"))).unwrap().unwrap();
        // The batch is formed by two reads: of the event, and of the end.
        client.storage().rot = Some(rot);
        client.storage().sound = 2;
        let mut honest = Honest { sent: 0, failed: 0 };

        let (mut client, notices) = deliver(client, &CLOCK, &mut honest);

        assert_eq!((honest.sent, honest.failed), (0, 1), "{rot:?}");
        assert_eq!(notices, [Notice::Storage], "{rot:?}");
        assert_eq!((client.status().owed, client.status().waiting), (1, Waiting::RetryAfter), "{rot:?}");
        // The medium is well again: the same event goes out.
        client.storage().rot = None;
        let mut wire = Wire::new(202);
        let (client, _) = deliver(client, &Stopped { ms: 60_000, utc: Some(UTC) }, &mut wire);
        assert!(wire.sent[0].1.contains("\"event_type\":\"e\""), "{rot:?}");
        assert_eq!(client.status().counters.acknowledged, 1, "{rot:?}");
    }
}
