//! Frames and page headers on a flash: read, judged and written piece by piece, never in one buffer.

use embedded_storage_async::nor_flash::NorFlash;

use super::error::{Failure, FlashError};
use super::frame::{self, FOOT, HEAD, Head, Kind, LEAD, View};
use super::layout::Layout;
use super::page::{HEADER, PageHeader};

/// Bytes that are read or programmed at once: a multiple of every write size.
const PIECE: usize = 64;
/// How often the same bytes are read before they count as damaged: a read may flip a bit.
const LOOKS: u32 = 6;
/// What an erased byte reads as.
const ERASED: u8 = 0xFF;

/// A flash, and where the pages lie in it.
#[derive(Debug)]
pub(super) struct Medium<F: NorFlash> {
    pub(super) flash: F,
    pub(super) layout: Layout,
    /// What the driver said last.
    error: Option<F::Error>,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Frame(View),
    /// Nothing was written there.
    Blank,
    /// Something that is not whole.
    Garbage,
}

/// Where the content of a frame goes while it is read.
pub(super) enum Sink<'a> {
    Nothing,
    /// As much as fits.
    Copy(&'a mut [u8]),
    /// The flag is cleared when the content is anything else.
    Compare(&'a [u8], &'a mut bool),
}

impl Sink<'_> {
    fn reborrow(&mut self) -> Sink<'_> {
        match self {
            Self::Nothing => Sink::Nothing,
            Self::Copy(buffer) => Sink::Copy(buffer),
            Self::Compare(value, same) => Sink::Compare(value, same),
        }
    }

    /// Takes bytes that stand at this place of the content.
    fn take(&mut self, at: usize, bytes: &[u8]) {
        match self {
            Self::Nothing => {}
            Self::Copy(buffer) => {
                let free = buffer.get_mut(at..).unwrap_or_default();
                free.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            }
            Self::Compare(value, same) => {
                **same &= value.get(at..at.saturating_add(bytes.len())) == Some(bytes);
            }
        }
    }
}

/// The content of a frame that is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    /// What the frame at this place holds, behind so many bytes of its payload.
    Frame {
        generation: u32,
        offset: u32,
        skip: u16,
        len: u16,
    },
}

/// The payload of a frame that is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a> {
    pub(super) front: &'a [u8],
    pub(super) content: Content<'a>,
}

impl Payload<'_> {
    pub(super) fn len(&self) -> usize {
        let content = match self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Frame { len, .. } => len.into(),
        };
        self.front.len().saturating_add(content)
    }
}

/// Collects bytes until a piece can be programmed.
struct Pen {
    buffer: [u8; PIECE],
    fill: usize,
    address: u32,
}

impl<F: NorFlash> Medium<F> {
    pub(super) const fn new(flash: F, layout: Layout) -> Self {
        Self { flash, layout, error: None }
    }

    /// The failure, in the driver's own words if it was the driver.
    pub(super) fn error(&mut self, failure: Failure) -> FlashError<F::Error> {
        let said = self.error.take().filter(|_| failure == Failure::Flash);
        said.map_or(FlashError::Unverified, FlashError::Flash)
    }

    fn done(&mut self, done: Result<(), F::Error>) -> Result<(), Failure> {
        done.map_err(|error| {
            self.error = Some(error);
            Failure::Flash
        })
    }

    async fn read_once(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        let read = self.flash.read(address, bytes).await;
        self.done(read)
    }

    /// The header of the page at this index, `None` when it has none that is whole.
    pub(super) async fn header_at(&mut self, index: u32) -> Result<Option<PageHeader>, Failure> {
        let mut found = Err(Failure::Flash);
        for _ in 0..LOOKS {
            let mut bytes = [0; HEADER];
            if self.read_once(self.layout.address(index, 0), &mut bytes).await.is_ok() {
                // One read that came through tells that there is nothing, and that the driver works.
                found = Ok(PageHeader::decode(&self.layout, index, &bytes));
                if let Ok(Some(_)) = found {
                    break;
                }
            }
        }
        found
    }

    /// The header of the page of this generation, if it is the one that stands there.
    pub(super) async fn header(&mut self, generation: u32) -> Result<Option<PageHeader>, Failure> {
        let found = self.header_at(self.layout.index(generation)).await?;
        Ok(found.filter(|header| header.generation == generation))
    }

    /// What stands at a place of a page; its content goes to `sink`, whole or not.
    ///
    /// Nothing behind the frame is read: on a flash with error correction, a word that a cut left
    /// half programmed cannot be.
    pub(super) async fn look(
        &mut self,
        generation: u32,
        offset: u32,
        mut sink: Sink<'_>,
    ) -> Result<Found, Failure> {
        let mut last = Ok(Found::Garbage);
        let mut blank = false;
        for look in 0..LOOKS {
            last = self.look_once(generation, offset, sink.reborrow(), look > 0).await;
            match last {
                Ok(Found::Frame(_)) => return last,
                Ok(Found::Blank) if blank => return last,
                Ok(Found::Blank) => blank = true,
                Ok(Found::Garbage) | Err(_) => {}
            }
        }
        match last {
            Ok(_) => Ok(if blank { Found::Blank } else { Found::Garbage }),
            // Where the header can be read, it is not the driver that fails but the word.
            Err(error) => match self.header(generation).await {
                Ok(Some(_)) => Ok(Found::Garbage),
                Ok(None) | Err(_) => Err(error),
            },
        }
    }

