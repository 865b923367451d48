//! Running one command of a test: to its end, to its limit, or until it is cut short.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::expr::{DiskFact, ExprIx, Expressions, Node};
use dva_plan::report::{CommandStatus, StepReport, StreamReport};
use dva_plan::step::{Run, Step};
use dva_plan::template::{Piece, Template};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::{Broken, Limit, Runner, late};
use crate::environment::{self, StepCommand};
use crate::event::Ending;
use crate::excerpt::{escape, excerpt};
use crate::executor::housekeeping;
use crate::folder::{LogFiles, Stream};
use crate::provider::AcquiredMachine;
use crate::transport::{
    ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, Purpose, StreamOutput,
    StreamPlan,
};

/// How long stopping a command may take: the grace, the kill, and a slow machine.
const STOPPING: Duration = Duration::from_secs(30);
/// How long a command that was stopped has to say so.
const AFTER_STOP: Duration = Duration::from_secs(5);

impl Runner {
    /// Runs a command to its end, or to its limit.
    pub(super) async fn exec(
        &mut self,
        text: &str,
        run: &Run,
        number: u32,
        limit: Limit,
        step: &Step,
        report: &mut StepReport,
    ) -> Result<ExecOutcome, Broken> {
        let execution = &self.execution;
        let plan = &execution.plan;
        let offsets = [Stream::Out, Stream::Err].map(|stream| {
            let logs = execution.logs.as_ref();
            logs.map_or(0, |logs| logs.length(stream))
        });
        let command = StepCommand {
            mark: &execution.mark,
            test: &plan.tests[execution.test].id,
            cell: &plan.cells[execution.cell].id,
            text,
            nodes: &nodes(&run.command, &plan.expressions, &execution.machine),
        };
        let file = |stream| StreamPlan {
            file: execution.logs.as_ref().map(|logs| logs.path(stream)),
        };
        let session = Arc::clone(&execution.session);
        let mut exec = pin!(session.exec(ExecRequest {
            command: command.for_login_shell(),
            stdin: Vec::new(),
            stdout: file(Stream::Out),
            stderr: file(Stream::Err),
            purpose: Purpose::Step {
                test: plan.tests[execution.test].id.clone(),
                run: number,
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
                let stop = session.exec(housekeeping(environment::stop(&execution.mark)));
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
                    return Err(unknown_end(&error));
                }
                if ended.is_none() {
                    ended = timeout(AFTER_STOP, &mut exec).await.ok();
                }
                ended
            }
        };
        let outcome = match ended {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => return Err(unknown_end(&error)),
            None => {
                report.status = Some(CommandStatus::TimedOut);
                return Err(late(limit, step));
            }
        };
        let [out, err] = offsets;
        let logs = execution.logs.as_ref();
        report.stdout = Some(stream_report(&outcome.stdout, logs, Stream::Out, out));
        report.stderr = Some(stream_report(&outcome.stderr, logs, Stream::Err, err));
        if timed_out {
            report.status = Some(CommandStatus::TimedOut);
            return Err(late(limit, step));
        }
        report.status = match &outcome.status {
            ExecStatus::Exit(status) => Some(CommandStatus::Exit(*status)),
            ExecStatus::Signal(name) => Some(CommandStatus::Signal(escape(name.as_bytes()))),
            ExecStatus::Assumed => None,
        };
        Ok(outcome)
    }
}

/// Returns once the execution is to be cut short, and how it is to end. Never, where nobody is left
/// to say so.
async fn cut_short(cut: &mut watch::Receiver<Option<Ending>>) -> Ending {
    let said = cut.wait_for(Option::is_some).await.map(|ending| *ending);
    match said {
        Ok(Some(ending)) => ending,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn unknown_end(error: &ExecError) -> Broken {
    match error.kind {
        ExecErrorKind::Lost => Broken::Lost(format!(
            "The connection to its machine broke while a command ran: {error}."
        )),
        ExecErrorKind::Refused => Broken::Errored {
            class: FailureClass::SshLost,
            message: format!("Its machine would not start a command: {error}."),
        },
        ExecErrorKind::File => Broken::Errored {
            class: FailureClass::RunFolder,
            message: format!("The output of a command could not be written: {error}."),
        },
    }
}

fn stream_report(
    output: &StreamOutput,
    logs: Option<&LogFiles>,
    stream: Stream,
    offset: u64,
) -> StreamReport {
    let path = logs
        .filter(|_| output.filed > 0)
        .map(|logs| logs.relative(stream));
    StreamReport {
        bytes: output.total,
        offset: if path.is_some() { offset } else { 0 },
        path,
        excerpt: excerpt(output),
    }
}

/// The nodes of partitions that a command names: a kernel takes its time to make them.
fn nodes(template: &Template, nodes: &Expressions, machine: &AcquiredMachine) -> Vec<String> {
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
            && let Some(attached) = machine.disks.iter().find(|own| own.disk == *disk)
        {
            paths.push(attached.partition(*number));
        }
        waiting.extend(node.children());
    }
    paths.sort();
    paths.dedup();
    paths
}
