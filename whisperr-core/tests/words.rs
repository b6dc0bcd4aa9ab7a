//! What an application reads in its logs and looks up by name: messages, and the names of the contract.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use core::convert::Infallible;
use core::time::Duration;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{Error, Serializer};
use whisperr_core::{
    BaseUrl, BodyError, ChannelKind, Client, Config, ConfigError, Device, EnqueueError, Fault, Identify,
    IngestionKey, Instant, Json, MemoryStorage, MessageId, Notice, NoticeKind, Now, OpenError, Overflow,
    PUSH_TOKEN_BYTES_MAX, Properties, PushToken, Reply, Seq, Track, UserId, UtcMillis, ValueError, Waiting,
    ready,
};

const NOW: Now = Now { instant: Instant::START, utc: Some(UtcMillis::new(1_780_228_800_000)) };

type Small = Client<MemoryStorage<Vec<u8>>, [u8; 256]>;

fn opened(config: &Config, bytes: usize) -> Result<Small, OpenError<Infallible>> {
    let storage = MemoryStorage::new(vec![0; bytes]);
    ready(Client::open(storage, [0; 256], config, 7, NOW)).unwrap()
}

fn try_track<P: Properties, C: Properties>(
    client: &mut Small,
    event: &Track<'_, P, C>,
) -> Result<MessageId, EnqueueError<Infallible>> {
    ready(client.track(NOW, event)).unwrap().map(|accepted| accepted.message_id.unwrap())
}

/// The message for an event that is refused. Nothing of it is owed.
fn refusal<P: Properties, C: Properties>(event: &Track<'_, P, C>) -> String {
    let mut client = opened(&Config::DEFAULT, 1024).unwrap();
    let error = try_track(&mut client, event).unwrap_err();
    assert_eq!(client.status().owed, 0);
    error.to_string()
}

fn refusal_of<P: Properties>(properties: P) -> String {
    refusal(&Track::new("e").user("u").properties(properties))
}

fn refusal_of_context<C: Properties>(context: C) -> String {
    refusal(&Track::new("e").user("u").context(context))
}

/// A type whose author does not want it written.
struct Secret;

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not this one"))
    }
}

#[test]
fn a_refused_event_names_the_argument_and_the_reason() {
    assert_eq!(refusal(&Track::new("").user("u")), "event_type is empty");
    assert_eq!(refusal(&Track::new("door-opened").user("u")), "event_type is not snake_case at byte 4");
    assert_eq!(refusal(&Track::new("e").user(" ")), "external_user_id is empty");
    assert_eq!(
        refusal(&Track::new("e").user(&"u".repeat(257))),
        "external_user_id of 257 bytes exceeds the limit of 256"
    );

    let no_object = "properties is not an object";
    assert_eq!(refusal_of(5), no_object);
    assert_eq!(refusal_of([1, 2]), no_object);
    assert_eq!(refusal_of(Json("[1]")), no_object);
    // As a value of Rust it is nothing to say; as a text it is a mistake.
    assert_eq!(refusal_of(Json("null")), no_object);
    assert_eq!(refusal_of(Json("{\"a\":}")), "properties is not valid JSON: unexpected text at byte 5");
    let not_finite = "properties holds a number that is not finite";
    assert_eq!(refusal_of(BTreeMap::from([("a", f64::NAN)])), not_finite);
    assert_eq!(refusal_of(BTreeMap::from([("a", f32::NEG_INFINITY)])), not_finite);
    assert_eq!(refusal_of(BTreeMap::from([((1, 2), 3)])), "properties holds a key that is not text");
    assert_eq!(refusal_of(Secret), "properties could not be serialized");
    assert_eq!(
        refusal_of(BTreeMap::from([("a", "x".repeat(256))])),
        "operation exceeds the record limit of 256 bytes"
    );

    assert_eq!(refusal_of_context([1]), "context is not an object");
    for key in ["$message_id", "$time_estimated"] {
        let expected = "context holds a key that is reserved for the client";
        assert_eq!(refusal_of_context(BTreeMap::from([(key, 1)])), expected);
        // However it is spelt.
        let spelt = format!("{{\"a\":1,\"\\u0024{}\":1}}", key.trim_start_matches('$'));
        assert_eq!(refusal_of_context(Json(&spelt)), expected);
    }
    assert_eq!(
        refusal_of_context(BTreeMap::from([("a", "x".repeat(256))])),
        "operation exceeds the record limit of 256 bytes"
    );
}

