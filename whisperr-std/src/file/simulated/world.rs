//! The state of a simulated disk: files, names, and what of them is durable.

use core::ops::Range;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::faults::{Faults, count};
use super::{Failure, SyncFault};

/// Most removed files that are remembered.
const GRAVES_MAX: usize = 6;

/// A change of a file that no sync covers.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Arc<[u8]> },
    Truncate { len: usize },
}

impl Change {
    /// Applies it as it was asked for.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Truncate { len } => content.resize(*len, 0),
            Self::Write { offset, bytes } => write_into(content, *offset, bytes),
        }
    }

    /// Whether it makes a difference which of the two comes first.
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        let end = |offset: usize, bytes: &[u8]| offset.saturating_add(bytes.len());
        match (self, other) {
            (Self::Truncate { .. }, Self::Truncate { .. }) => true,
            (Self::Truncate { len }, Self::Write { offset, bytes })
            | (Self::Write { offset, bytes }, Self::Truncate { len }) => end(*offset, bytes) > *len,
            (Self::Write { offset, bytes }, Self::Write { offset: at, bytes: others }) => {
                *offset < end(*at, others) && *at < end(*offset, bytes)
            }
        }
    }
}

/// Writes `bytes` at `offset`; what lies between is zero.
pub(super) fn write_into(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset.saturating_add(bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

/// A file, whatever its name. Contents are shared between the worlds before and after a cut until
/// one of them is written to.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// What a process sees.
    pub(super) live: Arc<Vec<u8>>,
    /// What is durable.
    pub(super) durable: Arc<Vec<u8>>,
    /// What no sync covers.
    pub(super) unsynced: Vec<Change>,
    pub(super) blocks: usize,
    /// How many hold the file open.
    pub(super) opens: u32,
}

impl Node {
    pub(super) fn at_rest(content: Arc<Vec<u8>>) -> Self {
        Self { live: Arc::clone(&content), durable: content, ..Self::default() }
    }

    fn held(&self) -> usize {
        self.live.len().max(self.blocks)
    }

    fn settle(&mut self) {
        if !self.unsynced.is_empty() {
            let durable = Arc::make_mut(&mut self.durable);
            for change in self.unsynced.drain(..) {
                change.apply(durable);
            }
        }
    }
}

/// A change of the directory that no sync covers.
#[derive(Debug, Clone)]
pub(super) enum Naming {
    Create { name: Arc<str>, node: usize },
    Remove { name: Arc<str> },
}

impl Naming {
    pub(super) fn name(&self) -> &Arc<str> {
        match self {
            Self::Create { name, .. } | Self::Remove { name } => name,
        }
    }

    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Create { name, node } => names.insert(Arc::clone(name), *node),
            Self::Remove { name } => names.remove(name),
        };
    }
}

pub(super) type Names = BTreeMap<Arc<str>, usize>;

/// A file that is gone for good; its blocks are used again as they are.
#[derive(Debug, Clone)]
pub(super) struct Grave {
    pub(super) name: Arc<str>,
    pub(super) content: Arc<Vec<u8>>,
}

/// The calls to fail, counted from the next one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<F> {
    pub(super) left: u64,
    pub(super) fault: F,
    /// How many fail in a row.
    pub(super) times: u64,
}

