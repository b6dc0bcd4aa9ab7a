//! Records to the JSON the server takes: counted once, then written, with the same code.

use embedded_io_async::Write;

use crate::clock::UtcMillis;
use crate::dating::Dating;
use crate::message_id::uuid_text;
use crate::record::{IdentifyRecord, Record, StoredSubject, TrackRecord};
use crate::timestamp::rfc3339;
use crate::tree::{Nesting, Node, Reader};

/// Takes pieces of a body.
pub(crate) trait Sink {
    /// Why it cannot.
    type Error;
    async fn put(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
}

/// Adds up lengths.
#[derive(Debug, Default)]
pub(crate) struct Counter(pub(crate) usize);

impl Sink for Counter {
    type Error = core::convert::Infallible;

    async fn put(&mut self, piece: &[u8]) -> Result<(), Self::Error> {
        self.0 = self.0.saturating_add(piece.len());
        Ok(())
    }
}

/// Collects small pieces before they reach a writer, for which each write may cost a packet.
#[derive(Debug)]
pub(crate) struct Staged<'w, W> {
    writer: &'w mut W,
    stage: [u8; 256],
    len: usize,
}

impl<'w, W: Write> Staged<'w, W> {
    pub(crate) const fn new(writer: &'w mut W) -> Self {
        Self { writer, stage: [0; 256], len: 0 }
    }

    pub(crate) async fn finish(&mut self) -> Result<(), W::Error> {
        let len = core::mem::take(&mut self.len);
        self.writer.write_all(self.stage.get(..len).unwrap_or_default()).await
    }
}

impl<W: Write> Sink for Staged<'_, W> {
    type Error = W::Error;

    async fn put(&mut self, piece: &[u8]) -> Result<(), W::Error> {
        let end = self.len.saturating_add(piece.len());
        if let Some(free) = self.stage.get_mut(self.len..end) {
            free.copy_from_slice(piece);
            self.len = end;
            return Ok(());
        }
        self.finish().await?;
        match self.stage.get_mut(..piece.len()) {
            Some(free) => {
                free.copy_from_slice(piece);
                self.len = piece.len();
                Ok(())
            }
            None => self.writer.write_all(piece).await,
        }
    }
}

/// What stands around the events of a batch.
pub(crate) const BATCH_OPEN: &[u8] = b"{\"events\":[";
pub(crate) const BATCH_SEPARATOR: &[u8] = b",";
pub(crate) const BATCH_CLOSE: &[u8] = b"]}";

/// Writes one operation as JSON. An event whose date is not known yet is dated 1970: the caller
/// sends none.
pub(crate) async fn write<S: Sink>(
    record: &Record<'_>,
    dating: &Dating,
    sink: &mut S,
) -> Result<(), S::Error> {
    match record {
        Record::Track(track) => write_track(track, dating, sink).await,
        Record::Identify(identify) => write_identify(identify, sink).await,
    }
}

async fn write_track<S: Sink>(
    track: &TrackRecord<'_>,
    dating: &Dating,
    sink: &mut S,
) -> Result<(), S::Error> {
    let (date, estimated) = dating.date(track.moment).unwrap_or((UtcMillis::new(0), true));
    match track.subject {
        StoredSubject::User(user) => {
            sink.put(b"{\"external_user_id\":\"").await?;
            sink.put(user.as_bytes()).await?;
        }
        StoredSubject::Anonymous(id) => {
            sink.put(b"{\"anonymous_id\":\"").await?;
            sink.put(&uuid_text(&id)).await?;
        }
    }
    sink.put(b"\",\"event_type\":\"").await?;
    sink.put(track.event_type.as_bytes()).await?;
    sink.put(b"\",\"occurred_at\":\"").await?;
    sink.put(&rfc3339(date)).await?;
    sink.put(b"\",\"properties\":{").await?;
    write_members(track.properties, sink).await?;
    sink.put(b"},\"context\":{\"$message_id\":\"").await?;
    sink.put(&track.id.to_text()).await?;
    sink.put(if estimated { b"\",\"$time_estimated\":true" } else { b"\"" }).await?;
    if !is_empty(track.context) {
        sink.put(b",").await?;
        write_members(track.context, sink).await?;
    }
    sink.put(b"}}").await
}

