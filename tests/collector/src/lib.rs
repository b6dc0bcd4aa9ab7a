//! A strict stand-in for the Whisperr ingestion server.
//!
//! It takes what the real server takes, refuses what the real server refuses with a reason that
//! names the field, remembers what it accepted, and misbehaves on demand. It is a library for
//! tests and examples and a program, `whisperr-collector`, for people without an account. It
//! listens on the loopback interface unless told otherwise, and keeps everything in memory.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use core::time::Duration;
//! use whisperr_collector::Collector;
//!
//! let collector = Collector::start()?;
//!
//! // Any Whisperr client will do; this is what one writes.
//! let body = r#"{"external_user_id":"user_1","traits":{"plan":"pro"}}"#;
//! let mut stream = TcpStream::connect(collector.addr())?;
//! write!(
//!     stream,
//!     "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
//!      Authorization: Bearer wrk_example\r\nContent-Type: application/json\r\n\
//!      Content-Length: {}\r\n\r\n{body}",
//!     body.len(),
//! )?;
//! let mut reply = String::new();
//! stream.read_to_string(&mut reply)?;
//!
//! assert!(reply.starts_with("HTTP/1.1 202"));
//! assert!(collector.wait_for(Duration::from_secs(5), |view| view.identifies == 1));
//! assert_eq!(collector.identifies()[0]["traits"]["plan"], "pro");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Faults
//!
//! A [`Fault`] makes the collector misbehave towards the ingestion endpoints, for a number of
//! requests or until it is cleared:
//!
//! ```
//! use whisperr_collector::{Collector, Endpoint, Fault};
//!
//! let collector = Collector::start()?;
//! collector.fault(Fault::status(503).retry_after("3").times(2));
//! collector.fault(Fault::LoseReply.once().at(Endpoint::Identify));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # The control surface
//!
//! The same over HTTP, without a key, for shell scripts:
//!
//! | request | what it does |
//! |---|---|
//! | `GET /events` | accepted events in order, a JSON array |
//! | `GET /identifies` | accepted identify bodies in order |
//! | `GET /operations` | both in one ordered array, as `{"track":…}` and `{"identify":…}` |
//! | `GET /requests` | every request with its reply; keys are cut to at most four characters |
//! | `GET /health` | `{"status":"ok"}` and the counts |
//! | `POST /faults` | queues a fault, as in `{"fault":"status","code":503,"retry_after":"3","times":2}` |
//! | `DELETE /faults` | clears the faults |
//! | `DELETE /events` | clears everything that was recorded |
//!
//! A fault may carry `times` (without it, it stays until it is cleared) and `path`, one of the
//! ingestion endpoints. The names and their own fields: `status` (`code`, `retry_after`, `body`),
//! `delay` (`ms`), `hang`, `close`, `lose_reply`, `body_limit` (`bytes`), `reject_event_type`
//! (`event_type`, `code`), `count_rejected` (`event_type`), `endless`, `html`, `redirect` (`to`).
#![forbid(unsafe_code)]

mod collector;
mod control;
mod endpoint;
mod fault;
mod fault_json;
mod inbound;
mod ingest;
mod json;
mod reply;
mod rules;
mod seen;
mod server;
mod store;
mod timestamp;

pub use collector::{BODY_BYTES_MAX, Builder, Collector};
pub use endpoint::Endpoint;
pub use fault::{Fault, FaultRule, StatusFault};
pub use rules::{ANONYMOUS_ID_CHARS_MAX, BATCH_EVENTS_MAX, Window};
pub use seen::{Operation, Seen, SeenBody, SeenHeaders};
pub use store::View;
pub use timestamp::UtcMs;
