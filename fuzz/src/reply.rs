use core::cell::Cell;
use core::time::Duration;
use std::rc::Rc;

use whisperr_core::{Config, FlushProgress, Reply, Track, props};
use whisperr_simulation::{Answer, Options, World, reply as answer};

/// No reply stops delivery for longer than the contract allows: 60 s for a `Retry-After`,
/// `max_retry_delay` for everything else, and a quarter of jitter on top.
const LONGEST_MS: u64 = 375_000;

/// Any reply, three times over, and then a server that works: nothing panics, nothing waits too
/// long, and everything leaves the queue.
///
/// # Panics
/// When it does not.
pub fn reply(data: &[u8]) {
    let Some(([low, high], rest)) = data.split_first_chunk() else { return };
    let status = u16::from_le_bytes([*low, *high]);
    let mut headers = rest.splitn(3, |byte| *byte == b'\n');
    let mut next = || headers.next().unwrap_or_default();
    let (retry_after, date, body) = (next(), next(), next());
    let hostile = Reply::new(status).retry_after(retry_after).date(date).body(body);
    assert_eq!(hostile.status(), status);

    let mut world = World::new(1, Options::default());
    let requests = Rc::new(Cell::new(0_u32));
    world.network().script({
        let requests = Rc::clone(&requests);
        move |_, _| {
            requests.set(requests.get().saturating_add(1));
            match requests.get() {
                1..=3 => Answer { reply: Some(hostile), ..answer(status) },
                _ => answer(202),
            }
        }
    });
    for n in 0..3 {
        let event = Track::new("door_opened").user("user").properties(props! { "n" => n });
        world.track(&event).unwrap();
    }

    // A few halvings of the batch may be needed, each with its own wait.
    let start = world.clock().clone();
    let before = whisperr_core::Clock::now(&start);
    let first = world.flush();
    assert!(first != FlushProgress::Pending && first != FlushProgress::Paused, "{first:?}");
    for _ in 0..12 {
        if world.status().owed == 0 {
            break;
        }
        let sent = requests.get();
        world.advance(LONGEST_MS);
        let status = world.status();
        // A reply may bring a date by which everything has expired.
        assert!(
            requests.get() > sent || status.owed == 0,
            "nothing was sent for {LONGEST_MS} ms: {status:?}"
        );
    }
    let took = whisperr_core::Clock::now(&start).since(before);
    assert!(took < Duration::from_millis(LONGEST_MS.saturating_mul(4)), "{took:?}");

    super::deliver_all(&mut world);
    let counters = world.status().counters;
    let left = [counters.acknowledged, counters.dropped, counters.expired];
    assert_eq!(left.iter().sum::<u64>(), 3, "{counters:?}");
    assert!(counters.rejected <= counters.acknowledged, "{counters:?}");
}

const _: () = assert!(LONGEST_MS as u128 * 4 == Config::DEFAULT.max_retry_delay.as_millis() * 5);
