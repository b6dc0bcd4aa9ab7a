//! What the client costs, as ratios to a floor measured in the same run.
//!
//! The floor is the same events, serialised with serde_json and posted in batches of 500 over one
//! connection, without any promise. Every scenario runs in a process of its own, so that peak memory
//! and processor time are its own; the sink is another process. `cargo run --release -p whisperr-bench`.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod event;
mod floor;
mod measure;
mod report;
mod scenario;
mod sink;

use core::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => report::run(3),
        ["--runs", runs] => report::run(runs.parse()?),
        ["sink"] => Ok(sink::serve()?),
        ["scenario", name, url] => scenario::run(name, url),
        _ => Err("usage: whisperr-bench [--runs N]".into()),
    }
}
