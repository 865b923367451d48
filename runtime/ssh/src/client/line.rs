//! A byte stream that can be cut.
//!
//! russh reads and writes in a task of its own, which outlives the login that started it where the
//! other side says nothing. Cutting the stream under it is what ends that task for certain.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use dva_runtime::transport::ByteStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream that fails once it was cut.
pub(super) struct Line {
    stream: Box<dyn ByteStream>,
    cut: CancellationToken,
    /// One waker each for reading and writing, which are polled apart.
    cut_while_reading: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_while_writing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    /// The line over `stream`, and what cuts it.
    pub(super) fn new(stream: Box<dyn ByteStream>) -> (Self, CancellationToken) {
        let cut = CancellationToken::new();
        let line = Self {
            stream,
            cut_while_reading: Box::pin(cut.clone().cancelled_owned()),
            cut_while_writing: Box::pin(cut.clone().cancelled_owned()),
            cut: cut.clone(),
        };
        (line, cut)
    }

    fn poll_write_side<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut dyn ByteStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.cut_while_writing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(was_cut()));
        }
        poll(Pin::new(&mut *self.stream), cx)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut_while_reading.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(was_cut()));
        }
        Pin::new(&mut *self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_side(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_side(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // russh shuts down before it tells anyone that the connection is gone, so after a cut there
        // is nothing to wait for.
        if self.cut.is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_side(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

fn was_cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "given up")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_cut_wakes_a_reader_that_waits() {
        let (near, mut far) = duplex(64);
        let (mut line, cut) = Line::new(Box::new(near));
        line.write_all(b"out").await.expect("whole");
        far.write_all(b"in").await.expect("whole");
        let mut bytes = [0; 2];
        line.read_exact(&mut bytes).await.expect("whole");
        let reader = tokio::spawn(async move { line.read_u8().await });
        tokio::task::yield_now().await;
        cut.cancel();
        let error = reader.await.expect("no panic").expect_err("cut");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
