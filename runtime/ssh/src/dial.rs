//! Dialers: ways to a machine's SSH port.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use dva_runtime::transport::{ByteStream, Dialer};
use tokio::net::TcpStream;

/// Dials an address over TCP. It sets no timeout: the transport has one for the whole login.
#[derive(Clone, Copy, Debug)]
pub struct TcpDialer {
    address: SocketAddr,
}

impl TcpDialer {
    /// A dialer of this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }
}

#[async_trait]
impl Dialer for TcpDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = TcpStream::connect(self.address).await?;
        // A command is a few small packets each way; waiting to fill one costs 40 ms each.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
