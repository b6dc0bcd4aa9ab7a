//! What a simulated disk did to those who used it.

use core::ops::AddAssign;

/// How often each kind of accident happened. A harness adds the counts of its runs up and fails
/// when one is 0: a fault that never comes proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Faults {
    /// Power cuts.
    pub cuts: u64,
    /// Restarts of the process alone.
    pub kills: u64,
    /// Unsynced writes and truncations of which a cut left nothing.
    pub lost_writes: u64,
    /// Unsynced writes of which a cut left a part.
    pub torn_writes: u64,
    /// Files that a cut left longer than their data, with zeros.
    pub zero_tails: u64,
    /// Files that a cut left longer than their data, with bytes of another file.
    pub stale_tails: u64,
    /// Unsynced creations and removals of names that a cut undid.
    pub dropped_names: u64,
    /// Changes the kernel wrote back without being asked.
    pub written_back: u64,
    /// Syncs that failed; what they covered is gone.
    pub failed_syncs: u64,
    /// Syncs that failed although everything became durable.
    pub durable_failures: u64,
    /// Syncs that said `Ok` and did nothing.
    pub lying_syncs: u64,
    /// Other calls that failed.
    pub failed_calls: u64,
    /// Writes that took less than they were given, whatever the reason.
    pub short_writes: u64,
    /// Calls that found no room.
    pub full: u64,
    /// Reads and writes that a signal interrupted.
    pub interrupted: u64,
    /// Bits that flipped at rest.
    pub flipped_bits: u64,
    /// Removed files that came back.
    pub resurrected: u64,
}

impl Faults {
    /// Every count with its name, to print or to look for a 0.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u64); 17] {
        [
            ("cuts", self.cuts),
            ("kills", self.kills),
            ("lost writes", self.lost_writes),
            ("torn writes", self.torn_writes),
            ("zero tails", self.zero_tails),
            ("stale tails", self.stale_tails),
            ("dropped names", self.dropped_names),
            ("written back", self.written_back),
            ("failed syncs", self.failed_syncs),
            ("durable failures", self.durable_failures),
            ("lying syncs", self.lying_syncs),
            ("failed calls", self.failed_calls),
            ("short writes", self.short_writes),
            ("full", self.full),
            ("interrupted", self.interrupted),
            ("flipped bits", self.flipped_bits),
            ("resurrected", self.resurrected),
        ]
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        let add = |to: &mut u64, from: u64| *to = to.saturating_add(from);
        add(&mut self.cuts, other.cuts);
        add(&mut self.kills, other.kills);
        add(&mut self.lost_writes, other.lost_writes);
        add(&mut self.torn_writes, other.torn_writes);
        add(&mut self.zero_tails, other.zero_tails);
        add(&mut self.stale_tails, other.stale_tails);
        add(&mut self.dropped_names, other.dropped_names);
        add(&mut self.written_back, other.written_back);
        add(&mut self.failed_syncs, other.failed_syncs);
        add(&mut self.durable_failures, other.durable_failures);
        add(&mut self.lying_syncs, other.lying_syncs);
        add(&mut self.failed_calls, other.failed_calls);
        add(&mut self.short_writes, other.short_writes);
        add(&mut self.full, other.full);
        add(&mut self.interrupted, other.interrupted);
        add(&mut self.flipped_bits, other.flipped_bits);
        add(&mut self.resurrected, other.resurrected);
    }
}

/// Counts one more.
pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
