//! One life of a client: chaos, with every invariant checked after every step, and then health, in
//! which everything owed must arrive.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a harness: what overflows ends the run"
)]

mod act;
mod check;
mod consent;
mod content;
mod model;
mod server;
mod setup;
mod speech;

use core::cell::RefCell;
use core::fmt;
use core::panic::AssertUnwindSafe;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::rc::Rc;

use whisperr_core::{Seq, Storage, ready};

use crate::choices::Choices;
use crate::coverage::Seen;
use crate::medium::Medium;
use crate::world::World;
use consent::Consent;
use model::Model;
use server::ModelServer;
pub use setup::Setup;
use speech::Speech;

/// Trace lines kept for a failure.
const TRACE_LINES: usize = 500;

/// A promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which invariant of the reliability study: I1 to I13, L1, L2, R1.
    pub invariant: &'static str,
    /// What happened.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

/// How a life went.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Life {
    /// What was drawn for it.
    pub setup: Option<Setup>,
    /// Actions taken.
    pub steps: u64,
    /// Power cuts, those on copies included.
    pub cuts: u64,
    /// Operations accepted.
    pub accepted: u64,
    /// What happened at least once.
    pub seen: Seen,
    /// A hash over everything that happened: the same choices give the same.
    pub hash: u64,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// The last things that happened.
    pub trace: Vec<String>,
}

/// Lives one life on a medium that `make` builds, and checks it. Nothing that the core does ends the
/// caller: a panic is a broken promise, too.
pub fn live<M: Medium>(choices: &Choices, make: impl FnOnce(&Choices, &Setup) -> M) -> Life {
    let log = Rc::new(RefCell::new(Log::default()));
    let result = {
        let log = Rc::clone(&log);
        catch_unwind(AssertUnwindSafe(move || {
            let setup = Setup::draw(choices);
            log.borrow_mut().setup = Some(setup);
            let medium = make(choices, &setup);
            let mut being = Being::born(choices.clone(), setup, medium, Rc::clone(&log))?;
            let lived = being.live();
            being.finish();
            lived
        }))
    };
    let violation = match result {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Some(Violation { invariant: "I12", detail: format!("panicked: {text}") })
        }
    };
    let log = log.take();
    Life {
        setup: log.setup,
        steps: log.steps,
        cuts: log.cuts,
        accepted: log.accepted,
        seen: log.seen,
        hash: log.hash,
        violation,
        trace: log.trace.into(),
    }
}

/// What is kept of a life, also when it panics.
#[derive(Default)]
struct Log {
    setup: Option<Setup>,
    steps: u64,
    cuts: u64,
    accepted: u64,
    seen: Seen,
    hash: u64,
    trace: std::collections::VecDeque<String>,
}

impl Log {
    fn note(&mut self, line: String) {
        // FNV-1a.
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.trace.len() >= TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }
}

/// A client that lives, and everything known of it.
struct Being<M: Medium> {
    choices: Choices,
    setup: Setup,
    world: World<M>,
    server: Rc<RefCell<ModelServer>>,
    model: Model,
    log: Rc<RefCell<Log>>,
    /// The next number.
    next: u64,
    /// Who the current user may be after a restart: the last durable one, and every one since.
    users: Vec<Option<u8>>,
    /// Users whose storing was dropped half way, since the last restart.
    dropped_users: Vec<Option<u8>>,
    user: Option<u8>,
    visitor: Option<u32>,
    visitors: u32,
    /// A reset is not durable yet.
    unsure_visitor: bool,
    /// Notices told before the last start.
    told: usize,
    /// Exits other than acknowledgements, counted in earlier runs.
    paused: bool,
    faulty: bool,
    /// A call was dropped half way since the last restart.
    cancelled: bool,
    /// How many, since the last look.
    dropped_calls: u64,
    rotten: bool,
    /// A power cut took what was not durable.
    torn: bool,
    /// What the user chose.
    consent: Consent,
    /// What the client must remember of push tokens, launches and screens.
    speech: Speech,
}

impl<M: Medium> Being<M> {
    fn born(choices: Choices, setup: Setup, medium: M, log: Rc<RefCell<Log>>) -> Result<Self, Violation> {
        let mut setup = setup;
        // A number of the boot that is not durable tells nothing apart: whoever has a storage that
        // syncs later has an operating system with randomness, too.
        setup.options.poor_entropy &= !M::SYNCS;
        let seed = choices.below(1 << 40);
        let world = World::on(medium, choices.clone(), seed, setup.options)
            .map_err(|detail| Violation { invariant: "I10", detail })?;
        let mut server = ModelServer::new(
            choices.clone(),
            world.clock().clone(),
            setup.first_weather,
            setup.options.config,
        );
        server.body_limit = setup.body_limit;
        server.lying_dates = setup.lying_dates;
        let server = Rc::new(RefCell::new(server));
        world.network().script({
            let server = Rc::clone(&server);
            move |request, body| server.borrow_mut().request(request, body)
        });
        Ok(Self {
            choices,
            setup,
            world,
            server,
            model: Model::default(),
            log,
            next: 0,
            users: vec![None],
            dropped_users: Vec::new(),
            user: None,
            visitor: Some(0),
            visitors: 0,
            unsure_visitor: false,
            told: 0,
            paused: false,
            faulty: false,
            cancelled: false,
            dropped_calls: 0,
            rotten: false,
            torn: false,
            consent: Consent::new(),
            speech: Speech::new(),
        })
    }

    fn live(&mut self) -> Result<(), Violation> {
        for _ in 0..self.setup.steps {
            self.act()?;
            self.log.borrow_mut().steps += 1;
            self.world.step();
            self.settle()?;
            self.check()?;
        }
        self.heal()?;
        self.check_all()
    }

    fn finish(&mut self) {
        let log = &mut *self.log.borrow_mut();
        log.seen.merge(&self.server.borrow().seen);
        log.seen.merge(&self.world.faults().take_seen());
        log.accepted = self.next;
    }

    fn note(&self, line: impl Into<String>) {
        self.log.borrow_mut().note(line.into());
    }

    fn seen(&self, name: &'static str) {
        self.log.borrow_mut().seen.note(name);
    }

    fn violated<T>(&self, invariant: &'static str, detail: String) -> Result<T, Violation> {
        Err(Violation { invariant, detail })
    }

    /// What the medium holds: the oldest first.
    fn stored(&mut self) -> BTreeSet<u64> {
        self.world.with_storage(|_, storage| numbers(storage))
    }
}

/// The sequence numbers that a storage holds.
///
/// # Panics
/// When the storage cannot be read, or goes back.
#[expect(clippy::panic, reason = "a walk that does not end ends the run")]
fn numbers<S: Storage>(storage: &mut S) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut from = Seq::new(0);
    loop {
        match ready(storage.read(from, &mut [])) {
            Some(Ok(Some(stored))) => {
                assert!(stored.seq >= from, "the walk goes back");
                found.insert(stored.seq.get());
                from = stored.seq.next();
            }
            Some(Ok(None)) => return found,
            other => panic!("a storage cannot be walked: {other:?}"),
        }
    }
}
