//! A request's body in memory.

use core::convert::Infallible;

use embedded_io_async::{ErrorType, Write};
use whisperr_core::Body;

/// Collects a whole body: one batch, bounded by `max_request_bytes` or by one operation. For
/// transports that hand a body on in one piece.
///
/// `None` when the queue could not be read: the request must then not be sent.
pub async fn body_bytes<B: Body>(body: &mut B) -> Option<Vec<u8>> {
    let mut collected = Collected(Vec::with_capacity(body.bytes()));
    body.write_to(&mut collected).await.ok()?;
    (collected.0.len() == body.bytes()).then_some(collected.0)
}

struct Collected(Vec<u8>);

impl ErrorType for Collected {
    type Error = Infallible;
}

impl Write for Collected {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
