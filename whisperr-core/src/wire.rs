//! Records to the JSON the server takes: counted once, then written, with the same code.

use crate::clock::UtcMillis;
use crate::dating::Dating;
use crate::decimal::Decimal;
use crate::message_id::uuid_text;
use crate::push_token::{PushEnvironment, PushKind, PushPlatform};
use crate::record::{IdentifyRecord, Record, StoredSubject, TrackRecord, next_channel};
use crate::timestamp::rfc3339;
use crate::tree::{self, BadTree, Nesting, Node, Reader};

/// The part of a text that fits into a buffer, while the whole of it is written.
///
/// Whoever writes the text never waits: what is behind the window is written once more, for the next one. Pieces are
/// cheap, and code that can wait between any two of them is not.
#[derive(Debug)]
pub(crate) struct Window<'b> {
    /// Where in the text the window begins.
    start: usize,
    buffer: &'b mut [u8],
    /// Bytes of the text so far.
    len: usize,
    /// Whether what is written is checked on the way: once is enough, when it is counted.
    checks: bool,
}

impl<'b> Window<'b> {
    /// From `start` of the text on, as much as `buffer` holds.
    pub(crate) const fn new(start: usize, buffer: &'b mut [u8]) -> Self {
        Self { start, buffer, len: 0, checks: false }
    }

    pub(crate) fn put(&mut self, piece: &[u8]) {
        let filled = self.len.saturating_sub(self.start);
        let inside = piece.get(self.start.saturating_sub(self.len)..).unwrap_or_default();
        let free = self.buffer.get_mut(filled..).unwrap_or_default();
        let count = free.len().min(inside.len());
        if let (Some(free), Some(inside)) = (free.get_mut(..count), inside.get(..count)) {
            free.copy_from_slice(inside);
        }
        self.len = self.len.saturating_add(piece.len());
    }

    /// Puts stored text between quotes.
    fn text(&mut self, text: &[u8]) -> Result<(), BadTree> {
        if self.checks && !tree::is_text(text) {
            return Err(BadTree);
        }
        self.put(b"\"");
        self.put(text);
        self.put(b"\"");
        Ok(())
    }

    /// How many bytes of the buffer are written, and whether the text ends in them.
    pub(crate) fn filled(&self) -> (usize, bool) {
        let behind = self.len.saturating_sub(self.start);
        (behind.min(self.buffer.len()), behind <= self.buffer.len())
    }
}

/// Bytes of a record's JSON; `None` when it cannot be written as JSON.
pub(crate) fn count(record: &Record<'_>, dating: &Dating) -> Option<usize> {
    let mut counter = Window { checks: true, ..Window::new(0, &mut []) };
    write(record, dating, &mut counter).ok()?;
    Some(counter.len)
}

/// What stands around the events of a batch.
pub(crate) const BATCH_OPEN: &[u8] = b"{\"events\":[";
pub(crate) const BATCH_SEPARATOR: &[u8] = b",";
pub(crate) const BATCH_CLOSE: &[u8] = b"]}";

/// Writes one operation as JSON. An event whose date is not known yet is dated 1970: the caller
/// sends none.
pub(crate) fn write(record: &Record<'_>, dating: &Dating, out: &mut Window<'_>) -> Result<(), BadTree> {
    match record {
        Record::Track(track) => write_track(track, dating, out),
        Record::Identify(identify) => write_identify(identify, out),
    }
}

fn write_track(track: &TrackRecord<'_>, dating: &Dating, out: &mut Window<'_>) -> Result<(), BadTree> {
    let (date, estimated) = dating.date(track.moment).unwrap_or((UtcMillis::new(0), true));
    match track.subject {
        StoredSubject::User(user) => {
            out.put(b"{\"external_user_id\":");
            out.text(user)?;
        }
        StoredSubject::Anonymous(id) => {
            out.put(b"{\"anonymous_id\":");
            out.text(&uuid_text(&id))?;
        }
    }
    out.put(b",\"event_type\":");
    out.text(track.event_type)?;
    out.put(b",\"occurred_at\":\"");
    out.put(&rfc3339(date));
    out.put(b"\",\"properties\":{");
    let context = Reader::new(track.objects);
    let mut properties = context;
    if track.has_context {
        properties.skip()?;
    }
    write_members(&mut properties, out, b"")?;
    at_end(properties)?;
    out.put(b"},\"context\":{\"$message_id\":\"");
    out.put(&track.id.to_text());
    out.put(if estimated { b"\",\"$time_estimated\":true" } else { b"\"" });
    if track.has_context {
        write_members(&mut { context }, out, b",")?;
    }
    out.put(b"}}");
    Ok(())
}

