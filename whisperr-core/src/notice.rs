//! What the application is told.

use core::fmt;

/// Something the application should know; nothing leaves the queue undelivered without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The server refused the ingestion key. Everything is kept; delivery is tried again at most
    /// once per `max_retry_delay`, and on a flush.
    Auth {
        /// 401 or 403.
        status: u16,
    },
    /// All retries failed. Everything is kept; delivery goes on at the pace of the backoff.
    RetryExhausted {
        /// How many attempts failed in a row.
        attempts: u32,
        /// The last status, or `None` when there was no reply.
        status: Option<u16>,
    },
    /// The server refused operations for good; they are removed.
    Dropped {
        /// How many.
        count: u32,
        /// The status that refused them.
        status: u16,
    },
    /// The server acknowledged a batch but refused some of its events at its shape check.
    Rejected {
        /// How many.
        count: u32,
    },
    /// The queue was full: its oldest events made room.
    Evicted {
        /// How many.
        count: u32,
    },
    /// Events had left the server's window of 30 days before they could be delivered.
    Expired {
        /// How many.
        count: u32,
    },
    /// Stored records could not be read any more: the medium lost or changed them.
    Damaged {
        /// How many.
        count: u32,
    },
    /// The storage holds operations of a later version of this library. They are left untouched, and
    /// delivered when that version runs again.
    NewerFormat,
    /// The storage failed while the runner worked with it. Everything it holds is kept and the step
    /// is tried again.
    Storage,
}

/// The type of a notice, under its name in every Whisperr SDK (contract, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoticeKind {
    /// `auth`
    Auth,
    /// `retry_exhausted`
    RetryExhausted,
    /// `dropped`
    Dropped,
    /// `persistence`
    Persistence,
}

impl NoticeKind {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::RetryExhausted => "retry_exhausted",
            Self::Dropped => "dropped",
            Self::Persistence => "persistence",
        }
    }
}

impl Notice {
    /// The type.
    #[must_use]
    pub const fn kind(&self) -> NoticeKind {
        match self {
            Self::Auth { .. } => NoticeKind::Auth,
            Self::RetryExhausted { .. } => NoticeKind::RetryExhausted,
            Self::Dropped { .. } | Self::Rejected { .. } | Self::Evicted { .. } | Self::Expired { .. } => {
                NoticeKind::Dropped
            }
            Self::Damaged { .. } | Self::NewerFormat | Self::Storage => NoticeKind::Persistence,
        }
    }

    /// The server's status behind it, if any.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Auth { status } | Self::Dropped { status, .. } => Some(*status),
            Self::RetryExhausted { status, .. } => *status,
            _ => None,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Auth { status } => {
                write!(f, "the server refused the ingestion key with {status}; operations are kept")
            }
            Self::RetryExhausted { attempts, status: Some(status) } => {
                write!(
                    f,
                    "gave up after {}, the last with {status}; operations are kept",
                    Count(attempts, "attempt")
                )
            }
            Self::RetryExhausted { attempts, status: None } => {
                write!(
                    f,
                    "gave up after {}, the last without a reply; operations are kept",
                    Count(attempts, "attempt")
                )
            }
            Self::Dropped { count, status } => {
                write!(f, "the server refused {} with {status}", Count(count, "operation"))
            }
            Self::Rejected { count } => {
                write!(f, "{} rejected by the server's shape check", Count(count, "event"))
            }
            Self::Evicted { count } => {
                write!(f, "{} evicted: the queue bound was reached", Count(count, "event"))
            }
            Self::Expired { count } => {
                write!(f, "{} expired: older than the server's 30 days", Count(count, "event"))
            }
            Self::Damaged { count } => write!(f, "{} damaged on the medium", Count(count, "record")),
            Self::NewerFormat => f.write_str("operations of a later version are left untouched"),
            Self::Storage => f.write_str("the storage failed; operations are kept"),
        }
    }
}

/// A number of things.
struct Count(u32, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, thing) = self;
        write!(f, "{count} {thing}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Notices not told yet: one of each kind, counts added up, so that nothing grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    auth: Option<u16>,
    exhausted: Option<(u32, Option<u16>)>,
    dropped: u32,
    dropped_status: u16,
    rejected: u32,
    evicted: u32,
    expired: u32,
    damaged: u32,
    newer_format: bool,
    storage: bool,
}

