//! Ten thousand random calls, faults and cuts against the model.

use whisperr_core::Slot;

use super::super::simulated::{Chance, Failure, SimulatedDisk, Survivors};
use super::{Model, Op, append, numbers, open, small};

fn any_op(chance: &mut Chance, model: &Model) -> Op {
    let oldest = model.owed.first().copied().unwrap_or(1);
    let newest = model.owed.last().copied().unwrap_or(1);
    match chance.below(40) {
        0..16 => Op::Append(chance.below(150) as usize),
        16 => Op::Append(2000),
        // As a reply removes: some of the oldest.
        17..24 => Op::Remove(oldest, oldest + chance.below(4)),
        // As an eviction does: anywhere.
        24..28 => {
            let first = oldest + chance.below(newest - oldest + 1);
            Op::Remove(first, first + chance.below(3))
        }
        28..33 => {
            let slot = Slot::ALL[chance.below(8) as usize];
            Op::Store(slot, chance.below(256) as u8, chance.below(60) as usize)
        }
        33..39 => Op::Sync,
        _ if chance.below(8) == 0 => Op::Wipe,
        _ => Op::Sync,
    }
}

/// One life of a queue over many crashes. Returns how many calls were made.
fn live(seed: u64, calls: u64) -> u64 {
    let mut chance = Chance::new(seed);
    let options = small().segment_bytes([512, 700, 2048][chance.below(3) as usize]).max_bytes(16 << 10);
    let (faults, tight) = (chance.below(3) == 0, chance.below(4) == 0);
    let mut disk = SimulatedDisk::new();
    let mut storage = open(&disk, options);
    let mut model = Model::new();
    for _ in 0..calls {
        if faults && chance.below(20) == 0 {
            let failure = [Failure::Medium, Failure::Full, Failure::Short][chance.below(3) as usize];
            if chance.below(3) == 0 {
                disk.fail_sync_after(chance.below(3));
            } else {
                disk.fail_after(chance.below(12), failure, false);
            }
        }
        if tight && chance.below(30) == 0 {
            disk.limit(Some(disk.used() + chance.below(600) as usize));
        }
        if chance.below(15) == 0 {
            disk.heal();
        }
        let op = any_op(&mut chance, &model);
        // An error is an answer, too: the model knows what it leaves.
        let _ = model.run(&mut storage, op);
        if chance.below(25) == 0 {
            let survivors = match chance.below(4) {
                0 => Survivors::All,
                1 => Survivors::None,
                _ => Survivors::Some(chance.below(u64::MAX)),
            };
            disk = disk.after_cut(survivors);
            storage = open(&disk, options);
            model.check(&mut storage);
            whisperr_core::Storage::take_damaged(&mut storage);
            model.adopt(&mut storage);
        }
    }
    disk.heal();
    storage.maintain().unwrap();
    model.run(&mut storage, Op::Append(7)).unwrap_or_else(|fault| {
        // Full of owed records: one has to go.
        assert_eq!(fault, whisperr_core::Fault::Full);
        let (first, last) = (model.owed[0], model.owed[model.owed.len() - 1]);
        model.run(&mut storage, Op::Remove(first, last)).unwrap();
        let seq = storage.log.next;
        append(&mut storage, seq, b"room").unwrap();
        model.owed.push(seq);
    });
    assert_eq!(numbers(&mut storage), model.owed);
    calls
}

#[test]
fn ten_thousand_random_calls_keep_every_promise() {
    let mut calls = 0;
    for seed in 0..100 {
        println!("seed {seed}");
        calls += live(seed, 100 + seed * 4);
    }
    assert!(calls >= 10_000, "{calls}");
}

/// For hours, by hand: `RUNS=100000 cargo test --release -- --ignored many_random`.
#[test]
fn many_random_runs_keep_every_promise() {
    // A few by default; as many as one likes by hand: WHISPERR_SOAK_RUNS=100000.
    let runs = std::env::var("WHISPERR_SOAK_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(20);
    for seed in 1000..1000 + runs {
        println!("seed {seed}");
        live(seed, 400);
    }
}
