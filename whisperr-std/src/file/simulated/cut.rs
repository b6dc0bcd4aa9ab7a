//! What is left of changes that no sync covers: after a power cut, after the death of the process
//! alone, and while the kernel writes back when it pleases.

use core::ops::Range;
use std::sync::Arc;

use super::faults::{Faults, count};
use super::world::{Change, Grave, Naming, Node, World, bury, write_into};
use super::{Chance, SimulatedDisk, Survivors, lock, shared};

const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;
/// Most sectors or pages of one write that are decided on one by one.
const PIECES_MAX: usize = 16;

/// A write whose fate is to be decided.
#[derive(Debug, Clone, Copy)]
pub(in crate::file) struct Pending {
    pub(in crate::file) offset: usize,
    pub(in crate::file) len: usize,
    /// Whether it makes the file longer.
    pub(in crate::file) grows: bool,
}

/// What a cut leaves of a write.
#[derive(Debug, Clone)]
pub(in crate::file) enum Fate {
    Whole,
    Lost,
    /// These parts of it, and the length of the file as if all of it were there.
    Parts {
        kept: Vec<Range<usize>>,
        grown: bool,
    },
}

/// Decides what survives.
pub(in crate::file) trait Judge {
    /// Whether a creation, a removal or a truncation survives.
    fn keeps(&mut self) -> bool;
    /// What is left of a write.
    fn fate(&mut self, write: Pending) -> Fate;
    /// Which of the removed files, given by their lengths, shows where a file is longer than its
    /// data, and from which of its bytes on; without one, zeros do.
    fn stale(&mut self, graves: &[usize]) -> Option<(usize, usize)>;
}

/// Decides by a stream of choices, of which 0 is the mildest.
struct Choices<'a>(&'a mut dyn FnMut(u64) -> u64);

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        let last = end.saturating_sub(1);
        if last == 0 {
            return 0;
        }
        usize::try_from((self.0)(end as u64)).unwrap_or(last).min(last)
    }

    fn pieces(&mut self, write: Pending, size: usize) -> Fate {
        let mut kept = pieces(write, size);
        kept.retain(|_| self.below(2) == 0);
        Fate::Parts { kept, grown: write.grows && self.below(2) == 1 }
    }
}

impl Judge for Choices<'_> {
    fn keeps(&mut self) -> bool {
        self.below(2) == 0
    }

    fn fate(&mut self, write: Pending) -> Fate {
        let sectors = pieces(write, SECTOR_BYTES).len() > 1;
        let pages = pieces(write, PAGE_BYTES).len() > 1;
        let possible = [true, true, write.len > 1, write.grows, sectors, pages];
        let options = possible.iter().filter(|possible| **possible).count();
        let chosen = self.below(options);
        let mut kinds = (0..).zip(possible).filter(|(_, possible)| *possible);
        match kinds.nth(chosen).map_or(0, |(kind, _)| kind) {
            0 => Fate::Whole,
            1 => Fate::Lost,
            2 => {
                let kept = self.below(write.len.saturating_sub(1)).saturating_add(1);
                let kept = core::iter::once(0..kept).collect();
                Fate::Parts { kept, grown: write.grows && self.below(2) == 1 }
            }
            3 => Fate::Parts { kept: Vec::new(), grown: true },
            4 => self.pieces(write, SECTOR_BYTES),
            _ => self.pieces(write, PAGE_BYTES),
        }
    }

    fn stale(&mut self, graves: &[usize]) -> Option<(usize, usize)> {
        let at = self.below(graves.len().saturating_add(1)).checked_sub(1)?;
        let len = graves.get(at).copied().unwrap_or(0);
        let from = if self.below(2) == 0 { 0 } else { self.below(len) };
        Some((at, from))
    }
}

/// The parts of a write in blocks of this size, as offsets in the write.
fn pieces(write: Pending, size: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0_usize;
    while start < write.len {
        let within = write.offset.saturating_add(start).checked_rem(size).unwrap_or(0);
        let end = start.saturating_add(size.saturating_sub(within)).min(write.len);
        let end = if pieces.len() >= PIECES_MAX { write.len } else { end };
        pieces.push(start..end);
        start = end;
    }
    pieces
}

