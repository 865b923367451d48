//! A channel: runs one command to its end.

use dva_runtime::transport::{ExecError, ExecStatus};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::runtime::Handle;

use crate::client::session::Slot;
use crate::output::Collector;

/// The number by which standard error travels (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// The longest name of a signal that is believed.
const SIGNAL_NAME_LIMIT: usize = 32;

/// An open channel. Dropped before its command has ended it is closed, which kills nothing.
pub(super) struct ExecChannel {
    reading: ChannelReadHalf,
    /// Absent once the channel has ended by itself.
    open: Option<(ChannelWriteHalf<Msg>, Slot)>,
}

impl ExecChannel {
    pub(super) fn new(channel: Channel<Msg>, slot: Slot) -> Self {
        let (reading, writing) = channel.split();
        Self {
            reading,
            open: Some((writing, slot)),
        }
    }

    /// Sends `command`, once, with an empty standard input, and collects its output until the
    /// channel ends.
    ///
    /// # Errors
    /// Where the end stays unknown or a file cannot be written.
    pub(super) async fn run(
        &mut self,
        command: String,
        stdout: &mut Collector,
        stderr: &mut Collector,
    ) -> Result<ExecStatus, ExecError> {
        let Self { reading, open } = self;
        let Some((writing, slot)) = open.as_ref() else {
            unreachable!("a channel runs one command");
        };
        // Side by side: a machine may answer before it has all that we say, and the connection
        // takes nothing from us while an answer waits.
        let send = async {
            let sent = async {
                writing.exec(true, command).await?;
                writing.eof().await
            };
            // A connection that is gone is noticed by the receiving side, which knows why.
            if sent.await.is_err() {
                tracing::debug!("a command could not be sent");
            }
            Ok(())
        };
        let receive = receive(reading, slot, stdout, stderr);
        let ((), status) = tokio::try_join!(send, receive)?;
        *open = None;
        Ok(status)
    }
}

impl Drop for ExecChannel {
    fn drop(&mut self) {
        let Some((writing, slot)) = self.open.take() else {
            return;
        };
        // Without a runtime there is no connection either.
        if let Ok(runtime) = Handle::try_current() {
            // The place is kept until the machine is told.
            runtime.spawn(async move {
                let _ = writing.close().await;
                drop(slot);
            });
        }
    }
}

async fn receive(
    reading: &mut ChannelReadHalf,
    slot: &Slot,
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
                return Err(slot.link().lost("the machine would not start the command"));
            }
            Some(ChannelMsg::Eof) => at_end = true,
            // The status may come before the last of the output, so neither is the end alone.
            Some(ChannelMsg::Close) => {
                return status.ok_or_else(|| {
                    slot.link()
                        .lost("the machine closed the channel without an exit status")
                });
            }
            None => {
                return match status {
                    Some(status) if at_end => Ok(status),
                    Some(_) | None => Err(slot.link().broken().await),
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
