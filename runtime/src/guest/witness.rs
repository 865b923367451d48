//! What can be learned of a machine that does not answer: from its console, and from its provider.
//!
//! Every question has a time limit, and one that cannot be asked here has no answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::plan::Capability;
use tokio::time::{sleep, timeout};

use super::Refused;
use crate::console::ConsolePatterns;
use crate::mask::Mask;
use crate::provider::{Backend, MachineToken};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The pause between two looks at a machine that is waited for.
const PAUSE: Duration = Duration::from_secs(10);

/// Who is asked about one machine.
#[derive(Clone)]
pub(crate) struct Witness {
    pub backend: Backend,
    pub token: MachineToken,
    pub patterns: Arc<ConsolePatterns>,
    /// Hides secrets.
    pub mask: Option<Arc<Mask>>,
}

/// Why a machine does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub class: FailureClass,
    /// The line of its console, or what its provider says.
    said: String,
}

impl fmt::Display for Cause {
    /// As a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.class {
            FailureClass::MachineInterrupted => {
                return write!(f, "Its provider has taken it back: {}.", self.said);
            }
            FailureClass::GuestLockup => "Its kernel was stuck",
            FailureClass::GuestOom => "Its memory was used up",
            _ => "Its kernel gave up",
        };
        write!(f, "{what}; its console says `{}`.", self.said)
    }
}

impl Cause {
    /// The same as a machine that would not let us in.
    pub(super) fn refused(&self) -> Refused {
        Refused {
            class: self.class,
            message: format!("The machine does not answer. {self}"),
        }
    }
}

impl Witness {
    /// What the machine has said on its console, without secrets; `None` where there is none that can be read
    /// in so long.
    pub(crate) async fn console(&self, limit: Duration) -> Option<String> {
        let provider = &self.backend.provider;
        if !provider.capabilities().contains(&Capability::Console) {
            return None;
        }
        let said = timeout(limit, provider.console(&self.token)).await.ok()?;
        let said = String::from_utf8_lossy(&said.ok()?).into_owned();
        Some(match &self.mask {
            Some(mask) => mask.text(&said),
            None => said,
        })
    }

    /// Returns once it is certain that the machine will not answer again as it was; looks for that after so
    /// long, and then again and again.
    pub(super) async fn certain_end(&self, after: Duration) -> Cause {
        sleep(after).await;
        loop {
            if let Some(cause) = self.end().await {
                return cause;
            }
            sleep(PAUSE).await;
        }
    }

    /// Why it is certain that the machine will not answer again as it was.
    pub(super) async fn end(&self) -> Option<Cause> {
        if let Some(cause) = self.interruption().await {
            return Some(cause);
        }
        let console = self.console(ANSWER).await?;
        let (class, said) = self.patterns.end(&console)?;
        Some(Cause { class, said })
    }

    /// Why the machine does not answer, as far as anything tells.
    pub(super) async fn cause(&self) -> Option<Cause> {
        if let Some(cause) = self.interruption().await {
            return Some(cause);
        }
        let console = self.console(ANSWER).await?;
        let (class, said) = self.patterns.cause(&console)?;
        Some(Cause { class, said })
    }

    async fn interruption(&self) -> Option<Cause> {
        let asked = self.backend.provider.interruption(&self.token);
        let said = timeout(ANSWER, asked).await.ok()?.ok()??;
        let class = FailureClass::MachineInterrupted;
        Some(Cause { class, said })
    }
}