/// A file while it is decided what is left of it.
struct Remains {
    content: Vec<u8>,
    /// Up to here the bytes are those that were durable.
    durable: usize,
    /// What survived behind them.
    written: Vec<Range<usize>>,
}

impl Remains {
    fn truncate(&mut self, len: usize) {
        self.content.resize(len, 0);
        self.durable = self.durable.min(len);
        self.written.retain_mut(|range| {
            range.end = range.end.min(len);
            range.start < range.end
        });
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        write_into(&mut self.content, offset, bytes);
        self.written.push(offset..offset.saturating_add(bytes.len()));
    }

    fn apply(&mut self, change: &Change, judge: &mut dyn Judge, faults: &mut Faults) {
        let (offset, bytes) = match change {
            Change::Write { offset, bytes } => (*offset, bytes),
            Change::Truncate { len } => {
                if judge.keeps() {
                    self.truncate(*len);
                } else {
                    count(&mut faults.lost_writes);
                }
                return;
            }
        };
        let end = offset.saturating_add(bytes.len());
        let grows = end > self.content.len();
        match judge.fate(Pending { offset, len: bytes.len(), grows }) {
            Fate::Whole => self.write(offset, bytes),
            Fate::Lost => count(&mut faults.lost_writes),
            Fate::Parts { kept, grown } => {
                count(if kept.is_empty() { &mut faults.lost_writes } else { &mut faults.torn_writes });
                for part in kept {
                    let at = offset.saturating_add(part.start);
                    self.write(at, bytes.get(part).unwrap_or_default());
                }
                if grown {
                    self.content.resize(end.max(self.content.len()), 0);
                }
            }
        }
    }

    /// Decides what stands where the file is longer than its data.
    fn fill(&mut self, graves: &[Grave], judge: &mut dyn Judge, faults: &mut Faults) {
        let holes: Vec<usize> = (self.durable..self.content.len())
            .filter(|at| !self.written.iter().any(|range| range.contains(at)))
            .collect();
        if holes.is_empty() {
            return;
        }
        let mut stale = false;
        let lengths: Vec<usize> = graves.iter().map(|grave| grave.content.len()).collect();
        if let Some((grave, from)) = judge.stale(&lengths)
            && let Some(old) = graves.get(grave)
        {
            for at in holes {
                let old = old.content.get(at.saturating_add(from));
                if let (Some(byte), Some(old)) = (self.content.get_mut(at), old) {
                    *byte = *old;
                    stale = true;
                }
            }
        }
        count(if stale { &mut faults.stale_tails } else { &mut faults.zero_tails });
    }
}

impl Node {
    fn after_cut(&self, graves: &[Grave], judge: &mut dyn Judge, faults: &mut Faults) -> Self {
        if self.unsynced.is_empty() {
            return Self::at_rest(Arc::clone(&self.durable));
        }
        let content = Vec::clone(&self.durable);
        let mut remains = Remains { durable: content.len(), content, written: Vec::new() };
        for change in &self.unsynced {
            remains.apply(change, judge, faults);
        }
        remains.fill(graves, judge, faults);
        Self::at_rest(Arc::new(remains.content))
    }
}

impl World {
    fn after_cut(&self, judge: &mut dyn Judge) -> Self {
        let mut faults = self.faults;
        count(&mut faults.cuts);
        let mut graves = self.graves.clone();
        let mut names = self.durable_names.clone();
        for naming in &self.unsynced_names {
            if !judge.keeps() {
                count(&mut faults.dropped_names);
                continue;
            }
            if let Naming::Remove { name } = naming
                && let Some(node) = names.get(name).and_then(|at| self.nodes.get(*at))
            {
                bury(&mut graves, name, Arc::clone(&node.durable));
            }
            naming.apply(&mut names);
        }
        let mut nodes = Vec::with_capacity(names.len());
        for at in names.values_mut() {
            let node = self.nodes.get(*at).map(|node| node.after_cut(&graves, judge, &mut faults));
            *at = nodes.len();
            nodes.push(node.unwrap_or_default());
        }
        let durable_names = names.clone();
        Self { nodes, names, durable_names, graves, faults, ..Self::default() }
    }
}

