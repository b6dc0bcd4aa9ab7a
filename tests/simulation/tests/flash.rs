//! The flash log on the model of NOR flash: lives by chance, every cut of short runs, and what else it
//! promises.
#![cfg(feature = "flash")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use whisperr_core::{Fault, Seq, SeqRange, Slot, Storage, ready};
use whisperr_embassy::flash::{FlashError, FlashOpenError, FlashStorage, LayoutError};
use whisperr_simulation::Choices;
use whisperr_simulation::nor::{
    Checked, Driven, Ended, FlashSummary, NorRates, Script, SimNor, Step, live_on_flash,
};

fn lives<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
    units: usize,
    seeds: u64,
) -> FlashSummary {
    let mut summary = FlashSummary::default();
    for seed in 0..seeds {
        let choices = Choices::seeded(seed);
        if let Err(broken) = live_on_flash::<WRITE, ERASE, PAGES>(&choices, units, &mut summary) {
            panic!("write size {WRITE}, erase size {ERASE}, {PAGES} pages, seed {seed}: {broken}");
        }
    }
    summary
}

fn new<const WRITE: usize, const ERASE: usize, const PAGES: usize>(
    units: usize,
) -> Checked<WRITE, ERASE, PAGES> {
    let mut checked = Checked::new(SimNor::new(units, Choices::seeded(1)));
    assert!(checked.open().unwrap());
    checked
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_1() {
    let summary = lives::<1, 256, 4>(4, 200);
    lives::<1, 256, 2>(2, 100);
    // Pages of two erase units each.
    lives::<1, 256, 2>(4, 60);
    // A search that meets no fault proves nothing.
    for name in ["cut in an erase", "cut in an opening", "unreadable word", "bit flipped", "full", "wipe"] {
        assert!(summary.seen.count(name) > 0, "no {name}");
    }
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_4() {
    lives::<4, 256, 4>(4, 200);
    lives::<4, 256, 2>(2, 100);
    lives::<4, 4096, 4>(4, 30);
    lives::<2, 256, 3>(3, 50);
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_8() {
    lives::<8, 256, 3>(3, 200);
    lives::<8, 2048, 2>(2, 40);
    lives::<16, 512, 3>(3, 50);
}

#[test]
fn no_life_breaks_a_promise_with_a_write_size_of_32() {
    lives::<32, 256, 4>(4, 200);
    lives::<32, 512, 3>(3, 60);
    lives::<32, 131_072, 2>(2, 2);
}

#[test]
fn every_cut_of_a_short_run_is_survived() {
    let script = Script {
        before: vec![Step::Append(40); 12],
        steps: vec![
            Step::Append(30),
            Step::Store(Slot::Identity, 9),
            Step::Remove(2),
            Step::Append(0),
            Step::Aside,
            Step::Append(60),
            Step::RemoveAt(1),
            Step::Append(40),
            Step::Store(Slot::Identity, 4),
            Step::Append(40),
            Step::Reopen,
            Step::Append(20),
        ],
    };
    for runs in [
        script.cut_everywhere::<1, 256, 4>(4, false),
        script.cut_everywhere::<4, 256, 4>(4, false),
        script.cut_everywhere::<8, 256, 3>(3, false),
        script.cut_everywhere::<32, 512, 3>(3, false),
    ] {
        assert!(runs.unwrap() > 100);
    }
}

#[test]
fn every_cut_of_changes_in_one_step_leaves_both_halves_or_neither() {
    let script = Script {
        before: vec![Step::Append(40); 8],
        steps: vec![
            Step::Replace(40),
            Step::Settle(3, Slot::Ledger, 7),
            Step::Replace(0),
            Step::Reopen,
            Step::Settle(1, Slot::Ledger, 5),
            Step::Append(40),
            Step::Replace(60),
            Step::Settle(2, Slot::Ledger, 0),
            Step::Replace(40),
            Step::Append(30),
        ],
    };
    for runs in [
        script.cut_everywhere::<1, 256, 4>(4, false),
        script.cut_everywhere::<4, 256, 5>(5, false),
        script.cut_everywhere::<8, 256, 6>(6, false),
        script.cut_everywhere::<32, 512, 4>(4, false),
    ] {
        assert!(runs.unwrap() > 100);
    }
    let short = Script {
        before: vec![Step::Append(30), Step::Append(30), Step::Append(20)],
        steps: vec![Step::Replace(30), Step::Settle(1, Slot::Ledger, 5), Step::Replace(10)],
    };
    assert!(short.cut_everywhere::<8, 256, 3>(3, true).unwrap() > 1000);
    assert!(short.cut_everywhere::<32, 512, 3>(3, true).unwrap() > 500);
}

#[test]
fn every_cut_of_a_wipe_is_survived_and_finished() {
    let script = Script {
        before: vec![Step::Append(40), Step::Store(Slot::Consent, 3), Step::Append(50), Step::Append(40)],
        steps: vec![Step::Wipe, Step::Append(24), Step::Wipe],
    };

    assert!(script.cut_everywhere::<4, 256, 2>(2, false).unwrap() > 100);
    assert!(script.cut_everywhere::<1, 256, 4>(4, false).unwrap() > 100);
    assert!(script.cut_everywhere::<32, 256, 4>(4, false).unwrap() > 50);
}

#[test]
fn every_pair_of_cuts_of_a_very_short_run_is_survived() {
    let script = Script {
        before: vec![Step::Append(30), Step::Store(Slot::Boot, 4), Step::Append(30), Step::Append(20)],
        steps: vec![
            Step::Append(30),
            Step::Remove(1),
            Step::Store(Slot::Boot, 5),
            Step::Append(40),
            Step::RemoveAt(1),
            Step::Append(10),
        ],
    };

    assert!(script.cut_everywhere::<8, 256, 2>(2, true).unwrap() > 10_000);
    assert!(script.cut_everywhere::<32, 512, 3>(3, true).unwrap() > 1000);
}

#[test]
fn any_bytes_give_a_working_log() {
    for fill in 0..40_u64 {
        let nor = SimNor::<4, 256>::new(4, Choices::seeded(fill));
        nor.fill(|at| match fill {
            0 => 0,
            1 => b'W',
            _ => (at as u64 + fill).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[(fill % 8) as usize],
        });
        let mut checked = Checked::<4, 256, 4>::new(nor);
        assert!(checked.open().unwrap());
        assert!(checked.check().unwrap());
        for _ in 0..20 {
            checked.append(30, None).unwrap();
            checked.remove(1, 2, None).unwrap();
        }
        assert!(checked.open().unwrap() && checked.check().unwrap());
        checked.check_not_wedged().unwrap();
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_at_most_what_it_hit_and_never_the_log() {
    let mut checked = new::<4, 256, 6>(6);
    for _ in 0..9 {
        assert_eq!(checked.append(30, None).unwrap(), Ended::Done);
    }
    let size = checked.nor().raw().len();
    for at in 0..size {
        let copy = checked.nor().copied();
        copy.rot(at, 0x10);
        let log = ready_or_drive(&copy, FlashStorage::<_, 6>::open(copy.clone(), 0..1536));
        let mut log = log.unwrap();
        let mut found = 0;
        let (mut from, mut buffer) = (Seq::FIRST, [0; 64]);
        while let Some(stored) = ready_or_drive(&copy, log.read(from, &mut buffer)).unwrap() {
            assert_eq!(stored.len, 30);
            found += 1;
            from = stored.seq.next();
        }
        let damaged = log.take_damaged();
        if found == 8 {
            // The last record may be torn by a cut for all anybody knows.
            assert!(damaged == 1 || from.get() == 9, "{at}: {damaged}");
        }
        let seq = log.next_seq();
        assert!(seq.get() >= 9);
        ready_or_drive(&copy, log.append(seq, b"more")).unwrap();
    }
}

fn ready_or_drive<const WRITE: usize, const ERASE: usize, T>(
    nor: &SimNor<WRITE, ERASE>,
    call: impl Future<Output = T>,
) -> T {
    match nor.drive(None, call) {
        Driven::Done(done) => done,
        other => panic!("{:?}", matches!(other, Driven::Off)),
    }
}

#[test]
fn damage_in_the_middle_is_counted_once_over_restarts() {
    let nor = SimNor::<4, 4096>::new(4, Choices::seeded(1));
    let mut log = ready(FlashStorage::<_, 4>::open(nor.clone(), 0..16_384)).unwrap().unwrap();
    for n in 1..=9 {
        ready(log.append(Seq::new(n), b"a record of some length")).unwrap().unwrap();
    }
    ready(log.remove(SeqRange::one(Seq::new(3)))).unwrap().unwrap();
    drop(log);
    // Records are 36 bytes apart, behind a header of 32: the payloads of 3, 4 and 6.
    for n in [2, 3, 5] {
        nor.rot(32 + n * 36 + 12, 0x40);
    }

    let mut log = ready(FlashStorage::<_, 4>::open(nor.clone(), 0..16_384)).unwrap().unwrap();
    assert_eq!(log.take_damaged(), 2, "what was removed before is no loss");
    let next = ready(log.read(Seq::new(3), &mut [0; 64])).unwrap().unwrap().unwrap();
    assert_eq!(next.seq, Seq::new(5));
    drop(log);

    let mut log = ready(FlashStorage::<_, 4>::open(nor, 0..16_384)).unwrap().unwrap();
    assert_eq!(log.take_damaged(), 0);
    assert_eq!(log.next_seq(), Seq::new(10));
}

#[test]
fn damage_that_comes_while_the_log_is_open_is_counted_by_the_walk() {
    let nor = SimNor::<4, 4096>::new(2, Choices::seeded(1));
    let mut log = ready(FlashStorage::<_, 2>::open(nor.clone(), 0..8192)).unwrap().unwrap();
    for n in 1..=4 {
        ready(log.append(Seq::new(n), b"a record of some length")).unwrap().unwrap();
    }
    nor.rot(32 + 36 + 12, 1);

    let found = ready(log.read(Seq::new(2), &mut [0; 64])).unwrap().unwrap().unwrap();

    assert_eq!(found.seq, Seq::new(3));
    assert_eq!(log.take_damaged(), 1);
    assert_eq!(log.take_damaged(), 0);
}

#[test]
fn stuck_bits_lose_nothing() {
    for at in [0, 5, 31, 40, 100, 250, 300, 700] {
        let mut checked = new::<4, 256, 6>(6);
        checked.nor().stick(at, 0x24);
        for round in 0..60 {
            // A page that cannot even take a header stops the log where the oldest page is not empty.
            checked.append(20, None).unwrap();
            assert!(checked.check().unwrap(), "{at}, {round}");
            if round % 3 == 2
                && let Some(oldest) = checked.numbers().first().copied()
            {
                checked.remove(oldest, oldest + 2, None).unwrap();
                assert!(checked.check().unwrap(), "{at}, {round}");
            }
        }
        assert!(checked.open().unwrap() && checked.check().unwrap());
    }
}

#[test]
fn more_removed_ranges_than_memory_keeps_are_still_removed() {
    let mut checked = new::<4, 2048, 6>(6);
    for _ in 0..160 {
        assert_eq!(checked.append(24, None).unwrap(), Ended::Done);
    }
    for seq in (1..160).step_by(2) {
        assert_eq!(checked.remove(seq, seq, None).unwrap(), Ended::Done);
    }
    assert!(checked.check().unwrap());
    assert!(checked.open().unwrap() && checked.check().unwrap());
    for seq in (2..150).step_by(4) {
        checked.remove(seq, seq, None).unwrap();
        checked.append(24, None).unwrap();
    }
    assert!(checked.check().unwrap());
    assert!(checked.open().unwrap() && checked.check().unwrap());
    for _ in 0..400 {
        let oldest = checked.numbers()[0];
        checked.remove(oldest, oldest, None).unwrap();
        checked.append(24, None).unwrap();
    }
    assert!(checked.open().unwrap() && checked.check().unwrap());
}

#[test]
fn a_full_log_refuses_changes_nothing_and_takes_a_record_for_each_that_leaves() {
    let mut checked = new::<8, 512, 8>(8);
    while checked.append(40, None).unwrap() == Ended::Done {}
    assert!(checked.check().unwrap());
    let before = checked.nor().counts();

    for _ in 0..500 {
        let oldest = checked.numbers()[0];
        assert_eq!(checked.remove(oldest, oldest, None).unwrap(), Ended::Done);
        assert_eq!(checked.append(40, None).unwrap(), Ended::Done);
    }

    // Records leave in order: almost nothing is copied, and every page is erased in its turn.
    let programmed = checked.nor().counts().programmed - before.programmed;
    assert!(programmed < 500 * (56 + 16) * 12 / 10, "{programmed}");
    checked.check_wear(0).unwrap();
    assert!(checked.check().unwrap());
}

#[test]
fn a_full_log_takes_a_record_in_the_place_of_the_oldest_in_one_frame() {
    let mut checked = new::<8, 512, 8>(8);
    while checked.append(46, None).unwrap() == Ended::Done {}
    let (held, before) = (checked.len(), checked.nor().counts());

    for _ in 0..500 {
        let oldest = checked.numbers()[0];
        assert_eq!(checked.replace((oldest, oldest), 0, 46, None).unwrap(), Ended::Done);
    }

    // A frame of 46 bytes with 10 around them and 4 for the removal is 64 bytes long with its padding, 8 more than
    // without the removal: what is copied is not, so that the log stays as full as it was.
    let programmed = checked.nor().counts().programmed - before.programmed;
    assert!(programmed < 500 * 64 * 12 / 10, "{programmed}");
    assert_eq!(checked.len(), held);
    checked.check_wear(0).unwrap();
    assert!(checked.open().unwrap() && checked.check().unwrap());
}

#[test]
fn a_batch_leaves_with_its_ledger_in_one_frame() {
    let mut checked = new::<32, 4096, 4>(4);
    for _ in 0..40 {
        assert_eq!(checked.append(20, None).unwrap(), Ended::Done);
    }
    for first in [1, 21] {
        let before = checked.nor().counts().programmed;

        let ended = checked.settle((first, first + 19), Slot::Ledger, &[9; 18], None).unwrap();

        assert_eq!((ended, checked.nor().counts().programmed - before), (Ended::Done, 32));
    }
    assert!(checked.is_empty());
    assert!(checked.open().unwrap() && checked.check().unwrap());
}

/// Copies are followed by a note that they are all there. What is written behind it proves the same.
#[test]
fn a_page_counts_by_what_stands_behind_its_copies_when_the_note_is_damaged() {
    let mut checked = new::<4, 256, 3>(3);
    checked.store(Slot::Identity, &[3; 20], None).unwrap();
    // Until a batch leaves first thing in a page into which the slot was copied: the fourth or a later one.
    let (oldest, before) = loop {
        assert_eq!(checked.append(20, None).unwrap(), Ended::Done);
        let (oldest, erases) = (checked.numbers()[0], checked.nor().counts().erases);
        let before = checked.nor().raw();
        assert_eq!(checked.settle((oldest, oldest), Slot::Ledger, b"4", None).unwrap(), Ended::Done);
        if erases >= 3 && checked.nor().counts().erases > erases {
            break (oldest, before);
        }
    };
    let after = checked.nor().raw();
    let page = 256 * (0..3).find(|page| before[page * 256..][..32] != after[page * 256..][..32]).unwrap();
    let written = after[page..][..256].iter().rposition(|byte| *byte != 0xFF).unwrap() + 1;
    // The last frame is that of the batch: one byte, ten around it, four for the removal, and padding.
    let batch = page + written.next_multiple_of(4) - 16;

    // Behind the header of the page, which is 32 bytes long.
    for at in page + 32..batch {
        let copy = checked.nor().copied();
        copy.rot(at, 0x10);
        let log = ready_or_drive(&copy, FlashStorage::<_, 3>::open(copy.clone(), 0..768));
        let mut log = log.unwrap();
        let mut buffer = [0; 64];
        let found = ready_or_drive(&copy, log.read(Seq::new(oldest), &mut buffer)).unwrap();
        assert!(found.is_none_or(|stored| stored.seq > Seq::new(oldest)), "{at}: what was removed is back");
        let len = ready_or_drive(&copy, log.load(Slot::Ledger, &mut buffer)).unwrap();
        assert_eq!(&buffer[..len], b"4", "{at}");
    }
}

#[test]
fn what_does_not_go_in_one_step_changes_nothing() {
    let mut checked = new::<4, 4096, 4>(4);
    for _ in 0..300 {
        assert_eq!(checked.append(8, None).unwrap(), Ended::Done);
    }
    let before = checked.nor().counts().programmed;

    // More numbers than fit the frame; nothing to remove.
    assert_eq!(checked.settle((1, 257), Slot::Ledger, b"1", None).unwrap(), Ended::Full);
    assert_eq!(checked.settle((301, 400), Slot::Ledger, b"1", None).unwrap(), Ended::Full);
    assert!(checked.check().unwrap());
    assert_eq!(checked.nor().counts().programmed, before);

    assert_eq!(checked.settle((1, 256), Slot::Ledger, b"1", None).unwrap(), Ended::Done);
    assert!(checked.check().unwrap());
    assert_eq!(checked.numbers().first(), Some(&257));
}

#[test]
fn after_many_millions_of_numbers_changes_still_go_in_one_step() {
    let mut checked = new::<4, 256, 4>(4);
    assert_eq!(checked.append(20, None).unwrap(), Ended::Done);
    assert_eq!(checked.append_as(1 << 24, 20, None).unwrap(), Ended::Done);

    // As long as pages are in use that began before, it takes two.
    assert_eq!(checked.replace((1, 1), 0, 20, None).unwrap(), Ended::Full);
    assert_eq!(checked.remove(1, 1, None).unwrap(), Ended::Done);
    for _ in 0..60 {
        assert_eq!(checked.append(20, None).unwrap(), Ended::Done);
        let oldest = checked.numbers()[0];
        assert_eq!(checked.remove(oldest, oldest, None).unwrap(), Ended::Done);
    }

    let oldest = checked.numbers()[0];
    assert_eq!(checked.replace((oldest, oldest), 0, 20, None).unwrap(), Ended::Done);
    assert!(checked.open().unwrap() && checked.check().unwrap());
}

#[test]
fn a_walk_in_order_costs_few_reads_a_record() {
    let mut checked = new::<4, 4096, 8>(8);
    for _ in 0..160 {
        assert_eq!(checked.append(100, None).unwrap(), Ended::Done);
    }
    assert!(checked.check().unwrap());
    let before = checked.nor().counts();

    assert!(checked.check().unwrap());

    let reads = checked.nor().counts().reads - before.reads;
    assert!(reads < 160 * 16, "{reads} reads for 160 records");
}

#[test]
fn formatting_starts_over_and_opening_does_not() {
    let nor = SimNor::<1, 256>::new(4, Choices::seeded(1));
    let mut log = ready(FlashStorage::<_, 4>::open(nor.clone(), 0..1024)).unwrap().unwrap();
    ready(log.append(Seq::FIRST, b"record")).unwrap().unwrap();
    let log = ready(FlashStorage::<_, 4>::open(log.release(), 0..1024)).unwrap().unwrap();
    assert_eq!(log.next_seq(), Seq::new(2));

    let mut log = ready(FlashStorage::<_, 4>::format(log.release(), 0..1024)).unwrap().unwrap();

    assert_eq!(log.next_seq(), Seq::FIRST);
    assert_eq!(ready(log.read(Seq::FIRST, &mut [])).unwrap(), Ok(None));
    assert!(nor.raw().iter().all(|byte| *byte == 0xFF));
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let nor = SimNor::<1, 256>::new(4, Choices::seeded(1));
    let refused = ready(FlashStorage::<_, 5>::open(nor.clone(), 0..1024)).unwrap().unwrap_err();
    assert_eq!(refused, FlashOpenError::Layout(LayoutError::TooSmall { min: 1280 }));
    assert_eq!(refused.to_string(), "range is shorter than the 1280 bytes its pages need");
    let mut log = ready(FlashStorage::<_, 4>::open(nor.clone(), 0..1024)).unwrap().unwrap();

    let max = log.record_bytes_max();
    let refused = ready(log.append(Seq::FIRST, &vec![1; max + 1])).unwrap().unwrap_err();
    assert_eq!(refused, Fault::Medium(FlashError::RecordTooLong { bytes: max + 1, max }));
    ready(log.append(Seq::FIRST, &vec![1; max])).unwrap().unwrap();
    let refused = ready(log.append(Seq::FIRST, b"again")).unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "the storage failed: SeqUsed { seq: Seq(1), next: Seq(2) }");
    let refused = ready(log.store(Slot::Platform, &[0; 545])).unwrap().unwrap_err();
    assert_eq!(refused, Fault::Medium(FlashError::SlotTooLong { bytes: 545 }));
}

#[test]
fn a_flash_that_fails_for_good_says_so_and_works_again_once_it_does_not() {
    let mut checked = new::<4, 256, 4>(4);
    assert_eq!(checked.append(30, None).unwrap(), Ended::Done);
    checked.nor().set_rates(NorRates { program: 10_000, erase: 10_000, ..NorRates::default() });

    assert_eq!(checked.append(30, None).unwrap(), Ended::Failed);
    assert_eq!(checked.store(Slot::Boot, b"1", None).unwrap(), Ended::Failed);
    assert!(checked.check().unwrap());
    checked.nor().set_rates(NorRates::default());

    assert_eq!(checked.append(30, None).unwrap(), Ended::Done);
    assert!(checked.open().unwrap() && checked.check().unwrap());
    checked.nor().set_rates(NorRates { read: 10_000, ..NorRates::default() });
    let refused = checked.open().unwrap_err();
    assert_eq!(refused, "opening failed: the flash failed: Failed");
}

#[test]
fn a_future_dropped_at_any_await_changes_all_or_nothing() {
    for polls in 0..400 {
        let mut checked = new::<8, 256, 3>(3);
        for _ in 0..3 {
            checked.append(24, None).unwrap();
        }
        checked.nor().set_pauses(true);
        checked.append(30, Some(polls)).unwrap();
        assert!(checked.check().unwrap());
        checked.remove(1, 2, Some(polls)).unwrap();
        assert!(checked.check().unwrap());
        checked.store(Slot::Identity, b"ada", Some(polls)).unwrap();
        assert!(checked.check().unwrap());
        checked.wipe(Some(polls)).unwrap();
        assert!(checked.check().unwrap());
        assert!(checked.open().unwrap() && checked.check().unwrap());
        checked.check_not_wedged().unwrap();
    }
}
