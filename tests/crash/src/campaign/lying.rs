//! A sync that fails once and then says Ok: the sector of a segment cannot be written.
//!
//! The kernel keeps the page, marks it clean, and the next sync has nothing to do. What it covered
//! is in RAM and not on the disk, and only who never syncs that file again finds out in time.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::power::EXT4;
use super::{Context, Place, Ran, Stop};
use crate::check::{self, Promise};
use crate::options::Victim;
use crate::report::Row;
use crate::tool::block::{Behaviour, Disk, need_disks};
use crate::tool::mount::Mount;
use crate::tool::{finish, need};

pub(super) fn run(context: &Context) -> Ran {
    need_disks()?;
    need(&["filefrag"])?;
    let mut row = Row::default();
    let mut refused = 0_u64;
    for round in 0..2_u64.saturating_mul(context.scale as u64) {
        for once in [true, false] {
            refused = refused.saturating_add(one(context, round, once, &mut row)?);
        }
    }
    if refused == 0 {
        row.breaks("no sync failed in any round: the sector was never written".to_owned());
    }
    row.note(format!("ext4, one bad sector, once and for ever; {refused} calls were refused"));
    Ok(row)
}

fn one(context: &Context, round: u64, once: bool, row: &mut Row) -> Result<u64, Stop> {
    let how = format!("round {round}, {}", if once { "once" } else { "for ever" });
    let place = Place::new()?;
    let (image, export, mounted) = (place.path("image"), place.path("disk"), place.path("mounted"));
    EXT4.make(&image)?;
    fs::create_dir(&mounted)?;
    let queue = mounted.join("queue");
    let mut victim = Victim::storage(&queue, &place.journal);
    // So much that the blocks of the segment, which are set aside, can be known before they are written.
    victim.segment_bytes = 64 << 10;

    let mount = Mount::image(&image, &mounted)?;
    finish(&mut victim.clone().ops(5).command(&context.program))?;
    let sector = sector(&queue, round.wrapping_add(1))?;
    mount.unmount()?;

    let disk = Disk::start(&image, &export, &Behaviour::Fail { sector, once })?;
    let mount = Mount::image(&export, &mounted)?;
    let before = place.said()?;
    let ended = finish(&mut victim.clone().first(before.next()).ops(300).command(&context.program))?;
    row.broken.extend(ended.died().map(|died| format!("{how}: {died}")));
    let said = place.said()?;
    // The file system may have had enough of the disk; what it says does not matter.
    let unmounted = mount.unmount();
    drop(disk);
    unmounted?;

    let mount = Mount::image(&image, &mounted)?;
    let copied = place.path("copy");
    check::copy(&queue, &copied)?;
    let verdict = context.check(&copied, &said, Promise::Medium)?;
    if verdict.missing > 0 {
        row.note(format!("{} unpromised records surfaced as damaged", verdict.missing));
    }
    row.add(verdict, &how);
    mount.unmount()?;
    Ok(said.refused.len() as u64)
}

/// The sector of the disk where the segment will stand, some pages behind its end.
fn sector(queue: &Path, pages: u64) -> Result<u64, Stop> {
    let names = fs::read_dir(queue)?.map(|entry| entry.map(|entry| entry.path()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let newest = names.into_iter().filter(|name| name.extension().is_some_and(|end| end == "log")).max();
    let newest = newest.ok_or_else(|| Stop::Failed("there is no segment".into()))?;
    let next_page = fs::metadata(&newest)?.len().div_ceil(4096).saturating_add(pages);
    // In units of 512 bytes, so a block is a sector.
    let told = Command::new("filefrag").args(["-b512", "-v"]).arg(&newest).output()?;
    let wanted = next_page.saturating_mul(8);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let sector = told.lines().find_map(|line| {
        // 0:        0..      31:       8770..      8801:     32: ...
        let numbers: Vec<u64> = line
            .split(|character: char| !character.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        let [_, first, last, on_disk, ..] = numbers.as_slice() else { return None };
        let within = wanted.checked_sub(*first).filter(|_| line.contains("..") && wanted <= *last)?;
        on_disk.checked_add(within)
    });
    sector.ok_or_else(|| Stop::Failed(format!("the segment has no block {wanted}")))
}
