//! The flash image, from the host's side.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::layout::{
    CA, CA_BYTES, CA_LENGTH, CHANGES, CUT_AT, FLASH_BYTES, IMAGE_BYTES, JOURNAL, JOURNAL_LENGTH,
    JOURNAL_WORDS, MODE, ORACLE, PORT, SEED, TEAR, UTC, VERSION,
};

/// What a life is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) mode: u32,
    pub(crate) seed: u32,
    pub(crate) port: u16,
    /// The change in which the power fails; 0 for never.
    pub(crate) cut_at: u32,
    pub(crate) tear: u32,
    pub(crate) version: u32,
}

/// A flash and what the firmware said beside it. The machine maps the file: what is read here is what it stored.
#[derive(Debug)]
pub(crate) struct Image {
    path: PathBuf,
    file: File,
}

impl Image {
    /// An erased flash.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(IMAGE_BYTES.into())?;
        let image = Self { path: path.to_owned(), file };
        image.erase()?;
        Ok(image)
    }

    /// Erases the flash.
    pub(crate) fn erase(&self) -> io::Result<()> {
        self.file.write_all_at(&vec![0xFF; FLASH_BYTES as usize], 0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the flash holds.
    pub(crate) fn flash(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; FLASH_BYTES as usize];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Goes back to this flash, and to an oracle that was never told anything.
    pub(crate) fn restore(&self, flash: &[u8]) -> io::Result<()> {
        self.file.write_all_at(flash, 0)?;
        self.file.write_all_at(&[0; 256], ORACLE.into())
    }

    /// Writes down what the next life is to be.
    pub(crate) fn prepare(&self, life: &Life) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
        let now = now.as_millis() as u64;
        for (at, word) in [
            (MODE, life.mode),
            (SEED, life.seed),
            (PORT, life.port.into()),
            (CUT_AT, life.cut_at),
            (TEAR, life.tear),
            (VERSION, life.version),
            (UTC, now as u32),
            (UTC.saturating_add(4), (now >> 32) as u32),
            (CHANGES, 0),
        ] {
            self.file.write_all_at(&word.to_le_bytes(), at.into())?;
        }
        Ok(())
    }

    /// Writes down which authority the device trusts.
    pub(crate) fn trust(&self, authority: &[u8]) -> io::Result<()> {
        let length = u32::try_from(authority.len()).ok().filter(|length| *length <= CA_BYTES);
        let length = length.ok_or_else(|| io::Error::other("the authority's certificate is too long"))?;
        self.file.write_all_at(&length.to_le_bytes(), CA_LENGTH.into())?;
        self.file.write_all_at(authority, CA.into())
    }

    /// A word of the oracle.
    pub(crate) fn word(&self, at: u32) -> io::Result<u32> {
        let mut word = [0; 4];
        self.file.read_exact_at(&mut word, at.into())?;
        Ok(u32::from_le_bytes(word))
    }

    /// Everything that the firmware said in all lives.
    pub(crate) fn journal(&self) -> io::Result<Vec<u32>> {
        let words = self.word(JOURNAL_LENGTH)?.min(JOURNAL_WORDS);
        let mut bytes = vec![0; (words as usize).saturating_mul(4)];
        self.file.read_exact_at(&mut bytes, JOURNAL.into())?;
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        Ok(bytes.chunks_exact(4).map(word).collect())
    }
}
