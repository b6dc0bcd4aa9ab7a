//! What happened at least once: a search that never met a fault class proves nothing about it.

use std::collections::BTreeMap;

/// How often each named thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    /// Counts one more of it.
    pub fn note(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// Counts so many more of it.
    pub fn add(&mut self, name: &'static str, count: u64) {
        let known = self.0.entry(name).or_default();
        *known = known.saturating_add(count);
    }

    /// How often it happened.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds what another run saw.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }

    /// Everything that happened, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}