impl Pending {
    /// Adds a notice; returns whether there was none of its kind, so that somebody must be woken.
    pub(crate) fn add(&mut self, notice: Notice) -> bool {
        let add = |sum: &mut u32, count: u32| {
            let first = *sum == 0 && count > 0;
            *sum = sum.saturating_add(count);
            first
        };
        match notice {
            Notice::Auth { status } => self.auth.replace(status).is_none(),
            Notice::RetryExhausted { attempts, status } => {
                self.exhausted.replace((attempts, status)).is_none()
            }
            Notice::Dropped { count, status } => {
                self.dropped_status = status;
                add(&mut self.dropped, count)
            }
            Notice::Rejected { count } => add(&mut self.rejected, count),
            Notice::Evicted { count } => add(&mut self.evicted, count),
            Notice::Expired { count } => add(&mut self.expired, count),
            Notice::Damaged { count } => add(&mut self.damaged, count),
            Notice::NewerFormat => !core::mem::replace(&mut self.newer_format, true),
            Notice::Storage => !core::mem::replace(&mut self.storage, true),
        }
    }

    /// Takes the next notice: losses first, then what explains a standstill.
    pub(crate) fn take(&mut self) -> Option<Notice> {
        let count = |sum: &mut u32| Some(core::mem::take(sum)).filter(|count| *count > 0);
        let status = self.dropped_status;
        if let Some(count) = count(&mut self.damaged) {
            Some(Notice::Damaged { count })
        } else if let Some(count) = count(&mut self.evicted) {
            Some(Notice::Evicted { count })
        } else if let Some(count) = count(&mut self.expired) {
            Some(Notice::Expired { count })
        } else if let Some(count) = count(&mut self.dropped) {
            Some(Notice::Dropped { count, status })
        } else if let Some(count) = count(&mut self.rejected) {
            Some(Notice::Rejected { count })
        } else if let Some((attempts, status)) = self.exhausted.take() {
            Some(Notice::RetryExhausted { attempts, status })
        } else if let Some(status) = self.auth.take() {
            Some(Notice::Auth { status })
        } else if core::mem::take(&mut self.newer_format) {
            Some(Notice::NewerFormat)
        } else if core::mem::take(&mut self.storage) {
            Some(Notice::Storage)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_until_told() {
        let mut pending = Pending::default();

        assert!(pending.add(Notice::Evicted { count: 1 }));
        assert!(!pending.add(Notice::Evicted { count: 2 }));
        assert!(pending.add(Notice::Auth { status: 401 }));

        assert_eq!(pending.take(), Some(Notice::Evicted { count: 3 }));
        assert_eq!(pending.take(), Some(Notice::Auth { status: 401 }));
        assert_eq!(pending.take(), None);
        assert!(pending.add(Notice::Evicted { count: 1 }));
    }

    #[test]
    fn somebody_is_woken_for_the_first_of_a_kind_and_for_nothing_once_more() {
        let first = [
            Notice::Damaged { count: 1 },
            Notice::Evicted { count: 2 },
            Notice::Expired { count: 3 },
            Notice::Dropped { count: 4, status: 404 },
            Notice::Rejected { count: 5 },
            Notice::RetryExhausted { attempts: 6, status: None },
            Notice::Auth { status: 403 },
            Notice::NewerFormat,
            Notice::Storage,
        ];
        let mut pending = Pending::default();
        assert!(!pending.add(Notice::Evicted { count: 0 }), "nothing was evicted");
        for notice in first {
            assert!(pending.add(notice), "{notice:?}");
            assert!(!pending.add(notice), "{notice:?}");
        }
        assert_eq!(pending.take(), Some(Notice::Damaged { count: 2 }));
        assert!(pending.add(Notice::Damaged { count: 1 }));
        // Losses are told before what explains a standstill.
        let told: [_; 9] = core::array::from_fn(|_| pending.take().map(|notice| notice.kind()));
        use NoticeKind::{Auth, Dropped, Persistence, RetryExhausted};
        let expected =
            [Persistence, Dropped, Dropped, Dropped, Dropped, RetryExhausted, Auth, Persistence, Persistence];
        assert_eq!((told, pending.take()), (expected.map(Some), None));
    }
}
