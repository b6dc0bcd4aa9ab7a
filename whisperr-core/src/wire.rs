//! Records to the JSON the server takes: counted once, then written, with the same code.

use embedded_io_async::Write;

use crate::clock::UtcMillis;
use crate::dating::Dating;
use crate::decimal::Decimal;
use crate::message_id::uuid_text;
use crate::push_token::{PushEnvironment, PushKind, PushPlatform};
use crate::ready::ready;
use crate::record::{IdentifyRecord, Record, StoredSubject, TrackRecord, next_channel};
use crate::timestamp::rfc3339;
use crate::tree::{self, BadTree, Nesting, Node, Reader};

/// Takes pieces of a body.
pub(crate) trait Sink {
    /// Why it cannot.
    type Error;
    /// Whether what is written is checked on the way: once is enough, when it is counted.
    const CHECKS: bool;
    async fn put(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
}

/// Why a record was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteError<E> {
    Sink(E),
    /// What is stored cannot be written as JSON.
    BadTree,
}

impl<E> From<BadTree> for WriteError<E> {
    fn from(_: BadTree) -> Self {
        Self::BadTree
    }
}

/// Adds up lengths.
#[derive(Debug, Default)]
struct Counter(usize);

impl Sink for Counter {
    type Error = core::convert::Infallible;
    const CHECKS: bool = true;

    async fn put(&mut self, piece: &[u8]) -> Result<(), Self::Error> {
        self.0 = self.0.saturating_add(piece.len());
        Ok(())
    }
}

/// Bytes of a record's JSON; `None` when it cannot be written as JSON.
pub(crate) fn count(record: &Record<'_>, dating: &Dating) -> Option<usize> {
    let mut counter = Counter::default();
    // A counter never waits.
    ready(write(record, dating, &mut counter))?.ok()?;
    Some(counter.0)
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
    const CHECKS: bool = false;

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
) -> Result<(), WriteError<S::Error>> {
    let mut out = Out(sink);
    match record {
        Record::Track(track) => write_track(track, dating, &mut out).await,
        Record::Identify(identify) => write_identify(identify, &mut out).await,
    }
}

/// A sink whose errors are those of a record.
struct Out<'s, S>(&'s mut S);

impl<S: Sink> Out<'_, S> {
    async fn put(&mut self, piece: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.0.put(piece).await.map_err(WriteError::Sink)
    }

    /// Puts stored text between quotes.
    async fn text(&mut self, text: &[u8]) -> Result<(), WriteError<S::Error>> {
        if S::CHECKS && !tree::is_text(text) {
            return Err(WriteError::BadTree);
        }
        self.put(b"\"").await?;
        self.put(text).await?;
        self.put(b"\"").await
    }
}

async fn write_track<S: Sink>(
    track: &TrackRecord<'_>,
    dating: &Dating,
    out: &mut Out<'_, S>,
) -> Result<(), WriteError<S::Error>> {
    let (date, estimated) = dating.date(track.moment).unwrap_or((UtcMillis::new(0), true));
    match track.subject {
        StoredSubject::User(user) => {
            out.put(b"{\"external_user_id\":").await?;
            out.text(user).await?;
        }
        StoredSubject::Anonymous(id) => {
            out.put(b"{\"anonymous_id\":").await?;
            out.text(&uuid_text(&id)).await?;
        }
    }
    out.put(b",\"event_type\":").await?;
    out.text(track.event_type).await?;
    out.put(b",\"occurred_at\":\"").await?;
    out.put(&rfc3339(date)).await?;
    out.put(b"\",\"properties\":{").await?;
    let mut objects = Reader::new(track.objects);
    write_members(&mut objects, out, b"").await?;
    out.put(b"},\"context\":{\"$message_id\":\"").await?;
    out.put(&track.id.to_text()).await?;
    out.put(if estimated { b"\",\"$time_estimated\":true" } else { b"\"" }).await?;
    write_members(&mut objects, out, b",").await?;
    at_end(objects)?;
    out.put(b"}}").await
}

