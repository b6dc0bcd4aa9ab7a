//! Replays every input of the corpus on the stable tool chain.

use std::fs;
use std::path::Path;

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        let data = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| target(&data));
        assert!(outcome.is_ok(), "{} fails", path.display());
    }
}

#[test]
fn record() {
    replay("record", whisperr_fuzz::record);
}

#[test]
fn json() {
    replay("json", whisperr_fuzz::json);
}

#[test]
fn event_type() {
    replay("event_type", whisperr_fuzz::event_type);
}

#[test]
fn reply() {
    replay("reply", whisperr_fuzz::reply);
}

#[test]
fn client() {
    replay("client", whisperr_fuzz::client);
}

#[test]
fn log() {
    replay("log", whisperr_fuzz::log);
}

#[test]
fn retry_after() {
    replay("retry_after", whisperr_fuzz::retry_after);
}

#[test]
fn life() {
    replay("life", whisperr_fuzz::life);
}

#[test]
fn http_reply() {
    replay("http_reply", whisperr_fuzz::http_reply);
}

#[test]
fn certificate() {
    replay("certificate", whisperr_fuzz::certificate);
}
