//! What a platform may lend instead of giving it away: storage, clock and transport; and what it may ask.

use core::cell::Cell;
use core::convert::Infallible;

use serde_json::{Value, json};

use whisperr_core::{
    Body, Client, Clock, Config, Defaults, Device, EnqueueError, Fault, Identify, Instant, MemoryStorage,
    Notice, Now, Overflow, PushToken, Reply, Request, Seq, SeqRange, Slot, Storage, Stored, Track, Transport,
    UtcMillis, ValueError, Waiting, props, ready,
};

use super::{Stopped, UTC, Wire, deliver};

/// Finds some records damaged, once, and remembers what it was asked to set aside.
struct Noting {
    inner: MemoryStorage<Vec<u8>>,
    damaged: u32,
    aside: Vec<u64>,
    /// Takes no record any more, whatever is removed.
    full: bool,
    /// What asking for durability answers.
    persists: Result<(), Fault<Infallible>>,
}

impl Noting {
    fn new() -> Self {
        Self {
            inner: MemoryStorage::new(vec![0; 4096]),
            damaged: 0,
            aside: Vec::new(),
            full: false,
            persists: Ok(()),
        }
    }
}

impl Storage for Noting {
    type Error = Infallible;

    fn next_seq(&self) -> Seq {
        self.inner.next_seq()
    }

    async fn append(&mut self, seq: Seq, record: &[u8]) -> Result<(), Fault<Infallible>> {
        if self.full { Err(Fault::Full) } else { self.inner.append(seq, record).await }
    }

    async fn read(&mut self, from: Seq, buffer: &mut [u8]) -> Result<Option<Stored>, Fault<Infallible>> {
        self.inner.read(from, buffer).await
    }

    async fn remove(&mut self, range: SeqRange) -> Result<(), Fault<Infallible>> {
        self.inner.remove(range).await
    }

    async fn set_aside(&mut self, seq: Seq) -> Result<(), Fault<Infallible>> {
        self.aside.push(seq.get());
        self.inner.set_aside(seq).await
    }

    async fn load(&mut self, slot: Slot, buffer: &mut [u8]) -> Result<usize, Fault<Infallible>> {
        self.inner.load(slot, buffer).await
    }

    async fn store(&mut self, slot: Slot, value: &[u8]) -> Result<(), Fault<Infallible>> {
        self.inner.store(slot, value).await
    }

    async fn wipe(&mut self) -> Result<(), Fault<Infallible>> {
        self.inner.wipe().await?;
        if self.full { Err(Fault::Full) } else { Ok(()) }
    }

    async fn persist(&mut self) -> Result<(), Fault<Infallible>> {
        self.persists
    }

    fn take_damaged(&mut self) -> u32 {
        core::mem::take(&mut self.damaged)
    }
}

const CLOCK: Stopped = Stopped { ms: 1000, utc: Some(UTC) };

fn open<S: Storage>(storage: S, clock: &Stopped) -> Client<S, Vec<u8>> {
    let opening = Client::open(storage, vec![0; 512], &Config::DEFAULT, 7, Now::read(clock));
    ready(opening).unwrap().unwrap()
}

fn track<S: Storage>(client: &mut Client<S, Vec<u8>>, clock: &Stopped, name: &str) -> Seq {
    ready(client.track(Now::read(clock), &Track::new(name).user("u"))).unwrap().unwrap().seq.unwrap()
}

fn set_token<S: Storage>(client: &mut Client<S, Vec<u8>>) -> Option<Seq> {
    ready(client.set_push_token(Now::read(&CLOCK), PushToken::new("tok"))).unwrap().unwrap().seq
}

