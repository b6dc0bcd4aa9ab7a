//! Chance, which only the device has.

/// A source of randomness that nobody can guess.
///
/// It is asked for because no library can make it up: what a microcontroller knows by itself (its serial number, a
/// timer at boot, the address of a static) is the same at every boot or known to whoever holds a second device.
/// From it come
///
/// - the seed of message ids and anonymous ids, once at each start: two devices that start alike and whose storage
///   is empty would say the same ids, and the server would take the events of one for duplicates of the other's;
/// - the jitter before every attempt, from the same seed: a fleet that lost power together would come back together;
/// - the keys of every TLS connection: whoever guesses them reads along, and the certificate check does not help;
/// - what an SNTP reply must repeat: whoever guesses that sets the device's date.
///
/// Use the hardware's generator (RNG, TRNG), started and past its self-test; or a seed that was put into each device
/// at the factory, mixed with a counter in flash that changes at every boot, through a cryptographic generator.
/// Of the four, only TLS breaks in silence without it: never use the feature `tls` with anything less.
pub trait Entropy {
    /// Fills the buffer with unpredictable bytes.
    ///
    /// It may wait for the hardware. Hardware that fails for good must not return at all, or reset the device:
    /// bytes that can be guessed are worse than none.
    fn fill(&mut self, buffer: &mut [u8]);
}

impl<T: Entropy + ?Sized> Entropy for &mut T {
    fn fill(&mut self, buffer: &mut [u8]) {
        (**self).fill(buffer);
    }
}
