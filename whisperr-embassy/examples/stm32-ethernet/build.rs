//! Tells the linker where things are, and says what must still be replaced: nothing of it stops a first build.

use std::{env, fs};

/// What every project has of its own: taken from the environment of the build.
const SETTINGS: [(&str, &str); 1] = [("WHISPERR_KEY", "wrk_placeholder")];

/// Stands in the certificate that this example comes with.
const PLACEHOLDER: &[u8] = b"Placeholder: replace ca.der";

fn main() {
    settings();
    authority();
    let here = env::var("CARGO_MANIFEST_DIR").expect("set by Cargo");
    println!("cargo::rustc-link-search={here}");
    println!("cargo::rerun-if-changed=memory.x");
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

fn settings() {
    for (name, placeholder) in SETTINGS {
        println!("cargo::rerun-if-env-changed={name}");
        let value = env::var(name).unwrap_or_else(|_| {
            println!("cargo::warning={name} is not set: this image has a placeholder and cannot deliver");
            placeholder.to_owned()
        });
        println!("cargo::rustc-env={name}={value}");
    }
}

fn authority() {
    println!("cargo::rerun-if-changed=ca.der");
    let der = fs::read("ca.der").expect("ca.der must be the authority's certificate");
    assert!(
        !der.starts_with(b"-----BEGIN"),
        "ca.der is PEM, and must be DER: openssl x509 -in ca.pem -outform der -out ca.der"
    );
    if der.windows(PLACEHOLDER.len()).any(|part| part == PLACEHOLDER) {
        println!(
            "cargo::warning=ca.der is a placeholder: this image trusts no server. Replace it, see GUIDE.md"
        );
    }
}
