//! Dialers: ways to a machine's SSH port.

mod command;
mod jump;
mod prompt;

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use dva_runtime::transport::{ByteStream, Dialer};
use tokio::net::TcpStream;

pub use command::CommandDialer;
pub use jump::JumpDialer;
use prompt::Prompt;

/// Dials over TCP. It sets no timeout: the transport has one for the whole login.
#[derive(Clone, Debug)]
pub struct TcpDialer {
    target: Target,
}

#[derive(Clone, Debug)]
enum Target {
    Address(SocketAddr),
    /// Looked up each time: a machine may come back at another address.
    Name(String, u16),
}

impl TcpDialer {
    /// A dialer of this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            target: Target::Address(address),
        }
    }

    /// A dialer of this name, or address as text.
    #[must_use]
    pub fn of_host(host: impl Into<String>, port: u16) -> Self {
        Self {
            target: Target::Name(host.into(), port),
        }
    }
}

#[async_trait]
impl Dialer for TcpDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = match &self.target {
            Target::Address(address) => TcpStream::connect(address).await?,
            Target::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await?,
        };
        // A command is a few small packets each way; waiting to fill one costs 40 ms each.
        stream.set_nodelay(true)?;
        Ok(Box::new(Prompt::new(stream)))
    }
}
