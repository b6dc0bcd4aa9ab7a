//! An operation as stored: one byte that says the version and what follows, a head in postcard, then strings
//! and trees.
//!
//! | first byte | what follows |
//! |---|---|
//! | `10` and flags | an event: its id, its moment, the visitor's id or the user's, the event type, the context, the properties |
//! | `18` | an identify: its head, the user id, the traits, the channels |
//!
//! The flags of an event: `1` the moment is one of a boot, `2` a visitor, `4` a context. What most
//! events have not takes no byte: on flash every one counts.
//!
//! The record fixes everything that must never change: message id, moment, subject. A retry walks
//! the same record and writes the same bytes.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::channel::{Channel, ChannelKind, Consent};
use crate::clock::UtcMillis;
use crate::defaults::Defaults;
use crate::device::Device;
use crate::encode::{Encoder, Properties, ValueError};
use crate::event_type::EventType;
use crate::message_id::MessageId;
use crate::push_token::PushMetadata;
use crate::tree::{BadTree, Reader};
use crate::user::UserId;

/// The format written by this version. Readers step over what they do not know.
const VERSION: u8 = 0x10;
/// An identify.
const IDENTIFY: u8 = 0x08;
/// The moment of an event is one of a boot.
const BOOT: u8 = 0x01;
/// An event is about a visitor.
const VISITOR: u8 = 0x02;
/// An event has a context that is not empty.
const CONTEXT: u8 = 0x04;

/// When an event happened, as far as the device knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Milliseconds since 1970.
    Utc(i64),
    /// Milliseconds since the start of this boot.
    Boot { boot: u32, ms: u64 },
}

impl Moment {
    pub(crate) const fn utc(at: UtcMillis) -> Self {
        Self::Utc(at.get())
    }
}

/// Whom an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    User(UserId<'a>),
    Anonymous([u8; 16]),
}

/// Followed by the user id, the traits, and the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct IdentifyHead {
    anonymous: Option<[u8; 16]>,
    preferred: Option<ChannelKind>,
    channels: u16,
}

/// Followed by the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ChannelHead {
    kind: ChannelKind,
    opted_in: bool,
    verified: Option<bool>,
    metadata: Option<PushMetadata>,
}

/// Which argument could not be stored, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The event's properties.
    Properties(ValueError),
    /// The event's context.
    Context(ValueError),
    /// The user's traits.
    Traits(ValueError),
    /// The operation as a whole does not fit.
    TooLarge {
        /// Most bytes a record holds here.
        max: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Which part of several was one byte too many says little: the sum is the limit.
            Self::Properties(ValueError::TooLarge { max })
            | Self::Context(ValueError::TooLarge { max })
            | Self::Traits(ValueError::TooLarge { max })
            | Self::TooLarge { max } => write!(f, "operation exceeds the record limit of {max} bytes"),
            Self::Properties(error) => write!(f, "properties {error}"),
            Self::Context(error) => write!(f, "context {error}"),
            Self::Traits(error) => write!(f, "traits {error}"),
        }
    }
}

impl core::error::Error for RecordError {}

/// What stands around what an event says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrackHead<'a> {
    pub(crate) id: MessageId,
    pub(crate) moment: Moment,
    pub(crate) subject: Subject<'a>,
    pub(crate) event_type: EventType<'a>,
}

/// What an event says: the properties and the context of the call, and those that stand in them otherwise.
#[derive(Clone, Copy)]
pub(crate) struct TrackBody<'a> {
    pub(crate) properties: &'a dyn Properties,
    pub(crate) context: &'a dyn Properties,
    pub(crate) device: Option<&'a Device<'a>>,
}

/// Stores an event in `buffer` and returns its length.
pub(crate) fn encode_track(
    buffer: &mut [u8],
    head: TrackHead<'_>,
    event: TrackBody<'_>,
) -> Result<usize, RecordError> {
    let too_large = RecordError::TooLarge { max: buffer.len() };
    let mut encoder = Encoder::new(buffer);
    let TrackHead { id, moment, subject, event_type } = head;
    let mut flags = VERSION;
    let mut fixed = || {
        encoder.byte(VERSION)?;
        encoder.bytes(id.as_bytes())?;
        match moment {
            Moment::Utc(ms) => encoder.postcard(&ms)?,
            Moment::Boot { boot, ms } => {
                flags |= BOOT;
                encoder.postcard(&(boot, ms))?;
            }
        }
        match subject {
            Subject::User(user) => encoder.string(user.as_str())?,
            Subject::Anonymous(visitor) => {
                flags |= VISITOR;
                encoder.bytes(&visitor)?;
            }
        }
        encoder.raw_string(event_type.as_str().as_bytes())
    };
    fixed().map_err(|_: ValueError| too_large)?;
    let default_properties = event.device.map_or(Defaults::NONE, |device| device.default_properties);
    let default_context = event.device.map_or(Defaults::NONE, |device| device.default_context);
    // The context first: where it is empty, what it took for a moment is the properties'.
    let context_at = encoder.len();
    let context = encoder.object(event.context);
    context
        .and_then(|()| default_context.add_to(&mut encoder, context_at))
        .and_then(|()| encoder.refuse_reserved_keys(context_at))
        .map_err(RecordError::Context)?;
    if !encoder.drop_empty(context_at) {
        flags |= CONTEXT;
    }
    let properties_at = encoder.len();
    let properties = encoder.object(event.properties);
    properties
        .and_then(|()| default_properties.add_to(&mut encoder, properties_at))
        .map_err(RecordError::Properties)?;
    let len = encoder.len();
    buffer.iter_mut().take(1).for_each(|first| *first = flags);
    Ok(len)
}

