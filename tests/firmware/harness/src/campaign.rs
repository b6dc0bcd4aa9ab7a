//! What is done to the kiosk.

use core::error::Error;
use core::num::NonZeroUsize;
use core::time::Duration;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;
use whisperr_certificates::Authority;
use whisperr_collector::{Collector, Fault};

use crate::arguments::Arguments;
use crate::chance::Chance;
use crate::check;
use crate::front::{self, Shown};
use crate::image::{Image, Life};
use crate::layout::{BOOTS, CHANGES, ERASES, LEDGER, LEDGER_NAMES, REPROGRAMMED, STACK, end, mode, tear};
use crate::machine::{End, Firmware};
use crate::report::{Report, Row};
use crate::{Result, tell};

/// Longer than any life that ends by itself, on a machine with other things to do.
const LONGEST: Duration = Duration::from_secs(300);
/// Lives between two looks at what arrived.
const LIVES_AT_ONCE: u32 = 10;

/// Everything that was asked for: the days in one thread, the script in the others. A machine in QEMU keeps one core busy.
pub(crate) fn run(firmware: &Firmware, arguments: &Arguments) -> Result<Report> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let busy = usize::from(arguments.kills > 0);
    let parts = u32::try_from(cores.saturating_sub(busy).max(1))?;
    // An error is passed on as its text: a boxed one stays in its thread.
    let as_text = |error: Box<dyn Error>| error.to_string();
    let (days, script) = thread::scope(|scope| {
        let days = scope.spawn(|| days(firmware, arguments).map_err(as_text));
        let threads: Vec<_> = (0..if arguments.cuts == Some(0) { 0 } else { parts })
            .map(|part| scope.spawn(move || script(firmware, arguments, part, parts).map_err(as_text)))
            .collect();
        let script: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (days.join(), script)
    });
    let panicked = |_| "a thread of the harness panicked";
    let mut report = Report { rows: days.map_err(panicked)?? };
    let mut whole: Option<Row> = None;
    for part in script {
        let row = part.map_err(panicked)??;
        whole = Some(match whole {
            Some(whole) => whole.join(row),
            None => row,
        });
    }
    report.rows.extend(whole);
    Ok(report)
}

/// Everything but the script.
fn days(firmware: &Firmware, arguments: &Arguments) -> Result<Vec<Row>> {
    let mut bench = Bench::new(firmware, arguments)?;
    let mut rows = vec![short_day(&mut bench)?];
    if let Some(authority) = bench.authority.take() {
        rows.push(strangers(&mut bench, &authority)?);
    }
    if arguments.kills > 0 {
        rows.push(random(&mut bench, arguments)?);
    }
    Ok(rows)
}

/// A machine, its image and its collector.
struct Bench<'a> {
    firmware: &'a Firmware,
    image: Image,
    collector: Collector,
    /// Where the device finds the collector: itself, or TLS in front of it.
    port: u16,
    /// Whom a device with TLS trusts.
    authority: Option<Authority>,
    chance: Chance,
    version: u32,
    _directory: TempDir,
}

impl<'a> Bench<'a> {
    fn new(firmware: &'a Firmware, arguments: &Arguments) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let image = Image::new(&directory.path().join("flash.img"))?;
        let collector = Collector::start()?;
        let authority = arguments.tls.then(|| Authority::new("ours"));
        let port = match &authority {
            Some(authority) => {
                image.trust(&authority.der)?;
                front::start(authority, Shown::Itself, collector.addr())?
            }
            None => collector.addr().port(),
        };
        Ok(Self {
            firmware,
            image,
            collector,
            port,
            authority,
            chance: Chance(arguments.seed),
            version: 0,
            _directory: directory,
        })
    }

    /// A life with a seed of its own.
    fn life(&mut self, mode: u32) -> Life {
        Life {
            mode,
            seed: self.chance.next() as u32,
            port: self.port,
            cut_at: 0,
            tear: tear::ALL,
            version: self.version,
        }
    }

    /// Lets it run to its end.
    fn run(&self, life: &Life, row: &mut Row) -> Result<End> {
        self.image.prepare(life)?;
        row.boots = row.boots.saturating_add(1);
        let ended = self.firmware.boot(&self.image)?.wait(LONGEST, || Ok(false))?;
        row.stack = row.stack.max(self.image.word(STACK)?);
        Ok(ended)
    }