    async fn look_once(
        &mut self,
        generation: u32,
        offset: u32,
        mut sink: Sink<'_>,
        sure: bool,
    ) -> Result<Found, Failure> {
        let layout = self.layout;
        let room = layout.page().saturating_sub(offset);
        let mut have = HEAD.next_multiple_of(F::WRITE_SIZE.max(1));
        if usize::try_from(room).is_ok_and(|room| room < have) {
            return Ok(Found::Blank);
        }
        let address = layout.address(generation, offset);
        let mut piece = [0; PIECE];
        self.read(address, piece.get_mut(..have).unwrap_or_default(), sure).await?;
        if piece.iter().take(F::WRITE_SIZE).all(|byte| *byte == ERASED) {
            return Ok(Found::Blank);
        }
        let Some(head) = Head::parse(frame::seed(&layout, generation, offset), &piece) else {
            return Ok(Found::Garbage);
        };
        let size = layout.frame(head.len.into());
        if size > room {
            return Ok(Found::Garbage);
        }
        let mut view = View { kind: head.kind, field: head.field, len: head.len, size, lead: [0; LEAD] };
        let end = HEAD.saturating_add(head.len.into());
        let content = HEAD.saturating_add(view.skipped().into());
        let (mut crc, mut foot) = (head.crc, [0; FOOT]);
        let mut done = 0_usize;
        loop {
            let known = piece.get(..have).unwrap_or_default();
            let (at, payload) = part(known, done, HEAD, end);
            crc = crc.with(payload);
            view.lead.iter_mut().skip(at).zip(payload).for_each(|(to, from)| *to = *from);
            let (at, bytes) = part(known, done, content, end);
            sink.take(at, bytes);
            let (at, bytes) = part(known, done, end, end.saturating_add(FOOT));
            foot.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
            done = done.saturating_add(have);
            let left = usize::try_from(size).unwrap_or(0).saturating_sub(done);
            if left == 0 {
                break;
            }
            have = left.min(PIECE);
            let next = address.saturating_add(u32::try_from(done).unwrap_or(u32::MAX));
            self.read(next, piece.get_mut(..have).unwrap_or_default(), sure).await?;
        }
        Ok(if crc.finish() == u32::from_le_bytes(foot) { Found::Frame(view) } else { Found::Garbage })
    }

    /// From `offset` to the next place below `end` that does not read as erased.
    pub(super) async fn skip_blank(&mut self, generation: u32, offset: u32, end: u32) -> u32 {
        let step = self.layout.write();
        let mut at = offset;
        while at < end {
            let mut piece = [0; PIECE];
            let len = end.saturating_sub(at).min(PIECE as u32);
            let known = piece.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            let address = self.layout.address(generation, at);
            if self.read(address, known, false).await.is_err() {
                // Some word in it cannot be read; the first one could.
                return at.saturating_add(if at == offset { step } else { 0 });
            }
            let blank = known.iter().take_while(|byte| **byte == ERASED).count();
            let blank = u32::try_from(blank).unwrap_or(0);
            at = at.saturating_add(blank);
            if blank < len {
                at = at.saturating_sub(at.checked_rem(step).unwrap_or(0));
                break;
            }
        }
        at.max(offset.saturating_add(step)).min(end)
    }

