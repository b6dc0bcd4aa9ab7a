//! How many operations were accepted, and by which exit they left.

/// The counters of one run. `accepted` plus what was owed at the start equals `owed` plus
/// every exit: acknowledged, dropped, evicted, expired, damaged, deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Owed from earlier runs when this one started.
    pub owed_at_start: u64,
    /// Accepted in this run.
    pub accepted: u64,
    /// Acknowledged by a 2xx; among them the `rejected` ones.
    pub acknowledged: u64,
    /// Acknowledged, but refused by the server's shape check.
    pub rejected: u64,
    /// Refused for good by the server.
    pub dropped: u64,
    /// Pushed out as the oldest events by the bound of the queue.
    pub evicted: u64,
    /// Older than the server takes.
    pub expired: u64,
    /// Deleted on the application's word.
    pub deleted: u64,
    /// Stored, but unreadable later.
    pub damaged: u64,
}

impl Counters {
    /// What must still be owed, if the counters add up.
    #[must_use]
    pub fn owed(&self) -> u64 {
        let left = [self.acknowledged, self.dropped, self.evicted, self.expired, self.deleted, self.damaged];
        let entered = self.owed_at_start.saturating_add(self.accepted);
        left.iter().fold(entered, |owed, exit| owed.saturating_sub(*exit))
    }
}

pub(crate) fn add(counter: &mut u64, count: u32) {
    *counter = counter.saturating_add(count.into());
}
