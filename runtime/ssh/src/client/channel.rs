//! A channel: runs one command to its end.

use std::path::PathBuf;

use dva_runtime::transport::{ExecError, ExecErrorKind, ExecStatus};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

use crate::client::pool::{Place, lost};
use crate::output::Collector;

/// The number by which standard error travels (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// How much of a file is read at once.
const CHUNK: usize = 32 << 10;
/// The longest name of a signal that is believed.
const SIGNAL_NAME_LIMIT: usize = 32;

/// What a command is given to read.
pub(super) enum Input {
    Bytes(Vec<u8>),
    /// What is left of an open file, and its path.
    File(File, PathBuf),
}

/// An open channel. Dropped before its command has ended it is closed, which kills nothing.
pub(super) struct ExecChannel {
    reading: ChannelReadHalf,
    /// Absent once the channel has ended by itself.
    open: Option<(ChannelWriteHalf<Msg>, Place)>,
}

impl ExecChannel {
    pub(super) fn new(channel: Channel<Msg>, place: Place) -> Self {
        let (reading, writing) = channel.split();
        Self {
            reading,
            open: Some((writing, place)),
        }
    }

    /// Sends `command`, once, with `input`, and collects its output until the channel ends.
    ///
    /// # Errors
    /// Where there is no end, or a file cannot be written.
    pub(super) async fn run(
        &mut self,
        command: String,
        input: Input,
        stdout: &mut Collector,
        stderr: &mut Collector,
    ) -> Result<ExecStatus, ExecError> {
        let Self { reading, open } = self;
        let Some((writing, place)) = open.as_ref() else {
            unreachable!("a channel runs one command");
        };
        // Side by side: a machine may answer before it has all that we say, and the connection
        // takes nothing from us while an answer waits.
        let send = async {
            match send(writing, command, input).await {
                Err(SendError::File(error)) => error,
                // A connection that is gone is noticed by the receiving side, which knows why.
                Err(SendError::Ssh(error)) => {
                    tracing::debug!(%error, "a command was not sent, or not all of its input");
                    std::future::pending().await
                }
                Ok(()) => {
                    place.open_spare();
                    std::future::pending().await
                }
            }
        };
        let status = tokio::select! {
            status = receive(reading, place, stdout, stderr) => status?,
            error = send => return Err(error),
        };
        *open = None;
        Ok(status)
    }
}

async fn send(
    writing: &ChannelWriteHalf<Msg>,
    command: String,
    input: Input,
) -> Result<(), SendError> {
    writing.exec(true, command).await?;
    match input {
        Input::Bytes(bytes) if bytes.is_empty() => {}
        Input::Bytes(bytes) => writing.data_bytes(bytes).await?,
        Input::File(mut file, path) => {
            let mut bytes = vec![0; CHUNK];
            loop {
                // A file that cannot be read to its end must not look like one that was: the channel
                // is closed without an end of the input.
                let count = file.read(&mut bytes).await.map_err(|error| {
                    SendError::File(ExecError {
                        kind: ExecErrorKind::File,
                        message: format!("read {}: {error}", path.display()),
                    })
                })?;
                if count == 0 {
                    break;
                }
                writing.data_bytes(bytes[..count].to_vec()).await?;
            }
        }
    }
    Ok(writing.eof().await?)
}

/// Why not all of a command and its input was sent.
enum SendError {
    File(ExecError),
    Ssh(russh::Error),
}

impl From<russh::Error> for SendError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Drop for ExecChannel {
    fn drop(&mut self) {
        if let Some((writing, place)) = self.open.take() {
            close(place, async move {
                let _ = writing.close().await;
            });
        }
    }
}

/// A channel that nothing was sent over. Dropped, it is closed.
pub(super) struct Opened(Option<(Channel<Msg>, Place)>);

impl Opened {
    pub(super) fn new(channel: Channel<Msg>, place: Place) -> Self {
        Self(Some((channel, place)))
    }

    pub(super) fn channel(&mut self) -> (&mut Channel<Msg>, &Place) {
        match &mut self.0 {
            Some((channel, place)) => (channel, place),
            None => unreachable!("it is taken with the whole"),
        }
    }

    pub(super) fn into_parts(mut self) -> (Channel<Msg>, Place) {
        match self.0.take() {
            Some(parts) => parts,
            None => unreachable!("it is taken with the whole"),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some((channel, place)) = self.0.take() {
            close(place, async move {
                let _ = channel.close().await;
            });
        }
    }
}

/// Keeps `place` until the machine is told.
fn close(place: Place, tell: impl Future<Output = ()> + Send + 'static) {
    // Without a runtime there is no connection either.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            tell.await;
            drop(place);
        });
    }
}

async fn receive(
    reading: &mut ChannelReadHalf,
    place: &Place,
    stdout: &mut Collector,
    stderr: &mut Collector,
) -> Result<ExecStatus, ExecError> {
    let mut status = None;
    let mut at_end = false;
    loop {
        match reading.wait().await {
            Some(ChannelMsg::Data { data }) => stdout.take(&data).await?,
            Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => stderr.take(&data).await?,
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                status = Some(ExecStatus::Exit(exit_status));
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                status = Some(ExecStatus::Signal(signal_text(signal_name)));
            }
            Some(ChannelMsg::Failure) => {
                return Err(ExecError {
                    kind: ExecErrorKind::Refused,
                    message: "the machine would not start the command".to_owned(),
                });
            }
            Some(ChannelMsg::Eof) => at_end = true,
            // The status may come before the last of the output, so neither is the end alone.
            Some(ChannelMsg::Close) => {
                return status
                    .ok_or_else(|| lost("the machine closed the channel without an exit status"));
            }
            None => {
                return match status {
                    Some(status) if at_end => Ok(status),
                    Some(_) | None => Err(place.link().broken("the channel ended").await),
                };
            }
            Some(_) => {}
        }
    }
}

/// The name of a signal, without `SIG`. The machine says it, so it is not believed at any length.
fn signal_text(signal: Sig) -> String {
    let name = match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => {
            return name
                .chars()
                .filter(char::is_ascii_graphic)
                .take(SIGNAL_NAME_LIMIT)
                .collect();
        }
    };
    name.to_owned()
}
