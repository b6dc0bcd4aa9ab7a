//! The frames no successful sync covers yet, kept in RAM: after a failed sync the file cannot say
//! what it holds.

use std::collections::VecDeque;

const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Chunk {
    /// The log position behind its last frame.
    end: u64,
    bytes: Vec<u8>,
}

/// A queue of chunks. Frames are built in the last one and written from there.
#[derive(Debug, Default)]
pub(super) struct Tail {
    chunks: VecDeque<Chunk>,
    spare: Option<Vec<u8>>,
}

impl Tail {
    /// Room for `size` bytes behind what is there, and how many bytes the same buffer holds before.
    pub(super) fn begin(&mut self, size: usize) -> (&mut Vec<u8>, usize) {
        let fits = self
            .chunks
            .back()
            .is_some_and(|chunk| chunk.bytes.capacity().saturating_sub(chunk.bytes.len()) >= size);
        if !fits {
            let end = self.chunks.back().map_or(0, |chunk| chunk.end);
            let bytes = match self.spare.take().filter(|spare| spare.capacity() >= size) {
                Some(spare) => spare,
                None => Vec::with_capacity(size.max(CHUNK_BYTES)),
            };
            self.chunks.push_back(Chunk { end, bytes });
        }
        let at = self.chunks.len().saturating_sub(1);
        // The chunk is there: the branch above made it.
        let chunk = match self.chunks.get_mut(at) {
            Some(chunk) => &mut chunk.bytes,
            None => self.spare.get_or_insert_default(),
        };
        let before = chunk.len();
        (chunk, before)
    }

    /// Keeps what was built: it ends at the log position `end`.
    pub(super) fn commit(&mut self, end: u64) {
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.end = end;
        }
    }

    /// Forgets what was built behind the first `before` bytes.
    pub(super) fn roll_back(&mut self, before: usize) {
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.bytes.truncate(before);
        }
    }

    /// Frees what is durable.
    pub(super) fn release(&mut self, durable: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.end <= durable) {
            if self.chunks.len() == 1 {
                if let Some(chunk) = self.chunks.front_mut() {
                    chunk.bytes.clear();
                }
                break;
            }
            if let Some(mut chunk) = self.chunks.pop_front() {
                chunk.bytes.clear();
                self.spare = Some(chunk.bytes);
            }
        }
    }

    /// What is kept, in the order in which it was written.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(|chunk| chunk.bytes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(tail: &mut Tail, byte: u8, len: usize, end: u64) {
        let (buffer, before) = tail.begin(len);
        buffer.resize(before.saturating_add(len), byte);
        tail.commit(end);
    }

    #[test]
    fn durable_chunks_are_freed_and_used_again() {
        let mut tail = Tail::default();
        for at in 1..=4 {
            put(&mut tail, 1, CHUNK_BYTES, at);
        }

        tail.release(3);

        assert_eq!(tail.chunks().map(<[u8]>::len).collect::<Vec<_>>(), [CHUNK_BYTES]);
        assert!(tail.spare.is_some());
        tail.release(4);
        assert_eq!(tail.chunks().map(<[u8]>::len).sum::<usize>(), 0);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let mut tail = Tail::default();
        put(&mut tail, 1, 10, 10);

        let (buffer, before) = tail.begin(5);
        buffer.extend_from_slice(&[2; 5]);
        tail.roll_back(before);

        assert_eq!(tail.chunks().collect::<Vec<_>>(), [[1; 10]]);
    }
}