    /// Lets the next life, which runs other firmware, deliver everything.
    fn drain(&mut self, row: &mut Row, how: &str) -> Result<()> {
        self.collector.clear_faults();
        self.version = self.version.wrapping_add(1);
        let life = self.life(mode::DRAIN);
        let ended = self.run(&life, row)?;
        if let Some(wrong) = ended.wrong(false, &[end::DONE]) {
            row.breaks(how, &format!("the life that delivers: {wrong}"));
        }
        let ledger = self.ledger()?;
        let [accepted, acknowledged, others @ ..] = ledger;
        if accepted != acknowledged || others != [0; 6] {
            row.breaks(how, &format!("the ledger: {LEDGER_NAMES:?} are {ledger:?}"));
        }
        let twice = self.image.word(REPROGRAMMED)?;
        if twice > 0 {
            row.breaks(how, &format!("{twice} words programmed twice between two erases"));
        }
        Ok(())
    }

    fn ledger(&self) -> Result<[u32; LEDGER_NAMES.len()]> {
        let mut ledger = [0; LEDGER_NAMES.len()];
        for (at, counter) in (LEDGER..).step_by(4).zip(&mut ledger) {
            *counter = self.image.word(at)?;
        }
        Ok(ledger)
    }

    /// Starts over with this flash.
    fn restore(&self, flash: &[u8]) -> Result<()> {
        self.collector.clear_faults();
        self.collector.clear();
        Ok(self.image.restore(flash)?)
    }

    fn misbehave(&mut self) {
        self.collector.clear_faults();
        match self.chance.below(10) {
            0 => self.collector.fault(Fault::status(503).times(3)),
            1 => self.collector.fault(Fault::status(503).retry_after("1").once()),
            2 => self.collector.fault(Fault::Close.times(2)),
            3 | 4 => self.collector.fault(Fault::LoseReply.times(2)),
            5 => self.collector.fault(Fault::Hang.once()),
            6 => self.collector.fault(Fault::delay_ms(80).times(5)),
            _ => {}
        }
    }
}

/// A day without accidents: nothing here is worth anything if that one does not work. It measures the stack.
fn short_day(bench: &mut Bench<'_>) -> Result<Row> {
    let start = Instant::now();
    let mut row = Row { name: "a short day", ..Row::default() };
    let life = bench.life(mode::SHORT_DAY);
    let ended = bench.run(&life, &mut row)?;
    if let Some(wrong) = ended.wrong(false, &[end::DONE]) {
        row.breaks("the only life", &wrong);
    }
    bench.drain(&mut row, "the only life")?;
    row.add(check::arrived(&bench.collector, &bench.image.journal()?), "the only life");
    row.erases = bench.image.word(ERASES)?.into();
    row.time = start.elapsed();
    Ok(row)
}

/// Servers that are not who they should be: nothing is sent to them, and nothing that was meant for the right one is lost.
fn strangers(bench: &mut Bench<'_>, authority: &Authority) -> Result<Row> {
    let start = Instant::now();
    let mut row = Row { name: "servers that are somebody else", ..Row::default() };
    let flash = bench.image.flash()?;
    bench.restore(&flash)?;
    let own = bench.port;
    for shown in Shown::STRANGERS {
        let how = format!("{shown:?}");
        bench.port = front::start(authority, shown, bench.collector.addr())?;
        let life = bench.life(mode::ONE_FLUSH);
        let ended = bench.run(&life, &mut row)?;
        if let Some(wrong) = ended.wrong(false, &[end::DONE]) {
            row.breaks(&how, &wrong);
        }
        let heard = bench.collector.requests().len();
        if heard > 0 {
            row.breaks(&how, &format!("{heard} requests reached it"));
        }
        bench.port = own;
        bench.drain(&mut row, &how)?;
        row.add(check::arrived(&bench.collector, &bench.image.journal()?), &how);
        bench.restore(&flash)?;
    }
    row.time = start.elapsed();
    Ok(row)
}

/// Lives that end at random, in a chain on one flash.
fn random(bench: &mut Bench<'_>, arguments: &Arguments) -> Result<Row> {
    let lives = arguments.kills;
    let start = Instant::now();
    let mut row = Row { name: "random kills", ..Row::default() };
    let flash = bench.image.flash()?;
    bench.restore(&flash)?;
    for number in 1..=lives {
        if bench.chance.below(20) == 0 {
            bench.version = bench.version.wrapping_add(1);
        }
        bench.misbehave();
        let how = format!("life {number}");
        let is_cut = bench.chance.below(4) == 0;
        let life = bench.life(mode::KIOSK);
        let ended = if is_cut { cut(bench, life, &mut row)? } else { kill(bench, &life, &mut row)? };
        if let Some(wrong) = ended.wrong(true, &[end::CUT]) {
            row.breaks(&how, &wrong);
        }
        if number.is_multiple_of(LIVES_AT_ONCE) || number == lives {
            if arguments.forget {
                bench.image.erase()?;
            }
            bench.drain(&mut row, &how)?;
            // The whole chain again, to see that nothing changes behind a look.
            let broken = check::arrived(&bench.collector, &bench.image.journal()?).broken;
            let is_broken = !broken.is_empty() || !row.broken.is_empty();
            tell(&format!("{number} lives, {} boots, {} broken", bench.image.word(BOOTS)?, broken.len()));
            if is_broken {
                // What is broken stays broken: the next looks would only repeat it.
                break;
            }
        }
    }
    row.erases = bench.image.word(ERASES)?.into();
    row.add(check::arrived(&bench.collector, &bench.image.journal()?), "all lives");
    row.time = start.elapsed();
    Ok(row)
}

