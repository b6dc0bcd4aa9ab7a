//! QEMU, and the firmware in it.

use core::time::Duration;
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::image::Image;
use crate::layout::end;

const QEMU: &str = "qemu-system-arm";

/// What is not installed of what is needed.
pub(crate) fn missing(to_build: bool) -> Vec<&'static str> {
    let is_there = |name: &str| {
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|path| path.join(name).is_file())
    };
    let mut missing: Vec<_> = [QEMU].into_iter().filter(|name| !is_there(name)).collect();
    if to_build {
        let tools = ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/ld.lld"];
        missing.extend(tools.into_iter().filter(|path| !Path::new(path).is_file()));
        // Where the distribution keeps the sources of `core`, which is built for the target.
        let has_source = Path::new("/usr/lib/rustlib/src/rust/library/core").exists()
            || std::fs::read_dir("/usr/src").is_ok_and(|found| {
                found.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("rust"))
            });
        if !has_source {
            missing.push("rust-web-src");
        }
    }
    missing
}

/// An image to boot.
#[derive(Debug)]
pub(crate) struct Firmware(PathBuf);

impl Firmware {
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Builds it with the script beside it.
    pub(crate) fn build(tls: bool) -> crate::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/build");
        // The tool chain of this build is not that one's.
        let mut command = Command::new(script);
        for name in
            ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_MANIFEST_DIR"]
        {
            command.env_remove(name);
        }
        if tls {
            command.arg("--tls");
        }
        let built = command.stderr(Stdio::inherit()).output()?;
        if !built.status.success() {
            return Err(format!("the image does not build: {}", built.status).into());
        }
        Ok(Self(String::from_utf8(built.stdout)?.trim().into()))
    }

    /// Switches the machine on.
    pub(crate) fn boot(&self, image: &Image) -> io::Result<Machine> {
        let mut memory = OsStr::new("memory-backend-file,id=ps,size=16M,share=on,mem-path=").to_owned();
        memory.push(image.path());
        // Last words go to a file: nobody has to read along, and a kill loses none of them.
        let path = image.path().with_extension("serial");
        let serial = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let qemu = Command::new(QEMU)
            .args(["-M", "mps2-an386,memory-backend=ps", "-object"])
            .arg(memory)
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "user"])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(&self.0)
            .stdin(Stdio::null())
            .stdout(serial.try_clone()?)
            .stderr(serial.try_clone()?)
            .spawn()?;
        Ok(Machine { qemu, serial })
    }
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status, and these words.
    Off(u32, String),
    /// It was killed, or did nothing for too long.
    Killed(String),
}

impl End {
    /// What is wrong with it, when only these ends are right.
    pub(crate) fn wrong(&self, killed_is_right: bool, statuses: &[u32]) -> Option<String> {
        match self {
            Self::Killed(_) if killed_is_right => None,
            Self::Killed(words) => Some(format!("it does not end by itself; it said: {words}")),
            Self::Off(status, _) if statuses.contains(status) => None,
            Self::Off(status, words) => {
                let what = match *status {
                    end::LATE => "what is owed was not delivered in time",
                    end::CLOSED => "the queue did not open",
                    end::PANIC => "a panic",
                    _ => "an end that nobody asked for",
                };
                Some(format!("{what} (status {status}): {words}"))
            }
        }
    }
}

/// A machine that runs.
#[derive(Debug)]
pub(crate) struct Machine {
    qemu: Child,
    serial: File,
}

impl Machine {
    /// Waits until it ends by itself, or `done` says so, or for the longest time; then kills it if it still runs.
    pub(crate) fn wait(
        mut self,
        longest: Duration,
        mut done: impl FnMut() -> io::Result<bool>,
    ) -> io::Result<End> {
        let start = Instant::now();
        let ended = loop {
            if let Some(status) = self.qemu.try_wait()? {
                break status.code();
            }
            if start.elapsed() > longest || done()? {
                break None;
            }
            thread::sleep(Duration::from_micros(300));
        };
        // Ended or not: it is the same call.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait()?;
        let words = self.words()?;
        Ok(match ended.and_then(|code| u32::try_from(code).ok()) {
            Some(status) => End::Off(status, words),
            None => End::Killed(words),
        })
    }

    /// The last it said.
    fn words(&mut self) -> io::Result<String> {
        const LAST: usize = 600;
        let mut bytes = Vec::new();
        self.serial.seek(SeekFrom::Start(0))?;
        self.serial.read_to_end(&mut bytes)?;
        let last = bytes.get(bytes.len().saturating_sub(LAST)..).unwrap_or_default();
        Ok(String::from_utf8_lossy(last).trim().to_owned())
    }
}
