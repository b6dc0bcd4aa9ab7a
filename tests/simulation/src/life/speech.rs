//! Push tokens, launches, the foreground and screens: what is said, and what the client must remember of it.

use whisperr_core::{Defaults, Device, EnqueueError, Fault, props};

use super::model::{Exit, Place, Said, Says, Subject};
use super::{Being, Violation};
use crate::medium::Medium;

const VERSIONS: [&str; 3] = ["1.0", "1.1", "2.0"];

/// A push token that the client remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    user: u8,
    /// The number it was set under.
    token: u64,
    /// The number of the operation that carried it.
    carrier: u64,
}

/// What the client must remember; `None` where only the client knows.
#[derive(Debug)]
pub(super) struct Speech {
    pair: Option<Option<Pair>>,
    /// A token that waits for an identify.
    held: Option<Option<u64>>,
    /// The version that was launched last.
    version: Option<Option<&'static str>>,
    /// The number of a launch that failed: unless it is in the queue all the same, it is still to be reported.
    failed_launch: Option<u64>,
    /// Whether the medium held nothing when the client started.
    fresh: Option<bool>,
    foreground: Option<bool>,
    /// Whether it was in the foreground since the start.
    opened: Option<bool>,
}

/// What a call must lead to.
enum Expected {
    Nothing,
    Operation(Says),
    /// Only the client knows.
    Either,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Launch(&'static str),
    Foreground,
    Background,
    Screen,
}

impl Speech {
    pub(super) const fn new() -> Self {
        Self {
            pair: Some(None),
            held: Some(None),
            version: Some(None),
            failed_launch: None,
            fresh: Some(true),
            foreground: Some(false),
            opened: Some(false),
        }
    }

    /// Another process; `unsure` when the medium may have kept less than what was said.
    pub(super) const fn restarted(&mut self, unsure: bool) {
        if unsure {
            self.pair = None;
            self.version = None;
        }
        self.held = Some(None);
        self.fresh = None;
        self.foreground = Some(false);
        self.opened = Some(false);
    }

    pub(super) const fn opted_out(&mut self, begun: bool) {
        self.held = if begun { Some(None) } else { None };
        self.pair = None;
    }

    pub(super) const fn opted_in(&mut self) {
        self.pair = Some(None);
    }

    pub(super) const fn reset(&mut self, done: bool) {
        self.pair = if done { Some(None) } else { None };
    }

    pub(super) const fn unsure_of_token(&mut self) {
        self.pair = None;
    }
}

impl<M: Medium> Being<M> {
    /// The token that the client remembers for this user; the outer `None` when only the client knows.
    fn remembered(&self, user: u8) -> Option<Option<u64>> {
        let unsure = self.rotten || self.world.faults().rates().slow > 0;
        let pair = self.speech.pair.filter(|_| !unsure)?;
        let Some(Pair { user: whose, token, carrier }) = pair else { return Some(None) };
        if self.model.settled.get(&carrier) == Some(&Exit::Dropped) {
            return None;
        }
        match self.model.said.get(&carrier).map(|said| said.place) {
            Some(Place::Owed | Place::Left(Exit::Acknowledged)) => Some((whose == user).then_some(token)),
            Some(Place::Left(Exit::Dropped)) => Some(None),
            _ => None,
        }
    }

    /// What an identify of this user must say of push tokens.
    pub(super) fn tokens_of_identify(&self, user: u8) -> Says {
        match (self.speech.held, self.remembered(user)) {
            (Some(None), _) => Says::Tokens { new: None, old: None },
            (Some(new), Some(old)) => Says::Tokens { new, old },
            _ => Says::Anything,
        }
    }

    /// An identify was called.
    pub(super) fn identified(&mut self, user: u8, carrier: u64, accepted: bool) {
        match self.speech.held {
            Some(None) => {}
            Some(Some(token)) if accepted => {
                self.speech.pair = Some(Some(Pair { user, token, carrier }));
                self.speech.held = Some(None);
            }
            _ => self.speech.pair = None,
        }
        if accepted && self.speech.held.is_none() {
            self.speech.held = Some(None);
        }
    }

