//! Fuzzes what a server sends, in any pieces.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| whisperr_fuzz::http_reply(data));

/// Without a fuzzer: runs the inputs in the files that are named.
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    whisperr_fuzz::run_files(whisperr_fuzz::http_reply)
}