#[test]
fn a_storage_that_is_lent_keeps_what_the_client_did_to_it() {
    let mut storage = Noting::new();
    storage.damaged = 2;
    ready(storage.append(Seq::FIRST, b"no record")).unwrap().unwrap();

    let mut client = open(&mut storage, &CLOCK);
    let ledger = client.ledger();
    assert_eq!((ledger.accepted, ledger.damaged, ledger.owed), (3, 2, 1), "from before there was a ledger");
    let _accepted = ready(client.identify(Now::read(&CLOCK), &Identify::new("ada"))).unwrap().unwrap();
    assert_eq!(track(&mut client, &CLOCK, "kept_for_later"), Seq::new(3));
    assert_eq!(client.status().owed, 3);
    let mut wire = Wire::new(202);
    let (client, notices) = deliver(client, &CLOCK, &mut wire);

    assert_eq!(
        wire.sent.iter().map(|(path, _)| *path).collect::<Vec<_>>(),
        ["/v1/identify", "/v1/events/batch"]
    );
    assert_eq!(notices, [Notice::Damaged { count: 2 }, Notice::Damaged { count: 1 }]);
    assert_eq!((client.status().owed, client.status().counters.damaged), (0, 3));
    drop(client);
    assert_eq!((storage.aside.as_slice(), storage.next_seq()), (&[1][..], Seq::new(4)));
    assert_eq!(ready(storage.read(Seq::FIRST, &mut [])).unwrap(), Ok(None));
    // Who the user is is kept there, and found by the next client.
    assert_eq!(open(&mut storage, &CLOCK).current_user().unwrap().as_str(), "ada");
}

#[test]
fn what_the_storage_lost_while_the_client_ran_is_told_and_no_longer_owed() {
    let mut client = open(Noting::new(), &CLOCK);
    for name in ["first", "lost", "last"] {
        track(&mut client, &CLOCK, name);
    }
    ready(client.storage().inner.remove(SeqRange::one(Seq::new(2)))).unwrap().unwrap();
    client.storage().damaged = 1;
    let mut wire = Wire::new(503);

    let (client, notices) = deliver(client, &CLOCK, &mut wire);

    assert_eq!(notices, [Notice::Damaged { count: 1 }]);
    assert_eq!((client.status().owed, client.status().counters.damaged), (2, 1));
    assert_eq!(client.status().counters.owed(), 2);
}

#[test]
fn a_storage_that_is_lent_is_wiped_through_the_loan() {
    let mut storage = Noting::new();
    let mut client = open(&mut storage, &CLOCK);
    track(&mut client, &CLOCK, "secret");

    ready(client.storage().wipe()).unwrap().unwrap();
    drop(client);

    assert_eq!(ready(storage.read(Seq::FIRST, &mut [])).unwrap(), Ok(None));
    assert_eq!(open(&mut storage, &CLOCK).status().owed, 0);
}

#[test]
fn a_token_registers_again_when_what_carried_it_was_lost_while_the_client_ran() {
    for (lost, damaged) in [(true, 1), (true, 0), (false, 1)] {
        let mut client = open(Noting::new(), &CLOCK);
        let _accepted = ready(client.identify(Now::read(&CLOCK), &Identify::new("ada"))).unwrap().unwrap();
        let carrier = set_token(&mut client).unwrap();
        track(&mut client, &CLOCK, "door_opened");
        if lost {
            ready(client.storage().inner.remove(SeqRange::one(carrier))).unwrap().unwrap();
        }
        client.storage().damaged = damaged;
        let (mut client, _) = deliver(client, &CLOCK, &mut Wire::new(503));

        assert_eq!(set_token(&mut client).is_some(), lost && damaged > 0, "lost: {lost}, damaged: {damaged}");
    }
}

/// Whether it can make anything durable, and what comes of asking.
fn asks<S: Storage>(mut storage: S) -> (bool, Result<(), Fault<S::Error>>) {
    (storage.is_persistent(), ready(storage.persist()).unwrap())
}

#[test]
fn a_storage_that_is_lent_says_whether_it_can_make_anything_durable() {
    let mut memory = MemoryStorage::new([0; 64]);
    assert_eq!((asks(&mut memory), memory.is_persistent()), ((false, Ok(())), false));

    let mut noting = Noting::new();
    assert_eq!(asks(&mut noting), (true, Ok(())), "unless it says otherwise");
    noting.persists = Err(Fault::Full);
    assert_eq!(asks(&mut noting), (true, Err(Fault::Full)));
}

#[test]
fn a_token_registers_again_when_what_carried_it_is_among_what_was_lost() {
    for (lost, damaged, registers) in
        [(false, 0, false), (false, 1, false), (true, 1, true), (true, 0, false)]
    {
        let mut storage = Noting::new();
        let mut client = open(&mut storage, &CLOCK);
        let _accepted = ready(client.identify(Now::read(&CLOCK), &Identify::new("ada"))).unwrap().unwrap();
        let carrier = set_token(&mut client).unwrap();
        // Something follows it, and is found when it is looked for.
        track(&mut client, &CLOCK, "door_opened");
        drop(client);
        if lost {
            ready(storage.inner.remove(SeqRange::one(carrier))).unwrap().unwrap();
        }
        storage.damaged = damaged;

        let again = set_token(&mut open(&mut storage, &CLOCK));

        // Without damage it was delivered.
        assert_eq!(again.is_some(), registers, "lost: {lost}, damaged: {damaged}");
    }
}

