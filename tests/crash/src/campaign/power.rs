//! Power cuts: the file system is shut down under a victim, and mounted again.
//!
//! A real cut also ends the program. Here it goes on, and a sync that is under way when the file
//! system is shut down may come back with success although nothing was written: so does that of any
//! program, on ext4 and on XFS. So every second victim is stopped before the cut, and everything it
//! said counts; of the others, what they said before the cut began.

use core::time::Duration;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::Signal;
use whisperr_collector::Collector;
use whisperr_std::Fsync;

use super::kill::deliver;
use super::{Context, Place, Ran, Stop};
use crate::chance::Chance;
use crate::check::{self, Promise};
use crate::journal::{Said, unsay};
use crate::options::{BESIDE, Victim};
use crate::report::Row;
use crate::serve;
use crate::tool::mount::Mount;
use crate::tool::{Running, need, need_root, run as run_tool};

/// A file system, and how it is made on an image.
#[derive(Debug)]
pub(super) struct FileSystem {
    pub(super) mkfs: &'static str,
    pub(super) args: &'static [&'static str],
    /// The smallest that mkfs takes with a margin; the file is sparse.
    pub(super) bytes: u64,
}

pub(super) const EXT4: FileSystem = FileSystem { mkfs: "mkfs.ext4", args: &["-q", "-F"], bytes: 64 << 20 };
pub(super) const XFS: FileSystem = FileSystem { mkfs: "mkfs.xfs", args: &["-q", "-f"], bytes: 320 << 20 };

impl FileSystem {
    pub(super) fn make(&self, image: &Path) -> Result<(), Stop> {
        File::create(image)?.set_len(self.bytes)?;
        Ok(run_tool(Command::new(self.mkfs).args(self.args).arg(image))?)
    }
}

/// Who uses the disk when the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    StorageAlways,
    StorageBeside,
    ClientAlways,
}

struct Cuts<'a> {
    context: &'a Context,
    place: Place,
    collector: Collector,
    row: Row,
    counted: [u64; 2],
    uncovered: u64,
    missing: u64,
}

pub(super) fn run(context: &Context, name: &str, system: &FileSystem) -> Ran {
    need_root("mounts a file system")?;
    need(&["mount", "umount", system.mkfs, "xfs_io"])?;
    let place = Place::new()?;
    let (image, mounted) = (place.path("image"), place.path("mounted"));
    system.make(&image)?;
    fs::create_dir(&mounted)?;
    // A kernel without it says so here.
    let mut mount = Mount::image(&image, &mounted).map_err(|error| Stop::Skip(error.to_string()))?;
    let mut cuts = Cuts {
        context,
        place,
        collector: Collector::start()?,
        row: Row::default(),
        counted: [0; 2],
        uncovered: 0,
        missing: 0,
    };
    let mut chance = context.chance(name);
    for cut in 0..20_usize.saturating_mul(context.scale) {
        let under = match cut % 3 {
            0 => Under::StorageAlways,
            1 => Under::ClientAlways,
            _ => Under::StorageBeside,
        };
        let victim = cuts.victim(cut, under, &mounted);
        cuts.cut(&victim, &mounted, &mut chance, cut)?;
        mount.unmount()?;
        mount = Mount::image(&image, &mounted)?;
        cuts.look(cut, under, &victim)?;
    }
    mount.unmount()?;
    let mut row = cuts.row;
    row.duplicates = row.duplicates.saturating_add(cuts.collector.duplicates() as u64);
    row.broken.extend(cuts.collector.conflicts());
    row.note("storage and client that sync always, storage that syncs beside");
    row.note(format!("{} more were not yet covered by a sync, so not promised", cuts.uncovered));
    row.note(format!("{} of those surfaced as damaged", cuts.missing));
    Ok(row)
}

impl Cuts<'_> {
    fn victim(&self, cut: usize, under: Under, mounted: &Path) -> Victim {
        // What was not covered is gone, and later syncs do not cover it: each of those has a queue of
        // its own. The others go on where the last cut left them.
        let name = match under {
            Under::StorageAlways => "always".into(),
            Under::StorageBeside => format!("beside-{cut}"),
            Under::ClientAlways => "client".into(),
        };
        let (queue, journal) = (mounted.join(&name), self.place.path(format!("journal-{name}")));
        let mut victim = match under {
            Under::ClientAlways => Victim::client(&queue, &journal, &self.collector.url()),
            _ => Victim::storage(&queue, &journal),
        };
        if under == Under::StorageBeside {
            victim = victim.fsync(BESIDE);
        } else {
            victim = victim.fsync(Fsync::Always);
        }
        victim.pace = Duration::from_micros(300);
        victim
    }

    /// Runs a victim until the power fails at a random moment.
    fn cut(&mut self, victim: &Victim, mounted: &Path, chance: &mut Chance, cut: usize) -> Result<(), Stop> {
        let before = Said::read(&victim.journal)?;
        let running = victim.clone().first(before.next()).ops(1_000_000);
        let mut command = running.command(&self.context.program);
        let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
        while Said::read(&victim.journal)?.accepted.len() == before.accepted.len() {
            if running.wait(Duration::from_millis(1))?.is_some() {
                return Err(Stop::Failed(format!("cut {cut}: the victim ended too soon")));
            }
        }
        thread::sleep(Duration::from_millis(chance.below(150)));
        let stopped = chance.below(2) == 0;
        if stopped {
            running.signal(Signal::STOP);
            // A call that is under way in the kernel comes to its end first.
            thread::sleep(Duration::from_millis(20));
        }
        let begun = fs::metadata(&victim.journal)?.len();
        // Without the log being flushed first: what the file system only has in RAM is gone.
        run_tool(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(mounted))?;
        running.signal(Signal::CONT);
        thread::sleep(Duration::from_millis(20));
        if running.wait(Duration::ZERO)?.is_some() {
            self.row.breaks(format!("cut {cut}: the victim died of it"));
        }
        running.kill();
        if !stopped {
            unsay(&victim.journal, begun)?;
        }
        Ok(())
    }

    /// Looks at what the medium holds.
    fn look(&mut self, cut: usize, under: Under, victim: &Victim) -> Result<(), Stop> {
        let how = format!("cut {cut}, {under:?}");
        let said = Said::read(&victim.journal)?;
        let mut verdict = if under == Under::ClientAlways {
            let said = deliver(self.context, victim, &mut self.row, &how)?;
            self.context.check_arrived(serve::numbers(&self.collector), &said)
        } else {
            let copied = self.place.path("copy");
            check::copy(&victim.queue, &copied)?;
            let promise = if under == Under::StorageBeside { Promise::Synced } else { Promise::Medium };
            self.context.check(&copied, &said, promise)?
        };
        if under == Under::StorageBeside {
            let uncovered = (said.accepted.len() as u64).saturating_sub(verdict.accepted);
            self.uncovered = self.uncovered.saturating_add(uncovered);
            fs::remove_dir_all(&victim.queue)?;
        } else {
            // In a chain, each operation is counted once.
            let [storage, client] = &mut self.counted;
            let counted = if under == Under::ClientAlways { client } else { storage };
            let all = core::mem::replace(counted, verdict.accepted);
            verdict.accepted = verdict.accepted.saturating_sub(all);
        }
        self.missing = self.missing.saturating_add(verdict.missing);
        self.row.add(verdict, &how);
        Ok(())
    }
}
