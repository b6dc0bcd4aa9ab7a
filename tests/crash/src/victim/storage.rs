//! A victim that uses the queue file alone.

use core::sync::atomic::{AtomicU64, Ordering};
use std::fs;
use std::io;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use whisperr_core::{Fault, SeqRange, Slot, Storage, ready};
use whisperr_std::Fsync;
use whisperr_std::file::{FileError, FileOptions, FileStorage, Syncer};

use crate::Result;
use crate::journal::Journal;
use crate::options::Victim;
use crate::walk;
use crate::workload::{Beside, beside, record};

type Done = core::result::Result<(), Fault<FileError>>;

struct Run<'a> {
    victim: &'a Victim,
    journal: &'a Journal,
    storage: Mutex<FileStorage>,
    syncer: Syncer,
    accepted: AtomicU64,
}

pub(super) fn run(victim: &Victim, journal: &Journal) -> Result<ExitCode> {
    let options = FileOptions::new().fsync(victim.fsync).segment_bytes(victim.segment_bytes);
    let storage = match FileStorage::open(&victim.queue, options) {
        Ok(storage) => storage,
        Err(error) => {
            journal.say(format_args!("failed to open: {error}"))?;
            return Ok(ExitCode::from(super::NOT_OPENED));
        }
    };
    journal.say("open")?;
    let syncer = storage.syncer();
    let run = Run { victim, journal, storage: Mutex::new(storage), syncer, accepted: AtomicU64::new(0) };
    thread::scope(|scope| {
        // Under the other policies one thread does it all: its system calls can be counted.
        let beside = matches!(victim.fsync, Fsync::Interval(_)).then(|| scope.spawn(|| run.sync_beside()));
        let worked = run.work();
        super::hold(victim);
        run.syncer.stop();
        let synced = beside.map_or(Ok(Ok(())), thread::ScopedJoinHandle::join);
        worked.and(synced.unwrap_or_else(|_| Err(io::Error::other("the syncing thread panicked"))))
    })?;
    drop(run);
    journal.say("end")?;
    Ok(ExitCode::SUCCESS)
}

impl Run<'_> {
    fn storage(&self) -> MutexGuard<'_, FileStorage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the client's second thread does. It also says what each sync covered.
    fn sync_beside(&self) -> io::Result<()> {
        let (mut before, mut said) = (0, Ok(()));
        self.syncer.run(|synced| {
            if synced.is_ok() && said.is_ok() {
                said = self.journal.say(format_args!("durable {before}"));
            }
            let _tried_again_later = self.storage().maintain();
            // The next sync starts after this, so it covers what was accepted until here.
            before = self.accepted.load(Ordering::SeqCst);
        });
        said
    }

    fn work(&self) -> io::Result<()> {
        for n in self.victim.first..self.victim.first.saturating_add(self.victim.ops) {
            self.append(n)?;
            match beside(n) {
                Beside::Nothing => {}
                Beside::RemoveOldest(count) => self.take(count)?,
                Beside::Store => self.store(n)?,
                Beside::Wipe => self.wipe()?,
            }
            if n % 4 == 0 {
                // The client does it after each sync.
                let _tried_again_later = self.storage().maintain();
            }
            if !self.victim.pace.is_zero() {
                thread::sleep(self.victim.pace);
            }
        }
        Ok(())
    }

    /// Writes, lets go of the storage, and waits for the medium as the policy says.
    fn change(&self, write: impl FnOnce(&mut FileStorage) -> Option<Done>) -> Done {
        let ticket = {
            let mut storage = self.storage();
            write(&mut storage).unwrap_or(Err(Fault::Full))?;
            storage.ticket()
        };
        if self.victim.fsync == Fsync::Always {
            self.syncer.wait_durable(ticket)?;
        }
        Ok(())
    }

    fn append(&self, n: u64) -> io::Result<()> {
        self.journal.say(format_args!("try {n}"))?;
        let appended = self.change(|storage| {
            let seq = storage.next_seq();
            ready(storage.append(seq, &record(n)))
        });
        if let Err(error) = appended {
            return self.journal.say(format_args!("no {n} {}", words(error)));
        }
        self.say_at()?;
        self.journal.say(format_args!("ok {n}"))?;
        self.accepted.store(n, Ordering::SeqCst);
        Ok(())
    }

    /// Says how long the log of block writes is now that a call returned.
    fn say_at(&self) -> io::Result<()> {
        let Some(log) = &self.victim.block_log else { return Ok(()) };
        self.journal.say(format_args!("at {}", fs::metadata(log)?.len()))
    }

    fn take(&self, count: usize) -> io::Result<()> {
        let oldest = walk::oldest(&mut self.storage(), count);
        let oldest = match oldest {
            Ok(oldest) => oldest,
            Err(error) => return self.journal.say(format_args!("failed to read: {}", words(error))),
        };
        let (Some((first, _)), Some((last, _))) = (oldest.first(), oldest.last()) else { return Ok(()) };
        let range = SeqRange { first: *first, last: *last };
        let numbers = list(&oldest);
        self.journal.say(format_args!("take{numbers}"))?;
        match ready(self.storage().remove(range)) {
            Some(Ok(())) => self.journal.say(format_args!("taken{numbers}")),
            failed => self.journal.say(format_args!("failed to remove: {failed:?}")),
        }
    }

    fn wipe(&self) -> io::Result<()> {
        self.journal.say("wiping")?;
        match ready(self.storage().wipe()) {
            Some(Ok(())) => self.say_at().and_then(|()| self.journal.say("wiped")),
            failed => self.journal.say(format_args!("failed to wipe: {failed:?}")),
        }
    }

    fn store(&self, n: u64) -> io::Result<()> {
        let value = format!("user_{n}");
        self.journal.say(format_args!("set {value}"))?;
        match self.change(|storage| ready(storage.store(Slot::Identity, value.as_bytes()))) {
            Ok(()) => self.say_at().and_then(|()| self.journal.say(format_args!("is {value}"))),
            Err(error) => self.journal.say(format_args!("failed to store: {}", words(error))),
        }
    }
}

fn list(found: &[walk::Found]) -> String {
    found.iter().filter_map(|(_, number)| *number).map(|number| format!(" {number}")).collect()
}

fn words(fault: Fault<FileError>) -> String {
    match fault {
        Fault::Full => "full".into(),
        Fault::Medium(error) => error.to_string(),
    }
}