#[test]
fn an_identify_that_must_last_is_accepted_only_where_the_storage_says_it_does() {
    let lasting = Identify::new("ada").require_persistence();
    let mut client = open(MemoryStorage::new(vec![0; 4096]), &CLOCK);
    let refused = ready(client.identify(Now::read(&CLOCK), &lasting)).unwrap().unwrap_err();
    assert_eq!(refused, EnqueueError::NotPersistent);
    assert_eq!((client.status().owed, client.current_user()), (0, None));

    let mut client = open(Noting::new(), &CLOCK);
    client.storage().persists = Err(Fault::Full);
    let _as_usual = ready(client.identify(Now::read(&CLOCK), &Identify::new("ada"))).unwrap().unwrap();
    let unknown = ready(client.identify(Now::read(&CLOCK), &lasting)).unwrap().unwrap_err();
    assert_eq!(unknown, EnqueueError::Storage(Fault::Full));
    client.storage().persists = Ok(());
    let accepted = ready(client.identify(Now::read(&CLOCK), &lasting)).unwrap();
    assert!(accepted.is_ok(), "{accepted:?}");
}

#[test]
fn a_deletion_that_fails_behind_the_last_record_is_no_longer_owed() {
    let mut client = open(Noting::new(), &CLOCK);
    for name in ["first", "last"] {
        track(&mut client, &CLOCK, name);
    }
    client.storage().full = true;

    let refused = ready(client.opt_out(Now::read(&CLOCK))).unwrap().unwrap_err();

    assert_eq!(refused, EnqueueError::Storage(Fault::Full));
    assert_eq!((client.status().owed, client.status().counters.deleted), (0, 2));
}

#[test]
fn a_clock_that_is_lent_tells_the_same_time() {
    let lent = Now::read(&&CLOCK);

    assert_eq!((lent.instant.as_millis(), lent.utc), (1000, Some(UtcMillis::new(UTC))));
    assert_eq!(Now::read(&&Stopped { ms: 5, utc: None }).utc, None);
}

#[test]
fn a_transport_that_is_lent_carries_the_request_and_the_answer() {
    let mut storage = Noting::new();
    let mut client = open(&mut storage, &CLOCK);
    track(&mut client, &CLOCK, "door_opened");
    let mut wire = Wire::new(404);

    let (client, notices) = deliver(client, &CLOCK, &mut &mut wire);

    assert!(wire.sent[0].1.contains("door_opened"), "{:?}", wire.sent);
    assert_eq!(notices, [Notice::Dropped { count: 1, status: 404 }]);
    assert_eq!(client.status().counters.dropped, 1);
}

#[test]
fn what_is_said_by_reference_is_the_same() {
    let mut client = open(Noting::new(), &CLOCK);
    let now = Now::read(&CLOCK);
    let event = Track::new("door_opened").user("u").properties(props! { "n" => 1 });
    let event = event.context(props! { "site" => "front" });
    let identify = Identify::new("u").traits(props! { "plan" => "pro" });
    let _accepted = ready(client.track(now, &event.by_ref())).unwrap().unwrap();
    let _accepted = ready(client.identify(now, &identify.by_ref())).unwrap().unwrap();
    let mut wire = Wire::new(202);
    deliver(client, &CLOCK, &mut wire);

    let body = |at: usize| serde_json::from_str::<Value>(&wire.sent[at].1).unwrap();
    let sent = &body(0)["events"][0];
    assert_eq!((&sent["properties"], &sent["context"]["site"]), (&json!({"n": 1}), &json!("front")));
    assert_eq!(body(1)["traits"], json!({"plan": "pro"}));
}

#[test]
fn the_oldest_event_is_told_by_its_date() {
    let mut client = open(MemoryStorage::new(vec![0; 4096]), &CLOCK);
    assert_eq!(ready(client.oldest()).unwrap(), Ok(None));

    // An identify has no date, and is passed over.
    let _accepted = ready(client.identify(Now::read(&CLOCK), &Identify::new("ada"))).unwrap().unwrap();
    assert_eq!(ready(client.oldest()).unwrap(), Ok(None));
    for ms in [0, 60_000] {
        track(&mut client, &Stopped { ms: 1000 + ms, utc: Some(UTC + i64::try_from(ms).unwrap()) }, "e");
    }
    assert_eq!(ready(client.oldest()).unwrap(), Ok(Some(UtcMillis::new(UTC))));
}

