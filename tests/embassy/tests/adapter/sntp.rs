//! The date from a time server.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_time::Timer;
use whisperr_embassy::net::sntp::{SntpError, keep_date, query};
use whisperr_embassy::{Clock, EmbassyClock};
use whisperr_embassy_tests::{Faults, Lab, SERVER, leak};
use whisperr_virtual_time::now_us;

/// What the time server sends for a query: packets, each after so many milliseconds.
type Replies = Vec<(u64, Vec<u8>)>;

/// A time server whose clock started in 2026 with the lab; returns when it was asked.
fn serve(
    lab: &Lab,
    port: u16,
    mut replies: impl FnMut(usize, &[u8]) -> Replies + 'static,
) -> Rc<RefCell<Vec<u64>>> {
    let asked: Rc<RefCell<Vec<u64>>> = Rc::default();
    let (stack, log) = (lab.peer(), Rc::clone(&asked));
    lab.tasks().spawn(async move {
        let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
        let (mut rx, mut tx) = (vec![0; 1024], vec![0; 1024]);
        let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
        socket.bind(port).unwrap();
        let mut packet = [0; 256];
        loop {
            let (len, from) = socket.recv_from(&mut packet).await.unwrap();
            log.borrow_mut().push(now_us());
            let count = log.borrow().len();
            for (after_ms, reply) in replies(count, &packet[..len]) {
                Timer::after_millis(after_ms).await;
                socket.send_to(&reply, from).await.unwrap();
            }
        }
    });
    asked
}

/// 2026-05-31T12:00:00Z in seconds of NTP.
const NTP: u64 = 3_989_217_600;

/// The reply to a request, by a clock that read 12 o'clock when this thread's time began. It is sent after `held_ms`.
fn reply(request: &[u8], held_ms: u64) -> Vec<u8> {
    let timestamp = |ms: u64| {
        let (seconds, ms) = (NTP + ms / 1000, ms % 1000);
        let fraction = (ms << 32).div_ceil(1000);
        [(seconds as u32).to_be_bytes(), (fraction as u32).to_be_bytes()].concat()
    };
    let received_ms = now_us() / 1000;
    let mut packet = vec![0; 48];
    (packet[0], packet[1]) = (0x24, 2);
    packet[24..32].copy_from_slice(&request[40..48]);
    packet[32..40].copy_from_slice(&timestamp(received_ms));
    packet[40..48].copy_from_slice(&timestamp(received_ms + held_ms));
    packet
}

/// What the date is, in milliseconds.
fn true_utc() -> i64 {
    1_780_228_800_000 + i64::try_from(now_us() / 1000).unwrap()
}

#[test]
fn the_date_is_that_of_the_server_whatever_the_way_there_took() {
    for (delay_ms, held_ms) in [(2, 0), (400, 0), (400, 1500)] {
        let lab = Lab::new(1);
        lab.names().answer(|name| (name == "time.example.com").then_some(SERVER));
        lab.wire().set(Faults { delay_us: delay_ms * 1000, ..Faults::NONE });
        let asked = serve(&lab, 123, move |_, request| {
            assert_eq!((request.len(), request[0]), (48, 0x23));
            // Nothing of the device is in it but the number.
            assert!(request[1..40].iter().all(|byte| *byte == 0));
            vec![(held_ms, reply(request, held_ms))]
        });

        let utc = lab.run(query(lab.device(), "time.example.com", &mut lab.chance())).unwrap();

        assert!((utc.get() - true_utc()).abs() <= 3, "{} {}", utc.get(), true_utc());
        assert_eq!(asked.borrow().len(), 1);
    }
}

#[test]
fn what_does_not_answer_the_question_is_passed_over() {
    let lab = Lab::new(2);
    let _asked = serve(&lab, 123, |_, request| {
        let good = reply(request, 0);
        let mut foreign = good.clone();
        foreign[24] ^= 1;
        foreign[40] ^= 0x10;
        let mut later = good.clone();
        later[41] ^= 0x10;
        vec![(0, foreign), (0, Vec::new()), (0, vec![0; 200]), (0, good), (0, later)]
    });

    let utc = lab.run(query(lab.device(), "10.0.0.1", &mut lab.chance())).unwrap();

    assert!((utc.get() - true_utc()).abs() <= 5);
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_ten_seconds() {
    let lab = Lab::new(3);
    let _asked = serve(&lab, 123, |_, _| Vec::new());
    let before = now_us();

    let missing = lab.run(query(lab.device(), "10.0.0.1", &mut lab.chance()));

    assert_eq!(missing, Err(SntpError::NoReply));
    assert!((10_000_000..10_010_000).contains(&(now_us() - before)));
    let unknown = lab.run(query(lab.device(), "time.example.com", &mut lab.chance()));
    assert!(matches!(unknown, Err(SntpError::Name(_))), "{unknown:?}");
    let nowhere = lab.run(query(lab.device(), "192.0.2.1", &mut lab.chance()));
    assert_eq!(nowhere, Err(SntpError::NoReply));
}

#[test]
fn the_clock_is_kept_and_a_server_is_not_pestered() {
    let lab = Lab::new(4);
    let clock: &'static EmbassyClock = leak(EmbassyClock::new());
    let asked = serve(&lab, 123, |count, request| match count {
        1 | 2 => Vec::new(),
        3 => {
            let mut kiss = reply(request, 0);
            kiss[1] = 0;
            vec![(0, kiss)]
        }
        _ => vec![(0, reply(request, 0))],
    });
    let (stack, mut chance) = (lab.device(), lab.chance());
    lab.tasks().spawn(async move { keep_date(stack, "10.0.0.1", clock, &mut chance).await });

    lab.pass(Duration::from_secs(3600));
    assert_eq!(clock.utc(), None);
    lab.pass(Duration::from_secs(40 * 3600));

    let drift = clock.utc().unwrap().get() - true_utc();
    assert!(drift.abs() <= 5, "{drift}");
    let asked = asked.borrow();
    let apart_s: Vec<u64> = asked.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    for (found, range) in apart_s.iter().zip([25..29, 40..48, 3600..4501, 43_200..54_001, 43_200..54_001]) {
        assert!(range.contains(found), "{apart_s:?}");
    }
    assert!((5..=7).contains(&asked.len()), "{apart_s:?}");
}
