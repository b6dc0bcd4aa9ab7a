//! The `damaged` file: copies of what could not be read, for a person or a later version.

use std::io;

use super::disk::{Disk, DiskFile, read_full, write_all};
use super::segment::SegmentName;

/// The name of the file.
pub(super) const DAMAGED: &str = "damaged";
/// Most bytes it grows to.
const DAMAGED_BYTES_MAX: u64 = 1 << 20;

/// Keeps a copy of `bytes`, under a line that says where they stood, unless it is there already.
///
/// As far as there is room, and without a promise: the copy is for people, the count is what is
/// surfaced.
pub(super) fn keep<D: Disk>(disk: &D, name: SegmentName, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let line = format!("\n--- segment {} offset {} length {}\n", name.file(), offset, bytes.len());
    let file = match disk.open(DAMAGED) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(DAMAGED)?,
        Err(error) => return Err(error),
    };
    let end = file.size()?;
    let more = (line.len() as u64).saturating_add(bytes.len() as u64);
    if end.saturating_add(more) > DAMAGED_BYTES_MAX || contains(&file, end, line.as_bytes())? {
        return Ok(());
    }
    let copy = [line.as_bytes(), bytes].concat();
    write_all(&file, end, &copy).inspect_err(|_| {
        // Half a copy helps nobody, and a file system without room needs the bytes.
        let _ = file.truncate(end);
    })
}

fn contains(file: &impl DiskFile, size: u64, line: &[u8]) -> io::Result<bool> {
    let mut held = vec![0; usize::try_from(size).unwrap_or(0)];
    let read = read_full(file, 0, &mut held)?;
    held.truncate(read);
    Ok(held.windows(line.len()).any(|window| window == line))
}

/// Deletes all copies.
pub(super) fn clear<D: Disk>(disk: &D) -> io::Result<()> {
    match disk.open(DAMAGED) {
        Ok(file) => {
            file.truncate(0)?;
            disk.remove(DAMAGED)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A name that is no file of ours holds no copies of ours.
        Err(_) => disk.remove(DAMAGED),
    }
}