    pub(super) fn set_token(&mut self) -> Result<(), Violation> {
        let n = self.next_number();
        let token = format!("tok_{n}");
        let seq = self.next_seq();
        let user = self.user;
        let says = match user.map(|user| self.remembered(user)) {
            Some(Some(old)) => Says::Tokens { new: Some(n), old },
            _ => Says::Anything,
        };
        let patience = self.patience();
        let token = &token[..];
        let called =
            self.world.call_for(patience, async |client, now| client.set_push_token(now, token.into()).await);
        let ok = called.as_ref().and_then(|called| called.as_ref().ok());
        self.world.ring(ok.is_none_or(|accepted| accepted.wake));
        self.note(format!("token {n} as {seq}: {called:?}"));
        let Some(user) = user else {
            self.speech.held = match (called, self.consent.out) {
                (Some(Ok(accepted)), Some(out)) if accepted.seq.is_none() => {
                    if out {
                        self.speech.held
                    } else {
                        Some(Some(n))
                    }
                }
                (Some(Ok(accepted)), _) if accepted.seq.is_some() => {
                    return self.violated("I8", format!("token {n} is nobody's and was recorded"));
                }
                _ => None,
            };
            return Ok(());
        };
        let mut said = Said::new(seq, false, Subject::User(user), self.visitor);
        said.says = says;
        match called {
            Some(Ok(accepted)) if accepted.seq.is_none() => match self.consent.out {
                Some(false) => self.violated("I6", format!("token {n} was not recorded")),
                _ => Ok(()),
            },
            Some(Ok(_)) => {
                if self.consent.out == Some(true) {
                    return self.violated("I8", format!("token {n} was recorded after an opt-out"));
                }
                self.seen("push token set");
                self.speech.pair = Some(Some(Pair { user, token: n, carrier: n }));
                said.place = Place::Owed;
                self.accepted(n, said)?;
                self.set_it_again(n, token)
            }
            _ => {
                self.speech.pair = None;
                self.not_accepted(n, said, called.is_some())
            }
        }
    }

