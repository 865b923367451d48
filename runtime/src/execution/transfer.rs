//! Steps that copy files: onto the machine, and from it into the run folder.
//!
//! A login that is root copies files itself. For any other, and where secrets have to be hidden as they
//! come, files go through a command that is root.

use std::path::Path;

use base64ct::{Base64, Encoding};
use dva_plan::FailureClass;
use dva_plan::plan::BlobIx;
use dva_plan::report::{StepOutcome, StepReport};
use dva_plan::step::Step;
use dva_plan::template::Template;

use super::facts::StepFacts;
use super::{Broken, Limit, Runner, judge, late};
use crate::environment::{self, Root};
use crate::excerpt::{escape, shorten};
use crate::guest::{self, Link};
use crate::transport::{
    Collected, ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, FILE_LIMIT,
    StreamPlan, TransferError, TransferErrorKind, UploadContent,
};

impl Runner {
    pub(super) async fn upload(
        &mut self,
        blob: BlobIx,
        to: &Template,
        mode: u32,
        step: &Step,
        limit: Limit,
    ) -> Result<StepOutcome, Broken> {
        let blob = &self.execution.plan.blobs[blob];
        let content = Base64::decode_vec(&blob.base64).map_err(|_| Broken::Errored {
            class: FailureClass::Transfer,
            message: format!(
                "The plan's content of {} is no Base64{}",
                blob.name,
                judge::at(step)
            ),
        })?;
        let link = self.live_link(step).await?;
        let path = self.path(to, step)?;
        let copy = async {
            if !to_is_absolute(&path) {
                let mark = std::slice::from_ref(&self.execution.mark);
                let make = environment::make_folders(link.root, mark);
                succeeded(link.session.exec(guest::command(make)).await, &path)?;
            }
            let path = self.absolute(&path);
            if link.root != Root::Sudo {
                let content = UploadContent::Bytes(content);
                return link.session.upload(content, &path, mode).await;
            }
            let request = ExecRequest {
                stdin: content,
                ..guest::command(environment::put(link.root, &path, mode))
            };
            succeeded(link.session.exec(request).await, &path)
        };
        match self.within(limit.deadline, copy).await? {
            Some(Ok(())) => Ok(done(&link)),
            Some(Err(error)) => Err(self.not_copied(error, step).await),
            None => Err(late(limit, "The copy", step)),
        }
    }

    pub(super) async fn collect(
        &mut self,
        path: &Template,
        step: &Step,
        limit: Limit,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let link = self.live_link(step).await?;
        let path = self.path(path, step)?;
        // A run that writes nothing has no place for it either.
        let Some(files) = &self.execution.collected else {
            return Ok(done(&link));
        };
        let (into, relative) = files.place(&path).map_err(|error| Broken::Errored {
            class: FailureClass::RunFolder,
            message: format!("A file has no place to go: {error}{}", judge::at(step)),
        })?;
        let remote = self.absolute(&path);
        let copied = self.within(limit.deadline, self.fetch(&link, &remote, &into));
        let copied = copied.await?;
        match copied {
            Some(Ok(Collected {
                truncated: false, ..
            })) => {
                report.collected = Some(relative);
                Ok(done(&link))
            }
            Some(Ok(Collected { .. })) => {
                // What there is of it is kept, to be looked at.
                report.collected = Some(relative);
                Err(Broken::Failed {
                    class: FailureClass::Transfer,
                    message: format!(
                        "{} is larger than {} MiB, the most that is fetched{}",
                        shown(&path),
                        FILE_LIMIT >> 20,
                        judge::at(step)
                    ),
                })
            }
            Some(Err(error)) => {
                // Mostly it holds nothing; where it does not go it does no harm.
                let _ = std::fs::remove_file(&into);
                Err(self.not_copied(error, step).await)
            }
            None => Err(late(limit, "The copy", step)),
        }
    }

    async fn fetch(
        &self,
        link: &Link,
        remote: &str,
        into: &Path,
    ) -> Result<Collected, TransferError> {
        if link.session.assumes() || (link.root != Root::Sudo && self.execution.mask.is_none()) {
            return link.session.collect(remote, into, FILE_LIMIT).await;
        }
        let request = ExecRequest {
            stdout: StreamPlan {
                file: Some(into.to_owned()),
                mask: self.execution.mask.clone(),
            },
            ..guest::command(environment::get(link.root, remote))
        };
        let outcome = link.session.exec(request).await;
        let output = outcome.as_ref().ok().map(|outcome| &outcome.stdout);
        let (total, filed) = output.map_or((0, 0), |output| (output.total, output.filed));
        succeeded(outcome, remote)?;
        Ok(Collected {
            bytes: filed,
            truncated: filed < total,
        })
    }

    fn path(&self, template: &Template, step: &Step) -> Result<String, Broken> {
        let facts = StepFacts::new(&self.execution, &self.slots, None).with_placeholders();
        template
            .text(&self.execution.plan.expressions, &facts)
            .map_err(|fault| judge::fault(&fault, "Its path cannot be made", step))
    }

    fn absolute(&self, path: &str) -> String {
        if to_is_absolute(path) {
            return path.to_owned();
        }
        format!("{}/{path}", self.execution.mark.folder())
    }

    async fn not_copied(&self, error: TransferError, step: &Step) -> Broken {
        let message = format!("{}{}", shown(&error.message), judge::at(step));
        match error.kind {
            TransferErrorKind::Lost => {
                let error = ExecError {
                    kind: ExecErrorKind::Lost,
                    message: error.message,
                };
                self.unknown_end(&error).await
            }
            TransferErrorKind::Remote => Broken::Failed {
                class: FailureClass::Transfer,
                message,
            },
            TransferErrorKind::Local => Broken::Errored {
                class: FailureClass::RunFolder,
                message,
            },
            TransferErrorKind::Unsupported => Broken::Errored {
                class: FailureClass::Transfer,
                message,
            },
        }
    }
}

fn to_is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

fn done(link: &Link) -> StepOutcome {
    if link.session.assumes() {
        StepOutcome::Assumed
    } else {
        StepOutcome::Passed
    }
}

fn shown(text: &str) -> String {
    shorten(&escape(text.as_bytes()), 400)
}

/// Whether a command that copies has worked, in a transfer's words.
fn succeeded(outcome: Result<ExecOutcome, ExecError>, path: &str) -> Result<(), TransferError> {
    let outcome = outcome.map_err(|error| TransferError {
        kind: match error.kind {
            ExecErrorKind::Lost => TransferErrorKind::Lost,
            ExecErrorKind::Refused => TransferErrorKind::Remote,
            ExecErrorKind::File => TransferErrorKind::Local,
        },
        message: error.message,
    })?;
    if matches!(outcome.status, ExecStatus::Exit(0) | ExecStatus::Assumed) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&outcome.stderr.head);
    Err(TransferError {
        kind: TransferErrorKind::Remote,
        message: format!("{path}: {}", said.trim()),
    })
}