fn write_identify(identify: &IdentifyRecord<'_>, out: &mut Window<'_>) -> Result<(), BadTree> {
    out.put(b"{\"external_user_id\":");
    out.text(identify.user)?;
    if let Some(id) = identify.anonymous {
        out.put(b",\"anonymous_id\":");
        out.text(&uuid_text(&id))?;
    }
    let mut rest = Reader::new(identify.rest);
    if write_members(&mut rest, out, b",\"traits\":{")? {
        out.put(b"}");
    }
    if let Some(kind) = identify.preferred {
        out.put(b",\"preferred_channel\":");
        out.text(kind.as_str().as_bytes())?;
    }
    let mut before: &[u8] = b",\"channels\":[{\"channel\":";
    for _ in 0..identify.channels {
        let channel = next_channel(&mut rest)?;
        out.put(before);
        before = b",{\"channel\":";
        out.text(channel.kind.as_str().as_bytes())?;
        out.put(b",\"address\":");
        out.text(channel.address)?;
        out.put(if channel.opted_in { b",\"opted_in\":true" } else { b",\"opted_in\":false" });
        match channel.verified {
            Some(true) => out.put(b",\"verified\":true"),
            Some(false) => out.put(b",\"verified\":false"),
            None => {}
        }
        let metadata = channel.metadata;
        for (name, value) in [
            (&b",\"kind\":"[..], metadata.kind.map(PushKind::as_str)),
            (b",\"platform\":", metadata.platform.map(PushPlatform::as_str)),
            (b",\"push_env\":", metadata.environment.map(PushEnvironment::as_str)),
        ] {
            if let Some(value) = value {
                out.put(name);
                out.text(value.as_bytes())?;
            }
        }
        out.put(b"}");
    }
    if identify.channels > 0 {
        out.put(b"]");
    }
    at_end(rest)?;
    out.put(b"}");
    Ok(())
}

/// Nothing may follow the last part of a record.
fn at_end(rest: Reader<'_>) -> Result<(), BadTree> {
    if rest.rest().is_empty() { Ok(()) } else { Err(BadTree) }
}

/// Writes the members of the next object, without its braces, and `before` in front of the first.
/// Returns whether there were any.
fn write_members(reader: &mut Reader<'_>, out: &mut Window<'_>, before: &[u8]) -> Result<bool, BadTree> {
    let mut open = Nesting::new();
    if reader.node()? != Node::Object {
        return Err(BadTree);
    }
    open.push(true)?;
    let (mut separator, mut any) = (before, false);
    while let Some(in_object) = open.innermost() {
        let mut node = reader.node()?;
        if node == Node::End {
            open.pop();
            if open.innermost().is_some() {
                out.put(if in_object { b"}" } else { b"]" });
            }
            separator = b",";
            continue;
        }
        out.put(separator);
        (separator, any) = (b",", true);
        if in_object {
            let Node::Text(key) = node else { return Err(BadTree) };
            out.text(key)?;
            out.put(b":");
            node = reader.node()?;
        }
        if out.checks && !tree::is_valid(node) {
            return Err(BadTree);
        }
        match node {
            Node::Null => out.put(b"null"),
            Node::Bool(true) => out.put(b"true"),
            Node::Bool(false) => out.put(b"false"),
            Node::Unsigned(value) => out.put(Decimal::new(value).as_bytes()),
            Node::Negative(n) => out.put(Decimal::negative(n).as_bytes()),
            Node::Number(text) => out.put(text),
            Node::Text(text) => {
                out.put(b"\"");
                out.put(text);
                out.put(b"\"");
            }
            Node::Array | Node::Object => {
                let object = node == Node::Object;
                open.push(object)?;
                out.put(if object { b"{" } else { b"[" });
                separator = b"";
            }
            Node::End => return Err(BadTree),
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

    /// Whether an event is sent whose stored context and properties are these bytes.
    fn is_sent(objects: &[u8]) -> bool {
        let record = Record::Track(TrackRecord {
            id: MessageId::from_bytes([7; 16]),
            moment: Moment::utc(UtcMillis::new(0)),
            subject: StoredSubject::User(b"u"),
            event_type: b"e",
            objects,
            has_context: true,
        });
        count(&record, &Dating::default()).is_some()
    }

    /// An empty context, then an object with this one member.
    fn with_member(member: &[u8]) -> Vec<u8> {
        [&[OBJECT, END, OBJECT][..], member, &[END]].concat()
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