async fn write_identify<S: Sink>(identify: &IdentifyRecord<'_>, sink: &mut S) -> Result<(), S::Error> {
    sink.put(b"{\"external_user_id\":\"").await?;
    sink.put(identify.user.as_bytes()).await?;
    if let Some(id) = identify.anonymous {
        sink.put(b"\",\"anonymous_id\":\"").await?;
        sink.put(&uuid_text(&id)).await?;
    }
    sink.put(b"\"").await?;
    if !is_empty(identify.traits) {
        sink.put(b",\"traits\":{").await?;
        write_members(identify.traits, sink).await?;
        sink.put(b"}").await?;
    }
    if let Some(kind) = identify.preferred {
        sink.put(b",\"preferred_channel\":\"").await?;
        sink.put(kind.as_str().as_bytes()).await?;
        sink.put(b"\"").await?;
    }
    let mut before: &[u8] = b",\"channels\":[{\"channel\":\"";
    for channel in identify.channels() {
        sink.put(before).await?;
        before = b",{\"channel\":\"";
        sink.put(channel.kind.as_str().as_bytes()).await?;
        sink.put(b"\",\"address\":\"").await?;
        sink.put(channel.address.as_bytes()).await?;
        sink.put(if channel.opted_in { b"\",\"opted_in\":true" } else { b"\",\"opted_in\":false" }).await?;
        match channel.verified {
            Some(true) => sink.put(b",\"verified\":true").await?,
            Some(false) => sink.put(b",\"verified\":false").await?,
            None => {}
        }
        sink.put(b"}").await?;
    }
    if identify.channels().next().is_some() {
        sink.put(b"]").await?;
    }
    sink.put(b"}").await
}

/// Whether a stored object has no members.
fn is_empty(object: &[u8]) -> bool {
    object.len() <= 2
}

/// Writes the members of a stored object, without its braces. What is not a tree ends the walk: a
/// record is checked when it is decoded.
async fn write_members<S: Sink>(object: &[u8], sink: &mut S) -> Result<(), S::Error> {
    let mut reader = Reader::new(object);
    let mut open = Nesting::new();
    let mut first = true;
    let Ok(Node::Object) = reader.node() else { return Ok(()) };
    let Ok(()) = open.push(true) else { return Ok(()) };
    while let Some(in_object) = open.innermost() {
        let Ok(mut node) = reader.node() else { return Ok(()) };
        if node == Node::End {
            open.pop();
            match open.innermost() {
                None => return Ok(()),
                Some(_) => sink.put(if in_object { b"}" } else { b"]" }).await?,
            }
            first = false;
            continue;
        }
        if !first {
            sink.put(b",").await?;
        }
        first = false;
        if in_object {
            let Node::Text(key) = node else { return Ok(()) };
            sink.put(b"\"").await?;
            sink.put(key).await?;
            sink.put(b"\":").await?;
            let Ok(value) = reader.node() else { return Ok(()) };
            node = value;
        }
        match node {
            Node::Null => sink.put(b"null").await?,
            Node::Bool(true) => sink.put(b"true").await?,
            Node::Bool(false) => sink.put(b"false").await?,
            Node::Unsigned(value) => sink.put(Decimal::new(value).as_bytes()).await?,
            Node::Negative(n) => {
                sink.put(b"-").await?;
                // −1 − n has the magnitude n + 1.
                sink.put(Decimal::new(n.saturating_add(1)).as_bytes()).await?;
            }
            Node::Number(text) => sink.put(text).await?,
            Node::Text(text) => {
                sink.put(b"\"").await?;
                sink.put(text).await?;
                sink.put(b"\"").await?;
            }
            Node::Array | Node::Object => {
                let object = node == Node::Object;
                let Ok(()) = open.push(object) else { return Ok(()) };
                sink.put(if object { b"{" } else { b"[" }).await?;
                first = true;
            }
            Node::End => return Ok(()),
        }
    }
    Ok(())
}

/// The decimal digits of a number.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(mut value: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' | (value % 10) as u8;
            start = at;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        Self { digits, start }
    }

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}