/// What an identify says.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) user: UserId<'a>,
    pub(crate) anonymous: Option<[u8; 16]>,
    pub(crate) traits: &'a dyn Properties,
    pub(crate) preferred: Option<ChannelKind>,
    /// The channels that go before those of the call, in the order of the wire.
    pub(crate) channels: &'a [Option<Channel<'a>>],
    /// The channels of the call; blank ones are left out.
    pub(crate) explicit: &'a [Channel<'a>],
    pub(crate) device: Option<Device<'a>>,
}

/// Stores an identify in `buffer` and returns its length.
pub(crate) fn encode_identify(buffer: &mut [u8], said: &Said<'_>) -> Result<usize, RecordError> {
    let too_large = RecordError::TooLarge { max: buffer.len() };
    let channels = said.channels.iter().copied().chain(said.explicit.iter().copied().map(Some));
    let channels = channels.flatten().filter_map(Channel::trimmed);
    let count = u16::try_from(channels.clone().count()).map_err(|_| too_large)?;
    let mut encoder = Encoder::new(buffer);
    let head = IdentifyHead { anonymous: said.anonymous, preferred: said.preferred, channels: count };
    let mut fixed = || {
        encoder.byte(VERSION | IDENTIFY)?;
        encoder.postcard(&head)?;
        encoder.string(said.user.as_str())
    };
    fixed().map_err(|_: ValueError| too_large)?;
    let traits_at = encoder.len();
    let traits = encoder.object(said.traits);
    traits
        .and_then(|()| said.device.map_or(Ok(()), |device| device.add_to(&mut encoder, traits_at)))
        .map_err(RecordError::Traits)?;
    let mut rest = || {
        channels.clone().try_for_each(|Channel { kind, address, consent, verified, metadata }| {
            let opted_in = consent == Consent::OptedIn;
            let known = kind == ChannelKind::Push && opted_in && metadata != PushMetadata::NONE;
            let metadata = known.then_some(metadata);
            encoder.postcard(&ChannelHead { kind, opted_in, verified, metadata })?;
            encoder.string(address)
        })
    };
    rest().map_err(|_: ValueError| too_large)?;
    Ok(encoder.len())
}

/// Whether a record is an event or an identify: all that queueing and batching ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Track,
    Identify,
}

/// A record taken apart. Strings are escaped JSON text, the rest are stored objects: what stands in
/// them is checked when it is counted, before it is ever sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Track(TrackRecord<'a>),
    Identify(IdentifyRecord<'a>),
}

/// Whom a stored event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredSubject<'a> {
    /// Escaped JSON text.
    User(&'a [u8]),
    Anonymous([u8; 16]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackRecord<'a> {
    pub(crate) id: MessageId,
    pub(crate) moment: Moment,
    pub(crate) subject: StoredSubject<'a>,
    pub(crate) event_type: &'a [u8],
    /// The context if there is one, then the properties.
    pub(crate) objects: &'a [u8],
    pub(crate) has_context: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdentifyRecord<'a> {
    pub(crate) user: &'a [u8],
    pub(crate) anonymous: Option<[u8; 16]>,
    pub(crate) preferred: Option<ChannelKind>,
    pub(crate) channels: u16,
    /// The traits, then the channels.
    pub(crate) rest: &'a [u8],
}

/// One channel of a stored identify; the address is escaped JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredChannel<'a> {
    pub(crate) kind: ChannelKind,
    pub(crate) address: &'a [u8],
    pub(crate) opted_in: bool,
    pub(crate) verified: Option<bool>,
    pub(crate) metadata: PushMetadata,
}

/// The bytes are no record of a version this one knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecodable;

impl From<BadTree> for Undecodable {
    fn from(_: BadTree) -> Self {
        Self
    }
}

