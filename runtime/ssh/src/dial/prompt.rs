//! A TCP stream that acknowledges what it reads at once, for as long as a login takes.
//!
//! An sshd sends small packets one by one until the first command of a connection has begun: the next
//! goes when the one before is acknowledged. Right after the login two of them follow each other, and the
//! kernel would keep the acknowledgement back for 40 ms, hoping that we have something to say.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::sockopt::set_tcp_quickack;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// More than any handshake has, with the answer to the first request behind it.
const LOGIN_BYTES: usize = 8 << 10;

/// A TCP stream, prompt in its first [`LOGIN_BYTES`].
pub(super) struct Prompt {
    stream: TcpStream,
    /// How many of them are still to come.
    left: usize,
}

impl Prompt {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            left: LOGIN_BYTES,
        }
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.left > 0 && read.is_ready() {
            let count = buffer.filled().len() - before;
            self.left = self.left.saturating_sub(count);
            // The kernel forgets it again and again. Where it cannot be had a login is slower, that is all.
            let _ = set_tcp_quickack(&self.stream, true);
        }
        read
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
