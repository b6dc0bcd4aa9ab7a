//! A connection as the server sees it: TCP, or TLS over it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use embassy_net::tcp::{Error, TcpSocket};
use rustls::{ServerConfig, ServerConnection};

/// One connection.
pub(crate) trait Line {
    /// Reads; 0 at the end.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error>;

    /// Writes all of it and has it sent.
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Ends it in order.
    async fn close(&mut self);
}

impl Line for TcpSocket<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        TcpSocket::read(self, buffer).await
    }

    async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let count = self.write(bytes).await?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        self.flush().await
    }

    async fn close(&mut self) {
        TcpSocket::close(self);
        let _acknowledged = self.flush().await;
    }
}

/// TLS over TCP.
pub(crate) struct TlsLine<'a, 'd> {
    socket: &'a mut TcpSocket<'d>,
    tls: ServerConnection,
}

impl<'a, 'd> TlsLine<'a, 'd> {
    pub(crate) fn new(socket: &'a mut TcpSocket<'d>, config: &Arc<ServerConfig>) -> Option<Self> {
        let tls = ServerConnection::new(Arc::clone(config)).ok()?;
        Some(Self { socket, tls })
    }

    async fn send_records(&mut self) -> Result<(), Error> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut records).is_err() {
                return Err(Error::ConnectionReset);
            }
        }
        Line::send(self.socket, &records).await
    }
}

impl Line for TlsLine<'_, '_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.tls.reader().read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(Error::ConnectionReset),
            }
            let mut piece = [0; 1024];
            let count = self.socket.read(&mut piece).await?;
            let mut records = piece.get(..count).unwrap_or_default();
            if records.is_empty() {
                return Ok(0);
            }
            while !records.is_empty() {
                let taken = self.tls.read_tls(&mut records);
                let understood = self.tls.process_new_packets();
                self.send_records().await?;
                if taken.is_err() || understood.is_err() {
                    return Err(Error::ConnectionReset);
                }
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.tls.writer().write_all(bytes).is_err() {
            return Err(Error::ConnectionReset);
        }
        self.send_records().await
    }

    async fn close(&mut self) {
        self.tls.send_close_notify();
        let _sent = self.send_records().await;
        Line::close(self.socket).await;
    }
}