impl<'a> Record<'a> {
    /// Takes a record apart.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Undecodable> {
        let kind = peek_kind(bytes)?;
        let (first, rest) = bytes.split_first().ok_or(Undecodable)?;
        let mut reader = Reader::new(rest);
        Ok(match kind {
            Kind::Track => {
                let id = MessageId::from_bytes(reader.array()?);
                let moment = if first & BOOT == 0 {
                    Moment::Utc(reader.postcard()?)
                } else {
                    let (boot, ms) = reader.postcard()?;
                    // Boots count from 1: nobody could ever date it, and all behind it would wait.
                    if boot == 0 {
                        return Err(Undecodable);
                    }
                    Moment::Boot { boot, ms }
                };
                let subject = if first & VISITOR == 0 {
                    StoredSubject::User(reader.string()?)
                } else {
                    StoredSubject::Anonymous(reader.array()?)
                };
                let event_type = reader.string()?;
                let (objects, has_context) = (reader.rest(), first & CONTEXT != 0);
                Self::Track(TrackRecord { id, moment, subject, event_type, objects, has_context })
            }
            Kind::Identify => {
                let IdentifyHead { anonymous, preferred, channels } = reader.postcard()?;
                let user = reader.string()?;
                Self::Identify(IdentifyRecord { user, anonymous, preferred, channels, rest: reader.rest() })
            }
        })
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Track(_) => Kind::Track,
            Self::Identify(_) => Kind::Identify,
        }
    }
}

/// The kind of a record, from its first bytes only.
pub(crate) fn peek_kind(bytes: &[u8]) -> Result<Kind, Undecodable> {
    match bytes.first().map(|first| first ^ VERSION) {
        Some(0..=0x07) => Ok(Kind::Track),
        Some(IDENTIFY) => Ok(Kind::Identify),
        _ => Err(Undecodable),
    }
}

