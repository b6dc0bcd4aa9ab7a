//! Tells the linker where things are, and says what must still be replaced: nothing of it stops a first build.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What every network and every project has of its own: taken from the environment of the build.
const SETTINGS: [(&str, &str); 3] =
    [("WHISPERR_KEY", "wrk_placeholder"), ("WIFI_NETWORK", "placeholder"), ("WIFI_PASSWORD", "placeholder")];

/// Stands in the certificate that this example comes with.
const PLACEHOLDER: &[u8] = b"Placeholder: replace ca.der";

/// The Wi-Fi chip's own program and data.
const BLOBS: [&str; 3] = ["43439A0.bin", "43439A0_clm.bin", "nvram_rp2040.bin"];

fn main() {
    settings();
    authority();
    blobs();
    let here = env::var("CARGO_MANIFEST_DIR").expect("set by Cargo");
    println!("cargo::rustc-link-search={here}");
    println!("cargo::rerun-if-changed=memory.x");
    for argument in ["--nmagic", "-Tlink.x", "-Tlink-rp.x", "-Tdefmt.x"] {
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

/// They may be used with Raspberry Pi's chips only, and are not part of this project.
fn blobs() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by Cargo"));
    println!("cargo::rerun-if-changed=cyw43-firmware");
    for name in BLOBS {
        let blob = fs::read(Path::new("cyw43-firmware").join(name)).unwrap_or_else(|_| {
            println!(
                "cargo::warning=cyw43-firmware/{name} is missing: this image has no Wi-Fi. See src/main.rs"
            );
            Vec::new()
        });
        fs::write(out.join(name), blob).expect("OUT_DIR can be written to");
    }
}
