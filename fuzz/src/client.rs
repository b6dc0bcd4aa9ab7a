use core::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use serde_json::Value;
use whisperr_core::{
    Client, Config, Counters, EnqueueError, Identify, Notice, Now, Reply, Request, Track, props, ready,
};
use whisperr_simulation::{Answer, Options, StorageFaults, World, reply};

/// Most operations an input is read for; the rest says nothing that a shorter input could not say.
const OPS_MAX: usize = 200;

/// 2026-05-31T12:00:00Z.
const UTC: i64 = 1_780_228_800_000;
const YEAR_MS: i64 = 31_536_000_000;

/// One thing that happens, in three bytes of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// An event about a user, or about the current one, with so much text in it.
    Track {
        user: Option<u8>,
        text: usize,
    },
    Identify {
        user: u8,
        text: usize,
    },
    Reset,
    /// Asks for delivery and waits for the end of it.
    Flush,
    Pause,
    Resume,
    /// Lets time pass.
    Advance {
        ms: u64,
    },
    /// What becomes of a later request; without any, it is answered 202.
    Answer(Fate),
    Clock {
        utc: Option<i64>,
    },
    Faults(StorageFaults),
    /// The process dies; another one starts over the same storage.
    Crash,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Reply {
        status: u16,
        retry_after: Option<u8>,
    },
    /// The connection breaks, before or after the server took the request.
    NoReply {
        processed: bool,
    },
    /// Nothing ever comes back.
    Hang {
        processed: bool,
    },
}

fn op([tag, low, high]: [u8; 3]) -> Op {
    const STATUSES: [u16; 16] =
        [200, 202, 204, 301, 400, 401, 403, 404, 413, 422, 429, 429, 500, 502, 503, 503];
    let number = u16::from_le_bytes([low, high]);
    match tag % 16 {
        0..=2 => Op::Track { user: low.checked_sub(128), text: usize::from(high) },
        3 => Op::Track { user: low.checked_sub(128), text: usize::from(high).saturating_mul(9) },
        4 => Op::Identify { user: low, text: usize::from(high) },
        5 if low < 128 => Op::Reset,
        5 => Op::Flush,
        6 if low < 64 => Op::Pause,
        6 => Op::Resume,
        7 => Op::Advance { ms: number.into() },
        8 => Op::Advance { ms: u64::from(number).saturating_mul(100) },
        9 | 10 => {
            let status = STATUSES[usize::from(low % 16)];
            Op::Answer(Fate::Reply { status, retry_after: high.checked_sub(192) })
        }
        11 => Op::Answer(Fate::Reply { status: number, retry_after: None }),
        12 if low < 128 => Op::Answer(Fate::NoReply { processed: low < 64 }),
        12 => Op::Answer(Fate::Hang { processed: low < 192 }),
        13 => {
            let years = i64::from(high.cast_signed()).saturating_mul(YEAR_MS / 8);
            Op::Clock { utc: (low >= 64).then(|| UTC.saturating_add(years)) }
        }
        14 => Op::Faults(StorageFaults {
            write: low % 8 == 1,
            append: low % 16 == 3,
            remove: low % 16 == 2,
            read: low % 16 == 4,
        }),
        _ => Op::Crash,
    }
}

/// A life of a client and its model. Whatever happens: what was accepted is delivered in order under
/// its subject, or counted and told when it leaves the queue in another way.
///
/// # Panics
/// When a promise is broken.
pub fn client(data: &[u8]) {
    let Some(([settings, bytes], ops)) = data.split_first_chunk() else { return };
    let mut life = Life::start(*settings, *bytes);
    for chunk in ops.chunks_exact(3).take(OPS_MAX) {
        life.apply(op([chunk[0], chunk[1], chunk[2]]));
        let status = life.world.status();
        // A fault while reading leaves the count of what is owed as it was.
        assert_eq!(status.counters.owed(), u64::from(status.owed), "{status:?}");
    }
    life.heal();
    life.check();
}

