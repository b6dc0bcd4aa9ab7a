//! A timing wheel: who is due when, in constant time.

use crate::chance::Chance;

/// The length of a bucket in milliseconds: the resolution of the simulated time.
pub const BUCKET_MS: u64 = 100;

/// How far ahead the wheel reaches: 6,553 s, more than any wait of the delivery machine here.
const BUCKETS: usize = 1 << 16;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// One appointment per device, in lists that are threaded through one array: a device costs 4 bytes.
///
/// A binary heap does the same with a logarithm, and was ten times slower for 100,000 devices.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// The first device of each bucket.
    heads: Vec<u32>,
    /// The device after each device, in its bucket.
    next: Vec<u32>,
    /// The bucket of now, counted from the start.
    bucket: u64,
    /// The devices that are due now, in the order of chance.
    due: Vec<u32>,
    chance: Chance,
}

impl Wheel {
    /// A wheel at time 0 for `devices` devices, none with an appointment; `seed` decides who is first
    /// of those who are due together.
    #[must_use]
    pub fn new(devices: u32, seed: u64) -> Self {
        Self {
            heads: vec![NONE; BUCKETS],
            next: vec![NONE; devices as usize],
            bucket: 0,
            due: Vec::new(),
            chance: Chance::new(seed),
        }
    }

    /// Wakes a device at `at_ms`, rounded up, and at the earliest in the next bucket. What lies
    /// beyond the reach of the wheel is woken at its end instead: whoever is woken early asks again.
    ///
    /// A device has one appointment: it must not be scheduled again before it was woken.
    pub fn schedule(&mut self, device: u32, at_ms: u64) {
        let last = self.bucket + BUCKETS as u64 - 1;
        let bucket = at_ms.div_ceil(BUCKET_MS).clamp(self.bucket + 1, last);
        let head = &mut self.heads[slot(bucket)];
        self.next[device as usize] = *head;
        *head = device;
    }

    /// Moves on by one bucket and returns the time. Those who are due are woken in the order of chance:
    /// any other would always serve the same ones first, and refuse those who waited longest.
    pub fn turn(&mut self) -> u64 {
        self.bucket += 1;
        let mut device = core::mem::replace(&mut self.heads[slot(self.bucket)], NONE);
        while device != NONE {
            self.due.push(device);
            device = self.next[device as usize];
        }
        for last in (1..self.due.len()).rev() {
            let other = usize::try_from(self.chance.below(last as u64 + 1)).unwrap_or(last);
            self.due.swap(last, other);
        }
        self.bucket * BUCKET_MS
    }

    /// The next device that is due now.
    pub fn pop(&mut self) -> Option<u32> {
        self.due.pop()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of the number of buckets")]
const fn slot(bucket: u64) -> usize {
    (bucket % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is woken when, within so many buckets.
    fn woken(wheel: &mut Wheel, buckets: u64) -> Vec<(u64, u32)> {
        let mut woken = Vec::new();
        for _ in 0..buckets {
            let now = wheel.turn();
            while let Some(device) = wheel.pop() {
                woken.push((now, device));
            }
        }
        woken
    }

    #[test]
    fn nobody_is_woken_early_or_more_than_a_bucket_late() {
        let mut wheel = Wheel::new(4, 1);
        for (device, at) in [(0, 1000), (1, 1001), (2, 899), (3, 0)] {
            wheel.schedule(device, at);
        }

        assert_eq!(woken(&mut wheel, 20), [(100, 3), (900, 2), (1000, 0), (1100, 1)]);
    }

    #[test]
    fn those_who_are_due_together_are_woken_in_the_order_of_chance() {
        let order = |seed| {
            let mut wheel = Wheel::new(100, seed);
            for device in 0..100 {
                wheel.schedule(device, 100);
            }
            woken(&mut wheel, 1)
        };
        let sorted = |mut woken: Vec<(u64, u32)>| {
            woken.sort_unstable();
            woken
        };

        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert_eq!(sorted(order(1)), (0..100).map(|device| (100, device)).collect::<Vec<_>>());
    }

    #[test]
    fn who_is_woken_may_be_scheduled_again_while_others_are_due() {
        let mut wheel = Wheel::new(3, 1);
        for device in 0..3 {
            wheel.schedule(device, 100);
        }
        let now = wheel.turn();
        let mut count = 0;
        while let Some(device) = wheel.pop() {
            count += 1;
            wheel.schedule(device, now);
        }

        assert_eq!(count, 3);
        assert_eq!(woken(&mut wheel, 2).len(), 3);
    }

    #[test]
    fn the_wheel_turns_round_for_ever() {
        let mut wheel = Wheel::new(1, 1);
        let mut now = 0;
        for _ in 0..40 {
            wheel.schedule(0, now + 3_600_000);
            let woken = woken(&mut wheel, 36_000);
            assert_eq!(woken, [(now + 3_600_000, 0)]);
            now += 3_600_000;
        }
    }

    #[test]
    fn what_is_out_of_reach_is_woken_at_the_end_of_it() {
        let mut wheel = Wheel::new(1, 1);
        wheel.schedule(0, u64::MAX);

        assert_eq!(woken(&mut wheel, 70_000), [(6_553_500, 0)]);
    }
}
