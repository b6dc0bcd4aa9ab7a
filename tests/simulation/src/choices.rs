//! One stream of choices decides everything in a run. Four engines feed it.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

/// A number that was chosen, and below which bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain fact")]
pub struct Choice {
    /// What was chosen.
    pub value: u64,
    /// One more than the highest that could have been chosen.
    pub below: u64,
}

/// The source of all chance in a run. Clones share the stream.
///
/// 0 is always the mildest choice, and what a list or an input that has ended answers: a shorter list
/// is a simpler run, which is what shrinking lives on.
#[derive(Clone)]
pub struct Choices(Rc<RefCell<Stream>>);

struct Stream {
    engine: Engine,
    taken: Vec<Choice>,
}

enum Engine {
    /// SplitMix64 from a seed.
    Seed(u64),
    /// The input of a fuzzer, front to back.
    Bytes { bytes: Vec<u8>, at: usize },
    /// A recorded list, to replay, to shrink or to enumerate.
    List { values: Vec<u64>, at: usize },
}

impl fmt::Debug for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choices").field("taken", &self.0.borrow().taken.len()).finish_non_exhaustive()
    }
}

impl Choices {
    fn new(engine: Engine) -> Self {
        Self(Rc::new(RefCell::new(Stream { engine, taken: Vec::new() })))
    }

    /// Chance from a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::new(Engine::Seed(seed))
    }

    /// What a fuzzer says.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::new(Engine::Bytes { bytes: bytes.to_vec(), at: 0 })
    }

    /// What was recorded; 0 behind its end.
    #[must_use]
    pub fn recorded(values: &[u64]) -> Self {
        Self::new(Engine::List { values: values.to_vec(), at: 0 })
    }

    /// A number below `below`; 0 when there is nothing to choose.
    pub fn below(&self, below: u64) -> u64 {
        if below <= 1 {
            return 0;
        }
        let stream = &mut *self.0.borrow_mut();
        let value = stream.engine.next(below);
        stream.taken.push(Choice { value, below });
        value
    }

    /// Whether something happens that happens `percent` times in a hundred. 0 means no.
    pub fn percent(&self, percent: u64) -> bool {
        percent > 0 && self.below(100) >= 100_u64.saturating_sub(percent)
    }

    /// One of these. The first is the mildest.
    ///
    /// # Panics
    /// When there is none.
    #[expect(clippy::indexing_slicing, reason = "the index is below the length")]
    pub fn one_of<T: Copy>(&self, options: &[T]) -> T {
        options[usize::try_from(self.below(options.len() as u64)).unwrap_or(0)]
    }

    /// Everything chosen so far.
    #[must_use]
    pub fn taken(&self) -> Vec<Choice> {
        self.0.borrow().taken.clone()
    }

    /// The values of everything chosen so far: replayed, they give the same run.
    #[must_use]
    pub fn values(&self) -> Vec<u64> {
        self.0.borrow().taken.iter().map(|choice| choice.value).collect()
    }
}

impl Engine {
    fn next(&mut self, below: u64) -> u64 {
        match self {
            Self::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                u64::try_from((u128::from(z ^ (z >> 31)).wrapping_mul(below.into())) >> 64).unwrap_or(0)
            }
            Self::Bytes { bytes, at } => {
                let width = if below <= 1 << 8 {
                    1
                } else if below <= 1 << 16 {
                    2
                } else {
                    8
                };
                let mut value = 0_u64;
                for _ in 0..width {
                    let byte = bytes.get(*at).copied().unwrap_or(0);
                    value = (value << 8) | u64::from(byte);
                    *at = at.saturating_add(1);
                }
                value.checked_rem(below).unwrap_or(0)
            }
            Self::List { values, at } => {
                let value = values.get(*at).copied().unwrap_or(0);
                *at = at.saturating_add(1);
                value.checked_rem(below).unwrap_or(0)
            }
        }
    }
}

/// Walks through every list of choices that a run can make, in order.
///
/// ```
/// use whisperr_simulation::{Choices, Enumeration};
///
/// let mut seen = Vec::new();
/// let mut enumeration = Enumeration::new();
/// while let Some(choices) = enumeration.next_run() {
///     let first = choices.below(2);
///     seen.push((first, if first == 1 { choices.below(3) } else { 0 }));
///     enumeration.ran(&choices);
/// }
/// assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (1, 2)]);
/// ```
#[derive(Debug, Default)]
pub struct Enumeration {
    next: Option<Vec<u64>>,
    started: bool,
}

impl Enumeration {
    /// Before the first run.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The choices of the next run; `None` when all were made.
    pub fn next_run(&mut self) -> Option<Choices> {
        if !self.started {
            self.started = true;
            return Some(Choices::recorded(&[]));
        }
        self.next.take().map(|values| Choices::recorded(&values))
    }

    /// Says what the run chose, so that the next one chooses something else.
    pub fn ran(&mut self, choices: &Choices) {
        let mut taken = choices.taken();
        while let Some(last) = taken.pop() {
            let next = last.value.saturating_add(1);
            if next < last.below {
                let values = taken.iter().map(|choice| choice.value).chain([next]);
                self.next = Some(values.collect());
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_run_chooses_the_same_again() {
        let first = Choices::seeded(7);
        let drawn: Vec<u64> = (1..50).map(|below| first.below(below)).collect();

        let again = Choices::recorded(&first.values());

        assert_eq!((1..50).map(|below| again.below(below)).collect::<Vec<_>>(), drawn);
        assert_eq!(again.below(9), 0, "behind the end");
    }

    #[test]
    fn bytes_are_read_front_to_back() {
        let choices = Choices::bytes(&[5, 1, 2, 200]);

        assert_eq!(choices.below(10), 5);
        assert_eq!(choices.below(1000), 258);
        assert_eq!(choices.below(150), 50);
        assert_eq!(choices.below(150), 0);
    }
}