/// Whom an operation is about: a user, or the visitor between two resets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    User(u8),
    Visitor(u32),
}

/// What was accepted, under its number.
#[derive(Debug, Clone)]
struct Said {
    subject: Subject,
    /// The current visitor, of whom an identify may speak.
    visitor: u32,
    message_id: Option<String>,
    /// Whether the date was known then.
    dated: bool,
}

/// What the server knows.
#[derive(Debug, Default)]
struct Seen {
    /// In the order of their first arrival.
    numbers: Vec<u64>,
    operations: HashMap<u64, Value>,
}

impl Seen {
    fn take(&mut self, request: &Request, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap();
        match request.path {
            "/v1/identify" => self.add(number(&body["traits"]), body),
            "/v1/events/batch" => {
                for event in body["events"].as_array().unwrap() {
                    self.add(number(&event["properties"]), event.clone());
                }
            }
            path => panic!("{path}"),
        }
    }

    fn add(&mut self, number: u64, operation: Value) {
        match self.operations.get(&number) {
            Some(known) => assert_eq!(undated(known), undated(&operation), "{number} has changed"),
            None => {
                self.numbers.push(number);
                self.operations.insert(number, operation);
            }
        }
    }
}

fn number(object: &Value) -> u64 {
    object["n"].as_u64().unwrap()
}

/// An event from before the clock was known may be dated again, as an estimate, after a restart.
fn undated(operation: &Value) -> Value {
    let mut operation = operation.clone();
    if let Some(members) = operation.as_object_mut() {
        members.remove("occurred_at");
    }
    if let Some(context) = operation.get_mut("context").and_then(Value::as_object_mut) {
        context.remove("$time_estimated");
    }
    operation
}

struct Life {
    world: World,
    seen: Rc<RefCell<Seen>>,
    fates: Rc<RefCell<VecDeque<Fate>>>,
    next: u64,
    said: HashMap<u64, Said>,
    user: Option<u8>,
    visitor: u32,
    /// Exits of the runs that ended in a crash.
    left: u64,
    accepted: u64,
    acknowledged: u64,
    /// How many notices earlier runs gave.
    told: usize,
}

impl Life {
    fn start(settings: u8, bytes: u8) -> Self {
        let config = Config {
            flush_at: if settings & 1 == 0 { 20 } else { 3 },
            max_batch_size: if settings & 2 == 0 { 500 } else { 4 },
            max_queue_size: if settings & 4 == 0 { 1000 } else { 8 },
            max_queue_bytes: if settings & 8 == 0 { 64 << 20 } else { 2048 },
            max_request_bytes: if settings & 16 == 0 { 512 << 10 } else { 1024 },
            max_retries: if settings & 32 == 0 { 6 } else { 0 },
            ..Config::DEFAULT
        };
        // From a medium that everything fits on to one that little fits on.
        let storage_bytes = if bytes & 1 == 0 { 1 << 18 } else { 512 | (usize::from(bytes) << 5) };
        let world = World::new(
            settings.into(),
            Options { config, utc: (settings & 64 == 0).then_some(UTC), storage_bytes, ..Options::default() },
        );
        let seen: Rc<RefCell<Seen>> = Rc::default();
        let fates: Rc<RefCell<VecDeque<Fate>>> = Rc::default();
        world.network().script({
            let (seen, fates) = (Rc::clone(&seen), Rc::clone(&fates));
            move |request, body| {
                let fate =
                    fates.borrow_mut().pop_front().unwrap_or(Fate::Reply { status: 202, retry_after: None });
                answer(fate, || seen.borrow_mut().take(request, body))
            }
        });
        Self {
            world,
            seen,
            fates,
            next: 0,
            said: HashMap::new(),
            user: None,
            visitor: 0,
            left: 0,
            accepted: 0,
            acknowledged: 0,
            told: 0,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Track { user, text } => self.track(user, text),
            Op::Identify { user, text } => self.identify(user, text),
            Op::Reset => {
                let reset = self.world.with(|client| ready(client.reset()).unwrap());
                if reset.is_ok() {
                    self.user = None;
                    self.visitor = self.visitor.saturating_add(1);
                }
                self.check_user();
            }
            Op::Flush => {
                let _progress = self.world.flush();
            }
            Op::Pause => self.world.with(Client::pause),
            Op::Resume => self.world.with(Client::resume),
            Op::Advance { ms } => self.world.advance(ms),
            Op::Answer(fate) => self.fates.borrow_mut().push_back(fate),
            Op::Clock { utc } => self.world.clock().set_utc(utc),
            Op::Faults(faults) => self.world.storage().set_faults(faults),
            Op::Crash => self.crash(),
        }
    }

