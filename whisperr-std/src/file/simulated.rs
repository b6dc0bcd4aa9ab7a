//! A disk in memory that can fail in every way a real one does.
//!
//! It keeps apart what a process sees and what a power cut leaves: a write is durable after a sync
//! of its file, a name after a sync of the directory, and until then each on its own may survive,
//! torn at any byte, or not.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};

mod chance;

pub use chance::Chance;

/// What a failing call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The medium fails; nothing is written.
    Medium,
    /// There is no room; nothing is written.
    Full,
    /// A write takes half of its bytes; other calls fail.
    Short,
}

/// What of the writes that no sync covers a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Survivors {
    /// All of them: only the process died.
    All,
    /// None of them.
    None,
    /// Any of them, each torn at any byte, as this seed says.
    Some(u64),
}

/// The calls to fail, counted from the next one.
#[derive(Debug, Clone, Copy)]
struct Plan {
    calls_left: u64,
    failure: Failure,
    for_ever: bool,
    syncs_only: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// What a process sees.
    live: Vec<u8>,
    /// What is durable.
    durable: Vec<u8>,
    /// What no sync covers.
    unsynced: Vec<Change>,
    blocks: usize,
}

#[derive(Debug, Clone)]
enum Naming {
    Create { name: String, node: usize },
    Remove { name: String },
}

#[derive(Debug, Default)]
struct World {
    nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<Naming>,
    plan: Option<Plan>,
    /// Calls and written bytes until the power is cut.
    cut_after: Option<u64>,
    off: bool,
    capacity: Option<usize>,
    calls: u64,
    steps: u64,
    syncs: u64,
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk {
    world: Arc<Mutex<World>>,
}

/// A file of a [`SimulatedDisk`].
#[derive(Debug)]
pub struct SimulatedFile {
    world: Arc<Mutex<World>>,
    node: usize,
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_into(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset.saturating_add(bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

fn apply(content: &mut Vec<u8>, change: &Change, chance: Option<&mut Chance>) {
    match change {
        Change::Truncate { len } => content.resize(*len, 0),
        Change::Write { offset, bytes } => {
            let Some(chance) = chance else {
                return write_into(content, *offset, bytes);
            };
            // The file may have its new length before it has its new bytes.
            if chance.below(4) == 0 {
                let end = offset.saturating_add(bytes.len());
                content.resize(end.max(content.len()), 0);
            }
            let torn = chance.below_usize(bytes.len().saturating_add(1));
            let kept = if chance.below(2) == 0 { bytes.len() } else { torn };
            write_into(content, *offset, bytes.get(..kept).unwrap_or_default());
        }
    }
}

impl World {
    /// Counts a call and decides whether it fails.
    fn call(&mut self, is_sync: bool) -> Result<(), Failure> {
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
        let Some(plan) = &mut self.plan else {
            return Ok(());
        };
        if plan.syncs_only && !is_sync {
            return Ok(());
        }
        if plan.calls_left > 0 {
            plan.calls_left = plan.calls_left.saturating_sub(1);
            return Ok(());
        }
        let failure = plan.failure;
        if !plan.for_ever {
            self.plan = None;
        }
        Err(failure)
    }

    fn used(&self) -> usize {
        let nodes = self.names.values().filter_map(|node| self.nodes.get(*node));
        nodes.map(|node| node.live.len().max(node.blocks)).fold(0, usize::saturating_add)
    }

    fn write(&mut self, at: usize, offset: usize, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = bytes.len();
        match self.call(false) {
            Ok(()) => {}
            Err(Failure::Short) => taken /= 2,
            Err(failure) => return Err(failure.into()),
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
            let held = self.nodes.get(at).map_or(0, |node| node.live.len().max(node.blocks));
            let free = capacity.saturating_sub(self.used());
            taken = taken.min(held.saturating_add(free).saturating_sub(offset));
        }
        let bytes = bytes.get(..taken).unwrap_or_default();
        if let Some(node) = self.nodes.get_mut(at).filter(|_| taken > 0) {
            write_into(&mut node.live, offset, bytes);
            node.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
        }
        if cut {
            self.off = true;
            return Err(Failure::Medium.into());
        }
        if taken == 0 && self.capacity.is_some() {
            return Err(Failure::Full.into());
        }
        Ok(taken)
    }

    fn sync(&mut self, at: usize) -> io::Result<()> {
        self.syncs = self.syncs.saturating_add(1);
        let result = self.call(true);
        let off = self.off;
        let Some(node) = self.nodes.get_mut(at) else {
            return Ok(());
        };
        match result {
            Ok(()) => {
                for change in node.unsynced.drain(..) {
                    apply(&mut node.durable, &change, None);
                }
                Ok(())
            }
            Err(failure) => {
                if !off {
                    // The pages count as clean from here on: the next sync finds nothing to do.
                    node.unsynced.clear();
                }
                Err(failure.into())
            }
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => io::ErrorKind::StorageFull.into(),
            Failure::Medium | Failure::Short => Self::other("simulated fault"),
        }
    }
}

impl SimulatedDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the call behind the next `calls` fail, and every one behind it if `for_ever`.
    pub fn fail_after(&self, calls: u64, failure: Failure, for_ever: bool) {
        let plan = Plan { calls_left: calls, failure, for_ever, syncs_only: false };
        lock(&self.world).plan = Some(plan);
    }

    /// Lets the sync behind the next `syncs` fail. What it covered is lost, and later syncs succeed.
    pub fn fail_sync_after(&self, syncs: u64) {
        let failure = Failure::Medium;
        let plan = Plan { calls_left: syncs, failure, for_ever: false, syncs_only: true };
        lock(&self.world).plan = Some(plan);
    }

    /// Ends all faults that were asked for.
    pub fn heal(&self) {
        let mut world = lock(&self.world);
        world.plan = None;
        world.capacity = None;
    }

    /// Whether a fault that was asked for is still to come.
    #[must_use]
    pub fn has_plan(&self) -> bool {
        lock(&self.world).plan.is_some()
    }

    /// Limits the disk to this many bytes.
    pub fn limit(&self, capacity: Option<usize>) {
        lock(&self.world).capacity = capacity;
    }

    /// Bytes in use, blocks set aside included.
    #[must_use]
    pub fn used(&self) -> usize {
        lock(&self.world).used()
    }

    /// Cuts the power after this many calls and written bytes. From then on every call fails.
    pub fn cut_after(&self, steps: u64) {
        lock(&self.world).cut_after = Some(steps);
    }

    /// Calls and written bytes so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        lock(&self.world).steps
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.world).calls
    }

