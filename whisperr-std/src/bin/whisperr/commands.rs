//! What each command does.

use core::fmt::Display;
use core::time::Duration;
use std::io::{self, Write};

use serde_json::json;
use whisperr_std::{Channel, Error, Json, PushToken, Status, Whisperr};

use crate::args::Settings;
use crate::client::{Manner, has_session, open, open_offline};
use crate::command::{Call, Command, Identify, Say, Track};
use crate::deliver::{deliver, finish};
use crate::exit::{Exit, Failure};
use crate::pipe;

pub(crate) fn run(settings: &Settings, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Track(track) => say_one(settings, track.timeout, |whisperr| track.say(whisperr)),
        Command::Identify(identify) => say_one(settings, identify.timeout, |whisperr| identify.say(whisperr)),
        Command::Say(say) => say_one(settings, say.timeout, |whisperr| say.say(whisperr)),
        Command::Reset { timeout } => say_one(settings, *timeout, Whisperr::reset_without_flush),
        Command::Flush { timeout } => flush(settings, *timeout),
        Command::Status => status(settings),
        Command::Pipe { timeout } => {
            let whisperr = open(settings, Manner::Patient, *timeout)?;
            let refused = pipe::run(&whisperr, io::stdin().lock(), io::stdout().lock(), *timeout);
            deliver(&whisperr, *timeout);
            Ok(finish(&whisperr, refused).0)
        }
    }
}

/// Says one thing, then delivers.
fn say_one<E: Display>(
    settings: &Settings,
    timeout: Duration,
    say: impl FnOnce(&Whisperr) -> Result<(), E>,
) -> Result<Exit, Failure> {
    let whisperr = open(settings, Manner::Brief, timeout)?;
    say(&whisperr).map_err(Failure::refused)?;
    deliver(&whisperr, timeout);
    Ok(finish(&whisperr, false).0)
}

impl Track {
    fn say(&self, whisperr: &Whisperr) -> Result<(), Error> {
        let properties = self.properties.to_json();
        let event = whisperr_std::Track::new(self.event.as_deref().unwrap_or_default());
        let event = event.properties(Json(&properties));
        let event = match &self.user {
            Some(user) => event.user(user),
            None => event,
        };
        whisperr.track_event(&event).map(|_message_id| ())
    }
}

impl Say {
    fn say(&self, whisperr: &Whisperr) -> Result<(), String> {
        let said = match self.call {
            Call::OptOut => whisperr.opt_out(),
            Call::OptIn => whisperr.opt_in(),
            Call::Launch => whisperr.launch(self.text(0), self.text(1)),
            Call::Foreground | Call::Background if !has_session() => {
                return Err(
                    "foreground and background need Linux with /proc: one command cannot tell how long \
                            ago another one ran"
                        .into(),
                );
            }
            Call::Foreground => whisperr.foreground(),
            Call::Background => whisperr.background(),
            Call::Screen => whisperr.screen(self.text(0)),
            Call::PushToken => {
                let mut token = PushToken::new(self.text(0));
                if let Some(kind) = self.kind {
                    token = token.kind(kind);
                }
                if let Some(platform) = self.platform {
                    token = token.platform(platform);
                }
                if let Some(environment) = self.environment {
                    token = token.environment(environment);
                }
                if whisperr.status().current_user.is_none() {
                    // Held in memory, it would be gone with this command.
                    return Err("nobody is identified: give the token with identify --push-token".into());
                }
                whisperr.set_push_token(token)
            }
        };
        said.map_err(|error| error.to_string())
    }
}

impl Identify {
    fn say(&self, whisperr: &Whisperr) -> Result<(), Error> {
        let traits = self.traits.to_json();
        let channels: Vec<Channel<'_>> = self.channels.iter().map(|channel| channel.as_channel()).collect();
        let identify = whisperr_std::Identify::new(self.user.as_deref().unwrap_or_default())
            .traits(Json(&traits))
            .email(self.email.as_deref().unwrap_or_default())
            .phone(self.phone.as_deref().unwrap_or_default())
            .push_token(self.push_token.as_deref().unwrap_or_default())
            .channels(&channels);
        whisperr.identify(match self.preferred_channel {
            Some(kind) => identify.preferred_channel(kind),
            None => identify,
        })
    }
}

fn flush(settings: &Settings, timeout: Duration) -> Result<Exit, Failure> {
    let whisperr = open(settings, Manner::Patient, timeout)?;
    deliver(&whisperr, timeout);
    let (exit, status) = finish(&whisperr, false);
    Ok(if status.owed > 0 { Exit::Owed } else { exit })
}

fn status(settings: &Settings) -> Result<Exit, Failure> {
    let whisperr = open_offline(settings)?;
    let Status { owed, bytes, oldest_age, current_user, opted_out, waiting, counters, ledger, .. } =
        whisperr.status();
    let _nothing_sent = whisperr.shutdown(Duration::ZERO);
    let status = json!({
        "owed": owed,
        "bytes": bytes,
        "oldest_age_ms": oldest_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        "current_user": current_user,
        "opted_out": opted_out,
        "waiting": waiting.as_str(),
        "counters": {
            "owed_at_start": counters.owed_at_start,
            "accepted": counters.accepted,
            "acknowledged": counters.acknowledged,
            "rejected": counters.rejected,
            "dropped": counters.dropped,
            "evicted": counters.evicted,
            "expired": counters.expired,
            "deleted": counters.deleted,
            "damaged": counters.damaged,
        },
        "ledger": ledger,
        "queue_dir": settings.queue.as_ref().map(|queue| queue.to_string_lossy()),
    });
    let written = writeln!(io::stdout().lock(), "{status}");
    written.map_err(|error| Failure::refused(format_args!("standard output: {error}")))?;
    Ok(Exit::Accepted)
}
