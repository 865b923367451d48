//! What goes wrong with which calls, as a test says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;

/// What is done to a call.
#[derive(Clone)]
pub enum Deed {
    /// It is answered with this error code, and nothing is done.
    Refuse(&'static str),
    /// It waits so long.
    Wait(Duration),
    /// Its connection ends, and nothing is done.
    Drop,
    /// It is carried out, and its connection ends.
    LoseAnswer,
    /// It is carried out and answered, and then this is called.
    Then(Arc<dyn Fn(&Call) + Send + Sync>),
    /// It is carried out, and this is called before it is answered.
    Meanwhile(Arc<dyn Fn(&Call) + Send + Sync>),
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(code) => write!(f, "refused with {code}"),
            Self::Wait(time) => write!(f, "late by {time:?}"),
            Self::Drop => f.write_str("dropped"),
            Self::LoseAnswer => f.write_str("done, and its answer lost"),
            Self::Then(_) => f.write_str("answered, and then something else"),
            Self::Meanwhile(_) => f.write_str("done, and then something else"),
        }
    }
}

/// Something that goes wrong. Calls are counted from when it is given to the cloud.
#[derive(Clone)]
pub struct Fault {
    action: Option<String>,
    whose: Arc<dyn Fn(&Call) -> bool + Send + Sync>,
    first: usize,
    times: usize,
    deed: Deed,
    seen: usize,
}

impl Fault {
    /// Does this to every call of an action.
    pub fn on(action: &str, deed: Deed) -> Self {
        Self {
            action: Some(action.to_owned()),
            ..Self::any(deed)
        }
    }

    /// Does this to every call.
    pub fn any(deed: Deed) -> Self {
        Self {
            action: None,
            whose: Arc::new(|_| true),
            first: 0,
            times: usize::MAX,
            deed,
            seen: 0,
        }
    }

    /// Only to those of them for which this holds.
    pub fn whose(mut self, holds: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.whose = Arc::new(holds);
        self
    }

    /// Not to the first `n` of them.
    pub fn after(mut self, n: usize) -> Self {
        self.first = n;
        self
    }

    /// To no more than `n` of them.
    pub fn times(mut self, n: usize) -> Self {
        self.times = n;
        self
    }

    /// What it does to this call.
    pub(super) fn meets(&mut self, call: &Call) -> Option<Deed> {
        let is_of = self
            .action
            .as_ref()
            .is_none_or(|action| *action == call.action);
        if !is_of || !(self.whose)(call) {
            return None;
        }
        let number = self.seen;
        self.seen += 1;
        let is_hit = number >= self.first && number - self.first < self.times;
        is_hit.then(|| self.deed.clone())
    }
}

/// The HTTP status that EC2 gives an error of this code.
pub(super) fn status(code: &str) -> u16 {
    match code {
        "RequestLimitExceeded" | "Unavailable" | "ServiceUnavailable" => 503,
        "InternalError" | "InternalFailure" | "InsufficientInstanceCapacity" => 500,
        "UnauthorizedOperation" | "AuthFailure" => 403,
        "DryRunOperation" => 412,
        _ => 400,
    }
}
