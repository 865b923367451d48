//! What crashed runs have left on this host.

use std::io::{Write, stdout};

use dva_local::{end_kept, leftovers, remove};
use dva_plan::ExitCode;

use super::{Meant, minutes, none_left};
use crate::args::GcArguments;
use crate::config::Config;
use crate::failure::Failure;
use crate::providers::local_config;

/// Lists what is left; with `--yes` removes it. Exits with 6 while something may still be there.
pub fn run(
    arguments: &GcArguments,
    config: &Config,
    meant: &Meant<'_>,
) -> Result<ExitCode, Failure> {
    let mut found = leftovers(&local_config(config)?);
    found.retain(|leftover| meant.is(&leftover.token));
    let mut out = stdout();
    if found.is_empty() {
        let _ = writeln!(out, "{} is left on this host.", none_left(meant));
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
