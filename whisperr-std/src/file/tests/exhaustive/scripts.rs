//! What is run and cut: every way the log has to change the medium, at its edges.

use whisperr_core::Slot;

use super::super::super::simulated::SyncFault;
use super::Op;

/// One step of a script.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Do(Op),
    /// The next sync goes wrong.
    FailSync(SyncFault),
    /// The disk takes so many more bytes.
    Limit(usize),
    /// It takes any number again.
    Heal,
}

/// What a script is there for. It is looked for, so that a script does not end up beside its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// Segments are started.
    Started,
    /// Segments are deleted.
    Deleted,
    /// Records are copied to a newer segment.
    Moved,
    /// A call finds no room.
    Full,
    /// A sync fails.
    FailedSync,
    /// A sync fails that did its work.
    DurableFailure,
    /// A record is copied for people.
    SetAside,
}

/// Steps, and what is there before the first of them.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) name: &'static str,
    pub(super) cases: &'static [Case],
    pub(super) before: &'static [Op],
    pub(super) steps: &'static [Step],
}

const fn append(len: usize) -> Step {
    Step::Do(Op::Append(len))
}

const fn remove(first: u64, last: u64) -> Step {
    Step::Do(Op::Remove(first, last))
}

const fn store(slot: Slot, byte: u8, len: usize) -> Step {
    Step::Do(Op::Store(slot, byte, len))
}

const SYNC: Step = Step::Do(Op::Sync);
const MAINTAIN: Step = Step::Do(Op::Maintain);
const WIPE: Step = Step::Do(Op::Wipe);

/// The script of the other tests: 20 operations over several segments, the first ones of which go.
pub(super) const LONG: Script = Script {
    name: "long",
    cases: &[Case::Started, Case::Deleted],
    before: &[],
    steps: &[
        append(30),
        store(Slot::Identity, 1, 20),
        SYNC,
        append(60),
        append(0),
        SYNC,
        store(Slot::Identity, 2, 5),
        append(120),
        remove(2, 3),
        append(90),
        append(100),
        SYNC,
        append(150),
        remove(1, 5),
        store(Slot::Ledger, 3, 40),
        append(200),
        SYNC,
        append(30),
        remove(6, 6),
        append(10),
    ],
};

/// Up to 12 operations each.
pub(super) const SINGLE: &[Script] = &[
    LONG,
    Script {
        name: "rotation",
        cases: &[Case::Started],
        before: &[],
        steps: &[
            append(200),
            SYNC,
            append(200),
            append(100),
            append(250),
            SYNC,
            append(180),
            append(210),
            append(0),
            SYNC,
            append(190),
            MAINTAIN,
        ],
    },
    Script {
        name: "slots",
        cases: &[Case::Started],
        before: &[Op::Append(20)],
        steps: &[
            store(Slot::Identity, 1, 60),
            store(Slot::Consent, 2, 1),
            SYNC,
            store(Slot::Identity, 3, 0),
            append(150),
            store(Slot::Ledger, 4, 100),
            SYNC,
            append(200),
            store(Slot::Identity, 5, 70),
            store(Slot::Consent, 6, 2),
            SYNC,
            store(Slot::Push, 7, 12),
        ],
    },
    Script {
        name: "removals inside",
        cases: &[Case::Started, Case::Deleted],
        before: &[Op::Append(90), Op::Append(90), Op::Append(90), Op::Append(90), Op::Sync],
        steps: &[
            append(60),
            remove(2, 2),
            append(50),
            remove(4, 5),
            SYNC,
            remove(1, 1),
            remove(6, 6),
            append(120),
            remove(3, 3),
            SYNC,
            MAINTAIN,
            append(80),
        ],
    },
    Script {
        name: "wipe",
        cases: &[Case::Started, Case::Deleted],
        before: &[Op::Store(Slot::Consent, 1, 3), Op::Append(200), Op::Append(200), Op::Sync],
        steps: &[
            append(100),
            SYNC,
            append(40),
            remove(2, 2),
            WIPE,
            append(30),
            store(Slot::Identity, 2, 9),
            SYNC,
            WIPE,
            append(20),
            SYNC,
            append(10),
        ],
    },
    Script {
        name: "set aside",
        cases: &[Case::Started, Case::SetAside],
        before: &[Op::Append(90), Op::Append(90), Op::Append(90), Op::Sync],
        steps: &[
            Step::Do(Op::SetAside(2)),
            append(40),
            SYNC,
            Step::Do(Op::SetAside(4)),
            Step::Do(Op::SetAside(1)),
            SYNC,
            append(150),
            append(150),
            Step::Do(Op::SetAside(3)),
            SYNC,
            MAINTAIN,
            append(10),
        ],
    },
    Script {
        name: "group sync",
        cases: &[Case::Started],
        before: &[],
        steps: &[
            append(40),
            append(1),
            append(90),
            append(30),
            store(Slot::Ledger, 1, 20),
            append(60),
            SYNC,
            append(70),
            append(80),
            append(90),
            append(100),
            SYNC,
        ],
    },
    Script {
        name: "full disk",
        cases: &[Case::Full, Case::Deleted],
        before: &[Op::Append(200), Op::Append(200), Op::Append(100), Op::Sync],
        steps: &[
            Step::Limit(100),
            append(200),
            append(150),
            append(150),
            remove(1, 2),
            append(120),
            SYNC,
            Step::Limit(0),
            append(90),
            remove(3, 4),
            append(60),
            SYNC,
        ],
    },
    Script {
        name: "failed sync",
        cases: &[Case::FailedSync, Case::DurableFailure],
        before: &[Op::Store(Slot::Push, 1, 10), Op::Append(60), Op::Sync],
        steps: &[
            append(50),
            remove(1, 1),
            Step::FailSync(SyncFault::Dropped),
            SYNC,
            append(70),
            SYNC,
            Step::FailSync(SyncFault::Durable),
            append(250),
            SYNC,
            MAINTAIN,
            append(200),
            SYNC,
        ],
    },
    Script {
        name: "failed sync again",
        cases: &[Case::FailedSync, Case::Started],
        before: &[Op::Append(200), Op::Append(200), Op::Sync],
        steps: &[
            append(60),
            Step::FailSync(SyncFault::Dropped),
            append(90),
            Step::FailSync(SyncFault::Dropped),
            SYNC,
            Step::FailSync(SyncFault::Dropped),
            MAINTAIN,
            MAINTAIN,
            store(Slot::Identity, 1, 30),
            SYNC,
            append(60),
            SYNC,
        ],
    },
    Script {
        name: "moved records",
        cases: &[Case::Moved, Case::Deleted],
        before: MOVED,
        steps: &[
            append(150),
            append(160),
            SYNC,
            MAINTAIN,
            remove(9, 9),
            SYNC,
            MAINTAIN,
            append(170),
            SYNC,
            append(160),
            SYNC,
            MAINTAIN,
        ],
    },
];

