//! A log beside a list that does the same: what both hold must be equal, whatever happens to the first.

use core::fmt::Write as _;
use std::collections::VecDeque;

use whisperr_core::{Fault, RemoveWith, Seq, SeqRange, Slot, Storage, Stored};
use whisperr_embassy::flash::{FlashError, FlashStorage};

use super::change::{Change, Content, MARK, record, same};
use super::flash::{Driven, NorError, SimNor};

/// The longest value or record that a check reads.
const BUFFER: usize = 70_000;

/// Lines of a trace.
const TRACE: usize = 40;

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no other way")]
pub enum Ended {
    /// With `Ok`.
    Done,
    /// With [`Fault::Full`], or by asking for two steps: nothing changed.
    Full,
    /// With another error: what became of it is seen from here on.
    Failed,
    /// Its future was dropped.
    Dropped,
    /// The power failed.
    Off,
}

/// A log on a model flash, and the list beside it.
#[derive(Debug)]
pub struct Checked<const WRITE: usize, const ERASE: usize, const PAGES: usize> {
    nor: SimNor<WRITE, ERASE>,
    log: Option<FlashStorage<SimNor<WRITE, ERASE>, PAGES>>,
    content: Content,
    /// A change of which nobody knows yet whether it happened.
    open_change: Option<Change>,
    /// Markers of deleted records must not be readable.
    wiped: bool,
    buffer: Vec<u8>,
    /// Damaged records that the log may report.
    damage_allowed: bool,
    /// The last things that were done.
    trace: VecDeque<String>,
    /// What the checked calls came to: appended, removed, and so on.
    pub(super) appended: u64,
    pub(super) record_bytes: u64,
}

impl<const WRITE: usize, const ERASE: usize, const PAGES: usize> Checked<WRITE, ERASE, PAGES> {
    /// An empty list beside what is on the flash; [`open`](Self::open) comes next.
    #[must_use]
    pub fn new(nor: SimNor<WRITE, ERASE>) -> Self {
        let content = Content { next: 1, ..Content::default() };
        Self {
            nor,
            log: None,
            content,
            open_change: None,
            wiped: false,
            buffer: vec![0; BUFFER.min(ERASE.saturating_mul(32).max(1024))],
            damage_allowed: false,
            trace: VecDeque::new(),
            appended: 0,
            record_bytes: 0,
        }
    }

    /// The flash.
    #[must_use]
    pub const fn nor(&self) -> &SimNor<WRITE, ERASE> {
        &self.nor
    }