    fn track(&mut self, user: Option<u8>, text: usize) {
        let n = self.next;
        self.next = n.saturating_add(1);
        let text = "x".repeat(text);
        let id = user.map(user_id);
        let mut event = Track::new("door_opened").properties(props! { "n" => n, "text" => &text[..] });
        if let Some(id) = &id {
            event = event.user(id);
        }
        let dated = Now::read(self.world.clock()).utc.is_some();
        let before = self.world.status().counters;

        let tracked = self.world.track(&event);

        let after = self.world.status().counters;
        match tracked {
            Ok(message_id) => {
                assert_eq!(after.accepted, before.accepted.saturating_add(1));
                let subject = user.or(self.user).map_or(Subject::Visitor(self.visitor), Subject::User);
                let message_id = Some(message_id.unwrap().to_string());
                self.said.insert(n, Said { subject, visitor: self.visitor, message_id, dated });
            }
            Err(error) => {
                assert_eq!(after.accepted, before.accepted, "{error:?}");
                check_error(&error);
            }
        }
    }

    fn identify(&mut self, user: u8, text: usize) {
        let n = self.next;
        self.next = n.saturating_add(1);
        let (text, id) = ("x".repeat(text), user_id(user));
        let before = self.world.status().counters;

        let identified = self.world.identify(
            &Identify::new(&id).traits(props! { "n" => n, "text" => &text[..] }).email("ada@example.com"),
        );

        let after = self.world.status().counters;
        // The operation can be taken and the current user then not be noted.
        let accepted = after.accepted > before.accepted;
        assert!(accepted || identified.is_err());
        if accepted {
            let said =
                Said { subject: Subject::User(user), visitor: self.visitor, message_id: None, dated: true };
            self.said.insert(n, said);
        }
        match identified {
            Ok(()) => self.user = Some(user),
            Err(EnqueueError::Storage(_)) => {}
            Err(error) => {
                assert!(!accepted, "{error:?}");
                check_error(&error);
            }
        }
        self.check_user();
    }

    fn check_user(&self) {
        let user = self.world.with(|client| client.current_user().map(|user| user.as_str().to_owned()));
        assert_eq!(user, self.user.map(user_id));
    }

    fn crash(&mut self) {
        // A client does not open over a medium that fails.
        self.world.storage().set_faults(StorageFaults::default());
        let before = self.world.status();
        self.add_up(&before.counters);
        self.told = self.world.notices().len();
        self.world.crash();
        let after = self.world.status();
        assert_eq!(after.owed, before.owed);
        assert_eq!(after.bytes, before.bytes);
        assert_eq!(after.counters.owed_at_start, u64::from(before.owed));
        self.check_user();
    }

    fn add_up(&mut self, counters: &Counters) {
        let Counters { accepted, acknowledged, dropped, evicted, expired, deleted, damaged, .. } = *counters;
        self.accepted = self.accepted.saturating_add(accepted);
        self.acknowledged = self.acknowledged.saturating_add(acknowledged);
        let left = [dropped, evicted, expired, deleted, damaged].iter().sum();
        self.left = self.left.saturating_add(left);
    }

    /// Everything works again, and everything is delivered.
    fn heal(&mut self) {
        self.world.storage().set_faults(StorageFaults::default());
        self.world.clock().set_utc(Some(UTC));
        self.fates.borrow_mut().clear();
        self.world.with(Client::resume);
        super::deliver_all(&mut self.world);
    }

