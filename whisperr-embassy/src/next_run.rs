//! When the runner needs the processor again.

use embassy_time::Instant;

/// When the runner next runs by itself; see [`Handle::next_run`](crate::Handle::next_run).
///
/// ```
/// use whisperr_embassy::NextRun;
/// # fn sleep_deeply(_until: Option<embassy_time::Instant>) {}
/// # fn sleep_lightly(_until: embassy_time::Instant) {}
/// # fn between(next: NextRun) {
/// match next {
///     NextRun::Running => {}                                  // let the executor run on
///     NextRun::Sending { .. } => {}                           // the network is needed
///     NextRun::Resting { until } => sleep_deeply(until),      // RAM must be kept, the network need not
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "firmware decides about its sleep in every case")]
pub enum NextRun {
    /// It runs, or will as soon as the executor lets it.
    Running,
    /// A request is out. The network must stay up; the attempt is given up at the latest then.
    Sending {
        /// The end of the attempt. `None` only while the attempt begins.
        until: Option<Instant>,
    },
    /// It waits for this moment, or for a call of the handle.
    Resting {
        /// When it goes on by itself; `None` when nothing is due until somebody calls.
        until: Option<Instant>,
    },
}

impl NextRun {
    /// Whether it is at work.
    pub(crate) const fn is_busy(self) -> bool {
        !matches!(self, Self::Resting { .. })
    }

    /// Whether the runner should have gone on by `now` and did not: its task, or the executor, is stuck. For a
    /// watchdog, which is fed while this is false; call it with some slack, such as a second before the true moment.
    #[must_use]
    pub fn is_overdue(self, now: Instant) -> bool {
        match self {
            Self::Running => false,
            Self::Sending { until } | Self::Resting { until } => until.is_some_and(|until| until < now),
        }
    }
}
