//! The date over the network: a client for SNTP (RFC 4330).

use core::fmt;

use embassy_net::dns;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use whisperr_core::UtcMillis;

use super::dial::look_up;
use crate::clock::EmbassyClock;
use crate::entropy::Entropy;
use crate::logging;

/// The port of every time server.
const PORT: u16 = 123;

/// Bytes of a request, and of the part of a reply that is read.
const PACKET_BYTES: usize = 48;

/// How long one query may take, the look-up of the name included.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// After the first failure; it doubles with each. RFC 4330 asks for at least 15 s between queries.
const RETRY_MIN: Duration = Duration::from_secs(15);

/// Between failures at most, and at once when a server says that it is asked too often.
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// Between successes: a crystal of 50 ppm is two seconds off by then.
const EVERY: Duration = Duration::from_secs(12 * 3600);

/// From 1900, where NTP begins, to 1970, in seconds.
const EPOCHS_APART: u64 = 2_208_988_800;

/// Why the date is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SntpError {
    /// The name of the time server could not be looked up, or has no address that the stack speaks.
    Name(dns::Error),
    /// There is no way to the server.
    NoRoute,
    /// The server sent nothing that answers the question, in ten seconds.
    NoReply,
    /// The server wants to be left alone (a "kiss of death").
    Refused,
}

impl fmt::Display for SntpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "the time server's name could not be looked up: {error:?}"),
            Self::NoRoute => f.write_str("there is no route to the time server"),
            Self::NoReply => f.write_str("the time server did not answer"),
            Self::Refused => f.write_str("the time server refuses to answer"),
        }
    }
}

impl core::error::Error for SntpError {}

/// Keeps the clock on the date: asks at once, every twelve hours after that, and sooner after a failure. For a task of
/// its own, which may be dropped at any time.
///
/// `server` is a name or an address; ask your network's operator or your firmware's vendor which one you may use. One
/// socket of the stack is used while a query is out; without a free one, the stack panics. Eight bytes are taken from
/// `entropy` for every query, and two more for the time to the next: devices that start together must not ask together.
pub async fn keep_date(
    stack: Stack<'_>,
    server: &str,
    clock: &EmbassyClock,
    entropy: &mut impl Entropy,
) -> ! {
    let mut retry = RETRY_MIN;
    loop {
        let wait = match query(stack, server, entropy).await {
            Ok(utc) => {
                clock.set_utc(utc);
                retry = RETRY_MIN;
                EVERY
            }
            Err(error) => {
                logging::debug("no date", &error);
                let wait = if error == SntpError::Refused { RETRY_MAX } else { retry };
                retry = Duration::from_ticks(retry.as_ticks().saturating_mul(2)).min(RETRY_MAX);
                wait
            }
        };
        let mut chance = [0; 2];
        entropy.fill(&mut chance);
        // Up to a quarter more.
        let more = (wait.as_millis() / 4).saturating_mul(u16::from_le_bytes(chance).into()) >> 16;
        Timer::after_millis(wait.as_millis().saturating_add(more)).await;
    }
}

/// Asks a time server once, for at most ten seconds. The date is that of the moment at which this returns.
///
/// # Errors
/// [`SntpError`].
pub async fn query(
    stack: Stack<'_>,
    server: &str,
    entropy: &mut impl Entropy,
) -> Result<UtcMillis, SntpError> {
    with_timeout(QUERY_TIMEOUT, ask(stack, server, entropy)).await.unwrap_or(Err(SntpError::NoReply))
}

async fn ask(stack: Stack<'_>, server: &str, entropy: &mut impl Entropy) -> Result<UtcMillis, SntpError> {
    let found = look_up(stack, server).await.map_err(SntpError::Name)?;
    let address = found.ok_or(SntpError::Name(dns::Error::Failed))?;
    let server = IpEndpoint::new(address, PORT);
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 1]);
    // Authentication may stand behind the part that is read.
    let (mut rx, mut tx) = ([0; 2 * PACKET_BYTES], [0; PACKET_BYTES]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(0).map_err(|_| SntpError::NoRoute)?;
    // Any value will do in place of the device's own time, which it does not know; one that cannot be guessed tells
    // the server's reply from those of others.
    let mut nonce = [0; 8];
    entropy.fill(&mut nonce);
    let asked = Instant::now();
    socket.send_to(&request(nonce), server).await.map_err(|_| SntpError::NoRoute)?;
    loop {
        let mut packet = [0; 2 * PACKET_BYTES];
        let Ok((len, from)) = socket.recv_from(&mut packet).await else { continue };
        if from.endpoint != server {
            continue;
        }
        let read = packet.get(..len).unwrap_or_default();
        match reply(read, nonce) {
            Some(Said::Time { received, sent }) => {
                let away = asked.elapsed().as_millis();
                // What the packets were under way, as if they took equally long there and back.
                let back = away.saturating_sub(sent.saturating_sub(received)) / 2;
                let utc = i64::try_from(sent.saturating_add(back)).unwrap_or(i64::MAX);
                return Ok(UtcMillis::new(utc));
            }
            Some(Said::GoAway) => return Err(SntpError::Refused),
            // Somebody else's, or nonsense: the true reply may still come.
            None => {}
        }
    }
}