    /// Syncs of files and of the directory so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        lock(&self.world).syncs
    }

    /// What a restart finds after a power cut at this moment. This disk goes on.
    #[must_use]
    pub fn after_cut(&self, survivors: Survivors) -> Self {
        let world = lock(&self.world);
        let mut chance = match survivors {
            Survivors::Some(seed) => Some(Chance::new(seed)),
            Survivors::All | Survivors::None => None,
        };
        let keeps = |chance: &mut Option<Chance>| match chance {
            Some(chance) => chance.below(2) == 0,
            None => survivors == Survivors::All,
        };
        let mut nodes = world.nodes.clone();
        for node in &mut nodes {
            let mut content = node.durable.clone();
            if survivors == Survivors::All {
                content.clone_from(&node.live);
            } else {
                for change in &node.unsynced {
                    if keeps(&mut chance) {
                        apply(&mut content, change, chance.as_mut());
                    }
                }
            }
            *node = Node { live: content.clone(), durable: content, ..Node::default() };
        }
        let mut names = world.durable_names.clone();
        for naming in &world.unsynced_names {
            if keeps(&mut chance) {
                match naming {
                    Naming::Create { name, node } => names.insert(name.clone(), *node),
                    Naming::Remove { name } => names.remove(name),
                };
            }
        }
        let durable_names = names.clone();
        let world = World { nodes, names, durable_names, ..World::default() };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// The names and contents of all files.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let world = lock(&self.world);
        let content = |node: &usize| world.nodes.get(*node).map(|node| node.live.clone());
        world.names.iter().map(|(name, node)| (name.clone(), content(node).unwrap_or_default())).collect()
    }

    /// Puts a durable file there, or replaces its content.
    pub fn put(&self, name: &str, content: &[u8]) {
        let mut world = lock(&self.world);
        let node = world.nodes.len();
        let (live, durable) = (content.to_vec(), content.to_vec());
        world.nodes.push(Node { live, durable, ..Node::default() });
        world.names.insert(name.into(), node);
        world.durable_names.insert(name.into(), node);
    }

    /// Takes a file away for good.
    pub fn take(&self, name: &str) {
        let mut world = lock(&self.world);
        world.names.remove(name);
        world.durable_names.remove(name);
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<OsString>> {
        let mut world = lock(&self.world);
        world.call(false)?;
        Ok(world.names.keys().map(OsString::from).collect())
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut world = lock(&self.world);
        world.call(false)?;
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = world.nodes.len();
        world.nodes.push(Node::default());
        world.names.insert(name.into(), node);
        world.unsynced_names.push(Naming::Create { name: name.into(), node });
        Ok(SimulatedFile { world: Arc::clone(&self.world), node })
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut world = lock(&self.world);
        world.call(false)?;
        let node = world.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(SimulatedFile { world: Arc::clone(&self.world), node })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.call(false)?;
        world.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        world.unsynced_names.push(Naming::Remove { name: name.into() });
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.syncs = world.syncs.saturating_add(1);
        world.call(true)?;
        world.durable_names = world.names.clone();
        world.unsynced_names.clear();
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.world).write(self.node, usize::try_from(offset).unwrap_or(usize::MAX), bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut world = lock(&self.world);
        world.call(false)?;
        let node = world.nodes.get(self.node).ok_or(io::ErrorKind::NotFound)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = node.live.get(offset..).unwrap_or_default();
        for (to, byte) in buffer.iter_mut().zip(bytes) {
            *to = *byte;
        }
        Ok(bytes.len().min(buffer.len()))
    }

    fn size(&self) -> io::Result<u64> {
        let mut world = lock(&self.world);
        world.call(false)?;
        Ok(world.nodes.get(self.node).map_or(0, |node| node.live.len() as u64))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.call(false)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if let Some(node) = world.nodes.get_mut(self.node).filter(|node| len < node.live.len()) {
            node.live.truncate(len);
            node.blocks = 0;
            node.unsynced.push(Change::Truncate { len });
        }
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.call(false)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let held = world.nodes.get(self.node).map_or(0, |node| node.live.len().max(node.blocks));
        let free = world.capacity.map_or(usize::MAX, |all| all.saturating_sub(world.used()));
        if len.saturating_sub(held) > free {
            return Err(Failure::Full.into());
        }
        if let Some(node) = world.nodes.get_mut(self.node) {
            node.blocks = node.blocks.max(len);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        lock(&self.world).sync(self.node)
    }

    fn sync_all(&self) -> io::Result<()> {
        lock(&self.world).sync(self.node)
    }
}