async fn write_identify<S: Sink>(
    identify: &IdentifyRecord<'_>,
    out: &mut Out<'_, S>,
) -> Result<(), WriteError<S::Error>> {
    out.put(b"{\"external_user_id\":").await?;
    out.text(identify.user).await?;
    if let Some(id) = identify.anonymous {
        out.put(b",\"anonymous_id\":").await?;
        out.text(&uuid_text(&id)).await?;
    }
    let mut rest = Reader::new(identify.rest);
    if write_members(&mut rest, out, b",\"traits\":{").await? {
        out.put(b"}").await?;
    }
    if let Some(kind) = identify.preferred {
        out.put(b",\"preferred_channel\":").await?;
        out.text(kind.as_str().as_bytes()).await?;
    }
    let mut before: &[u8] = b",\"channels\":[{\"channel\":";
    for _ in 0..identify.channels {
        let channel = next_channel(&mut rest)?;
        out.put(before).await?;
        before = b",{\"channel\":";
        out.text(channel.kind.as_str().as_bytes()).await?;
        out.put(b",\"address\":").await?;
        out.text(channel.address).await?;
        out.put(if channel.opted_in { b",\"opted_in\":true" } else { b",\"opted_in\":false" }).await?;
        match channel.verified {
            Some(true) => out.put(b",\"verified\":true").await?,
            Some(false) => out.put(b",\"verified\":false").await?,
            None => {}
        }
        let metadata = channel.metadata;
        for (name, value) in [
            (&b",\"kind\":"[..], metadata.kind.map(PushKind::as_str)),
            (b",\"platform\":", metadata.platform.map(PushPlatform::as_str)),
            (b",\"push_env\":", metadata.environment.map(PushEnvironment::as_str)),
        ] {
            if let Some(value) = value {
                out.put(name).await?;
                out.text(value.as_bytes()).await?;
            }
        }
        out.put(b"}").await?;
    }
    if identify.channels > 0 {
        out.put(b"]").await?;
    }
    at_end(rest)?;
    out.put(b"}").await
}

/// Nothing may follow the last part of a record.
fn at_end(rest: Reader<'_>) -> Result<(), BadTree> {
    if rest.rest().is_empty() { Ok(()) } else { Err(BadTree) }
}

