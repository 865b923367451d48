//! `dva gc`: finds what crashed runs have left on this host.

use std::io::{Write, stdout};
use std::time::SystemTime;

use dva_local::{end_kept, leftovers, remove};
use dva_plan::ExitCode;

use crate::args::GcArguments;
use crate::config::Config;
use crate::failure::Failure;
use crate::providers::local_config;

/// Lists what is left; with `--yes` removes it. Exits with 6 while something may still be there.
pub fn run(arguments: &GcArguments) -> Result<ExitCode, Failure> {
    let config = Config::load(arguments.config.as_deref())?;
    let found = leftovers(&local_config(&config)?);
    let mut out = stdout();
    if found.is_empty() {
        let _ = writeln!(out, "Nothing is left on this host.");
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

/// How long it is until then, in whole minutes and at least one.
fn minutes(until: SystemTime) -> String {
    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
    format!("{}min", left.as_secs().div_ceil(60).max(1))
}
