//! Mounts that go away.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{run, try_run};

/// A mounted file system, unmounted when this is dropped; its loop device goes with it.
#[derive(Debug)]
pub(crate) struct Mount {
    path: PathBuf,
    mounted: bool,
}

impl Mount {
    /// Mounts a small file system in RAM.
    pub(crate) fn tmpfs(path: &Path, size: &str) -> io::Result<Self> {
        let options = format!("size={size},mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path))?;
        Ok(Self { path: path.into(), mounted: true })
    }

    /// Mounts an image.
    pub(crate) fn image(image: &Path, path: &Path) -> io::Result<Self> {
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(path))?;
        Ok(Self { path: path.into(), mounted: true })
    }

    /// Unmounts, and says whether that worked.
    pub(crate) fn unmount(mut self) -> io::Result<()> {
        run(Command::new("umount").arg(&self.path))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            // Also below a program that still holds it.
            try_run("umount", &["-l", &self.path.to_string_lossy()]);
        }
    }
}
