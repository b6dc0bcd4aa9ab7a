//! What happens to a disk that nobody writes to.

use std::sync::Arc;

use super::faults::count;
use super::world::Node;
use super::{SimulatedDisk, lock};

/// Most bits that flip at once.
const BITS_MAX: u64 = 8;

fn below(choose: &mut dyn FnMut(u64) -> u64, end: usize) -> usize {
    let last = end.saturating_sub(1);
    if last == 0 {
        return 0;
    }
    usize::try_from(choose(end as u64)).unwrap_or(last).min(last)
}

impl SimulatedDisk {
    /// Flips one to eight bits of what is durable in some file, and returns its name.
    ///
    /// `choose` is as in [`after_cut_by`](Self::after_cut_by).
    pub fn rot(&self, choose: &mut dyn FnMut(u64) -> u64) -> Option<String> {
        let mut world = lock(&self.world);
        let holds = |at: &usize| world.nodes.get(*at).is_some_and(|node| !node.durable.is_empty());
        let mut files = world.durable_names.iter().filter(|(_, at)| holds(at));
        let chosen = below(choose, files.clone().count());
        let (name, at) = files.nth(chosen).map(|(name, at)| (name.to_string(), *at))?;
        let bits = choose(BITS_MAX).saturating_add(1).min(BITS_MAX);
        for _ in 0..bits {
            let node = world.nodes.get_mut(at)?;
            let bit = below(choose, node.durable.len().saturating_mul(8));
            // What a process sees is read from the same place.
            for content in [&mut node.durable, &mut node.live] {
                if let Some(byte) = Arc::make_mut(content).get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            count(&mut world.faults.flipped_bits);
        }
        Some(name)
    }

    /// Brings a file back that was durably removed, as it was then, and returns its name.
    ///
    /// `choose` is as in [`after_cut_by`](Self::after_cut_by). `None` when there is none, or its
    /// name is taken.
    pub fn resurrect(&self, choose: &mut dyn FnMut(u64) -> u64) -> Option<String> {
        let mut world = lock(&self.world);
        let chosen = below(choose, world.graves.len());
        let grave = world.graves.get(chosen)?.clone();
        if world.names.contains_key(&grave.name) || world.durable_names.contains_key(&grave.name) {
            return None;
        }
        world.graves.remove(chosen);
        let node = world.add(Node::at_rest(grave.content));
        world.names.insert(Arc::clone(&grave.name), node);
        world.durable_names.insert(Arc::clone(&grave.name), node);
        count(&mut world.faults.resurrected);
        Some(grave.name.to_string())
    }
}
