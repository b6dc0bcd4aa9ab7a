//! TLS in front of the collector: who it is, and what the device trusts.

use core::net::{Ipv4Addr, SocketAddr};
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio_rustls::TlsAcceptor;
use whisperr_certificates::{Authority, Identity, date_time_ymd};

/// What the firmware calls the host: a name in the certificate like any other.
const HOST: &str = "10.0.2.2";
/// The firmware's buffer holds records of 4 KiB.
const RECORD_BYTES: usize = 4096;

/// Whom the device finds at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The server it was made for.
    Itself,
    /// A server of the same authority with another name.
    AnotherHost,
    /// A server with the right name of an authority that nobody trusts.
    AnotherAuthority,
    /// What the server showed years ago.
    Expired,
}

impl Shown {
    /// Those that the device must not speak to.
    pub(crate) const STRANGERS: [Self; 3] = [Self::AnotherHost, Self::AnotherAuthority, Self::Expired];

    fn identity(self, trusted: &Authority) -> Identity {
        match self {
            Self::Itself => trusted.certify(&[HOST]),
            Self::AnotherHost => trusted.certify(&["10.0.2.3", "collector.example.com"]),
            Self::AnotherAuthority => Authority::new("ours").certify(&[HOST]),
            Self::Expired => {
                let mut params = Authority::params(&[HOST]);
                params.not_after = date_time_ymd(2021, 12, 31);
                trusted.sign(&params)
            }
        }
    }
}

/// Speaks TLS on a port of its own and passes on what comes, until the harness ends.
pub(crate) fn start(trusted: &Authority, shown: Shown, collector: SocketAddr) -> io::Result<u16> {
    let acceptor = TlsAcceptor::from(Arc::clone(&shown.identity(trusted).config(Some(RECORD_BYTES))));
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || runtime.block_on(serve(listener, acceptor, collector)));
    Ok(port)
}

async fn serve(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    collector: SocketAddr,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (device, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut device = acceptor.accept(device).await?;
            let mut server = TcpStream::connect(collector).await?;
            copy_bidirectional(&mut device, &mut server).await
        });
    }
}
