//! `dva gc`: finds what crashed runs have left on this host.

use std::io::{Write, stdout};

use dva_local::{LocalConfig, LocalProvider, leftovers, remove};
use dva_plan::ExitCode;

use crate::args::GcArguments;
use crate::failure::Failure;

/// Lists what is left; with `--yes` removes it. Exits with 6 while something may still be there.
pub fn run(arguments: &GcArguments) -> Result<ExitCode, Failure> {
    LocalProvider::check_host()
        .map_err(|missing| Failure::new(ExitCode::Invocation, missing.to_string()))?;
    let found = leftovers(&LocalConfig::default());
    let mut out = stdout();
    if found.is_empty() {
        let _ = writeln!(out, "Nothing is left on this host.");
        return Ok(ExitCode::Ok);
    }
    let mut remaining = 0;
    for leftover in &found {
        let fate = if !leftover.dead {
            "in use, kept".to_owned()
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
