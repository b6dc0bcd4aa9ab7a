//! Bugs on purpose, compiled in only under `--cfg whisperr_planted`: a simulation that does not find
//! them proves nothing.

use core::sync::atomic::{AtomicU8, Ordering};

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $number:literal,)*) => {
        /// One bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(clippy::exhaustive_enums, reason = "only tests see it")]
        pub enum Bug {
            $($(#[$doc])* $bug = $number,)*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];
        }
    };
}

bugs! {
    /// No reply counts as an acknowledgement.
    RemoveOnTimeout = 1,
    /// A refused batch is dropped whole.
    DropWholeBatch = 2,
    /// The retry after a failure comes at once.
    NoBackoff = 3,
    /// `Retry-After` is not read.
    IgnoreRetryAfter = 4,
    /// A refused key is tried again like any failure.
    HammerAuth = 5,
    /// A new operation does not wake the runner.
    LostWakeup = 7,
    /// A removal takes the next operation with it.
    RemoveOneMore = 8,
    /// What is in flight may be evicted.
    EvictInFlight = 9,
    /// An identify may be evicted.
    EvictIdentify = 10,
    /// An eviction is not counted.
    SilentEviction = 11,
    /// An eviction that failed is passed over.
    PassFailedEviction = 12,
    /// What a dropped call has done is not found out.
    ForgetDroppedCall = 13,
    /// Message ids come from the place in the queue.
    IdFromPlace = 14,
    /// The wall clock alone expires events.
    ExpireByDevice = 15,
    /// Events are dated by the start of the boot even when the time is known.
    DateByBoot = 16,
    /// A reset is not written down.
    ForgetReset = 17,
    /// The anonymous id outlives a reset.
    KeepVisitor = 18,
    /// An identify disappears in the range of a batch.
    SwallowIdentify = 19,
    /// Batches have no limit of bytes.
    NoByteLimit = 20,
    /// A sync says `Ok` before it has synced.
    AckBeforeSync = 21,
    /// A failed sync is tried again on the same file.
    RetrySync = 22,
    /// New segments are not made durable in their directory.
    NoDirectorySync = 23,
    /// A segment is deleted before the removal of its records is durable.
    DeleteBeforeCommit = 24,
    /// A restart trusts what the process before it could not make durable.
    TrustTheCache = 25,
    /// A segment is not synced before the next one begins.
    RotateUnsynced = 26,
    /// Numbers start anew when the queue is empty.
    ReuseNumbers = 27,
    /// A wipe leaves the bytes of old segments.
    WipeNothing = 28,
    /// An opt-out keeps the request that is on its way, and everything queued behind it.
    SendAfterOptOut = 29,
    /// The choice to opt out is not written down before it is done.
    OptOutInMemory = 30,
    /// A push token counts as delivered although the operation that carried it was dropped.
    KeepDroppedToken = 31,
    /// The version that was launched is not written down with the number of its event.
    VersionWithoutEvent = 32,
}

static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants one bug for the whole process, or takes it away.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::SeqCst);
}

/// Whether this bug is planted.
pub fn is(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8
}