    /// A token that is known leads to nothing.
    fn set_it_again(&mut self, n: u64, token: &str) -> Result<(), Violation> {
        if self.world.faults().rates().slow > 0 {
            return Ok(());
        }
        let again = self.world.call(async |client, now| client.set_push_token(now, token.into()).await);
        match again {
            Ok(accepted) if accepted.seq.is_some() => {
                self.violated("I6", format!("token {n} was recorded twice"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn go_on_stage(&mut self) -> Result<(), Violation> {
        let version = self.choices.one_of(&VERSIONS);
        let stage = self.choices.one_of(&[
            Stage::Screen,
            Stage::Foreground,
            Stage::Background,
            Stage::Launch(version),
        ]);
        let n = self.next_number();
        let seq = self.next_seq();
        let utc = self.world.now().utc.map(|utc| utc.get());
        let expected = self.expected(stage);
        let mut buffer = [0; 64];
        let defaults = Defaults::encode(&mut buffer, &props! { "n" => n, "undated" => utc.is_none() });
        let device = Device::new("simulation").default_properties(defaults.unwrap_or_default());
        let patience = self.patience();
        let called = self.world.call_for(patience, async |client, now| match stage {
            Stage::Launch(version) => client.launch(now, device, version, "7").await,
            Stage::Foreground => client.foreground(now, device).await,
            Stage::Background => client.background(now, device).await,
            Stage::Screen => client.screen(now, device, "Home").await,
        });
        let ok = called.as_ref().and_then(|called| called.as_ref().ok());
        self.world.ring(ok.is_none_or(|accepted| accepted.wake));
        self.note(format!("{stage:?} {n} as {seq}: {called:?}"));
        // Without room, what was seen before cannot always be written down again.
        let unknown = match &called {
            None | Some(Err(EnqueueError::Storage(Fault::Full))) => true,
            Some(Ok(accepted)) => accepted.seq.is_none() && self.speech.version.is_none(),
            Some(Err(_)) => false,
        };
        self.staged(n, stage, called.as_ref().map(Result::is_ok), unknown);
        let subject = self.user.map_or(Subject::Visitor(self.visitor), Subject::User);
        let mut said = Said::new(seq, true, subject, self.visitor);
        said.utc = utc;
        match (&called, expected) {
            (Some(Ok(accepted)), Expected::Nothing) if accepted.seq.is_some() => {
                return self.violated("I6", format!("{stage:?} was recorded as {n}"));
            }
            (Some(Ok(accepted)), Expected::Operation(says)) if accepted.seq.is_none() => {
                return self.violated("I6", format!("{stage:?} was not recorded as {says:?}"));
            }
            (_, Expected::Operation(says)) => said.says = says,
            _ => {}
        }
        match called {
            Some(Ok(accepted)) if accepted.seq.is_none() => Ok(()),
            Some(Ok(accepted)) => {
                self.seen("automatic event");
                said.message_id = accepted.message_id.map(|id| id.to_string());
                said.place = Place::Owed;
                self.accepted(n, said)
            }
            _ => self.not_accepted(n, said, called.is_some()),
        }
    }

    /// Whether a launch that failed may be in the queue, or have been there.
    fn may_be_launched(&self) -> bool {
        self.speech.failed_launch.and_then(|n| self.model.said.get(&n)).is_some_and(|said| {
            said.place != Place::Unpromised || self.model.stored.contains(&said.seq) || self.is_unread()
        })
    }

    fn expected(&self, stage: Stage) -> Expected {
        let speech = &self.speech;
        let opened = |cold: bool| Says::Event("app_opened", Some(("cold_start", cold.into())));
        let says = match stage {
            Stage::Screen => Some(Says::Event("screen_viewed", Some(("screen_name", "Home".into())))),
            Stage::Foreground => match (speech.foreground, speech.opened) {
                (Some(true), _) => None,
                (Some(false), Some(opened_before)) => Some(opened(!opened_before)),
                _ => return Expected::Either,
            },
            Stage::Background => match speech.foreground {
                Some(true) => Some(Says::Event("app_backgrounded", None)),
                Some(false) => None,
                None => return Expected::Either,
            },
            Stage::Launch(_) if self.may_be_launched() => return Expected::Either,
            Stage::Launch(version) => match (speech.version, speech.fresh) {
                (Some(Some(last)), _) if last == version => None,
                (Some(Some(last)), _) => {
                    Some(Says::Event("app_updated", Some(("previous_version", last.into()))))
                }
                (Some(None), Some(true)) => Some(Says::Event("app_installed", None)),
                (Some(None), Some(false)) => None,
                _ => return Expected::Either,
            },
        };
        let automatic = self.server.borrow().config.automatic_events || matches!(stage, Stage::Screen);
        match (self.consent.out, says) {
            _ if self.rotten => Expected::Either,
            (None, Some(_)) => Expected::Either,
            (Some(false), Some(says)) if automatic => Expected::Operation(says),
            _ => Expected::Nothing,
        }
    }

    /// A call is over: `None` when it was dropped half way.
    fn staged(&mut self, n: u64, stage: Stage, ok: Option<bool>, unknown: bool) {
        let called = ok.is_some();
        match stage {
            Stage::Launch(version) => {
                self.speech.failed_launch = (ok == Some(false)).then_some(n);
                match ok {
                    _ if unknown => self.speech.version = None,
                    Some(true) => self.speech.version = Some(Some(version)),
                    _ => {}
                }
            }
            Stage::Foreground => {
                self.speech.foreground = called.then_some(true);
                self.speech.opened = called.then_some(true);
            }
            Stage::Background => {
                self.speech.foreground = called.then_some(false);
                self.server.borrow_mut().excused = true;
            }
            Stage::Screen => {}
        }
    }
}
