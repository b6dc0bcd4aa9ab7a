//! The wire between the two stacks.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use embassy_futures::select::{Either, select};
use embassy_net_driver_channel::{RxRunner, TxRunner};
use embassy_time::{Duration, Instant, Timer};

use crate::chance::Chance;

/// Longest frame.
pub(crate) const MTU: usize = 1514;

/// What the wire does to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built with struct update")]
pub struct Faults {
    /// Frames that are lost, in percent.
    pub lost: u64,
    /// Frames that arrive twice, in percent.
    pub twice: u64,
    /// Frames that arrive up to 200 ms late, behind others, in percent.
    pub late: u64,
    /// How long every frame takes, in microseconds.
    pub delay_us: u64,
    /// Whether the wire is cut: everything is lost.
    pub cut: bool,
}

impl Faults {
    /// A wire of 2 ms that loses nothing.
    pub const NONE: Self = Self { lost: 0, twice: 0, late: 0, delay_us: 2_000, cut: false };
}

/// The wire. Clones are the same wire.
#[derive(Debug, Clone)]
pub struct Wire {
    faults: Rc<Cell<Faults>>,
    chance: Chance,
    carried: Rc<Cell<u64>>,
}

/// Latest arrival of a late frame.
const LATE_US: u64 = 200_000;

impl Wire {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { faults: Rc::new(Cell::new(Faults::NONE)), chance, carried: Rc::default() }
    }

    /// Sets the faults from here on.
    pub fn set(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// How many frames were put on the wire so far, by both ends.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.get()
    }

    /// When the frame that is sent now arrives, and when it does so again.
    fn arrivals(&self) -> [Option<Instant>; 2] {
        self.carried.set(self.carried.get().saturating_add(1));
        let faults = self.faults.get();
        let arrival = || {
            let late = if self.chance.percent(faults.late) { self.chance.below(LATE_US) } else { 0 };
            Instant::now().saturating_add(Duration::from_micros(faults.delay_us.saturating_add(late)))
        };
        if faults.cut || self.chance.percent(faults.lost) {
            return [None, None];
        }
        [Some(arrival()), self.chance.percent(faults.twice).then(arrival)]
    }

    /// Carries frames in one direction.
    pub(crate) async fn carry(self, mut from: TxRunner<'static, MTU>, mut to: RxRunner<'static, MTU>) {
        let under_way: RefCell<Vec<(Instant, Vec<u8>)>> = RefCell::default();
        loop {
            let next = under_way.borrow().iter().map(|(at, _)| *at).min();
            let due = async {
                match next {
                    Some(at) => Timer::at(at).await,
                    None => core::future::pending().await,
                }
            };
            match select(from.tx_buf(), due).await {
                Either::First(frame) => {
                    for at in self.arrivals().into_iter().flatten() {
                        under_way.borrow_mut().push((at, frame.to_vec()));
                    }
                    from.tx_done();
                }
                Either::Second(()) => {
                    let frame = {
                        let mut under_way = under_way.borrow_mut();
                        // The first of those that are due together: without faults nothing overtakes.
                        let at = under_way.iter().position(|(at, _)| Some(*at) == next);
                        at.map(|at| under_way.remove(at).1)
                    };
                    let Some(frame) = frame else { continue };
                    // A card whose buffers are full loses what arrives.
                    if let Some(buffer) = to.try_rx_buf()
                        && let Some(buffer) = buffer.get_mut(..frame.len())
                    {
                        buffer.copy_from_slice(&frame);
                        to.rx_done(frame.len());
                    }
                }
            }
        }
    }
}