    fn check(&mut self) {
        let counters = self.world.status().counters;
        self.add_up(&counters);
        check_notices(&counters, &self.world.notices()[self.told..]);
        let seen = self.seen.borrow();
        assert_eq!(self.accepted, self.said.len() as u64);
        assert_eq!(self.accepted, self.acknowledged.saturating_add(self.left));
        let delivered = seen.numbers.len() as u64;
        assert!(delivered >= self.acknowledged, "{delivered} delivered, {} acknowledged", self.acknowledged);
        assert!(delivered <= self.accepted);
        assert!(seen.numbers.is_sorted(), "out of order: {:?}", seen.numbers);

        let mut visitors: HashMap<u32, &str> = HashMap::new();
        for number in &seen.numbers {
            let said = self.said.get(number).unwrap_or_else(|| panic!("{number} was not accepted"));
            let operation = &seen.operations[number];
            let user = operation["external_user_id"].as_str();
            let anonymous = operation["anonymous_id"].as_str();
            match said.subject {
                Subject::User(id) => assert_eq!(user, Some(&*user_id(id)), "{operation}"),
                Subject::Visitor(_) => assert_eq!(user, None, "{operation}"),
            }
            if let Some(anonymous) = anonymous {
                assert_eq!(*visitors.entry(said.visitor).or_insert(anonymous), anonymous, "{operation}");
            }
            assert_eq!(operation["context"]["$message_id"].as_str(), said.message_id.as_deref());
            assert!(!said.dated || operation["context"].get("$time_estimated").is_none(), "{operation}");
        }
        let distinct: HashSet<_> = visitors.values().collect();
        assert_eq!(distinct.len(), visitors.len(), "two visitors share an id");
        let ids: HashSet<_> = self.said.values().filter_map(|said| said.message_id.as_ref()).collect();
        let events = self.said.values().filter(|said| said.message_id.is_some()).count();
        assert_eq!(ids.len(), events, "two events share a message id");
    }
}

fn user_id(user: u8) -> String {
    format!("user_{user}")
}

fn check_error<E: core::fmt::Debug>(error: &EnqueueError<E>) {
    let expected =
        matches!(error, EnqueueError::Storage(_) | EnqueueError::Full { .. } | EnqueueError::Record(_));
    assert!(expected, "{error:?}");
}

fn answer(fate: Fate, take: impl FnOnce()) -> Answer {
    match fate {
        Fate::Reply { status, retry_after } => {
            // A server may process a request and fail afterwards; a refused one it never processed.
            if (200..300).contains(&status) || status == 500 {
                take();
            }
            let mut reply_with = Reply::new(status);
            if let Some(seconds) = retry_after {
                reply_with = reply_with.retry_after(seconds.to_string().as_bytes());
            }
            Answer { processed: false, reply: Some(reply_with), ..reply(status) }
        }
        Fate::NoReply { processed } | Fate::Hang { processed } => {
            if processed {
                take();
            }
            let after_ms = if matches!(fate, Fate::Hang { .. }) { 86_400_000 } else { 20 };
            Answer { processed: false, reply: None, after_ms }
        }
    }
}

/// Nothing leaves undelivered without a notice that says so.
fn check_notices(counters: &Counters, notices: &[Notice]) {
    let (mut dropped, mut evicted, mut expired, mut damaged) = (0_u64, 0_u64, 0_u64, 0_u64);
    for notice in notices {
        match *notice {
            Notice::Dropped { count, .. } => dropped = dropped.saturating_add(count.into()),
            Notice::Evicted { count } => evicted = evicted.saturating_add(count.into()),
            Notice::Expired { count } => expired = expired.saturating_add(count.into()),
            Notice::Damaged { count } => damaged = damaged.saturating_add(count.into()),
            _ => {}
        }
    }
    assert_eq!((dropped, evicted), (counters.dropped, counters.evicted), "{notices:?}");
    assert_eq!((expired, damaged), (counters.expired, counters.damaged), "{notices:?}");
}