impl<F: Copy> Plan<F> {
    /// What this call comes to.
    fn next(plan: &mut Option<Self>) -> Option<F> {
        let current = plan.as_mut()?;
        if let Some(less) = current.left.checked_sub(1) {
            current.left = less;
            return None;
        }
        let fault = current.fault;
        current.times = current.times.saturating_sub(1);
        if current.times == 0 {
            *plan = None;
        }
        Some(fault)
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    /// Places of files that nobody can reach any more.
    pub(super) free: Vec<usize>,
    pub(super) names: Names,
    pub(super) durable_names: Names,
    pub(super) unsynced_names: Vec<Naming>,
    pub(super) graves: Vec<Grave>,
    pub(super) plan: Option<Plan<Failure>>,
    pub(super) sync_plan: Option<Plan<SyncFault>>,
    /// Bytes of files that cannot be read.
    pub(super) spoiled: Vec<(usize, Range<u64>)>,
    /// Every so many reads and writes, one is interrupted.
    pub(super) interrupt_every: u64,
    pub(super) transfers: u64,
    /// Calls and written bytes until the power is cut.
    pub(super) cut_after: Option<u64>,
    pub(super) off: bool,
    pub(super) capacity: Option<usize>,
    pub(super) calls: u64,
    pub(super) steps: u64,
    pub(super) syncs: u64,
    pub(super) faults: Faults,
}

impl World {
    /// Counts a call and decides whether it fails.
    pub(super) fn call(&mut self) -> Result<(), Failure> {
        if self.off {
            return Err(Failure::Medium);
        }
        self.calls = self.calls.saturating_add(1);
        self.steps = self.steps.saturating_add(1);
        if let Some(left) = &mut self.cut_after {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    self.off = true;
                    return Err(Failure::Medium);
                }
            }
        }
        match Plan::next(&mut self.plan) {
            None => Ok(()),
            Some(failure) => {
                match failure {
                    Failure::Medium => count(&mut self.faults.failed_calls),
                    Failure::Full => count(&mut self.faults.full),
                    Failure::Short => {}
                }
                Err(failure)
            }
        }
    }

    /// Whether a signal interrupts this read or write. Never two in a row.
    pub(super) fn is_interrupted(&mut self) -> bool {
        self.transfers = self.transfers.saturating_add(1);
        let every = self.interrupt_every.max(2);
        let interrupted = self.interrupt_every > 0 && self.transfers.is_multiple_of(every);
        if interrupted {
            count(&mut self.faults.interrupted);
        }
        interrupted
    }

    pub(super) fn used(&self) -> usize {
        let nodes = self.names.values().filter_map(|node| self.nodes.get(*node));
        nodes.map(Node::held).fold(0, usize::saturating_add)
    }

    pub(super) fn held(&self, at: usize) -> usize {
        self.nodes.get(at).map_or(0, Node::held)
    }

    /// Adds a file, in a place that is free if there is one.
    pub(super) fn add(&mut self, node: Node) -> usize {
        let at = self.free.pop().unwrap_or(self.nodes.len());
        match self.nodes.get_mut(at) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        at
    }

    /// Forgets what a file held that nobody can reach any more.
    pub(super) fn sweep(&mut self, at: usize) {
        let named = |names: &Names| names.values().any(|node| *node == at);
        let pending = self
            .unsynced_names
            .iter()
            .any(|naming| matches!(naming, Naming::Create { node, .. } if *node == at));
        if let Some(node) = self.nodes.get_mut(at)
            && node.opens == 0
            && !pending
            && !named(&self.names)
            && !named(&self.durable_names)
        {
            *node = Node::default();
            if !self.free.contains(&at) {
                self.free.push(at);
            }
        }
    }

    pub(super) fn write(&mut self, at: usize, offset: usize, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = bytes.len();
        match self.call() {
            Ok(()) => {}
            Err(Failure::Short) => taken /= 2,
            Err(failure) => return Err(failure.into()),
        }
        if self.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut cut = false;
        if let Some(left) = &mut self.cut_after {
            let fits = usize::try_from(*left).unwrap_or(usize::MAX);
            cut = fits < taken;
            taken = taken.min(fits);
            *left = left.saturating_sub(taken as u64);
        }
        self.steps = self.steps.saturating_add(taken as u64);
        if let Some(capacity) = self.capacity {
            let free = capacity.saturating_sub(self.used());
            taken = taken.min(self.held(at).saturating_add(free).saturating_sub(offset));
        }
        let short = taken < bytes.len() && !cut;
        let bytes = bytes.get(..taken).unwrap_or_default();
        if let Some(node) = self.nodes.get_mut(at).filter(|_| taken > 0) {
            write_into(Arc::make_mut(&mut node.live), offset, bytes);
            node.unsynced.push(Change::Write { offset, bytes: bytes.into() });
        }
        if cut {
            self.off = true;
            return Err(Failure::Medium.into());
        }
        if taken == 0 && short && self.capacity.is_some() {
            count(&mut self.faults.full);
            return Err(Failure::Full.into());
        }
        if short {
            count(&mut self.faults.short_writes);
        }
        Ok(taken)
    }

    pub(super) fn sync(&mut self, at: usize) -> io::Result<()> {
        let off = self.off;
        let outcome = self.sync_outcome();
        let Some(node) = self.nodes.get_mut(at) else {
            return Ok(());
        };
        match outcome {
            Ok(()) | Err(SyncFault::Durable) => node.settle(),
            // The pages count as clean from here on: the next sync finds nothing to do.
            Err(SyncFault::Dropped) if !self.off => node.unsynced.clear(),
            Err(SyncFault::Dropped | SyncFault::Lie) => {}
        }
        self.answer(outcome, off)
    }

    pub(super) fn sync_directory(&mut self) -> io::Result<()> {
        let off = self.off;
        let outcome = self.sync_outcome();
        if matches!(outcome, Ok(()) | Err(SyncFault::Durable)) {
            for naming in core::mem::take(&mut self.unsynced_names) {
                self.settle_name(&naming);
            }
        }
        self.answer(outcome, off)
    }

    fn sync_outcome(&mut self) -> Result<(), SyncFault> {
        count(&mut self.syncs);
        self.call().map_err(|_| SyncFault::Dropped)?;
        Plan::next(&mut self.sync_plan).map_or(Ok(()), Err)
    }

    fn answer(&mut self, outcome: Result<(), SyncFault>, was_off: bool) -> io::Result<()> {
        match outcome {
            Ok(()) => return Ok(()),
            Err(SyncFault::Lie) => {
                count(&mut self.faults.lying_syncs);
                return Ok(());
            }
            Err(SyncFault::Durable) => count(&mut self.faults.durable_failures),
            Err(SyncFault::Dropped) if was_off || self.off => {}
            Err(SyncFault::Dropped) => count(&mut self.faults.failed_syncs),
        }
        Err(Failure::Medium.into())
    }

    /// Makes a creation or a removal durable.
    pub(super) fn settle_name(&mut self, naming: &Naming) {
        let before = self.durable_names.get(naming.name()).copied();
        naming.apply(&mut self.durable_names);
        if let (Naming::Remove { name }, Some(at)) = (naming, before) {
            let content = self.nodes.get(at).map(|node| Arc::clone(&node.durable));
            bury(&mut self.graves, name, content.unwrap_or_default());
            self.sweep(at);
        }
    }
}

/// Remembers a file that is gone for good.
pub(super) fn bury(graves: &mut Vec<Grave>, name: &Arc<str>, content: Arc<Vec<u8>>) {
    if graves.len() >= GRAVES_MAX {
        graves.remove(0);
    }
    graves.push(Grave { name: Arc::clone(name), content });
}
