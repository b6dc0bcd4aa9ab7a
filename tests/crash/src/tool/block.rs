//! A disk that fails or remembers: `qemu-storage-daemon` between an image and a loop mount.

use core::time::Duration;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use super::{Running, need, need_root, try_run};
use crate::campaign::Stop;

/// What a disk does beside reading and writing.
#[derive(Debug)]
pub(crate) enum Behaviour<'a> {
    /// Logs every write and every flush.
    Log(&'a Path),
    /// Fails a write to this sector, once or always.
    Fail { sector: u64, once: bool },
}

/// A disk: a file that can be mounted. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    running: Running,
    export: PathBuf,
}

/// Skips the campaign where such a disk cannot be.
pub(crate) fn need_disks() -> Result<(), Stop> {
    need_root("mounts a file system")?;
    need(&["qemu-storage-daemon", "mount", "umount", "mkfs.ext4"])?;
    if !Path::new("/dev/fuse").exists() {
        return Err(Stop::Skip("the kernel has no FUSE".into()));
    }
    let help = Command::new("qemu-storage-daemon").arg("--help").output()?;
    if !String::from_utf8_lossy(&help.stdout).contains("fuse") {
        return Err(Stop::Skip("this qemu-storage-daemon exports nothing over FUSE".into()));
    }
    Ok(())
}

impl Disk {
    /// Puts a disk before an image; `export` is the file it shows.
    pub(crate) fn start(image: &Path, export: &Path, behaviour: &Behaviour<'_>) -> Result<Self, Stop> {
        File::create(export)?;
        let mut command = Command::new("qemu-storage-daemon");
        let mut device = |options: String| {
            command.arg("--blockdev").arg(options);
        };
        device(format!("driver=file,node-name=image,filename={}", image.display()));
        match behaviour {
            Behaviour::Log(log) => {
                File::create(log)?;
                device(format!("driver=file,node-name=to,filename={}", log.display()));
                device("driver=blklogwrites,node-name=disk,file=image,log=to,log-sector-size=512".into());
            }
            Behaviour::Fail { sector, once } => {
                let once = if *once { "on" } else { "off" };
                device(format!(
                    "driver=blkdebug,node-name=disk,image=image,inject-error.0.event=none,\
                     inject-error.0.iotype=write,inject-error.0.sector={sector},inject-error.0.once={once}"
                ));
            }
        }
        let shown = format!("type=fuse,id=shown,node-name=disk,mountpoint={},writable=on", export.display());
        command.args(["--export", &shown]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut disk = Self { running: Running::start(&mut command)?, export: export.into() };
        let start = Instant::now();
        // An empty file stands there until the disk does.
        while fs::metadata(export).map_or(0, |shown| shown.len()) == 0 {
            if disk.running.wait(Duration::from_millis(2))?.is_some() {
                let mut words = String::new();
                if let Some(mut pipe) = disk.running.0.stderr.take() {
                    pipe.read_to_string(&mut words)?;
                }
                let reason = words.lines().next().unwrap_or("it ended").to_owned();
                return Err(Stop::Skip(format!("no disk over FUSE: {reason}")));
            }
            if start.elapsed() > Duration::from_secs(10) {
                return Err(Stop::Failed("the disk did not come".into()));
            }
        }
        Ok(disk)
    }

    /// Ends it; the image is whole afterwards.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.running.signal(Signal::TERM);
        match self.running.wait(Duration::from_secs(10))? {
            Some(_) => Ok(()),
            None => Err(io::Error::other("the disk does not end")),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.running.signal(Signal::TERM);
        let ended = self.running.wait(Duration::from_secs(5));
        self.running.kill();
        if !matches!(ended, Ok(Some(_))) {
            try_run("umount", &["-l", &self.export.to_string_lossy()]);
            thread::sleep(Duration::from_millis(10));
        }
    }
}
