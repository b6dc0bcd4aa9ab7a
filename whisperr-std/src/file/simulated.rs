//! A disk in memory that can fail in every way a real one does.
//!
//! It keeps apart what a process sees and what a power cut leaves: a write is durable after a sync
//! of its file, a name after a sync of the directory, and until then each on its own may survive,
//! torn at any byte, sector or page, or not, whatever became of those before it. The kernel may
//! write any of it back earlier; what is durable may rot.

use core::ops::Range;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};

mod chance;
mod cut;
mod decay;
mod faults;
mod world;

pub use chance::Chance;
#[cfg(test)]
pub(super) use cut::{Fate, Judge, Pending};
pub use faults::Faults;

use faults::count;
use world::{Change, Naming, Node, Plan, World};

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

/// What a sync does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncFault {
    /// It fails, and what it covered in the file never becomes durable, although later syncs say
    /// `Ok` and reads find it until the power is cut. Names stay as they are.
    Dropped,
    /// It fails although everything became durable.
    Durable,
    /// It says `Ok`, and nothing becomes durable. No promise holds on such a disk: this is to prove
    /// that a harness notices.
    Lie,
}

/// What of the writes that no sync covers a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Survivors {
    /// All of them: only the process died.
    All,
    /// None of them.
    None,
    /// Any of them, torn anywhere, as this seed says.
    Some(u64),
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

fn shared(world: World) -> SimulatedDisk {
    SimulatedDisk { world: Arc::new(Mutex::new(world)) }
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
        let times = if for_ever { u64::MAX } else { 1 };
        lock(&self.world).plan = Some(Plan { left: calls, fault: failure, times });
    }

    /// Lets the medium fail in the next `times` calls.
    pub fn fail_calls(&self, times: u64) {
        lock(&self.world).plan = Some(Plan { left: 0, fault: Failure::Medium, times });
    }

    /// Lets the sync behind the next `syncs` fail. What it covered is lost, and later syncs succeed.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.fault_sync_after(syncs, SyncFault::Dropped, false);
    }

    /// Lets the sync behind the next `syncs` go wrong, and every one behind it if `for_ever`.
    pub fn fault_sync_after(&self, syncs: u64, fault: SyncFault, for_ever: bool) {
        let times = if for_ever { u64::MAX } else { 1 };
        lock(&self.world).sync_plan = Some(Plan { left: syncs, fault, times });
    }

    /// Lets a signal interrupt one of so many reads and writes, at least 2; 0 ends it.
    pub fn interrupt_every(&self, transfers: u64) {
        lock(&self.world).interrupt_every = transfers;
    }

    /// Lets no byte of a file between two offsets be read, as in a bad sector.
    pub fn spoil(&self, name: &str, bytes: Range<u64>) {
        let mut world = lock(&self.world);
        if let Some(node) = world.names.get(name).copied() {
            world.spoiled.push((node, bytes));
        }
    }

    /// Ends all faults that were asked for.
    pub fn heal(&self) {
        let mut world = lock(&self.world);
        world.spoiled.clear();
        world.plan = None;
        world.sync_plan = None;
        world.interrupt_every = 0;
        world.capacity = None;
    }

    /// Whether a failing call that was asked for is still to come.
    #[must_use]
    pub fn has_plan(&self) -> bool {
        let world = lock(&self.world);
        world.plan.is_some() || world.sync_plan.is_some()
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

    /// Whether that cut has come.
    #[must_use]
    pub fn is_off(&self) -> bool {
        lock(&self.world).off
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

    /// What happened to this disk, and to those before it that were cut.
    #[must_use]
    pub fn faults(&self) -> Faults {
        lock(&self.world).faults
    }

    /// The names and contents of all files, as a process sees them.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let world = lock(&self.world);
        let content = |at: &usize| world.nodes.get(*at).map(|node| Vec::clone(&node.live));
        world.names.iter().map(|(name, at)| (name.to_string(), content(at).unwrap_or_default())).collect()
    }

    /// Puts a durable file there, or replaces its content.
    pub fn put(&self, name: &str, content: &[u8]) {
        let mut world = lock(&self.world);
        let node = world.add(Node::at_rest(Arc::new(content.to_vec())));
        let name: Arc<str> = name.into();
        world.names.insert(Arc::clone(&name), node);
        world.durable_names.insert(name, node);
    }

    /// Takes a file away for good.
    pub fn take(&self, name: &str) {
        let mut world = lock(&self.world);
        world.names.remove(name);
        world.durable_names.remove(name);
    }

    fn file(&self, world: &mut World, node: usize) -> SimulatedFile {
        if let Some(node) = world.nodes.get_mut(node) {
            node.opens = node.opens.saturating_add(1);
        }
        SimulatedFile { world: Arc::clone(&self.world), node }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<OsString>> {
        let mut world = lock(&self.world);
        world.call()?;
        Ok(world.names.keys().map(|name| OsString::from(&**name)).collect())
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut world = lock(&self.world);
        world.call()?;
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = world.add(Node::default());
        let name: Arc<str> = name.into();
        world.names.insert(Arc::clone(&name), node);
        world.unsynced_names.push(Naming::Create { name, node });
        Ok(self.file(&mut world, node))
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut world = lock(&self.world);
        world.call()?;
        let node = world.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(&mut world, node))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.call()?;
        let (name, _) = world.names.remove_entry(name).ok_or(io::ErrorKind::NotFound)?;
        world.unsynced_names.push(Naming::Remove { name });
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        lock(&self.world).sync_directory()
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        let mut world = lock(&self.world);
        if let Some(node) = world.nodes.get_mut(self.node) {
            node.opens = node.opens.saturating_sub(1);
        }
        world.sweep(self.node);
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.world).write(self.node, usize::try_from(offset).unwrap_or(usize::MAX), bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut world = lock(&self.world);
        world.call()?;
        if world.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let end = offset.saturating_add(buffer.len() as u64);
        if world.spoiled.iter().any(|(node, bad)| *node == self.node && offset < bad.end && bad.start < end) {
            count(&mut world.faults.failed_calls);
            return Err(Failure::Medium.into());
        }
        let node = world.nodes.get(self.node).ok_or(io::ErrorKind::NotFound)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = node.live.get(offset..).unwrap_or_default();
        let bytes = bytes.get(..buffer.len()).unwrap_or(bytes);
        if let Some(to) = buffer.get_mut(..bytes.len()) {
            to.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn size(&self) -> io::Result<u64> {
        let mut world = lock(&self.world);
        world.call()?;
        Ok(world.nodes.get(self.node).map_or(0, |node| node.live.len() as u64))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.call()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if let Some(node) = world.nodes.get_mut(self.node).filter(|node| len < node.live.len()) {
            Arc::make_mut(&mut node.live).truncate(len);
            node.blocks = 0;
            node.unsynced.push(Change::Truncate { len });
        }
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.call()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let free = world.capacity.map_or(usize::MAX, |all| all.saturating_sub(world.used()));
        if len.saturating_sub(world.held(self.node)) > free {
            count(&mut world.faults.full);
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
