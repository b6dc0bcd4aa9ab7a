//! The client works the same in a synchronous program and inside any async one.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use core::time::Duration;

use whisperr_collector::Collector;
use whisperr_std::{Flush, Whisperr};

const SOON: Duration = Duration::from_secs(20);

fn client(collector: &Collector) -> Whisperr {
    Whisperr::builder("wrk_test").base_url(collector.url()).enable_persistence(false).build().unwrap()
}

/// Builds, tracks, flushes and drops inside whatever runtime polls it.
async fn use_it_all() {
    let collector = Collector::start().unwrap();
    let whisperr = client(&collector);
    whisperr.track("from_async", ()).unwrap();
    assert_eq!(whisperr.flush_async(SOON).await, Flush::Delivered);
    whisperr.track("before_drop", ()).unwrap();
    drop(whisperr);
    assert_eq!(collector.events().len(), 2);
}

#[test]
fn in_plain_threads() {
    let collector = Collector::start().unwrap();
    let whisperr = client(&collector);

    std::thread::scope(|scope| {
        for _ in 0..4 {
            let whisperr = whisperr.clone();
            scope.spawn(move || {
                for _ in 0..100 {
                    whisperr.track("from_a_thread", ()).unwrap();
                }
            });
        }
    });
    assert_eq!(whisperr.flush(SOON), Flush::Delivered);

    assert_eq!(collector.events().len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_tokio_with_many_threads() {
    use_it_all().await;
}

#[tokio::test(flavor = "current_thread")]
async fn in_tokio_with_one_thread() {
    use_it_all().await;
}

#[tokio::test(flavor = "current_thread")]
async fn blocking_calls_inside_a_runtime_do_not_deadlock() {
    let collector = Collector::start().unwrap();
    let whisperr = client(&collector);
    whisperr.track("from_async", ()).unwrap();

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
    assert_eq!(whisperr.shutdown(SOON), Flush::Delivered);
}

#[test]
fn in_an_executor_that_is_not_tokio() {
    futures_lite::future::block_on(use_it_all());
}

#[test]
fn an_async_flush_ends_at_its_deadline() {
    let collector = Collector::start().unwrap();
    collector.fault(whisperr_collector::Fault::Hang);
    let whisperr = client(&collector);
    whisperr.track("late", ()).unwrap();

    let ended = futures_lite::future::block_on(whisperr.flush_async(Duration::from_millis(200)));

    assert_eq!(ended, Flush::TimedOut);
    assert_eq!(whisperr.shutdown(Duration::ZERO), Flush::TimedOut);
}

#[test]
fn a_flush_that_nobody_waits_for_any_more_is_harmless() {
    let collector = Collector::start().unwrap();
    let whisperr = client(&collector);
    whisperr.track("one", ()).unwrap();

    drop(whisperr.flush_async(SOON));

    assert_eq!(whisperr.flush(SOON), Flush::Delivered);
}
