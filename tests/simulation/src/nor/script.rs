//! Short runs, cut at every change of the flash and in every way.

use whisperr_core::Slot;

use super::check::{Checked, Ended};
use super::chip::Tear;
use super::flash::SimNor;
use crate::choices::Choices;

/// One operation of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "scripts are written by hand")]
pub enum Step {
    /// Appends a record of so many bytes; when there is no room, the oldest goes first.
    Append(usize),
    /// Removes so many of the oldest records.
    Remove(usize),
    /// Removes the record behind so many others.
    RemoveAt(usize),
    /// Sets the oldest record aside.
    Aside,
    /// Replaces a slot by so many bytes.
    Store(Slot, usize),
    /// Removes the oldest record and appends one of so many bytes, in one step.
    Replace(usize),
    /// Removes so many of the oldest records and replaces a slot by so many bytes, in one step.
    Settle(usize, Slot, usize),
    /// Wipes.
    Wipe,
    /// Opens anew.
    Reopen,
}

/// A short run on a flash that may hold something already.
#[derive(Debug, Clone)]
pub struct Script {
    /// What is there before.
    pub before: Vec<Step>,
    /// What is cut.
    pub steps: Vec<Step>,
}

impl Script {
    /// Runs the script once for every change of the flash that it makes and every way in which the power
    /// can fail there, opens, checks, and goes on with the rest. With `pairs`, the power fails a second
    /// time at every change after that. Returns how many runs there were.
    ///
    /// # Errors
    /// The promise that was broken, and where.
    pub fn cut_everywhere<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
        &self,
        units: usize,
        pairs: bool,
    ) -> Result<u64, String> {
        let nor = SimNor::<WRITE, ERASE>::new(units, Choices::seeded(1));
        let mut start = Checked::<WRITE, ERASE, PAGES>::new(nor);
        start.open()?;
        run(&mut start, &self.before)?;
        let mut whole = start.copied();
        whole.open()?;
        let from = whole.nor().changes();
        run(&mut whole, &self.steps)?;
        whole.check()?;
        let changes = whole.nor().changes().saturating_sub(from);
        let mut runs = 0_u64;
        for change in 0..changes {
            for tear in Tear::ALL {
                let at = format!("cut at {change} of {changes}, {tear:?}");
                let (cut, left) =
                    self.cut_at(&start, change, tear).map_err(|broken| format!("{at}: {broken}"))?;
                runs = runs.saturating_add(1);
                let mut once = cut.copied();
                go_on(&mut once, &left).map_err(|broken| format!("{at}: {broken}"))?;
                if !pairs {
                    continue;
                }
                let again = once.nor().changes().saturating_sub(cut.nor().changes());
                for second in 0..again {
                    for tear in Tear::ALL {
                        let mut twice = cut.copied();
                        twice.nor().cut_after(second, Some(tear));
                        let broken = go_on(&mut twice, &left);
                        broken.map_err(|broken| format!("{at}, then at {second}, {tear:?}: {broken}"))?;
                        runs = runs.saturating_add(1);
                    }
                }
            }
        }
        Ok(runs)
    }

    /// The state that a cut leaves, and the steps behind it.
    fn cut_at<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
        &self,
        start: &Checked<WRITE, ERASE, PAGES>,
        change: u64,
        tear: Tear,
    ) -> Result<(Checked<WRITE, ERASE, PAGES>, Vec<Step>), String> {
        let mut checked = start.copied();
        checked.open()?;
        checked.nor().cut_after(change, Some(tear));
        for (at, step) in self.steps.iter().enumerate() {
            if make(&mut checked, *step)? == Ended::Off {
                checked.lose();
                checked.nor().power_on();
                return Ok((checked, self.steps.get(at.saturating_add(1)..).unwrap_or_default().to_vec()));
            }
        }
        Err("no cut".to_owned())
    }
}

/// Opens, checks, makes the rest of the steps, and looks whether it all still works. A planned cut
/// may come anywhere.
fn go_on<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
    checked: &mut Checked<WRITE, ERASE, PAGES>,
    left: &[Step],
) -> Result<(), String> {
    let mut left = left.to_vec();
    loop {
        let whole = checked.open()? && checked.check()?;
        if whole {
            let mut done = 0_usize;
            for step in &left {
                if make(checked, *step)? == Ended::Off {
                    break;
                }
                done = done.saturating_add(1);
            }
            left.drain(..done.min(left.len()));
            if left.is_empty() && !checked.nor().is_off() && checked.check()? {
                break;
            }
        }
        checked.lose();
        checked.nor().power_on();
    }
    checked.nor().power_on();
    if !(checked.open()? && checked.check()?) {
        return Err("no power".to_owned());
    }
    checked.check_not_wedged()
}

fn run<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
    checked: &mut Checked<WRITE, ERASE, PAGES>,
    steps: &[Step],
) -> Result<(), String> {
    for step in steps {
        let ended = make(checked, *step)?;
        if !matches!(ended, Ended::Done | Ended::Full) {
            return Err(format!("{step:?} ended with {ended:?}"));
        }
    }
    Ok(())
}

fn make<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
    checked: &mut Checked<WRITE, ERASE, PAGES>,
    step: Step,
) -> Result<Ended, String> {
    let numbers = checked.numbers();
    let number = |at: usize| numbers.get(at).copied().unwrap_or(u64::MAX);
    match step {
        Step::Append(bytes) => loop {
            let ended = checked.append(bytes, None)?;
            if ended != Ended::Full || checked.is_empty() {
                break Ok(ended);
            }
            let oldest = checked.numbers().first().copied().unwrap_or(1);
            let removed = checked.remove(oldest, oldest, None)?;
            if removed != Ended::Done {
                break Ok(removed);
            }
        },
        Step::Remove(count) => checked.remove(number(0), number(count.saturating_sub(1)), None),
        Step::RemoveAt(at) => checked.remove(number(at), number(at), None),
        Step::Aside => checked.set_aside(number(0), None),
        Step::Store(slot, len) => checked.store(slot, &vec![len as u8; len], None),
        Step::Replace(bytes) => checked.replace((number(0), number(0)), 0, bytes, None),
        Step::Settle(count, slot, len) => {
            let range = (number(0), number(count.saturating_sub(1)));
            checked.settle(range, slot, &vec![len as u8; len], None)
        }
        Step::Wipe => checked.wipe(None),
        Step::Reopen => {
            let whole = checked.open()? && checked.check()?;
            Ok(if whole { Ended::Done } else { Ended::Off })
        }
    }
}
