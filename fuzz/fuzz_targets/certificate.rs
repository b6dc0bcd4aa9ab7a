//! Fuzzes the walk over the certificates that a server shows.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| whisperr_fuzz::certificate(data));

/// Without a fuzzer: runs the inputs in the files that are named.
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    whisperr_fuzz::run_files(whisperr_fuzz::certificate)
}