/// A small record in front of many large ones that are gone.
const MOVED: &[Op] = &[
    Op::Append(20),
    Op::Append(200),
    Op::Append(200),
    Op::Append(200),
    Op::Append(200),
    Op::Append(200),
    Op::Append(200),
    Op::Append(200),
    Op::Remove(2, 8),
    Op::Sync,
];

/// Up to 6 operations each, of few bytes.
pub(super) const PAIRS: &[Script] = &[
    Script {
        name: "rotation",
        cases: &[Case::Started],
        before: &[Op::Store(Slot::Identity, 1, 4), Op::Append(200), Op::Append(190), Op::Sync],
        steps: &[append(9), append(12), store(Slot::Identity, 2, 3), SYNC, append(1), SYNC],
    },
    Script {
        name: "consumed segment",
        cases: &[Case::Deleted],
        before: &[Op::Store(Slot::Push, 1, 4), Op::Append(200), Op::Append(200), Op::Append(9), Op::Sync],
        steps: &[remove(1, 2), SYNC, MAINTAIN, append(8), SYNC, remove(3, 3)],
    },
    Script {
        name: "wipe",
        cases: &[Case::Started, Case::Deleted],
        before: &[Op::Store(Slot::Consent, 1, 2), Op::Append(20), Op::Sync, Op::Append(9)],
        steps: &[append(5), WIPE, append(6), SYNC],
    },
    Script {
        name: "failed sync",
        cases: &[Case::FailedSync],
        before: &[Op::Store(Slot::Consent, 1, 2), Op::Append(7), Op::Sync],
        steps: &[append(6), Step::FailSync(SyncFault::Dropped), SYNC, append(5), SYNC, append(4)],
    },
    Script {
        name: "removals inside",
        cases: &[Case::SetAside],
        before: &[Op::Append(5), Op::Append(6), Op::Append(7), Op::Sync],
        steps: &[remove(2, 2), append(8), SYNC, remove(4, 4), Step::Do(Op::SetAside(1)), SYNC],
    },
    Script {
        name: "full disk",
        cases: &[Case::Full, Case::Deleted],
        before: &[Op::Append(200), Op::Append(200), Op::Append(200), Op::Append(200), Op::Sync],
        steps: &[Step::Limit(0), append(30), remove(1, 2), append(30), SYNC, Step::Heal],
    },
    Script {
        name: "moved records",
        cases: &[Case::Moved, Case::Deleted],
        before: MOVED,
        steps: &[append(20), SYNC, MAINTAIN, SYNC, MAINTAIN, append(5)],
    },
];
