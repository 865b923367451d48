//! Running one command of a test: to its end, to its limit, or until it is cut short.

use std::pin::pin;
use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::expr::{DiskFact, ExprIx, Expressions, Node};
use dva_plan::report::{CommandStatus, StepReport, StreamReport};
use dva_plan::step::Step;
use dva_plan::template::{Piece, Template};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Broken, Gone, Limit, Loss, Runner, judge};
use crate::environment::{self, StepCommand};
use crate::event::Ending;
use crate::excerpt::{escape, excerpt};
use crate::folder::{LogFiles, Stream};
use crate::guest::{self, Cause, Fate, Link};
use crate::provider::AttachedDisk;
use crate::transport::{
    ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, Purpose, StreamOutput,
    StreamPlan,
};

/// How long stopping a command may take: the grace, the kill, and a slow machine.
const STOPPING: Duration = Duration::from_secs(30);
/// How long a command that was stopped has to say so.
const AFTER_STOP: Duration = Duration::from_secs(5);

/// A command of a test.
pub(super) struct Command<'a> {
    /// What the author wrote, with its values.
    pub(super) text: &'a str,
    /// Which of the test's commands it is.
    pub(super) number: u32,
    /// Device nodes to wait for.
    pub(super) nodes: &'a [String],
    /// The user it runs as, where that is not root.
    pub(super) user: Option<&'a str>,
    /// What it is fed to have its variables.
    pub(super) variables: Option<&'a [u8]>,
}

impl Runner {
    /// Runs a command to its end; `None` where its limit was over before and it was stopped.
    pub(super) async fn exec(
        &self,
        command: &Command<'_>,
        limit: Limit,
        step: &Step,
        report: &mut StepReport,
    ) -> Result<Option<ExecOutcome>, Broken> {
        if let Some(ending) = *self.execution.cut.borrow() {
            return Err(Broken::Cut(ending));
        }
        if limit.deadline <= Instant::now() {
            return Ok(None);
        }
        let Link { session, root, .. } = self.live_link(step).await?;
        let execution = &self.execution;
        let plan = &execution.plan;
        let text = StepCommand {
            mark: &execution.mark,
            test: &plan.tests[execution.test].id,
            cell: &plan.cells[execution.cell].id,
            text: command.text,
            nodes: command.nodes,
            root,
            user: command.user,
            fed: command.variables.is_some(),
        };
        let file = |stream| StreamPlan {
            file: execution.logs.as_ref().map(|logs| logs.path(stream)),
            mask: execution.mask.clone(),
        };
        let mut exec = pin!(session.exec(ExecRequest {
            command: text.for_login_shell(),
            stdin: command.variables.unwrap_or_default().to_vec(),
            stdout: file(Stream::Out),
            stderr: file(Stream::Err),
            purpose: Purpose::Step {
                test: plan.tests[execution.test].id.clone(),
                run: command.number,
                in_finally: report.in_finally,
            },
        }));
        let mut cut = execution.cut.clone();
        let ended = tokio::select! {
            biased;
            ended = &mut exec => Some(ended),
            ending = cut_short(&mut cut) => return Err(Broken::Cut(ending)),
            () = sleep_until(limit.deadline) => None,
        };
        let timed_out = ended.is_none();
        let ended = match ended {
            Some(ended) => Some(ended),
            None => {
                // Closing a channel kills nothing, so what still runs is looked for and stopped, and
                // the next test does not start before that.
                let stop = session.exec(guest::command(environment::stop(root, &execution.mark)));
                let mut ended = None;
                let stopping = async {
                    let mut stop = pin!(stop);
                    loop {
                        tokio::select! {
                            stopped = &mut stop => break stopped,
                            end = &mut exec, if ended.is_none() => ended = Some(end),
                        }
                    }
                };
                let stopped = tokio::select! {
                    biased;
                    stopped = timeout(STOPPING, stopping) => stopped,
                    ending = cut_short(&mut cut) => return Err(Broken::Cut(ending)),
                };
                if let Ok(Err(error)) = stopped {
                    return Err(self.unknown_end(&error).await);
                }
                if ended.is_none() {
                    ended = timeout(AFTER_STOP, &mut exec).await.ok();
                }
                ended
            }
        };
        let outcome = match ended {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => return Err(self.unknown_end(&error).await),
            None => {
                report.status = Some(CommandStatus::TimedOut);
                return Ok(None);
            }
        };
        let logs = execution.logs.as_ref();
        report.stdout = Some(stream_report(&outcome.stdout, logs, Stream::Out));
        report.stderr = Some(stream_report(&outcome.stderr, logs, Stream::Err));
        if timed_out {
            report.status = Some(CommandStatus::TimedOut);
            return Ok(None);
        }
        report.status = match &outcome.status {
            ExecStatus::Exit(status) => Some(CommandStatus::Exit(*status)),
            ExecStatus::Signal(name) => Some(CommandStatus::Signal(escape(name.as_bytes()))),
            ExecStatus::Assumed => None,
        };
        Ok(Some(outcome))
    }