impl SimulatedDisk {
    /// What a restart finds after a power cut at this moment. This disk goes on.
    ///
    /// Of all that no sync covers, any part survives. `choose(n)` decides it, once for every name,
    /// truncation and write and for what is torn: it returns a number below `n`, of which 0 is
    /// the mildest, so that a list of numbers can be replayed, and made smaller. With 0 everywhere
    /// everything survives that was not lost before. Faults that were asked for, and the limit of
    /// the disk, do not outlive the cut.
    #[must_use]
    pub fn after_cut_by(&self, choose: &mut dyn FnMut(u64) -> u64) -> Self {
        self.after_cut_as(&mut Choices(choose))
    }

    pub(in crate::file) fn after_cut_as(&self, judge: &mut dyn Judge) -> Self {
        shared(lock(&self.world).after_cut(judge))
    }

    /// What a restart finds after a power cut at this moment, by a rule. This disk goes on.
    #[must_use]
    pub fn after_cut(&self, survivors: Survivors) -> Self {
        match survivors {
            Survivors::All => self.after_the_last_writeback(),
            Survivors::None => self.after_cut_by(&mut |end| end.saturating_sub(1).min(1)),
            Survivors::Some(seed) => {
                let mut chance = Chance::new(seed);
                self.after_cut_by(&mut |end| chance.below(end))
            }
        }
    }

    /// A restart long after the process died: everything it wrote is durable.
    fn after_the_last_writeback(&self) -> Self {
        let world = lock(&self.world);
        let mut names = world.names.clone();
        let mut nodes = Vec::with_capacity(names.len());
        for at in names.values_mut() {
            let node = world.nodes.get(*at).map(|node| Node::at_rest(Arc::clone(&node.live)));
            *at = nodes.len();
            nodes.push(node.unwrap_or_default());
        }
        let (durable_names, graves, mut faults) = (names.clone(), world.graves.clone(), world.faults);
        count(&mut faults.kills);
        shared(World { nodes, names, durable_names, graves, faults, ..World::default() })
    }

    /// What a restart of the process alone finds: all it wrote, durable or not, which a later power
    /// cut decides. This disk goes on. The limit of the disk stays, other faults do not.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let world = lock(&self.world);
        let mut faults = world.faults;
        count(&mut faults.kills);
        let mut after = World {
            nodes: world.nodes.clone(),
            names: world.names.clone(),
            durable_names: world.durable_names.clone(),
            unsynced_names: world.unsynced_names.clone(),
            graves: world.graves.clone(),
            capacity: world.capacity,
            faults,
            ..World::default()
        };
        drop(world);
        for at in 0..after.nodes.len() {
            if let Some(node) = after.nodes.get_mut(at) {
                node.opens = 0;
            }
            after.sweep(at);
        }
        shared(after)
    }

    /// The kernel makes some of what no sync covers durable without being asked, in any order.
    ///
    /// `choose` is as in [`after_cut_by`](Self::after_cut_by); with 0 everywhere nothing happens.
    pub fn writeback(&self, choose: &mut dyn FnMut(u64) -> u64) {
        let mut world = lock(&self.world);
        let mut written = 0_u64;
        for node in &mut world.nodes {
            let mut left: Vec<Change> = Vec::new();
            for change in core::mem::take(&mut node.unsynced) {
                // What is written later to the same place goes with what was written before.
                if left.iter().any(|before| before.conflicts(&change)) || choose(2) == 0 {
                    left.push(change);
                } else {
                    change.apply(Arc::make_mut(&mut node.durable));
                    written = written.saturating_add(1);
                }
            }
            node.unsynced = left;
        }
        let mut left: Vec<Naming> = Vec::new();
        for naming in core::mem::take(&mut world.unsynced_names) {
            if left.iter().any(|before| before.name() == naming.name()) || choose(2) == 0 {
                left.push(naming);
            } else {
                world.settle_name(&naming);
                written = written.saturating_add(1);
            }
        }
        world.unsynced_names.append(&mut left);
        world.faults.written_back = world.faults.written_back.saturating_add(written);
    }
}
