//! Every write of a disk in order, and the disk as it was after any of them, the last one torn.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::power::FileSystem;
use super::{Context, Place, Ran, Stop, each};
use crate::check::{self, Promise};
use crate::journal::{Said, until};
use crate::options::Victim;
use crate::report::Row;
use crate::tool::block::{Behaviour, Disk, need_disks};
use crate::tool::finish;
use crate::tool::mount::Mount;

/// Small: it is copied for every state.
const SYSTEM: FileSystem = FileSystem { mkfs: "mkfs.ext4", args: &["-q", "-F"], bytes: 16 << 20 };
const SECTOR: u64 = 512;
/// A discard carries no bytes.
const DISCARD: u64 = 4;

/// One write, where its bytes stand in the log, and where the log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Write {
    offset: u64,
    length: u64,
    at: u64,
    end: u64,
}

pub(super) fn run(context: &Context) -> Ran {
    need_disks()?;
    let place = Place::new()?;
    let (image, base, log) = (place.path("image"), place.path("base"), place.path("log"));
    let (export, mounted) = (place.path("disk"), place.path("mounted"));
    SYSTEM.make(&image)?;
    fs::copy(&image, &base)?;
    fs::create_dir(&mounted)?;
    let disk = Disk::start(&image, &export, &Behaviour::Log(&log))?;
    let mount = Mount::image(&export, &mounted)?;
    let mut victim = Victim::storage(&mounted.join("queue"), &place.journal).ops(150);
    victim.block_log = Some(log.clone());
    let ended = finish(&mut victim.command(&context.program))?;
    if let Some(died) = ended.died() {
        return Err(Stop::Failed(died));
    }
    mount.unmount()?;
    disk.end()?;
    let bytes = fs::read(&log)?;
    let writes = writes(&bytes);
    let journal = fs::read_to_string(&place.journal)?;

    let mut chance = context.chance("block-replay");
    // Torn ones too: how many sectors of the last write arrived.
    let states = (0..40_usize.saturating_mul(context.scale)).map(|_| {
        let at = chance.below(writes.len() as u64);
        (at, chance.next())
    });
    let mut row = each(states.collect(), |(at, torn), row| {
        let written = usize::try_from(at).unwrap_or(0);
        state(context, &base, (&bytes, &writes), written, torn, &journal, row)
    })?;
    let (count, flushes) = (writes.len(), writes.iter().filter(|write| write.length == 0).count());
    row.note(format!("ext4; {count} entries logged, {flushes} of them flushes or discards"));
    Ok(row)
}

/// Builds the disk up to one write, mounts it, and looks.
fn state(
    context: &Context,
    base: &Path,
    (log, writes): (&[u8], &[Write]),
    written: usize,
    torn: u64,
    journal: &str,
    row: &mut Row,
) -> Result<(), Stop> {
    let place = Place::new()?;
    let (image, mounted) = (place.path("image"), place.path("mounted"));
    fs::copy(base, &image)?;
    fs::create_dir(&mounted)?;
    let disk = OpenOptions::new().write(true).open(&image)?;
    let whole = writes.get(..written).unwrap_or(writes);
    for write in whole {
        put(&disk, log, *write, write.length)?;
    }
    let mut how = format!("after entry {written}");
    if let Some(last) = writes.get(written) {
        let sectors = torn.checked_rem(last.length / SECTOR).unwrap_or(0);
        put(&disk, log, *last, sectors.saturating_mul(SECTOR))?;
        how = format!("{how} and {sectors} sectors of the next");
    }
    drop(disk);
    let length = whole.last().map_or(SECTOR, |write| write.end);
    let said = Said::parse(until(journal, length))?;
    let mount = Mount::image(&image, &mounted).map_err(|error| Stop::Failed(format!("{how}: {error}")))?;
    let (queue, copied) = (mounted.join("queue"), place.path("copy"));
    if queue.exists() {
        check::copy(&queue, &copied)?;
        row.add(context.check(&copied, &said, Promise::Medium)?, &how);
    } else if said.accepted.is_empty() {
        row.runs = row.runs.saturating_add(1);
    } else {
        row.breaks(format!("{how}: there is no queue"));
    }
    Ok(mount.unmount()?)
}

fn put(disk: &File, log: &[u8], write: Write, length: u64) -> Result<(), Stop> {
    let from = usize::try_from(write.at)?;
    let bytes = log.get(from..from.saturating_add(usize::try_from(length)?));
    Ok(disk.write_all_at(bytes.unwrap_or_default(), write.offset)?)
}

/// Reads the log, in the format of the kernel's dm-log-writes: a block about the log, then for each
/// write a sector that describes it, and its bytes.
fn writes(log: &[u8]) -> Vec<Write> {
    let number = |at: u64| {
        let at = usize::try_from(at).ok()?;
        log.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
    };
    let entries = number(16).unwrap_or(0);
    let mut writes = Vec::new();
    let mut at = SECTOR;
    for _ in 0..entries {
        let (Some(sector), Some(sectors), Some(flags)) =
            (number(at), number(at.saturating_add(8)), number(at.saturating_add(16)))
        else {
            break;
        };
        let length = if flags & DISCARD == 0 { sectors.saturating_mul(SECTOR) } else { 0 };
        let bytes = at.saturating_add(SECTOR);
        let end = bytes.saturating_add(length);
        writes.push(Write { offset: sector.saturating_mul(SECTOR), length, at: bytes, end });
        at = end;
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_entry_by_entry() {
        let mut log = vec![0; 512];
        log[16] = 3;
        for (sector, sectors, flags) in [(2_u64, 1_u64, 0_u64), (0, 0, 1), (9, 4, DISCARD)] {
            let mut entry = vec![0; 512];
            entry[..8].copy_from_slice(&sector.to_le_bytes());
            entry[8..16].copy_from_slice(&sectors.to_le_bytes());
            entry[16..24].copy_from_slice(&flags.to_le_bytes());
            log.extend(entry);
            log.extend(vec![7; if flags == 0 { 512 } else { 0 }]);
        }

        let writes = writes(&log);

        assert_eq!(writes[0], Write { offset: 1024, length: 512, at: 1024, end: 1536 });
        assert_eq!((writes[1].length, writes[1].end), (0, 2048));
        assert_eq!((writes[2].length, writes[2].end, writes.len()), (0, 2560, 3));
    }
}
