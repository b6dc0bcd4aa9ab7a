//! Numbers that nobody can guess, on a chip without a generator of random numbers.

use defmt::panic;
use embassy_rp::clocks::RoscRng;
use sha2::{Digest, Sha256};
use whisperr_embassy::Entropy;

/// Raw bytes that go into every 32 bytes of the result.
const RAW_BYTES: usize = 256;

/// The ring oscillator of the RP2040, hashed.
///
/// **Know what this is.** The RP2040 has no generator of true random numbers. Its ring oscillator gives one bit that
/// jitters; neighbouring bits resemble each other, temperature and voltage move them, and the data sheet says that it
/// does not meet the requirements of a cryptographic source. Here 2048 such bits make 256, through SHA-256 and together
/// with all that came before and the number of the flash chip: two devices never agree. Nobody has measured how much
/// chance is in those bits on your board. Where TLS must stand up to somebody who tries hard, take an RP2350, which has
/// a true generator, or a secure element, and implement [`Entropy`] over that.
#[derive(Clone)]
pub struct Rosc {
    pool: [u8; 32],
}

impl Rosc {
    /// A generator that begins with what is this device's own: the number of its flash chip.
    pub fn new(device: [u8; 8]) -> Self {
        let mut rosc = Self { pool: Sha256::digest(device).into() };
        rosc.stir();
        rosc
    }

    /// A generator of its own for another task.
    pub fn fork(&mut self) -> Self {
        let mut pool = [0; 32];
        self.fill(&mut pool);
        Self { pool }
    }

    /// Mixes raw bits into the pool.
    fn stir(&mut self) {
        let mut raw = [0; RAW_BYTES];
        RoscRng.fill_bytes(&mut raw);
        check(&raw);
        self.pool = Sha256::new().chain_update(self.pool).chain_update(raw).finalize().into();
    }
}

impl Entropy for Rosc {
    fn fill(&mut self, buffer: &mut [u8]) {
        for piece in buffer.chunks_mut(32) {
            self.stir();
            // What is given out does not tell what the pool holds.
            let out: [u8; 32] = Sha256::new().chain_update(b"out").chain_update(self.pool).finalize().into();
            piece.iter_mut().zip(out).for_each(|(to, from)| *to = from);
        }
    }
}

/// An oscillator that stands still must not make keys: the panic ends in a reset. It says nothing of one that runs and
/// is easily guessed.
fn check(raw: &[u8]) {
    if raw.windows(2).all(|pair| pair.first() == pair.last()) {
        panic!("the ring oscillator stands still");
    }
}
