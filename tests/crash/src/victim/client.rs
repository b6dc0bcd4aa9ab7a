//! A victim that is a whole client, with real HTTP.

use core::time::Duration;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use serde_json::json;
use whisperr_std::{Error, Identify, Notice, NoticeKind, Whisperr};

use crate::Result;
use crate::journal::Journal;
use crate::options::Victim;

/// How many events come between two changes of the user.
const IDENTIFY_EVERY: u64 = 50;

pub(super) fn run(victim: &Victim, journal: Journal) -> Result<ExitCode> {
    let journal = Arc::new(journal);
    let told = Arc::clone(&journal);
    let built = Whisperr::builder("wrk_test")
        .base_url(&victim.url)
        .queue_dir(&victim.queue)
        .fsync(victim.fsync)
        .max_queue_size(10_000_000)
        .retry_base_delay(Duration::from_millis(10))
        .max_retry_delay(Duration::from_millis(200))
        .request_timeout(victim.timeout)
        .on_error(move |notice| {
            // What was given up, or could not be read. A medium that failed is not: it is told, and mended.
            let lost = notice.kind() == NoticeKind::Dropped || matches!(notice, Notice::Damaged { .. });
            let word = if lost { "complaint" } else { "failed" };
            let _nobody_to_tell = told.say(format_args!("{word} {notice}"));
        })
        .build();
    let whisperr = match built {
        Ok(whisperr) => whisperr,
        Err(error) => {
            journal.say(format_args!("failed to open: {error}"))?;
            return Ok(ExitCode::from(super::NOT_OPENED));
        }
    };
    if victim.paused {
        whisperr.pause();
    }
    journal.say("open")?;
    if victim.ops > 0 {
        identify(&whisperr, &journal, victim.first)?;
    }
    let text = "x".repeat(victim.text);
    for n in victim.first..victim.first.saturating_add(victim.ops) {
        journal.say(format_args!("try {n}"))?;
        match whisperr.track("crash_test", json!({ "n": n, "text": text })) {
            Ok(_) => journal.say(format_args!("ok {n}"))?,
            Err(error @ (Error::StorageFull | Error::Storage(_))) => {
                journal.say(format_args!("no {n} {error}"))?;
            }
            Err(error) => journal.say(format_args!("complaint operation {n}: {error}"))?,
        }
        if n % IDENTIFY_EVERY == 0 {
            identify(&whisperr, &journal, n)?;
        }
        if !victim.pace.is_zero() {
            thread::sleep(victim.pace);
        }
    }
    if !victim.deliver.is_zero() {
        let flush = whisperr.flush(victim.deliver);
        journal.say(format_args!("flush {flush:?}"))?;
    }
    super::hold(victim);
    let counters = whisperr.status().counters;
    let owed = u64::from(whisperr.status().owed);
    if victim.paused && counters.owed() != owed {
        journal.say(format_args!("complaint {owed} owed, but the counters come to {}", counters.owed()))?;
    }
    let _owed_stays = whisperr.shutdown(Duration::ZERO);
    journal.say("end")?;
    Ok(ExitCode::SUCCESS)
}

fn identify(whisperr: &Whisperr, journal: &Journal, n: u64) -> std::io::Result<()> {
    // It fills a slot and a record; which user events belong to is not what is counted here.
    match whisperr.identify(Identify::new(&format!("user_{n}"))) {
        Ok(()) => Ok(()),
        Err(error) => journal.say(format_args!("failed to identify: {error}")),
    }
}
