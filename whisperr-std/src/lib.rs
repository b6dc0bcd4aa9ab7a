//! Whisperr for Rust applications.
#![forbid(unsafe_code)]