    /// Writes a frame, and does not look whether it worked.
    pub(super) async fn emit(
        &mut self,
        generation: u32,
        offset: u32,
        kind: Kind,
        field: u32,
        payload: Payload<'_>,
    ) -> Result<(), Failure> {
        let layout = self.layout;
        let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        let (head, mut crc) = frame::head(frame::seed(&layout, generation, offset), kind, field, len);
        let address = layout.address(generation, offset);
        let mut pen = Pen { buffer: [ERASED; PIECE], fill: 0, address };
        self.push(&mut pen, &head).await?;
        crc = crc.with(payload.front);
        self.push(&mut pen, payload.front).await?;
        match payload.content {
            Content::Bytes(bytes) => {
                crc = crc.with(bytes);
                self.push(&mut pen, bytes).await?;
            }
            Content::Frame { generation, offset, skip, len } => {
                let from = layout.address(generation, offset);
                let first = HEAD.saturating_add(skip.into());
                let end = first.saturating_add(len.into());
                let foot = end.saturating_add(FOOT);
                let size = foot.next_multiple_of(F::WRITE_SIZE.max(1));
                let mut source = frame::seed(&layout, generation, offset);
                let mut expected = [0; FOOT];
                let mut done = 0_usize;
                while done < size {
                    let next = from.saturating_add(u32::try_from(done).unwrap_or(u32::MAX));
                    let mut piece = [0; PIECE];
                    let have = size.saturating_sub(done).min(PIECE);
                    let known = piece.get_mut(..have).unwrap_or_default();
                    // What is copied gets a new checksum.
                    self.read(next, known, true).await?;
                    // All but the check byte of the head is summed.
                    source = source.with(part(known, done, 0, HEAD.saturating_sub(1)).1);
                    source = source.with(part(known, done, HEAD, end).1);
                    let (at, bytes) = part(known, done, end, foot);
                    expected.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
                    let (_, bytes) = part(known, done, first, end);
                    crc = crc.with(bytes);
                    self.push(&mut pen, bytes).await?;
                    done = done.saturating_add(have);
                }
                if source.finish() != u32::from_le_bytes(expected) {
                    // A copy of what was misread must not look whole.
                    crc = crc.with(&[0]);
                }
            }
        }
        self.push(&mut pen, &crc.finish().to_le_bytes()).await?;
        self.finish(&mut pen).await
    }

    /// Reads a piece. A read that fails is made again; a `sure` one until two in a row agree.
    async fn read(&mut self, address: u32, piece: &mut [u8], sure: bool) -> Result<(), Failure> {
        let mut before = [0; PIECE];
        let mut compared = false;
        let mut last = Ok(());
        for _ in 0..LOOKS {
            last = self.read_once(address, piece).await;
            if last.is_err() {
                continue;
            }
            let known = before.get_mut(..piece.len()).unwrap_or_default();
            if !sure || (compared && known == piece) {
                return Ok(());
            }
            known.iter_mut().zip(piece.iter()).for_each(|(to, from)| *to = *from);
            compared = true;
        }
        // Whatever it is, a checksum stands behind it.
        if compared { Ok(()) } else { last }
    }

    /// Writes the header of a page, and does not look whether it worked.
    pub(super) async fn write_header(&mut self, header: &PageHeader) -> Result<(), Failure> {
        let address = self.layout.address(header.generation, 0);
        let mut pen = Pen { buffer: [ERASED; PIECE], fill: 0, address };
        self.push(&mut pen, &header.encode(&self.layout)).await?;
        self.finish(&mut pen).await
    }

    async fn push(&mut self, pen: &mut Pen, bytes: &[u8]) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let free = pen.buffer.get_mut(pen.fill..).unwrap_or_default();
            let count = free.len().min(rest.len());
            free.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            rest = rest.get(count..).unwrap_or_default();
            pen.fill = pen.fill.saturating_add(count);
            if pen.fill == PIECE {
                self.program(pen).await?;
            }
        }
        Ok(())
    }

    async fn finish(&mut self, pen: &mut Pen) -> Result<(), Failure> {
        pen.fill = pen.fill.next_multiple_of(F::WRITE_SIZE.max(1)).min(PIECE);
        if pen.fill > 0 { self.program(pen).await } else { Ok(()) }
    }

    async fn program(&mut self, pen: &mut Pen) -> Result<(), Failure> {
        let address = pen.address;
        let len = core::mem::take(&mut pen.fill);
        pen.address = address.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        let written = self.flash.write(address, pen.buffer.get(..len).unwrap_or_default()).await;
        pen.buffer = [ERASED; PIECE];
        self.done(written)
    }

    /// Erases the page of this generation; `false` when it does not read as erased afterwards.
    pub(super) async fn erase(&mut self, generation: u32) -> Result<bool, Failure> {
        let (from, page) = (self.layout.address(generation, 0), self.layout.page());
        let erased = self.flash.erase(from, from.saturating_add(page)).await;
        self.done(erased)?;
        let mut at = 0_u32;
        while at < page {
            let mut piece = [0; PIECE];
            let len = page.saturating_sub(at).min(PIECE as u32);
            let known = piece.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            let mut blank = false;
            for _ in 0..LOOKS {
                let read = self.read_once(from.saturating_add(at), known).await;
                blank = read.is_ok() && known.iter().all(|byte| *byte == ERASED);
                if blank {
                    break;
                }
            }
            if !blank {
                return Ok(false);
            }
            at = at.saturating_add(len);
        }
        Ok(true)
    }
}

/// The part of `bytes`, which stand at `done` of a frame, between two places of the frame; and how far
/// behind the first of them it starts.
fn part(bytes: &[u8], done: usize, first: usize, end: usize) -> (usize, &[u8]) {
    let from = first.saturating_sub(done).min(bytes.len());
    let to = end.saturating_sub(done).min(bytes.len());
    let at = done.saturating_add(from).saturating_sub(first);
    (at, bytes.get(from..to).unwrap_or_default())
}
