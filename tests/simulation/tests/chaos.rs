//! Random lives of a client, one per seed: faults first, then they stop and everything must arrive.
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may fail")]

use core::time::Duration;
use std::collections::HashMap;

use whisperr_core::{Config, FlushProgress, Identify, Reply, Track, props};
use whisperr_simulation::{Answer, Options, StorageFaults, World, lost_reply, no_reply, reply, retry_after};

/// SplitMix64: the test's own chance, apart from the client's.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn answer(chance: &mut Chance) -> Answer {
    let answer = match chance.below(12) {
        0 => no_reply(),
        1 => lost_reply(),
        2 => retry_after(429, &chance.below(100).to_string()),
        3 => retry_after(503, "Sun, 06 Nov 1994 08:49:37 GMT"),
        4 => reply(500),
        5 => reply(401),
        6 => reply(302),
        7 => reply([400, 413, 422][chance.below(3) as usize]),
        8 => Answer { after_ms: 1 << 40, ..lost_reply() },
        9 => Answer { reply: Some(Reply::new(404)), processed: false, after_ms: 20 },
        _ => reply(202),
    };
    Answer { after_ms: answer.after_ms + chance.below(3000), ..answer }
}

/// Every number that was accepted, and how the run went.
struct Life {
    accepted: Vec<u64>,
    /// Left undelivered, as the counters say.
    undelivered: u64,
    crashes: u64,
    flushes: u64,
}

fn live(seed: u64) -> (World, Life) {
    let mut chance = Chance(seed);
    let config = Config {
        max_queue_size: 5 + chance.below(60) as u32,
        max_batch_size: 1 + chance.below(20) as u16,
        flush_at: 1 + chance.below(20) as u32,
        max_retries: chance.below(4) as u32,
        max_queue_bytes: 1024 + chance.below(8000),
        max_request_bytes: 1024 + chance.below(4000) as u32,
        max_retry_delay: Duration::from_secs(1 + chance.below(300)),
        ..Config::DEFAULT
    };
    let utc = [None, Some(1_780_228_800_000), Some(0)][chance.below(3) as usize];
    let mut world = World::new(seed, Options { config, utc, storage_bytes: 12_000 });
    let mut script = chance.clone();
    world.network().script(move |_, _| answer(&mut script));
    let mut life = Life { accepted: Vec::new(), undelivered: 0, crashes: 0, flushes: 0 };
    for n in 0..200 {
        match chance.below(20) {
            0..=9 => {
                let event = Track::new("said").user("u1").properties(props! { "n" => n });
                if world.track(&event).is_ok() {
                    life.accepted.push(n);
                }
            }
            10 => drop(world.identify(&Identify::new("u1").traits(props! { "n" => n }))),
            11..=13 => world.advance(chance.below(20_000)),
            14 => world.advance(chance.below(3_600_000)),
            15 => {
                life.flushes += 1;
                let _not_waited_for = world.with(|client| client.flush());
            }
            16 => {
                life.undelivered += left_undelivered(&world);
                life.crashes += 1;
                world.crash();
            }
            17 => world.storage().set_faults(StorageFaults {
                write: chance.below(2) == 0,
                remove: chance.below(2) == 0,
                read: false,
            }),
            18 => world.storage().set_faults(StorageFaults::default()),
            _ => world.clock().set_utc(Some(1_780_228_800_000 + chance.below(1 << 41) as i64)),
        }
        let status = world.status();
        assert!(status.owed <= config.max_queue_size, "seed {seed}: the bound holds");
        assert!(status.bytes <= config.max_queue_bytes, "seed {seed}: the bound holds in bytes");
        assert_eq!(status.counters.owed(), u64::from(status.owed), "seed {seed}: {:?}", status.counters);
    }
    world.storage().set_faults(StorageFaults::default());
    world.clock().set_utc(Some(1_780_228_800_000));
    world.network().script(|_, _| reply(202));
    (world, life)
}

/// Exits other than an acknowledgement, of this run of the client.
fn left_undelivered(world: &World) -> u64 {
    let counters = world.status().counters;
    counters.dropped + counters.evicted + counters.expired + counters.damaged
}

#[test]
fn everything_accepted_arrives_in_order_once_faults_stop() {
    let (mut crashes, mut lost_replies, mut evictions) = (0, 0, 0);
    for seed in 0..400 {
        let (mut world, life) = live(seed);

        let ended = world.flush();
        assert_eq!(ended, FlushProgress::Delivered, "seed {seed}: {:?}", world.status());

        let server = world.server();
        let delivered: Vec<u64> = server
            .operations()
            .iter()
            .filter(|e| e.get("event_type").is_some())
            .map(|e| e["properties"]["n"].as_u64().unwrap())
            .collect();
        assert!(delivered.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: {delivered:?}");
        let known: HashMap<u64, ()> = delivered.iter().map(|n| (*n, ())).collect();
        let missing = life.accepted.iter().filter(|n| !known.contains_key(n)).count() as u64;
        let surfaced = life.undelivered + left_undelivered(&world);
        assert!(missing <= surfaced, "seed {seed}: {missing} missing, {surfaced} surfaced");
        assert!(delivered.iter().all(|n| life.accepted.contains(n)), "seed {seed}");
        crashes += life.crashes;
        lost_replies += server.duplicates();
        evictions += world.status().counters.evicted;
    }
    // A run that never met a fault proves nothing.
    assert!(crashes > 100 && lost_replies > 100 && evictions > 100, "{crashes} {lost_replies} {evictions}");
}

#[test]
fn no_failure_is_followed_by_a_request_without_a_wait() {
    for seed in 0..100 {
        let (world, life) = live(seed);
        let exchanges = world.network().exchanges();
        // Between two refusals there is always a wait, whatever the queue does meanwhile; only a
        // flush may cut one short, or a restart, which begins anew.
        let at_once = exchanges.windows(2).filter(|pair| {
            let failed = pair[0].status.is_none_or(|status| matches!(status, 300.. | 0..200));
            let answered = pair[0].at.after(Duration::from_millis(pair[0].after_ms.min(30_000)));
            failed && pair[1].at > pair[0].at && pair[1].at <= answered
        });
        assert!(at_once.count() as u64 <= life.flushes + life.crashes, "seed {seed}");
    }
}