/// What a time server said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// When it received the request and when it sent the reply, in milliseconds since 1970.
    Time {
        received: u64,
        sent: u64,
    },
    GoAway,
}

/// Version 4, client, and nothing about this device but a number.
fn request(nonce: [u8; 8]) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = (4 << 3) | 3;
    packet[40..].copy_from_slice(&nonce);
    packet
}

/// Reads a reply to the request with this number.
fn reply(packet: &[u8], nonce: [u8; 8]) -> Option<Said> {
    let (first, stratum) = (*packet.first()?, *packet.get(1)?);
    let (leap, version, mode) = (first >> 6, (first >> 3) & 7, first & 7);
    let field = |at: usize| packet.get(at..)?.first_chunk::<8>().copied();
    let (origin, received, sent) = (field(24)?, field(32)?, field(40)?);
    if mode != 4 || !(1..=4).contains(&version) || origin != nonce {
        return None;
    }
    if stratum == 0 {
        return Some(Said::GoAway);
    }
    // A server whose own clock is not set says so.
    if leap == 3 || stratum > 15 || sent == [0; 8] {
        return None;
    }
    Some(Said::Time { received: unix_ms(received), sent: unix_ms(sent) })
}

/// Milliseconds since 1970. The seconds of NTP start again in 2036: without their highest bit, they are of the second
/// era (RFC 4330, section 3).
fn unix_ms(timestamp: [u8; 8]) -> u64 {
    let [a, b, c, d, fraction @ ..] = timestamp;
    let seconds = u64::from(u32::from_be_bytes([a, b, c, d]));
    let fraction = u64::from(u32::from_be_bytes(fraction));
    let seconds = if a < 0x80 { seconds.saturating_add(1 << 32) } else { seconds };
    let ms = fraction.saturating_mul(1000) >> 32;
    seconds.saturating_sub(EPOCHS_APART).saturating_mul(1000).saturating_add(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    fn good() -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        (packet[0], packet[1]) = ((4 << 3) | 4, 2);
        packet[24..32].copy_from_slice(&NONCE);
        // 2026-05-31T12:00:00Z, and half a second later.
        packet[32..36].copy_from_slice(&3_989_217_600_u32.to_be_bytes());
        packet[40..44].copy_from_slice(&3_989_217_600_u32.to_be_bytes());
        packet[44] = 0x80;
        packet
    }

    #[test]
    fn a_reply_is_read_and_anything_else_is_not() {
        let time = Some(Said::Time { received: 1_780_228_800_000, sent: 1_780_228_800_500 });
        for (name, at, byte, expected) in [
            ("as it should be", 1, 2, time),
            ("stratum 15", 1, 15, Some(Said::Time { received: 1_780_228_800_000, sent: 1_780_228_800_500 })),
            ("stratum 16", 1, 16, None),
            ("stratum 0", 1, 0, Some(Said::GoAway)),
            ("not synchronised", 0, 0xc0 | (4 << 3) | 4, None),
            ("version 0", 0, 4, None),
            ("version 5", 0, (5 << 3) | 4, None),
            ("a client's", 0, (4 << 3) | 3, None),
            ("another question's", 31, 9, None),
        ] {
            let mut packet = good();
            packet[at] = byte;

            assert_eq!(reply(&packet, NONCE), expected, "{name}");
        }
        let mut unset = good();
        unset[40..].fill(0);
        assert_eq!(reply(&unset, NONCE), None);
        for len in 0..PACKET_BYTES {
            assert_eq!(reply(&good()[..len], NONCE), None, "{len}");
        }
    }

    #[test]
    fn the_second_era_follows_the_first() {
        let at = |seconds: u32| {
            let [a, b, c, d] = seconds.to_be_bytes();
            unix_ms([a, b, c, d, 0xff, 0xff, 0xff, 0xff])
        };
        assert_eq!(at(u32::MAX), 2_085_978_495_999);
        assert_eq!(at(0), 2_085_978_496_999);
        assert_eq!(at(0x7fff_ffff), 4_233_462_143_999);
        // 1968: as early as it can be said.
        assert_eq!(at(0x8000_0000), 999);
    }
}