/// Writes the members of the next object, without its braces, and `before` in front of the first.
/// Returns whether there were any.
async fn write_members<S: Sink>(
    reader: &mut Reader<'_>,
    out: &mut Out<'_, S>,
    before: &[u8],
) -> Result<bool, WriteError<S::Error>> {
    let mut open = Nesting::new();
    if reader.node()? != Node::Object {
        return Err(WriteError::BadTree);
    }
    open.push(true)?;
    let (mut separator, mut any) = (before, false);
    while let Some(in_object) = open.innermost() {
        let mut node = reader.node()?;
        if node == Node::End {
            open.pop();
            if open.innermost().is_some() {
                out.put(if in_object { b"}" } else { b"]" }).await?;
            }
            separator = b",";
            continue;
        }
        out.put(separator).await?;
        (separator, any) = (b",", true);
        if in_object {
            let Node::Text(key) = node else { return Err(WriteError::BadTree) };
            out.text(key).await?;
            out.put(b":").await?;
            node = reader.node()?;
        }
        if S::CHECKS && !tree::is_valid(node) {
            return Err(WriteError::BadTree);
        }
        match node {
            Node::Null => out.put(b"null").await?,
            Node::Bool(true) => out.put(b"true").await?,
            Node::Bool(false) => out.put(b"false").await?,
            Node::Unsigned(value) => out.put(Decimal::new(value).as_bytes()).await?,
            Node::Negative(n) => out.put(Decimal::negative(n).as_bytes()).await?,
            Node::Number(text) => out.put(text).await?,
            Node::Text(text) => {
                out.put(b"\"").await?;
                out.put(text).await?;
                out.put(b"\"").await?;
            }
            Node::Array | Node::Object => {
                let object = node == Node::Object;
                open.push(object)?;
                out.put(if object { b"{" } else { b"[" }).await?;
                separator = b"";
            }
            Node::End => return Err(WriteError::BadTree),
        }
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::clock::UtcMillis;
    use crate::message_id::MessageId;
    use crate::record::Moment;
    use crate::tree::{ARRAY, DEPTH_MAX, END, NEGATIVE, NULL, NUMBER, OBJECT, STRING, UNSIGNED};
    use std::vec::Vec;

    /// Whether an event is sent whose stored properties and context are these bytes.
    fn is_sent(objects: &[u8]) -> bool {
        let record = Record::Track(TrackRecord {
            id: MessageId::from_bytes([7; 16]),
            moment: Moment::utc(UtcMillis::new(0)),
            subject: StoredSubject::User(b"u"),
            event_type: b"e",
            objects,
        });
        count(&record, &Dating::default()).is_some()
    }

    /// An object with this one member, then an empty context.
    fn with_member(member: &[u8]) -> Vec<u8> {
        [&[OBJECT][..], member, &[END, OBJECT, END]].concat()
    }

    #[test]
    fn values_as_an_encoder_stores_them_are_sent() {
        assert!(is_sent(&[OBJECT, END, OBJECT, END]));
        for value in [
            &[NULL][..],
            &[0x40],
            &[0x7f],
            &[0x80],
            &[0x82, b'\\', b'n'],
            &[STRING, 1, b'x'],
            &[NUMBER, 3, b'1', b'.', b'5'],
            &[NEGATIVE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[UNSIGNED, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[ARRAY, NULL, NULL, END],
            &[OBJECT, 0x81, b'k', NULL, END],
        ] {
            assert!(is_sent(&with_member(&[&[0x81, b'k'], value].concat())), "{value:?}");
        }
    }

    #[test]
    fn values_that_no_encoder_stores_are_not_sent() {
        for value in [
            &[][..],
            &[END],
            // Tags of a version to come.
            &[0x0a],
            &[0x3f],
            // Text and numbers that are none, or end too late.
            &[0x82, b'\\', b'x'],
            &[0x81, b'"'],
            &[0x81, 0xff],
            &[0x9f, b'x'],
            &[STRING, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[NUMBER, 2, b'1', b'x'],
            &[NUMBER, 1, 0xff],
            &[NUMBER, 0],
            // Numbers of more than 64 bits, and a magnitude of more than 2^63.
            &[UNSIGNED, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[UNSIGNED, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[UNSIGNED, 0x80],
            &[NEGATIVE, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        ] {
            assert!(!is_sent(&with_member(&[&[0x81, b'k'], value].concat())), "{value:?}");
            // Nor as a name.
            assert!(!is_sent(&with_member(&[value, &[NULL, NULL]].concat())), "{value:?}");
        }
        for name in [NULL, 0x40, ARRAY, OBJECT] {
            assert!(!is_sent(&with_member(&[name, NULL])), "{name}");
        }
        for objects in [
            &[][..],
            &[ARRAY, END, OBJECT, END],
            &[NULL, OBJECT, END],
            &[OBJECT, END],
            &[OBJECT, END, OBJECT],
            &[OBJECT, END, NULL],
            &[OBJECT, END, OBJECT, END, END],
        ] {
            assert!(!is_sent(objects), "{objects:?}");
        }
    }

    #[test]
    fn values_nested_deeper_than_any_encoder_nests_them_are_not_sent() {
        let nested = |depth: usize| {
            let arrays = [[ARRAY].repeat(depth), [END].repeat(depth)].concat();
            with_member(&[&[0x81, b'k'], &arrays[..]].concat())
        };

        // The object around them is one of them.
        assert!(is_sent(&nested(DEPTH_MAX - 1)));
        assert!(!is_sent(&nested(DEPTH_MAX)));
    }
}