#[test]
fn refused_traits_and_a_full_queue_are_named() {
    let mut client = opened(&Config::DEFAULT, 1024).unwrap();
    let error = ready(client.identify(NOW, &Identify::new("u").traits(Json("[]")))).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "traits is not an object");
    let long = BTreeMap::from([("a", "x".repeat(256))]);
    let error = ready(client.identify(NOW, &Identify::new("u").traits(long))).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "operation exceeds the record limit of 256 bytes");

    let config = Config { max_queue_size: 1, overflow: Overflow::Refuse, ..Config::DEFAULT };
    let mut client = opened(&config, 1024).unwrap();
    try_track(&mut client, &Track::new("e").user("u")).unwrap();
    let error = try_track(&mut client, &Track::new("e").user("u")).unwrap_err();
    let expected =
        "the queue of at most 1 operations and 67108864 bytes is full and nothing in it may be evicted";
    assert_eq!(error.to_string(), expected);

    // Room for the state of the device, and for no event.
    let mut client = opened(&Config::DEFAULT, 128).unwrap();
    let properties = BTreeMap::from([("a", "x".repeat(150))]);
    let error = try_track(&mut client, &Track::new("e").user("u").properties(properties)).unwrap_err();
    assert_eq!(error.to_string(), "the storage is full");
    assert_eq!(EnqueueError::Storage(Fault::Medium("torn")).to_string(), "the storage failed: \"torn\"");
}

#[test]
fn a_setting_outside_its_range_is_named_with_the_range() {
    assert_eq!(Config::default(), Config::DEFAULT);
    let config = Config { flush_at: 0, ..Config::DEFAULT };
    let error = opened(&config, 64).unwrap_err();
    assert_eq!(error.to_string(), "flush_at of 0 is outside 1 to 10000000");
    assert!(matches!(error, OpenError::Config(ConfigError::Number { name: "flush_at", value: 0, .. })));

    let config = Config { request_timeout: Duration::from_millis(99), ..Config::DEFAULT };
    let error = opened(&config, 64).unwrap_err();
    assert_eq!(error.to_string(), "request_timeout of 99ms is outside 100ms to 600s");
    assert_eq!(OpenError::Storage(Fault::Medium(5)).to_string(), "the storage failed: 5");
}

#[test]
fn a_base_url_a_key_and_a_user_id_say_what_is_wrong_with_them() {
    let long = format!("https://{}", "h".repeat(505));
    for (url, expected) in [
        ("", "base_url is empty"),
        (long.as_str(), "base_url of 513 bytes exceeds the limit of 512"),
        ("localhost", "base_url has no scheme: start it with https://"),
        ("ftp://host", "base_url is neither http nor https"),
        ("https:///path", "base_url has no host"),
        ("https://host:port", "base_url has a port that is not a number from 0 to 65535"),
        ("https://u:p@host", "base_url holds credentials: the ingestion key is enough"),
        ("https://host?x", "base_url holds a query or a fragment"),
        ("https://ho st", "base_url is not a URL at byte 10"),
    ] {
        assert_eq!(BaseUrl::parse(url).unwrap_err().to_string(), expected);
    }
    let url = BaseUrl::parse(long.strip_suffix('h').unwrap()).unwrap();
    assert_eq!((url.as_str().len(), url.is_secure()), (512, true));
    assert!(!BaseUrl::parse("http://localhost").unwrap().is_secure());

    let long = "k".repeat(257);
    for (key, expected) in [
        (" ", "ingestion key is empty"),
        (long.as_str(), "ingestion key of 257 bytes exceeds the limit of 256"),
        ("a b", "ingestion key is not visible ASCII at byte 1"),
    ] {
        assert_eq!(IngestionKey::parse(key).unwrap_err().to_string(), expected);
    }
    assert_eq!(IngestionKey::parse(&long[1..]).unwrap().expose().len(), 256);
    assert_eq!(UserId::parse("").unwrap_err().to_string(), "external_user_id is empty");
}

