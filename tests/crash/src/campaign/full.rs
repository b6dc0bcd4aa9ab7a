//! A file system without room: errors are clear, what was accepted is delivered, room comes back.

use core::time::Duration;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use whisperr_collector::Collector;
use whisperr_std::Fsync;

use super::kill::deliver;
use super::{Context, Place, Ran, Stop};
use crate::options::{BESIDE, Victim};
use crate::report::Row;
use crate::serve;
use crate::tool::mount::Mount;
use crate::tool::{Running, finish, need, need_root};

/// The size of the file system in KiB, and how many events must fit again once all is delivered. One
/// that is smaller than a segment has room for another only when somebody makes some.
const SIZES: [(u64, u64); 6] = [(64, 0), (256, 0), (1100, 50), (2560, 100), (3500, 100), (6144, 100)];

pub(super) fn run(context: &Context) -> Ran {
    need_root("mounts a file system")?;
    need(&["mount", "umount"])?;
    let mut row = Row::default();
    let mut refused = 0_u64;
    for round in 0..context.scale {
        for (size, again) in SIZES {
            for fsync in [BESIDE, Fsync::Always] {
                let kills = round.is_multiple_of(2) == (fsync == Fsync::Always);
                let count = filled_by_itself(context, (size, again), fsync, kills, &mut row)?;
                refused = count.saturating_add(refused);
                filled_by_others(context, size, fsync, &mut row)?;
            }
        }
    }
    row.note(format!("tmpfs of 64 KiB to 6 MiB; {refused} calls were refused: the storage is full"));
    Ok(row)
}

fn victim(place: &Place, mounted: &Path, collector: &Collector, fsync: Fsync) -> Victim {
    let mut victim = Victim::client(&mounted.join("queue"), &place.journal, &collector.url()).fsync(fsync);
    victim.text = 1000;
    victim.paused = true;
    victim
}

/// The queue takes all the room there is. Returns how many calls were refused.
fn filled_by_itself(
    context: &Context,
    (size, again): (u64, u64),
    fsync: Fsync,
    kills: bool,
    row: &mut Row,
) -> Result<u64, Stop> {
    let how = format!("{size} KiB filled by the queue, {}", if kills { "killed" } else { "ended" });
    let place = Place::new()?;
    let mounted = place.path("mounted");
    fs::create_dir(&mounted)?;
    let mount = Mount::tmpfs(&mounted, &format!("{size}k"))?;
    let collector = Collector::start()?;
    let victim = victim(&place, &mounted, &collector, fsync);
    let ops = size.saturating_add(300);
    let mut filling = victim.clone().ops(ops);
    if kills {
        filling.hold = true;
        let mut command = filling.command(&context.program);
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::null()))?;
        while place.said()?.next() <= ops && running.wait(Duration::ZERO)?.is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        row.broken.extend(running.wait(Duration::ZERO)?.map(|_| format!("{how}: it died")));
        running.kill();
    } else {
        let ended = finish(&mut filling.command(&context.program))?;
        row.broken.extend(ended.died().map(|died| format!("{how}: {died}")));
    }
    let said = place.said()?;
    if said.refused.is_empty() && said.opened > 0 {
        row.breaks(format!("{how}: it was not full"));
    }
    if let Some(other) = said.refused.values().find(|why| *why != "the storage is full") {
        row.breaks(format!("{how}: it is called: {other}"));
    }
    let refused = said.refused.len() as u64;
    deliver(context, &victim, row, &how)?;

    // Room comes back.
    let mut more = victim.clone().first(said.next()).ops(100);
    more.paused = false;
    more.deliver = Duration::from_secs(30);
    finish(&mut more.command(&context.program))?;
    let after = place.said()?;
    let taken = after.accepted.len().abs_diff(said.accepted.len()) as u64;
    if taken < again {
        row.breaks(format!("{how}: only {taken} of {again} events fit once all was delivered"));
    }
    let said = deliver(context, &victim, row, &how)?;
    row.add(context.check_arrived(serve::numbers(&collector), &said), &how);
    drop(mount);
    Ok(refused)
}

/// Somebody else takes the room that the queue left.
fn filled_by_others(context: &Context, size: u64, fsync: Fsync, row: &mut Row) -> Result<(), Stop> {
    let how = format!("{size} KiB filled by others");
    let place = Place::new()?;
    let mounted = place.path("mounted");
    fs::create_dir(&mounted)?;
    let mount = Mount::tmpfs(&mounted, &format!("{size}k"))?;
    let collector = Collector::start()?;
    let victim = victim(&place, &mounted, &collector, fsync);
    let owing = victim.clone().ops(20);
    finish(&mut owing.command(&context.program))?;
    let filler = fill(&mounted)?;

    // What is owed is delivered from a full disk; what is new is refused or, in blocks set aside, taken.
    let mut more = victim.clone().first(place.said()?.next()).ops(20);
    more.paused = false;
    more.deliver = Duration::from_secs(30);
    let ended = finish(&mut more.command(&context.program))?;
    row.broken.extend(ended.died().map(|died| format!("{how}: {died}")));
    fs::remove_file(filler)?;
    let said = deliver(context, &victim, row, &how)?;
    row.add(context.check_arrived(serve::numbers(&collector), &said), &how);

    let before = said.accepted.len();
    let mut again = victim.clone().first(said.next()).ops(10);
    again.deliver = Duration::ZERO;
    finish(&mut again.command(&context.program))?;
    let said = deliver(context, &victim, row, &how)?;
    if size > 64 && said.accepted.len() < before.saturating_add(10) {
        row.breaks(format!("{how}: it refuses although there is room again"));
    }
    row.add(context.check_arrived(serve::numbers(&collector), &said), &how);
    drop(mount);
    Ok(())
}

fn fill(path: &Path) -> io::Result<PathBuf> {
    let filler = path.join("filler");
    let mut file = File::create(&filler)?;
    while file.write(&[7; 4096]).is_ok_and(|written| written > 0) {}
    Ok(filler)
}
