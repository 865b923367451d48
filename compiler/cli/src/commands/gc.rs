//! `dva gc`: finds what crashed runs have left on this host.

use std::io::{Write, stdout};
use std::time::SystemTime;

use dva_local::{end_kept, leftovers, remove};
use dva_plan::ExitCode;
use dva_runtime::clock::WallTime;

use crate::args::GcArguments;
use crate::config::Config;
use crate::failure::Failure;
use crate::providers::local_config;

/// Lists what is left; with `--yes` removes it. Exits with 6 while something may still be there.
pub fn run(arguments: &GcArguments) -> Result<ExitCode, Failure> {
    let config = Config::load(arguments.config.as_deref())?;
    let mut found = leftovers(&local_config(&config)?);
    let meant = Meant {
        run: arguments.run.as_deref(),
        begun_before: arguments.older_than.map(begun_before),
    };
    found.retain(|leftover| meant.is(&leftover.token));
    let mut out = stdout();
    if found.is_empty() {
        let such = match meant {
            Meant::ALL => "Nothing",
            _ => "Nothing of the kind",
        };
        let _ = writeln!(out, "{such} is left on this host.");
        return Ok(ExitCode::Ok);
    }
    let mut remaining = 0;
    for leftover in &found {
        let fate = if let Some(kept) = leftover.kept.as_ref().filter(|_| !leftover.dead) {
            if arguments.kept {
                match end_kept(leftover) {
                    Ok(()) => "ended".to_owned(),
                    Err(error) => {
                        remaining += 1;
                        format!("not ended: {}", error.message)
                    }
                }
            } else {
                format!(
                    "kept for {} more; `dva gc --yes --kept` ends it",
                    minutes(kept.until)
                )
            }
        } else if !leftover.dead {
            "in use".to_owned()
        } else if !arguments.yes {
            remaining += 1;
            format!("left behind: {}", leftover.remains.join(", "))
        } else if let Err(error) = remove(leftover) {
            remaining += 1;
            format!("not removed: {}", error.message)
        } else {
            "removed".to_owned()
        };
        let _ = writeln!(out, "{}: {fate}", leftover.token);
    }
    if remaining == 0 {
        return Ok(ExitCode::Ok);
    }
    if !arguments.yes {
        let _ = writeln!(out, "`dva gc --yes` removes them.");
    }
    Ok(ExitCode::MachinesLeft)
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
