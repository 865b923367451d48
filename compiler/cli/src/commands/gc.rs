//! `dva gc`: finds what crashed runs have left, and ends it.

#[cfg(feature = "ec2")]
mod ec2;
#[cfg(feature = "local")]
mod local;

use std::time::SystemTime;

use dva_plan::ExitCode;
use dva_runtime::clock::WallTime;

use crate::args::{GcArguments, ProviderName};
use crate::config::Config;
use crate::failure::Failure;

/// Lists what is left; with `--yes` removes it. Exits with 6 while something may still be there.
pub fn run(arguments: &GcArguments) -> Result<ExitCode, Failure> {
    let config = Config::load(arguments.config.as_deref())?;
    let meant = Meant {
        run: arguments.run.as_deref(),
        begun_before: arguments.older_than.map(begun_before),
    };
    match arguments.provider {
        #[cfg(feature = "local")]
        ProviderName::Local => local::run(arguments, &config, &meant),
        #[cfg(feature = "ec2")]
        ProviderName::Ec2 => ec2::run(arguments, &config, &meant),
        provider => {
            let provider = provider.word();
            let message =
                format!("Machines of `{provider}` leave nothing that this dva could find.");
            Err(Failure::new(ExitCode::Invocation, message))
        }
    }
}

/// What is said where nothing is left.
fn none_left(meant: &Meant<'_>) -> &'static str {
    match *meant {
        Meant::ALL => "Nothing",
        _ => "Nothing of the kind",
    }
}

/// Which machines are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meant<'a> {
    /// Those of the run whose id begins like that.
    run: Option<&'a str>,
    /// Those of runs whose ids are less than this one, which tells when they began.
    begun_before: Option<String>,
}

impl Meant<'_> {
    const ALL: Self = Self {
        run: None,
        begun_before: None,
    };

    /// A machine's token begins with the id of its run. Things that are named otherwise are of no run.
    fn is(&self, token: &str) -> bool {
        let begun_before = self.begun_before.as_deref();
        self.run.is_none_or(|run| token.starts_with(run))
            && begun_before.is_none_or(|limit| {
                token.starts_with(|first: char| first.is_ascii_digit()) && token < limit
            })
    }
}

/// The day and the second of so many milliseconds ago, as the ids of runs begin.
fn begun_before(ago_ms: u64) -> String {
    let then = WallTime::now().unix_ms().saturating_sub(ago_ms);
    let id = WallTime::from_unix_ms(then).run_id();
    let second = id.as_str().rsplit_once('-');
    second.map_or_else(|| id.to_string(), |(second, _)| second.to_owned())
}

/// How long it is until then, in whole minutes and at least one.
fn minutes(until: SystemTime) -> String {
    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
    format!("{}min", left.as_secs().div_ceil(60).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_apart_by_their_runs_and_when_these_began() {
        let token = "20261128-151124-e8f8-3";
        let is = |run: Option<&str>, begun_before: Option<&str>, token| {
            let begun_before = begun_before.map(str::to_owned);
            Meant { run, begun_before }.is(token)
        };
        assert!(Meant::ALL.is(token) && Meant::ALL.is("loop3"));
        assert!(is(Some("20261128-151124"), None, token));
        assert!(!is(Some("20261127"), None, token));
        assert!(is(None, Some("20261128-151125"), token));
        assert!(!is(None, Some("20261128-151124"), token));
        assert!(!is(None, Some("20261128-151125"), "loop3"));
        assert!(is(Some("20261128"), Some("20270101-000000"), token));
    }
}