/// Kills the machine after some changes of the flash, or after some time; never later than a few seconds.
fn kill(bench: &mut Bench<'_>, life: &Life, row: &mut Row) -> Result<End> {
    const MOST_CHANGES: u32 = 1500;
    let by_time = bench.chance.below(4) == 0;
    let time = Duration::from_millis(bench.chance.below(400).into());
    let changes = bench.chance.below(MOST_CHANGES);
    let beyond = Duration::from_micros(bench.chance.below(5000).into());
    bench.image.prepare(life)?;
    row.boots = row.boots.saturating_add(1);
    row.kills = row.kills.saturating_add(1);
    let longest = if by_time { time } else { Duration::from_secs(4) };
    let machine = bench.firmware.boot(&bench.image)?;
    let image = &bench.image;
    Ok(machine.wait(longest, || {
        let is_due = !by_time && image.word(CHANGES)? >= changes;
        if is_due {
            thread::sleep(beyond);
        }
        Ok(is_due)
    })?)
}

/// Lets the power fail in a change of the flash.
fn cut(bench: &mut Bench<'_>, mut life: Life, row: &mut Row) -> Result<End> {
    const MOST_CHANGES: u32 = 1000;
    life.cut_at = bench.chance.below(MOST_CHANGES).saturating_add(1);
    life.tear = bench.chance.below(tear::COUNT);
    let ended = bench.run(&life, row)?;
    row.cuts = row.cuts.saturating_add(1);
    Ok(ended)
}

/// The same steps again and again on the same flash, with the power failing in another change each time. Every so many
/// parts of it are this one's; each has a machine of its own.
fn script(firmware: &Firmware, arguments: &Arguments, part: u32, parts: u32) -> Result<Row> {
    /// Runs that wear the flash in, so that its pages turn in the runs that count.
    const BEFORE: u32 = 3;
    let start = Instant::now();
    let mut row = Row { name: "script", ..Row::default() };
    let mut bench = Bench::new(firmware, arguments)?;
    for _ in 0..BEFORE {
        let life = bench.life(mode::SCRIPT);
        if let Some(wrong) = bench.run(&life, &mut row)?.wrong(false, &[end::DONE]) {
            row.breaks("a run before", &wrong);
        }
        bench.drain(&mut row, "a run before")?;
    }
    let flash = bench.image.flash()?;
    bench.restore(&flash)?;
    // Chance is the same in every run, up to the cut.
    let mut life = bench.life(mode::SCRIPT);
    if let Some(wrong) = bench.run(&life, &mut row)?.wrong(false, &[end::DONE]) {
        row.breaks("the run without a cut", &wrong);
    }
    let changes = bench.image.word(CHANGES)?;
    let points = arguments.cuts.map_or(changes, |most| most.min(changes));
    let mut cut_before: u32 = 0;
    for index in (0..points).skip(part.try_into()?).step_by(parts.try_into()?) {
        let at = u64::from(index).saturating_mul(changes.into()).checked_div(points.into()).unwrap_or(0);
        let at = u32::try_from(at).unwrap_or(0).saturating_add(1);
        bench.restore(&flash)?;
        (life.cut_at, life.tear) = (at, index % tear::COUNT);
        let how = format!("cut in change {at}, tear {}", life.tear);
        let ended = bench.run(&life, &mut row)?;
        match ended.wrong(false, &[end::CUT, end::DONE]) {
            Some(wrong) => row.breaks(&how, &wrong),
            // The network took another turn, and the run was over before.
            None if matches!(ended, End::Off(end::DONE, _)) => cut_before = cut_before.saturating_add(1),
            None => row.cuts = row.cuts.saturating_add(1),
        }
        bench.drain(&mut row, &how)?;
        row.erases = row.erases.saturating_add(bench.image.word(ERASES)?.into());
        row.add(check::arrived(&bench.collector, &bench.image.journal()?), &how);
        if index % 100 == part {
            tell(&format!("{} of {points} cuts, {} broken", index.saturating_add(1), row.broken.len()));
        }
    }
    row.note = format!(
        "{} of {points} cut points in {changes} changes of the flash; {cut_before} runs ended before their cut",
        row.cuts.saturating_add(cut_before.try_into()?)
    );
    row.time = start.elapsed();
    Ok(row)
}