#[test]
fn the_oldest_event_has_no_date_while_the_device_does_not_know_the_time() {
    let mut client = open(MemoryStorage::new(vec![0; 4096]), &Stopped { ms: 0, utc: None });
    track(&mut client, &Stopped { ms: 4000, utc: None }, "e");
    assert_eq!(ready(client.oldest()).unwrap(), Ok(None));
    track(&mut client, &Stopped { ms: 5000, utc: Some(UTC) }, "e");

    // The clock was set meanwhile: a refused delivery dates what waits, and keeps it.
    let mut wire = Wire::new(503);
    let (mut client, _) = deliver(client, &Stopped { ms: 5000, utc: Some(UTC) }, &mut wire);

    assert_eq!(ready(client.oldest()).unwrap(), Ok(Some(UtcMillis::new(UTC - 1000))));
    assert!(wire.sent[0].1.contains("2026-05-31T11:59:59.000Z"), "{:?}", wire.sent);
}

#[test]
fn the_queue_never_holds_more_bytes_than_it_may() {
    let config = Config { max_queue_bytes: 1024, ..Config::DEFAULT };
    let opening = Client::open(Noting::new(), vec![0; 512], &config, 7, Now::read(&CLOCK));
    let mut client = ready(opening).unwrap().unwrap();
    for _ in 0..50 {
        track(&mut client, &CLOCK, "door_opened");
        assert!(client.status().bytes <= 1024, "{:?}", client.status());
    }
    let counters = client.status().counters;
    assert!(counters.evicted > 0 && counters.owed() == u64::from(client.status().owed), "{counters:?}");
}

#[test]
fn a_full_storage_evicts_nothing_where_the_settings_say_refuse() {
    let config = Config { overflow: Overflow::Refuse, ..Config::DEFAULT };
    let storage = MemoryStorage::new(vec![0; 1024]);
    let opening = Client::open(storage, vec![0; 512], &config, 7, Now::read(&CLOCK));
    let mut client = ready(opening).unwrap().unwrap();
    let event = Track::new("door_opened").user("u");
    let refused = (0..50).find_map(|_| ready(client.track(Now::read(&CLOCK), &event)).unwrap().err());

    assert_eq!(refused, Some(EnqueueError::Storage(Fault::Full)));
    assert_eq!(client.status().counters.evicted, 0);
    assert!(client.status().owed > 3);
}

#[test]
fn a_storage_that_stays_full_costs_no_more_events_than_the_new_one_needs() {
    let mut client = open(Noting::new(), &CLOCK);
    for _ in 0..40 {
        track(&mut client, &CLOCK, "door_opened");
    }
    client.storage().full = true;
    let refused = ready(client.track(Now::read(&CLOCK), &Track::new("door_opened").user("u"))).unwrap();

    assert_eq!(refused.unwrap_err(), EnqueueError::Storage(Fault::Full));
    assert!(client.status().owed > 25, "{:?}", client.status());
}