/// Takes the next channel of an identify off the front.
pub(crate) fn next_channel<'a>(reader: &mut Reader<'a>) -> Result<StoredChannel<'a>, BadTree> {
    let head: ChannelHead = reader.postcard()?;
    let address = reader.string()?;
    Ok(StoredChannel {
        kind: head.kind,
        address,
        opted_in: head.opted_in,
        verified: head.verified,
        metadata: head.metadata.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Seq;

    fn track(buffer: &mut [u8]) -> usize {
        try_track(buffer).unwrap()
    }

    /// An event of every kind of head: of a date or a boot, of a user or a visitor, with a context or without.
    fn of_each_kind() -> impl Iterator<Item = (Moment, Subject<'static>, bool)> {
        let user = Subject::User(UserId::parse("user_8842").unwrap());
        let moments = [Moment::Utc(-1), Moment::Utc(i64::MAX), Moment::Boot { boot: u32::MAX, ms: u64::MAX }];
        moments.into_iter().flat_map(move |moment| {
            [user, Subject::Anonymous([8; 16])]
                .into_iter()
                .flat_map(move |subject| [false, true].map(|context| (moment, subject, context)))
        })
    }

    fn track_of(buffer: &mut [u8], (moment, subject, has_context): (Moment, Subject<'_>, bool)) -> usize {
        let head = TrackHead {
            id: MessageId::new(7, Seq::FIRST),
            moment,
            subject,
            event_type: EventType::parse("door_opened").unwrap(),
        };
        let (with, without) = (crate::props! { "firmware" => "1.4.2" }, ());
        let context: &dyn Properties = if has_context { &with } else { &without };
        encode_track(buffer, head, TrackBody { properties: &(), context, device: None }).unwrap()
    }

    fn try_track(buffer: &mut [u8]) -> Result<usize, RecordError> {
        let head = TrackHead {
            id: MessageId::new(7, Seq::FIRST),
            moment: Moment::Utc(1_780_228_800_123),
            subject: Subject::User(UserId::parse("user_8842").unwrap()),
            event_type: EventType::parse("payment_failed").unwrap(),
        };
        let properties = crate::props! { "amount_cents" => 4900, "reason" => "card_declined" };
        encode_track(buffer, head, TrackBody { properties: &properties, context: &(), device: None })
    }

    /// The published format: a change here needs a new version byte and a reader for both.
    #[test]
    fn version_1_stays_as_it_is() {
        let mut buffer = [0; 256];
        let len = track(&mut buffer);

        let mut expected = [0; 256];
        let mut at = 0;
        for part in [
            // Of a date, a user, and without a context.
            &b"\x10"[..],
            MessageId::new(7, Seq::FIRST).as_bytes(),
            // The milliseconds as a zigzag varint.
            b"\xf6\xf9\xbd\xde\xcf\x67",
            b"\x89user_8842\x8epayment_failed",
            b"\x09\x8camount_cents\x04\xa4\x26\x86reason\x8dcard_declined\x00",
        ] {
            expected[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        assert_eq!(buffer[..len], expected[..at]);
    }

    /// Decodes and counts, as everything is before it is sent.
    fn can_be_sent(bytes: &[u8]) -> bool {
        let count = |record| crate::wire::count(&record, &crate::dating::Dating::default());
        Record::decode(bytes).ok().and_then(count).is_some()
    }

    #[test]
    fn an_event_comes_back_as_it_was_stored() {
        for event @ (moment, subject, has_context) in of_each_kind() {
            let mut buffer = [0; 256];
            let len = track_of(&mut buffer, event);

            assert_eq!(peek_kind(&buffer[..len]), Ok(Kind::Track));
            let Ok(Record::Track(stored)) = Record::decode(&buffer[..len]) else { panic!("{event:?}") };
            let expected = match subject {
                Subject::User(user) => StoredSubject::User(user.as_str().as_bytes()),
                Subject::Anonymous(id) => StoredSubject::Anonymous(id),
            };
            assert_eq!((stored.moment, stored.subject), (moment, expected));
            assert_eq!((stored.id, stored.event_type), (MessageId::new(7, Seq::FIRST), &b"door_opened"[..]));
            assert_eq!(stored.has_context, has_context);
            assert!(can_be_sent(&buffer[..len]), "{event:?}");
        }
    }

    #[test]
    fn a_record_cut_or_extended_anywhere_is_not_sent() {
        for event in of_each_kind() {
            let mut buffer = [0; 256];
            let len = track_of(&mut buffer, event);

            for cut in 0..len {
                assert!(!can_be_sent(&buffer[..cut]), "{event:?} cut at {cut}");
            }
            assert!(!can_be_sent(&buffer[..=len]), "{event:?}");
        }
    }

    #[test]
    fn a_record_whose_text_is_no_json_text_is_not_sent() {
        let mut buffer = [0; 256];
        let len = track(&mut buffer);

        let text_at = buffer.windows(4).position(|bytes| bytes == b"user").unwrap();
        for at in text_at..len {
            if buffer[at].is_ascii_lowercase() {
                for byte in [0x01, b'"', 0xff] {
                    let original = core::mem::replace(&mut buffer[at], byte);
                    assert!(!can_be_sent(&buffer[..len]), "{byte} at {at}");
                    buffer[at] = original;
                }
            }
        }
    }

    /// Nobody could ever date it, and all behind it would wait.
    #[test]
    fn an_event_of_a_boot_that_cannot_be_is_undecodable() {
        for (boot, is_one) in [(0, false), (1, true)] {
            let mut buffer = [0; 256];
            let head = TrackHead {
                id: MessageId::from_bytes([7; 16]),
                moment: Moment::Boot { boot, ms: 5 },
                subject: Subject::Anonymous([8; 16]),
                event_type: EventType::parse("door_opened").unwrap(),
            };
            let len =
                encode_track(&mut buffer, head, TrackBody { properties: &(), context: &(), device: None });
            assert_eq!(Record::decode(&buffer[..len.unwrap()]).is_ok(), is_one, "boot {boot}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_undecodable() {
        let mut buffer = [0; 256];
        let len = track(&mut buffer);

        for first in 0..=u8::MAX {
            buffer[0] = first;
            // Those of this version are eight kinds of events, and identifies.
            let known = matches!(first, 0x10..=0x18);
            assert_eq!(peek_kind(&buffer[..len]).is_ok(), known, "{first}");
            assert!(known || Record::decode(&buffer[..len]).is_err(), "{first}");
        }
    }

    #[test]
    fn an_operation_fits_to_the_byte_or_is_refused() {
        let mut buffer = [0; 256];
        let len = track(&mut buffer);

        for room in 0..len {
            let refused = try_track(&mut buffer[..room]);
            assert!(refused.is_err(), "{room} of {len}");
        }
        track(&mut buffer[..len]);
    }

    #[test]
    fn a_record_whose_user_or_name_is_no_text_is_undecodable() {
        let mut buffer = [0; 256];
        let len = track(&mut buffer);

        for text in [&b"\x89user_8842"[..], b"\x8epayment_failed"] {
            let at = buffer.windows(text.len()).position(|bytes| bytes == text).unwrap();
            // Null, a small integer, an object.
            for tag in [0x01, 0x41, 0x09] {
                let original = core::mem::replace(&mut buffer[at], tag);
                assert_eq!(Record::decode(&buffer[..len]), Err(Undecodable), "{tag} at {at}");
                buffer[at] = original;
            }
        }
        assert!(Record::decode(&buffer[..len]).is_ok());
    }
}
