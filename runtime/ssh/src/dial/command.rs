//! Through a command's standard input and output (`ProxyCommand`).

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use async_trait::async_trait;
use dva_runtime::transport::{ByteStream, Dialer};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// Starts a command for each stream. The command, and what it started, ends with the stream.
#[derive(Clone, Debug)]
pub struct CommandDialer {
    template: String,
    host: String,
    port: u16,
    user: String,
}

impl CommandDialer {
    /// A dialer by `template`, which a shell runs once `%h` is replaced by the host, `%p` by the port,
    /// `%r` by the user and `%%` by one `%`.
    #[must_use]
    pub fn new(
        template: impl Into<String>,
        host: impl Into<String>,
        port: u16,
        user: impl Into<String>,
    ) -> Self {
        Self {
            template: template.into(),
            host: host.into(),
            port,
            user: user.into(),
        }
    }

    fn command(&self) -> io::Result<String> {
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        let mut command = String::new();
        let mut rest = self.template.chars();
        while let Some(next) = rest.next() {
            if next != '%' {
                command.push(next);
                continue;
            }
            let value = match rest.next() {
                Some('%') => "%".to_owned(),
                Some('h') => self.host.clone(),
                Some('p') => self.port.to_string(),
                Some('r') => self.user.clone(),
                Some(other) => {
                    return Err(invalid(format!("proxy command: %{other} means nothing")));
                }
                None => {
                    return Err(invalid(
                        "proxy command: it ends in the middle of a %".into(),
                    ));
                }
            };
            // The template quotes as it likes, so a value must not need any quotes.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:%-@".contains(c);
            if !value.chars().all(is_plain) || value.starts_with('-') {
                return Err(invalid(format!(
                    "proxy command: {value:?} is no word for a shell"
                )));
            }
            command.push_str(&value);
        }
        Ok(command)
    }
}

#[async_trait]
impl Dialer for CommandDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(self.command()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that all of it can be ended.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            unreachable!("all three were piped");
        };
        tokio::spawn(log(stderr));
        Ok(Box::new(CommandStream {
            child,
            stdin: Some(stdin),
            stdout,
        }))
    }
}

/// What the command says of itself goes to the log.
async fn log(stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(line = %line.escape_debug(), "the proxy command says");
    }
}

/// The bytes of a command.
struct CommandStream {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
}

impl Drop for CommandStream {
    fn drop(&mut self) {
        // Not known any more where it has been waited for; nobody else may have the number before.
        let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        if let Some(group) = Pid::from_raw(id) {
            // An error means that all of it has ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl AsyncRead for CommandStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CommandStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes the command's input.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_in() {
        let dialer = |template: &str| CommandDialer::new(template, "10.0.0.1", 2222, "root");
        let command = dialer("ssh -W '%h:%p' %r@gate 100%%").command();
        assert_eq!(
            command.expect("fine"),
            "ssh -W '10.0.0.1:2222' root@gate 100%"
        );
        for (template, host) in [("%q", "h"), ("x%", "h"), ("nc %h", "a;b"), ("nc %h", "-e")] {
            let error = CommandDialer::new(template, host, 22, "root").command();
            let error = error.expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    }
}
