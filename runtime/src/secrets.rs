//! Secrets: values that a run is lent and that nothing it writes may show.
//!
//! Who reads them from the user's configuration is not this crate's business, and where they go is
//! [`crate::environment`]'s: through a command's standard input, never into an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dva_plan::ExecutionPlan;
use dva_plan::step::{StepKind, WithValue, every_step};
use thiserror::Error;

/// The most bytes of a secret: all of its forms are looked for in all output at once.
pub const SECRET_LIMIT: usize = 32 << 10;

/// A value that cannot be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SecretError {
    /// It holds a NUL, which no variable can.
    #[error("the secret holds a NUL, which no variable can")]
    Nul,
    /// It is longer than [`SECRET_LIMIT`].
    #[error("the secret is longer than {} KiB", SECRET_LIMIT >> 10)]
    TooLong,
}

/// Secrets by name.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Binds `name` to `value`, in place of what it was bound to.
    ///
    /// # Errors
    /// [`SecretError`]: it is bound as it was before.
    pub fn bind(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), SecretError> {
        let value = value.into();
        if value.contains('\0') {
            return Err(SecretError::Nul);
        }
        if value.len() > SECRET_LIMIT {
            return Err(SecretError::TooLong);
        }
        self.0.insert(name.into(), value);
        Ok(())
    }

    /// The value of `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All values, whether a plan uses them or not.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}

/// Shows the names alone.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The names of secrets that tests of `plan` use and `secrets` does not bind. A run with any of them is
/// refused before anything is launched.
#[must_use]
pub fn unbound_secrets(plan: &ExecutionPlan, secrets: &Secrets) -> Vec<String> {
    let used = plan.tests.iter().flat_map(|test| {
        let steps = every_step(test.steps.iter().chain(&test.finally));
        steps.into_iter().flat_map(|step| match &step.kind {
            StepKind::Run(run) => run.with.as_slice(),
            _ => &[],
        })
    });
    let names: BTreeSet<&String> = used
        .filter_map(|with| match with.value {
            WithValue::Secret(secret) => plan.secrets.get(secret),
            WithValue::Expr(_) => None,
        })
        .filter(|name| secrets.value(name).is_none())
        .collect();
    names.into_iter().cloned().collect()
}
