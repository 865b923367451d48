//! One command: a shell whose pipes are a channel.
//!
//! The ends are sshd's: the shell is waited for whatever becomes of the connection, a connection
//! that is lost closes the pipes and kills nothing. Unlike sshd, which waits until nobody holds the
//! output any more, a process left in the background holds a command up for a moment only.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::server::ExecHook;

/// The path of a step, as the contract has it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The number by which standard error travels (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// The most bytes read from a pipe at once: what one packet carries.
const CHUNK: usize = 32 << 10;
/// Input that waits for the command to read it. Past it the connection waits.
const INPUT_LIMIT: usize = 1 << 20;
/// Once the shell has ended, this long without output is its end, whoever still holds the pipe.
const QUIET: Duration = Duration::from_millis(100);
/// Once the shell has ended and all that it wrote was sent, others may go on writing for so long.
const LINGER: Duration = Duration::from_secs(1);

/// Runs `command` to its end and tells the client.
pub(super) async fn run(
    channel: Channel<Msg>,
    session: Handle,
    command: Vec<u8>,
    hook: Arc<dyn ExecHook>,
) {
    let id = channel.id();
    // From here on errors of the channel mean that the client has gone, which is noticed by reading.
    let child = match spawn(command, Arc::clone(&hook)) {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(%error, "a command could not be started");
            let _ = session.channel_failure(id).await;
            let _ = session.close(id).await;
            return;
        }
    };
    let _ = session.channel_success(id).await;
    let (reading, writing) = channel.split();
    let status = converse(child, reading, &writing).await;
    hook.after_exec().await;
    let _ = writing.eof().await;
    match status {
        Ok(status) => tell(&session, id, status).await,
        Err(error) => tracing::warn!(%error, "a command could not be waited for"),
    }
    let _ = writing.close().await;
}

fn spawn(command: Vec<u8>, hook: Arc<dyn ExecHook>) -> io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(OsString::from_vec(command))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("USER", "root")
        .env("SHELL", "/bin/sh")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are
    // allowed; it makes one system call and allocates nothing, and so does the hook.
    unsafe {
        shell.pre_exec(move || {
            rustix::process::setsid()?;
            hook.enter_command()
        });
    }
    shell.spawn()
}

/// Carries input and output until the command has ended and its output was sent, or until the client
/// is gone and the command has ended.
async fn converse(
    mut child: Child,
    reading: ChannelReadHalf,
    writing: &ChannelWriteHalf<Msg>,
) -> io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        unreachable!("all three were piped");
    };
    let exited = CancellationToken::new();
    {
        let ended = async {
            let status = child.wait().await;
            exited.cancel();
            status
        };
        let output = async {
            let (status, (), ()) = tokio::join!(
                ended,
                send(stdout, writing, None, &exited),
                send(stderr, writing, Some(STDERR), &exited),
            );
            status
        };
        tokio::select! {
            status = output => return status,
            () = feed(reading, stdin) => {}
        }
    }
    // The pipes are closed now.
    child.wait().await
}

/// Sends what comes out of a pipe until nobody holds it, or until the shell has ended and it is
/// quiet. Returns early where the client is gone.
async fn send(
    mut pipe: impl AsyncRead + AsFd + Unpin,
    writing: &ChannelWriteHalf<Msg>,
    stream: Option<u32>,
    exited: &CancellationToken,
) {
    let mut rest: Option<Rest> = None;
    loop {
        if rest.is_none() && exited.is_cancelled() {
            rest = Some(Rest::new(&pipe));
        }
        let mut bytes = Vec::with_capacity(CHUNK);
        let read = match &rest {
            None => tokio::select! {
                read = pipe.read_buf(&mut bytes) => read,
                () = exited.cancelled() => continue,
            },
            Some(rest) if rest.is_over() => return,
            Some(_) => match timeout(QUIET, pipe.read_buf(&mut bytes)).await {
                Ok(read) => read,
                Err(_) => return,
            },
        };
        let Ok(count @ 1..) = read else {
            return;
        };
        if let Some(rest) = &mut rest {
            rest.owed = rest.owed.saturating_sub(count as u64);
        }
        let sent = match stream {
            None => writing.data_bytes(bytes).await,
            Some(stream) => writing.extended_data_bytes(stream, bytes).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// What is left to be sent of a pipe whose shell has ended.
struct Rest {
    /// How many bytes were in the pipe at that time: all that the shell wrote is among them.
    owed: u64,
    /// Until when others are listened to.
    until: Instant,
}

impl Rest {
    fn new(pipe: impl AsFd) -> Self {
        Self {
            // A pipe can always be asked.
            owed: rustix::io::ioctl_fionread(pipe).unwrap_or(0),
            until: Instant::now() + LINGER,
        }
    }

    fn is_over(&self) -> bool {
        self.owed == 0 && Instant::now() >= self.until
    }
}

/// Gives the command what the client sends. Returns when the client is gone.
async fn feed(mut reading: ChannelReadHalf, stdin: ChildStdin) {
    let mut stdin = Some(stdin);
    let mut waiting = VecDeque::new();
    let mut at_end = false;
    loop {
        if at_end && waiting.is_empty() {
            stdin = None;
        }
        let write = async {
            match &mut stdin {
                Some(stdin) if !waiting.is_empty() => stdin.write(waiting.as_slices().0).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            message = reading.wait(), if waiting.len() < INPUT_LIMIT => match message {
                Some(ChannelMsg::Data { data }) if stdin.is_some() => waiting.extend(&data[..]),
                Some(ChannelMsg::Eof) => at_end = true,
                Some(ChannelMsg::Close) | None => return,
                Some(_) => {}
            },
            written = write => match written {
                Ok(count) => drop(waiting.drain(..count)),
                // The command does not want to read. What else comes for it is thrown away.
                Err(_) => {
                    stdin = None;
                    waiting.clear();
                }
            },
        }
    }
}

/// Tells the client how the command ended.
async fn tell(session: &Handle, id: ChannelId, status: ExitStatus) {
    let told = match (status.code(), status.signal()) {
        (Some(code), _) => {
            // Always 0 to 255.
            session.exit_status_request(id, code.unsigned_abs()).await
        }
        (None, signal) => {
            let signal = signal_name(signal.unwrap_or_default());
            let core_dumped = status.core_dumped();
            session
                .exit_signal_request(id, signal, core_dumped, String::new(), String::new())
                .await
        }
    };
    if told.is_err() {
        tracing::debug!("the client of a command has gone");
    }
}

/// The name of a signal of Linux. Those that the protocol has no name for get the usual one.
fn signal_name(number: i32) -> Sig {
    match number {
        1 => Sig::HUP,
        2 => Sig::INT,
        3 => Sig::QUIT,
        4 => Sig::ILL,
        5 => Sig::Custom("TRAP".into()),
        6 => Sig::ABRT,
        7 => Sig::Custom("BUS".into()),
        8 => Sig::FPE,
        9 => Sig::KILL,
        10 => Sig::USR1,
        11 => Sig::SEGV,
        12 => Sig::Custom("USR2".into()),
        13 => Sig::PIPE,
        14 => Sig::ALRM,
        15 => Sig::TERM,
        24 => Sig::Custom("XCPU".into()),
        25 => Sig::Custom("XFSZ".into()),
        31 => Sig::Custom("SYS".into()),
        number => Sig::Custom(number.to_string()),
    }
}