    /// A copy of flash and list, without a log.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            nor: self.nor.copied(),
            log: None,
            content: self.content.clone(),
            open_change: self.open_change.clone(),
            wiped: self.wiped,
            buffer: self.buffer.clone(),
            damage_allowed: self.damage_allowed,
            trace: self.trace.clone(),
            appended: self.appended,
            record_bytes: self.record_bytes,
        }
    }

    /// The last things that were done, one a line.
    #[must_use]
    pub fn trace(&self) -> String {
        self.trace.iter().fold(String::new(), |text, line| text + "\n    " + line)
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(line());
    }

    /// How many records the list holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.content.records.len()
    }

    /// Whether the list holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.records.is_empty()
    }

    /// The numbers that the list holds.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.content.records.keys().copied().collect()
    }

    /// The longest record that the log takes.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.log.as_ref().map_or(0, FlashStorage::record_bytes_max)
    }

    /// Opens the log, as after a start of the device; `false` when the power failed meanwhile.
    ///
    /// # Errors
    /// What is wrong.
    pub fn open(&mut self) -> Result<bool, String> {
        self.log = None;
        let end = u32::try_from(self.nor.raw().len()).unwrap_or(u32::MAX);
        let changes = self.nor.changes();
        self.note(|| format!("open, after {changes} changes of the flash"));
        match self.nor.drive(None, FlashStorage::open(self.nor.clone(), 0..end)) {
            Driven::Done(Ok(log)) => self.log = Some(log),
            Driven::Done(Err(error)) => return Err(format!("opening failed: {error}")),
            Driven::Off => return Ok(false),
            Driven::Dropped => return Err("opening does not end".to_owned()),
        }
        Ok(true)
    }

    /// Opens the log and drops the future at a poll.
    pub(super) fn open_dropped(&mut self, polls: Option<u32>) {
        self.log = None;
        let end = u32::try_from(self.nor.raw().len()).unwrap_or(u32::MAX);
        let _dropped = self.nor.drive(polls, FlashStorage::<_, PAGES>::open(self.nor.clone(), 0..end));
    }

    /// Lets go of the log, as when the power fails.
    pub fn lose(&mut self) {
        self.log = None;
    }

    /// Appends a record of so many bytes.
    pub fn append(&mut self, bytes: usize, polls: Option<u32>) -> Result<Ended, String> {
        let Some(log) = &self.log else { return Ok(Ended::Off) };
        let seq = log.next_seq().get();
        if seq < self.content.next {
            return Err(format!("number {seq} is given out again, {} was free", self.content.next));
        }
        self.append_as(seq, bytes, polls)
    }

    /// Appends a record and leaves out so many numbers.
    pub(super) fn append_behind(
        &mut self,
        gap: u64,
        bytes: usize,
        polls: Option<u32>,
    ) -> Result<Ended, String> {
        let next = self.log.as_ref().map_or(0, |log| log.next_seq().get());
        self.append_as(next.saturating_add(gap), bytes, polls)
    }

    /// Appends a record under a number.
    pub fn append_as(&mut self, seq: u64, bytes: usize, polls: Option<u32>) -> Result<Ended, String> {
        let record = record(seq, bytes);
        let change = Change::Append { seq, record: record.clone() };
        let ended =
            self.change(change, polls, async |log| log.append(Seq::new(seq), &record).await.map(|()| true))?;
        self.count(ended, bytes);
        Ok(ended)
    }

    const fn count(&mut self, ended: Ended, bytes: usize) {
        if matches!(ended, Ended::Done) {
            self.appended = self.appended.saturating_add(1);
            self.record_bytes = self.record_bytes.saturating_add(bytes as u64);
        }
    }

    /// Removes a range and appends a record of so many bytes in one step, behind numbers that are left out.
    pub fn replace(
        &mut self,
        (first, last): (u64, u64),
        gap: u64,
        bytes: usize,
        polls: Option<u32>,
    ) -> Result<Ended, String> {
        let seq = self.log.as_ref().map_or(0, |log| log.next_seq().get()).saturating_add(gap);
        let record = record(seq, bytes);
        let with = Box::new(Change::Append { seq, record: record.clone() });
        let range = SeqRange { first: Seq::new(first), last: Seq::new(last) };
        let ended = self.change(Change::RemoveWith { first, last, with }, polls, async |log| {
            log.remove_with(range, RemoveWith::Record { seq: Seq::new(seq), record: &record }).await
        })?;
        self.count(ended, bytes);
        Ok(ended)
    }

    /// Removes a range and replaces a slot in one step.
    pub fn settle(
        &mut self,
        (first, last): (u64, u64),
        slot: Slot,
        value: &[u8],
        polls: Option<u32>,
    ) -> Result<Ended, String> {
        let with = Box::new(Change::Store { slot, value: value.to_vec() });
        let range = SeqRange { first: Seq::new(first), last: Seq::new(last) };
        self.change(Change::RemoveWith { first, last, with }, polls, async |log| {
            log.remove_with(range, RemoveWith::Slot { slot, value }).await
        })
    }

    /// Removes a range.
    pub fn remove(&mut self, first: u64, last: u64, polls: Option<u32>) -> Result<Ended, String> {
        let range = SeqRange { first: Seq::new(first), last: Seq::new(last) };
        let change = Change::remove(first, last);
        self.change(change, polls, async |log| log.remove(range).await.map(|()| true))
    }

    /// Sets a record aside.
    pub fn set_aside(&mut self, seq: u64, polls: Option<u32>) -> Result<Ended, String> {
        let change = Change::remove(seq, seq);
        self.change(change, polls, async |log| log.set_aside(Seq::new(seq)).await.map(|()| true))
    }

    /// Replaces a slot.
    pub fn store(&mut self, slot: Slot, value: &[u8], polls: Option<u32>) -> Result<Ended, String> {
        let change = Change::Store { slot, value: value.to_vec() };
        self.change(change, polls, async |log| log.store(slot, value).await.map(|()| true))
    }

    /// Wipes.
    pub fn wipe(&mut self, polls: Option<u32>) -> Result<Ended, String> {
        let ended = self.change(Change::Wipe, polls, async |log| log.wipe().await.map(|()| true))?;
        if ended == Ended::Done {
            self.wiped = true;
            self.check_wiped()?;
            self.wiped = false;
        }
        Ok(ended)
    }

    /// Reads one record, and drops the future on the way.
    pub fn peek(&mut self, from: u64, polls: Option<u32>) -> Result<(), String> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let _any = self.nor.drive(polls, log.read(Seq::new(from), &mut self.buffer));
        Ok(())
    }

    fn change(
        &mut self,
        change: Change,
        polls: Option<u32>,
        call: impl AsyncFnOnce(&mut Log<WRITE, ERASE, PAGES>) -> Result<bool, Fault<FlashError<NorError>>>,
    ) -> Result<Ended, String> {
        let Some(log) = &mut self.log else { return Ok(Ended::Off) };
        self.open_change = Some(change.clone());
        let ended = match self.nor.drive(polls, call(log)) {
            Driven::Done(Ok(true)) => {
                change.apply(&mut self.content);
                self.open_change = None;
                Ended::Done
            }
            Driven::Done(Ok(false) | Err(Fault::Full)) => {
                self.open_change = None;
                if matches!(change, Change::Remove { .. } | Change::Wipe) {
                    return Err(format!("{change} found no room"));
                }
                Ended::Full
            }
            Driven::Done(Err(Fault::Medium(FlashError::Flash(_) | FlashError::Unverified))) => Ended::Failed,
            Driven::Done(Err(Fault::Medium(error))) => return Err(format!("{change}: {error}")),
            Driven::Dropped => Ended::Dropped,
            Driven::Off => Ended::Off,
        };
        let (changes, word) = (self.nor.changes(), change.to_string());
        self.note(|| format!("{word}: {ended:?}, {changes} changes of the flash"));
        match self.nor.breach() {
            Some(breach) => Err(format!("{breach}, in {change}")),
            None => Ok(ended),
        }
    }

    /// Walks through everything; `false` when the power failed meanwhile.
    ///
    /// # Errors
    /// What the log holds, and what it should hold.
    pub fn check(&mut self) -> Result<bool, String> {
        let Some(found) = self.walk()? else { return Ok(false) };
        if let Some(change) = self.open_change.take() {
            let mut changed = self.content.clone();
            change.apply(&mut changed);
            if same(&found, &changed) {
                self.content = changed;
                if change == Change::Wipe && self.nor.hits() > 0 {
                    self.wiped = false;
                }
            } else if !same(&found, &self.content) {
                return Err(format!("after {change}, half done: {}", self.differ(&found)));
            }
        } else if !same(&found, &self.content) {
            return Err(self.differ(&found));
        }
        Ok(true)
    }

    /// What the log holds; `None` when the power failed meanwhile.
    fn walk(&mut self) -> Result<Option<Content>, String> {
        let Some(log) = &mut self.log else { return Ok(None) };
        let mut found = Content { next: log.next_seq().get(), ..Content::default() };
        let mut from = Seq::FIRST;
        loop {
            let read = loop {
                match self.nor.drive(None, log.read(from, &mut self.buffer)) {
                    Driven::Done(Ok(read)) => break read,
                    Driven::Done(Err(error)) if self.nor.is_faulty() => {
                        let _again = error;
                    }
                    Driven::Done(Err(error)) => return Err(format!("reading failed: {error}")),
                    Driven::Off => return Ok(None),
                    Driven::Dropped => return Err("reading does not end".to_owned()),
                }
            };
            let Some(Stored { seq, len }) = read else { break };
            if seq < from {
                return Err(format!("the walk goes back to {seq} from {from}"));
            }
            found.records.insert(seq.get(), self.buffer.get(..len).unwrap_or_default().to_vec());
            from = seq.next();
        }
        for (slot, value) in Slot::ALL.iter().zip(&mut found.slots) {
            match self.nor.drive(None, log.load(*slot, &mut self.buffer)) {
                Driven::Done(Ok(len)) => {
                    *value = self.buffer.get(..len).unwrap_or_default().to_vec();
                }
                Driven::Done(Err(error)) => return Err(format!("loading failed: {error}")),
                Driven::Off => return Ok(None),
                Driven::Dropped => return Err("loading does not end".to_owned()),
            }
        }
        let damaged = log.take_damaged();
        if damaged > 0 && !self.damage_allowed {
            return Err(format!("{damaged} records were found damaged; {}", self.differ(&found)));
        }
        found.next = log.next_seq().get();
        Ok(Some(found))
    }

    fn differ(&self, found: &Content) -> String {
        let mut text = String::new();
        for (seq, record) in &self.content.records {
            match found.records.get(seq) {
                None => {
                    let _ = write!(text, "record {seq} is gone; ");
                }
                Some(other) if other != record => {
                    let _ = write!(text, "record {seq} is another; ");
                }
                Some(_) => {}
            }
        }
        for seq in found.records.keys().filter(|seq| !self.content.records.contains_key(seq)) {
            let _ = write!(text, "record {seq} is back; ");
        }
        for (slot, (value, right)) in Slot::ALL.iter().zip(found.slots.iter().zip(&self.content.slots)) {
            if value != right {
                let _ = write!(text, "{slot:?} is {value:?}, not {right:?}; ");
            }
        }
        if found.next < self.content.next {
            let _ = write!(text, "number {} is free again; ", found.next);
        }
        text
    }

    /// Lets damage be found from here on: some was done on purpose.
    pub const fn allow_damage(&mut self) {
        self.damage_allowed = true;
    }

    /// Looks for deleted records in the raw bytes.
    ///
    /// # Errors
    /// When one is there.
    pub fn check_wiped(&self) -> Result<(), String> {
        let raw = self.nor.raw();
        if self.content.records.is_empty() && raw.windows(MARK.len()).any(|bytes| bytes == MARK) {
            return Err("a wiped record can still be read".to_owned());
        }
        Ok(())
    }

    /// Removes everything, after which an append must find room.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_not_wedged(&mut self) -> Result<(), String> {
        for _ in 0..3 {
            if self.remove(1, u64::MAX, None)? == Ended::Done {
                break;
            }
        }
        self.check()?;
        if !self.content.records.is_empty() {
            return Err("nothing can be removed".to_owned());
        }
        let mut ended = self.append(24, None)?;
        if ended == Ended::Full {
            // Slots alone can fill two small pages.
            for slot in Slot::ALL {
                self.store(slot, &[], None)?;
            }
            ended = self.append(24, None)?;
        }
        if ended != Ended::Done {
            return Err(format!("wedged: an append to an empty log ended with {ended:?}"));
        }
        self.check()?;
        Ok(())
    }

    /// Whether pages were erased in turn, apart from one more for every change that was cut short.
    ///
    /// # Errors
    /// When they were not.
    pub fn check_wear(&self, disturbances: u64) -> Result<(), String> {
        let mut erases = self.nor.erases();
        // Units that no page is made of are never touched.
        let unused = erases.len().checked_rem(PAGES).unwrap_or(0);
        erases.truncate(erases.len().saturating_sub(unused));
        let (least, most) = (erases.iter().min(), erases.iter().max());
        let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
        if most.saturating_sub(least) > disturbances.saturating_add(1) {
            return Err(format!("uneven wear with {disturbances} disturbances: {erases:?}"));
        }
        Ok(())
    }
}

type Log<const WRITE: usize, const ERASE: usize, const PAGES: usize> =
    FlashStorage<SimNor<WRITE, ERASE>, PAGES>;
