//! The flash log of `whisperr-embassy` as a medium, over the model of NOR flash.

use whisperr_core::ready;
use whisperr_embassy::flash::FlashStorage;

use crate::choices::Choices;
use crate::coverage::Seen;
use crate::life::Setup;
use crate::medium::Medium;
use crate::nor::{NorCounts, NorRates, SimNor};

/// A NOR flash with the log on it.
#[derive(Debug)]
pub struct FlashMedium<const WRITE: usize = 4, const ERASE: usize = 4096, const PAGES: usize = 8> {
    nor: SimNor<WRITE, ERASE>,
    bytes: u32,
}

impl<const WRITE: usize, const ERASE: usize, const PAGES: usize> FlashMedium<WRITE, ERASE, PAGES> {
    /// An erased flash: a small one, whose pages turn often, or one with room for every operation.
    #[must_use]
    pub fn draw(choices: &Choices, setup: &Setup) -> Self {
        let units = if setup.storage_bytes() > 1 << 16 { 64 } else { choices.one_of(&[16, 8]) };
        Self::new(units, choices.clone())
    }

    /// An erased flash of so many erase units.
    #[must_use]
    pub fn new(units: usize, choices: Choices) -> Self {
        let nor = SimNor::new(units, choices);
        nor.set_hangs(false);
        let bytes = u32::try_from(nor.raw().len()).unwrap_or(u32::MAX);
        Self { nor, bytes }
    }

    /// What the flash did so far.
    #[must_use]
    pub fn counts(&self) -> NorCounts {
        self.nor.counts()
    }

    fn count(&mut self, seen: &mut Seen) {
        seen.merge(&self.nor.take_seen());
    }
}

impl<const WRITE: usize, const ERASE: usize, const PAGES: usize> Medium for FlashMedium<WRITE, ERASE, PAGES> {
    type Storage = FlashStorage<SimNor<WRITE, ERASE>, PAGES>;

    fn open(&mut self) -> Result<Self::Storage, String> {
        if let Some(breach) = self.nor.breach() {
            return Err(breach);
        }
        match ready(FlashStorage::open(self.nor.clone(), 0..self.bytes)) {
            Some(Ok(_)) if self.nor.is_off() => Err("no power".to_owned()),
            Some(opened) => opened.map_err(|error| error.to_string()),
            None => Err("opening does not end".to_owned()),
        }
    }

    fn crash(&mut self, _choices: &Choices, _power: bool, seen: &mut Seen) {
        self.count(seen);
        self.nor.power_on();
    }

    fn after_cut(&self, _choices: &Choices) -> Self {
        let nor = self.nor.copied();
        nor.set_rates(NorRates::default());
        nor.power_on();
        Self { nor, bytes: self.bytes }
    }

    fn plan_fault(&mut self, choices: &Choices, _seen: &mut Seen) {
        let rate = |rates: &[u64]| choices.one_of(rates);
        self.nor.set_rates(NorRates {
            program: rate(&[0, 10, 100]),
            ignored: rate(&[0, 10, 100]),
            erase: rate(&[0, 500]),
            flip: rate(&[0, 20]),
            read: rate(&[0, 20]),
        });
    }

    fn plan_cut(&mut self, choices: &Choices) {
        self.nor.cut_after(choices.below(400), None);
    }

    fn is_off(&self) -> bool {
        self.nor.is_off()
    }

    fn heal(&mut self) {
        self.nor.set_rates(NorRates::default());
        if !self.nor.is_off() {
            // A cut that was planned and did not come.
            self.nor.power_on();
        }
    }

    fn raw(&self) -> Vec<u8> {
        self.nor.raw()
    }
}
