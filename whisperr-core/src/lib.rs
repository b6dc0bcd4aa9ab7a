//! The no_std, no-alloc heart of the Whisperr SDK.
#![no_std]
#![forbid(unsafe_code)]

mod base_url;
mod channel;
mod clock;
mod encode;
mod event_type;
mod json;
mod key;
mod message_id;
mod operation;
mod ready;
mod record;
mod rng;
mod serialize;
mod storage;
mod timestamp;
mod tree;
mod user;
mod value;
mod wire;

pub use base_url::{BASE_URL_BYTES_MAX, BaseUrl, BaseUrlError, DEFAULT_BASE_URL};
pub use channel::{Channel, ChannelKind, Consent};
pub use clock::{Clock, Instant, UtcMillis};
pub use encode::{Encoder, Properties, ValueError};
pub use event_type::{EventType, EventTypeError};
pub use json::{Json, JsonError};
pub use key::{IngestionKey, KEY_BYTES_MAX, KeyError};
pub use message_id::MessageId;
pub use operation::{Identify, Track};
pub use ready::ready;
pub use record::RecordError;
pub use serialize::Compound;
pub use storage::{Fault, RECORD_BYTES_MAX, SLOT_BYTES_MAX, Seq, SeqRange, Slot, Storage, Stored};
pub use tree::DEPTH_MAX;
pub use user::{USER_ID_BYTES_MAX, UserId, UserIdError};
pub use value::{Props, Value};
