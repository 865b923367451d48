//! `dva ssh`: logs in to a machine that was kept, through the system's own `ssh`.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use dva_local::{Kept, Leftover, leftovers};
use dva_plan::document::read;
use dva_plan::schedule::LifeIx;
use dva_plan::table::Index;
use dva_plan::{ExitCode, RunReport};

use crate::args::SshArguments;
use crate::config::Config;
use crate::failure::Failure;
use crate::providers::local_config;

/// Becomes `ssh`; its exit code is the command's.
pub fn run(arguments: &SshArguments) -> Result<ExitCode, Failure> {
    let config = Config::load(arguments.config.as_deref())?;
    let kept: Vec<_> = leftovers(&local_config(&config)?)
        .into_iter()
        .filter(|leftover| !leftover.dead)
        .filter_map(|leftover| leftover.kept.clone().map(|kept| (leftover, kept)))
        .collect();
    let fits = |leftover: &Leftover| match &arguments.machine {
        None => true,
        Some(name) => {
            leftover.token == *name
                || cell_of(&arguments.state, &leftover.token)
                    .is_some_and(|cell| cell.starts_with(name.as_str()))
        }
    };
    let chosen: Vec<_> = kept.iter().filter(|(leftover, _)| fits(leftover)).collect();
    match chosen.as_slice() {
        [(_, kept)] => Err(become_ssh(kept, &arguments.command)),
        [] if kept.is_empty() => Err(Failure::new(
            ExitCode::Invocation,
            "No machine is kept. `dva run FILE --keep=on-failure` keeps those on which a test does not pass.",
        )),
        several => {
            let all = kept.iter().collect::<Vec<_>>();
            let (why, listed) = if several.is_empty() {
                ("No kept machine is called that. These are kept:", &all)
            } else {
                ("Several machines are kept. Say which:", &chosen)
            };
            let lines: String = listed
                .iter()
                .map(|(leftover, _)| {
                    let cell = cell_of(&arguments.state, &leftover.token).unwrap_or_default();
                    format!("\n  {}  {cell}", leftover.token)
                })
                .collect();
            Err(Failure::new(ExitCode::Invocation, format!("{why}{lines}")))
        }
    }
}

/// The id of the cell that a machine served: a machine's name is its run's id and the number of its life.
fn cell_of(state: &Path, token: &str) -> Option<String> {
    let (run, life) = token.rsplit_once('-')?;
    let report = File::open(state.join("runs").join(run).join("report.json")).ok()?;
    let report: RunReport = read(report).ok()?.body;
    let life = report.lives.get(LifeIx::from_row(life.parse().ok()?))?;
    Some(life.cell.to_string())
}

/// Replaces this process. Returns only where that is not possible.
fn become_ssh(kept: &Kept, command: &[String]) -> Failure {
    let known = match known_hosts(kept) {
        Ok(path) => path,
        Err(error) => return Failure::file("write", &std::env::temp_dir(), &error),
    };
    let mut ssh = Command::new("ssh");
    ssh.arg("-i")
        .arg(&kept.identity)
        .args(["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o"])
        .arg(format!("UserKnownHostsFile={}", known.display()))
        .args(["-T", "-p", &kept.address.port().to_string()])
        .arg(format!("root@{}", kept.address.ip()));
    if command.is_empty() {
        // The machine's server gives no terminal; a shell that is told so shows its prompt all the same.
        ssh.arg("exec /bin/sh -i");
    } else {
        ssh.arg("--").args(command);
    }
    Failure::file("run", Path::new("ssh"), &ssh.exec())
}

/// A file with the machine's host key, so that no other machine is taken for it.
fn known_hosts(kept: &Kept) -> std::io::Result<std::path::PathBuf> {
    let path = kept.identity.with_extension("known_hosts");
    let mut file = File::create(&path)?;
    writeln!(
        file,
        "[{}]:{} {}",
        kept.address.ip(),
        kept.address.port(),
        kept.host_key.trim()
    )?;
    Ok(path)
}
