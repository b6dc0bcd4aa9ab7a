//! The network card, a LAN9118, and the plug that somebody pulls.

use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;

use super::registers::Register;

const FRAME_BYTES: usize = 1536;
const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

const fn card(offset: usize) -> Register {
    Register::at(0x4020_0000 + offset)
}
const RX_DATA: Register = card(0x00);
const TX_DATA: Register = card(0x20);
const RX_STATUS: Register = card(0x40);
const TX_STATUS: Register = card(0x48);
const IRQ_CFG: Register = card(0x54);
const INT_STS: Register = card(0x58);
const INT_EN: Register = card(0x5C);
const BYTE_TEST: Register = card(0x64);
const FIFO_INT: Register = card(0x68);
const TX_CFG: Register = card(0x70);
const HW_CFG: Register = card(0x74);
const RX_FIFO_INF: Register = card(0x7C);
const TX_FIFO_INF: Register = card(0x80);
const MAC_CMD: Register = card(0xA4);
const MAC_DATA: Register = card(0xA8);

/// A frame was received.
const RECEIVED: u32 = 1 << 3;

static WAKER: AtomicWaker = AtomicWaker::new();
static IS_PLUGGED: AtomicBool = AtomicBool::new(true);

/// Pulls the plug, or puts it back.
pub(crate) fn plug(is_plugged: bool) {
    IS_PLUGGED.store(is_plugged, Ordering::Relaxed);
    WAKER.wake();
}

pub(super) fn interrupted() {
    INT_EN.write(0);
    WAKER.wake();
}

/// The card.
pub(crate) struct Ethernet {
    received: [u8; FRAME_BYTES],
    sent: [u8; FRAME_BYTES],
}

impl Ethernet {
    /// Not started yet.
    pub(crate) const fn new() -> Self {
        Self { received: [0; FRAME_BYTES], sent: [0; FRAME_BYTES] }
    }

    /// Starts the card. Its line is active low until it is told otherwise: a frame that comes before that would
    /// interrupt without end.
    pub(crate) fn start(&mut self) {
        critical_section::with(|_| Self::configure());
    }

    fn configure() {
        assert_eq!(BYTE_TEST.read(), 0x8765_4321, "no network card");
        HW_CFG.write(1);
        HW_CFG.write((5 << 16) | (1 << 20));
        INT_EN.write(0);
        INT_STS.write(!0);
        let [a, b, c, d, e, f] = MAC;
        set_mac(2, u32::from_le_bytes([e, f, 0, 0]));
        set_mac(3, u32::from_le_bytes([a, b, c, d]));
        set_mac(1, (1 << 2) | (1 << 3));
        TX_CFG.write(2);
        FIFO_INT.write(0);
        IRQ_CFG.write(0x111);
    }
}

fn set_mac(register: u32, value: u32) {
    MAC_DATA.write(value);
    MAC_CMD.write((1 << 31) | register);
}

/// Takes a frame from the card: its length, or `None` without one.
fn take(to: &mut [u8; FRAME_BYTES]) -> Option<usize> {
    if (RX_FIFO_INF.read() >> 16) & 0xFF == 0 {
        return None;
    }
    let bytes = (RX_STATUS.read() >> 16) as usize & 0x3FFF;
    for at in 0..bytes.div_ceil(4) {
        let word = RX_DATA.read().to_le_bytes();
        if let Some(place) = to.get_mut(at * 4..at * 4 + 4) {
            place.copy_from_slice(&word);
        }
    }
    // Without its checksum.
    Some(bytes.saturating_sub(4).min(FRAME_BYTES))
}

fn give(frame: &[u8]) {
    let bytes = frame.len() as u32;
    TX_DATA.write(bytes | (1 << 13) | (1 << 12));
    TX_DATA.write(bytes);
    for piece in frame.chunks(4) {
        let mut word = [0; 4];
        word[..piece.len()].copy_from_slice(piece);
        TX_DATA.write(u32::from_le_bytes(word));
    }
    while (TX_FIFO_INF.read() >> 16) & 0xFF != 0 {
        TX_STATUS.read();
    }
}

/// A frame that came.
pub(crate) struct Received<'a>(&'a mut [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, use_it: F) -> R {
        use_it(self.0)
    }
}

/// Room for a frame to go.
pub(crate) struct Room<'a>(&'a mut [u8; FRAME_BYTES]);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, bytes: usize, fill: F) -> R {
        let frame = &mut self.0[..bytes];
        let filled = fill(frame);
        if IS_PLUGGED.load(Ordering::Relaxed) {
            give(frame);
        }
        filled
    }
}

impl Driver for Ethernet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        WAKER.register(context.waker());
        // In this order: a frame that comes behind the look at the FIFO interrupts again.
        INT_STS.write(!0);
        INT_EN.write(RECEIVED);
        loop {
            let bytes = take(&mut self.received)?;
            if IS_PLUGGED.load(Ordering::Relaxed) {
                return Some((Received(&mut self.received[..bytes]), Room(&mut self.sent)));
            }
        }
    }

    fn transmit(&mut self, _context: &mut Context<'_>) -> Option<Room<'_>> {
        Some(Room(&mut self.sent))
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        WAKER.register(context.waker());
        if IS_PLUGGED.load(Ordering::Relaxed) { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(MAC)
    }
}