#[test]
fn notices_read_as_sentences_under_the_names_of_the_contract() {
    use NoticeKind::{Auth, Dropped, Persistence, RetryExhausted};
    for (notice, kind, status, words) in [
        (
            Notice::Auth { status: 401 },
            Auth,
            Some(401),
            "the server refused the ingestion key with 401; operations are kept",
        ),
        (
            Notice::RetryExhausted { attempts: 7, status: Some(503) },
            RetryExhausted,
            Some(503),
            "gave up after 7 attempts, the last with 503; operations are kept",
        ),
        (
            Notice::RetryExhausted { attempts: 1, status: None },
            RetryExhausted,
            None,
            "gave up after 1 attempt, the last without a reply; operations are kept",
        ),
        (
            Notice::Dropped { count: 1, status: 404 },
            Dropped,
            Some(404),
            "the server refused 1 operation with 404",
        ),
        (Notice::Rejected { count: 2 }, Dropped, None, "2 events rejected by the server's shape check"),
        (Notice::Evicted { count: 1 }, Dropped, None, "1 event evicted: the queue bound was reached"),
        (Notice::Expired { count: 3 }, Dropped, None, "3 events expired: older than the server's 30 days"),
        (Notice::Damaged { count: 1 }, Persistence, None, "1 record damaged on the medium"),
        (Notice::NewerFormat, Persistence, None, "operations of a later version are left untouched"),
        (Notice::Storage, Persistence, None, "the storage failed; operations are kept"),
    ] {
        assert_eq!((notice.kind(), notice.status()), (kind, status), "{notice:?}");
        assert_eq!(notice.to_string(), words);
    }
    let names = [Auth, RetryExhausted, Dropped, Persistence].map(NoticeKind::as_str);
    assert_eq!(names, ["auth", "retry_exhausted", "dropped", "persistence"]);
}

#[test]
fn names_are_those_of_the_contract() {
    for (waiting, name) in [
        (Waiting::Idle, "idle"),
        (Waiting::Interval, "interval"),
        (Waiting::InFlight, "in_flight"),
        (Waiting::Backoff, "backoff"),
        (Waiting::RetryAfter, "retry_after"),
        (Waiting::AuthRefused, "auth_refused"),
        (Waiting::Paused, "paused"),
        (Waiting::Storage, "storage"),
    ] {
        assert_eq!(waiting.as_str(), name);
    }
    for kind in [ChannelKind::Email, ChannelKind::Sms, ChannelKind::Push] {
        assert_eq!(ChannelKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(ChannelKind::parse("push"), Some(ChannelKind::Push));
    assert_eq!(ChannelKind::parse("fax"), None);
}

#[test]
fn what_is_printed_for_a_person_can_be_searched_for() {
    let mut client = opened(&Config::DEFAULT, 1024).unwrap();
    let id = try_track(&mut client, &Track::new("e").user("u")).unwrap();

    assert_eq!(format!("{id:?}"), id.to_string());
    assert_eq!(Seq::new(7).to_string(), "7");
    // Seen by who encodes properties without a client.
    assert_eq!(
        ValueError::TooLarge { max: 256 }.to_string(),
        "does not fit into the record limit of 256 bytes"
    );
    assert_eq!(BodyError::Writer("reset").to_string(), "the body could not be written: \"reset\"");
    assert_eq!(BodyError::<Infallible>::Storage.to_string(), "the body could not be read from the storage");
}

#[test]
fn what_is_too_long_is_refused_with_its_length_and_the_limit() {
    let mut client = opened(&Config::DEFAULT, 1024).unwrap();
    let long = "x".repeat(2000);
    let token = ready(client.set_push_token(NOW, PushToken::new(&long))).unwrap().unwrap_err();
    assert_eq!(
        token.to_string(),
        format!("push token of 2000 bytes exceeds the limit of {PUSH_TOKEN_BYTES_MAX}")
    );
    let build = ready(client.launch(NOW, Device::new("kiosk"), "1.0", &long)).unwrap().unwrap_err();
    assert_eq!(build.to_string(), "app_build of 2000 bytes exceeds the limit of 64");
    assert_eq!(client.status().owed, 0);
}

#[test]
fn a_reply_keeps_its_status() {
    assert_eq!([202, 599].map(|status| Reply::new(status).status()), [202, 599]);
}

#[test]
fn a_call_that_would_wait_is_told_apart_from_one_that_is_done() {
    assert_eq!(ready(core::future::ready(5)), Some(5));
    assert_eq!(ready(core::future::pending::<u8>()), None);
}