    /// The login to a machine that runs and has not booted behind our back.
    pub(super) async fn live_link(&self, step: &Step) -> Result<Link, Broken> {
        let guest = &self.execution.guest;
        if guest.rebooted_unnoticed().await {
            return Err(match guest.end().await {
                Some(cause) => ended(&cause),
                None => rebooted(),
            });
        }
        guest.link().ok_or_else(|| Broken::Failed {
            class: FailureClass::Expect,
            message: format!("Nothing can run: its machine is stopped{}", judge::at(step)),
        })
    }

    /// What it means that a command has no end that we know.
    pub(super) async fn unknown_end(&self, error: &ExecError) -> Broken {
        match error.kind {
            ExecErrorKind::Lost => self.lost(error).await,
            ExecErrorKind::Refused => Broken::Errored {
                class: FailureClass::SshRefused,
                message: format!("Its machine would not start a command: {error}."),
            },
            ExecErrorKind::File => Broken::Errored {
                class: FailureClass::RunFolder,
                message: format!("The output of a command could not be written: {error}."),
            },
        }
    }

    /// The connection broke: whose trouble that is, the machine's boot id tells.
    async fn lost(&self, error: &ExecError) -> Broken {
        let mut cut = self.execution.cut.clone();
        let fate = tokio::select! {
            biased;
            ending = cut_short(&mut cut) => return Broken::Cut(ending),
            fate = self.execution.guest.fate() => fate,
        };
        let mut message =
            format!("The connection to its machine broke while a command ran: {error}.");
        match fate {
            Fate::Rebooted => return rebooted(),
            Fate::Ended(cause) => return ended(cause),
            Fate::Same => {}
            Fate::Unreachable(why) => {
                message.push(' ');
                message.push_str(why);
            }
        }
        let ending = Ending::Errored(FailureClass::SshLost);
        Broken::Gone(Box::new(Gone {
            ending,
            loss: Loss {
                class: FailureClass::SshLost,
                message: message.clone(),
                running: ending,
            },
            message,
        }))
    }
}

/// The machine does not answer any more, and it is known why: where its console says so, that is charged to
/// what ran. What waited runs elsewhere.
fn ended(cause: &Cause) -> Broken {
    let (ending, class) = match cause.class {
        class if class.is_of_console() => (Ending::Failed(class), FailureClass::MachineLost),
        class => (Ending::Errored(class), class),
    };
    Broken::Gone(Box::new(Gone {
        ending,
        message: format!("Its machine was lost while it ran. {cause}"),
        loss: Loss {
            class,
            message: format!("The machine does not answer any more. {cause}"),
            running: ending,
        },
    }))
}

fn rebooted() -> Broken {
    let ending = Ending::Failed(FailureClass::GuestRebooted);
    Broken::Gone(Box::new(Gone {
        ending,
        message: "Its machine rebooted by itself while it ran.".to_owned(),
        loss: Loss {
            class: FailureClass::MachineLost,
            message: "The machine rebooted by itself.".to_owned(),
            running: ending,
        },
    }))
}

/// Returns once the execution is to be cut short, and how it is to end. Never, where nobody is left
/// to say so.
pub(super) async fn cut_short(cut: &mut watch::Receiver<Option<Ending>>) -> Ending {
    let said = cut.wait_for(Option::is_some).await.map(|ending| *ending);
    match said {
        Ok(Some(ending)) => ending,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn stream_report(output: &StreamOutput, logs: Option<&LogFiles>, stream: Stream) -> StreamReport {
    let logs = logs.filter(|_| output.filed > 0);
    StreamReport {
        bytes: output.total,
        // The end of the file is what this command has written: commands of a test come one after the other.
        offset: logs.map_or(0, |logs| logs.length(stream).saturating_sub(output.filed)),
        path: logs.map(|logs| logs.relative(stream)),
        excerpt: excerpt(output),
    }
}

/// The nodes of partitions that a command names: a kernel takes its time to make them.
pub(super) fn nodes(
    template: &Template,
    nodes: &Expressions,
    disks: &[AttachedDisk],
) -> Vec<String> {
    let mut waiting: Vec<ExprIx> = template
        .0
        .iter()
        .filter_map(|piece| match piece {
            Piece::Lit(_) => None,
            Piece::Arg { expr, .. } | Piece::Raw(expr) => Some(*expr),
        })
        .collect();
    let mut paths = Vec::new();
    while let Some(index) = waiting.pop() {
        let Some(node) = nodes.get(index) else {
            continue;
        };
        if let Node::Disk {
            disk,
            what: DiskFact::Part(number),
        } = node
            && let Some(attached) = disks.iter().find(|own| own.disk == *disk)
        {
            paths.push(attached.partition(*number));
        }
        waiting.extend(node.children());
    }
    paths.sort();
    paths.dedup();
    paths
}