#[test]
fn what_a_device_says_stands_where_the_call_does_not_say_it() {
    let (mut properties, mut context) = ([0; 64], [0; 64]);
    let properties = Defaults::encode(&mut properties, &props! { "site" => 7, "door" => "front" }).unwrap();
    let context = Defaults::encode(&mut context, &props! { "firmware" => "1.4.2" }).unwrap();
    assert_eq!(Defaults::from_bytes(context.as_bytes()), context);
    let device = Device::new("kiosk").default_properties(properties).default_context(context);
    let device = device.timezone_offset_minutes(-210).locale("de-DE").os_version("4.2");

    let mut client = open(Noting::new(), &CLOCK);
    let now = Now::read(&CLOCK);
    let event = Track::new("door_opened").user("u").properties(props! { "door" => "back" }).device(device);
    let _accepted = ready(client.track(now, &event)).unwrap().unwrap();
    let bare = Track::new("door_closed").user("u").device(Device::new("kiosk"));
    let _accepted = ready(client.track(now, &bare)).unwrap().unwrap();
    let identify = Identify::new("u").traits(props! { "locale" => "fr-FR" }).device(device);
    let _accepted = ready(client.identify(now, &identify)).unwrap().unwrap();
    // An offset says what a name would, and neither stands beside the other.
    let offset = Device::new("kiosk").timezone_offset_minutes(60);
    let named = Device::new("kiosk").timezone("Europe/Berlin");
    let own_name = Identify::new("u").traits(props! { "timezone" => "Asia/Tokyo" }).device(offset);
    let _accepted = ready(client.identify(now, &own_name)).unwrap().unwrap();
    let own_offset = Identify::new("u").traits(props! { "timezone_offset_minutes" => 540 }).device(named);
    let _accepted = ready(client.identify(now, &own_offset)).unwrap().unwrap();
    let mut wire = Wire::new(202);
    deliver(client, &CLOCK, &mut wire);

    let body = |at: usize| serde_json::from_str::<Value>(&wire.sent[at].1).unwrap();
    let events = &body(0)["events"];
    assert_eq!(events[0]["properties"], json!({"door": "back", "site": 7}));
    assert_eq!(events[0]["context"]["firmware"], "1.4.2");
    assert_eq!(events[1]["properties"], json!({}));
    let traits = json!({"locale": "fr-FR", "timezone_offset_minutes": -210});
    assert_eq!(body(1)["traits"], traits);
    assert_eq!(body(2)["traits"], json!({"timezone": "Asia/Tokyo"}));
    assert_eq!(body(3)["traits"], json!({"timezone_offset_minutes": 540}));
    let mut small = [0; 8];
    let refused = Defaults::encode(&mut small, &props! { "firmware" => "1.4.2" }).unwrap_err();
    assert_eq!(refused, ValueError::TooLarge { max: 8 });
}

/// A wire that never answers.
struct Silent;

impl Transport for Silent {
    type Error = Infallible;

    async fn send<B: Body>(&mut self, _request: Request, _body: &mut B) -> Result<Reply, Infallible> {
        core::future::pending().await
    }
}

#[test]
fn a_request_is_unanswered_when_its_loop_is_dropped() {
    let clock = Stopped { ms: 0, utc: Some(UTC) };
    let storage = MemoryStorage::new(vec![0; 4096]);
    let opened = Client::open(storage, vec![0; 1024], &Config::DEFAULT, 1, Now::read(&clock));
    let mut client = ready(opened).unwrap().unwrap();
    assert!(ready(client.identify(Now::read(&clock), &Identify::new("user_1"))).unwrap().unwrap().wake);
    let (client, _) = deliver(client, &clock, &mut Silent);
    assert_eq!(client.status().waiting, Waiting::InFlight);

    let mut wire = Wire::new(202);
    let (client, _) = deliver(client, &clock, &mut wire);

    assert_eq!((wire.sent.len(), client.status().owed), (1, 0));
}

/// A clock that is set while the first request is out, by the server's date.
struct SetBySending(Cell<Option<i64>>);

/// Four weeks and more after the start.
const LATE_MS: u64 = 40 * 86_400_000;

impl Clock for &SetBySending {
    fn now(&self) -> Instant {
        Instant::from_millis(LATE_MS)
    }

    fn utc(&self) -> Option<UtcMillis> {
        self.0.get().map(UtcMillis::new)
    }
}

impl Transport for &SetBySending {
    type Error = Infallible;

    async fn send<B: Body>(&mut self, request: Request, _body: &mut B) -> Result<Reply, Infallible> {
        assert_eq!(request.path, "/v1/identify", "an event of a time that the server does not take");
        self.0.set(Some(UTC));
        Ok(Reply::new(202).date(b"Sun, 31 May 2026 12:00:00 GMT"))
    }
}

#[test]
fn an_event_that_proves_too_old_once_the_time_is_known_is_expired() {
    let unset = Stopped { ms: 1000, utc: None };
    let mut client = open(Noting::new(), &unset);
    let _accepted = ready(client.identify(Now::read(&unset), &Identify::new("u"))).unwrap().unwrap();
    track(&mut client, &unset, "door_opened");

    let server = SetBySending(Cell::new(None));
    let (client, notices) = deliver(client, &&server, &mut &server);

    assert_eq!(notices, [Notice::Expired { count: 1 }]);
    let counters = client.status().counters;
    assert_eq!((client.status().owed, counters.expired, counters.acknowledged), (0, 1, 1));
}
