//! Secrets: reads those that a plan names from where the configuration says they are.

use std::path::Path;
use std::process::{Command, Stdio};

use dva_plan::{ExecutionPlan, ExitCode};
use dva_runtime::secrets::{Secrets, unbound_secrets};

use crate::config::{Config, SecretSource};
use crate::failure::Failure;

/// The secrets of `plan`. One that is not bound refuses the run, and so does one that cannot be read.
pub fn bind(config: &Config, plan: &ExecutionPlan) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    for name in &plan.secrets {
        if let Some(source) = config.secret.get(name) {
            let refused =
                |why: String| Failure::new(ExitCode::Refused, format!("secret {name}: {why}"));
            let value = read(source).map_err(refused)?;
            let bound = secrets.bind(name, value.trim_end_matches(['\r', '\n']));
            bound.map_err(|error| refused(format!("{error}.")))?;
        }
    }
    let unbound = unbound_secrets(plan, &secrets);
    if unbound.is_empty() {
        return Ok(secrets);
    }
    Err(Failure::new(
        ExitCode::Refused,
        format!(
            "The plan needs secrets that are not bound: {}. Nothing was started. Say in dva.toml where \
             each one is:\n  [secret]\n  {} = {{ env = \"NAME\" }}",
            unbound.join(", "),
            unbound[0],
        ),
    ))
}

/// The value, or why there is none; never both.
fn read(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Env(name) => std::env::var(name)
            .map_err(|_| format!("there is no variable `{name}`, or it is not UTF-8.")),
        SecretSource::File(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::file("read", path, &error).message),
        SecretSource::Command(words) => run(words),
    }
}

fn run(words: &[String]) -> Result<String, String> {
    let [program, arguments @ ..] = words else {
        return Err("its command is empty.".to_owned());
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::file("run", Path::new(program), &error).message)?;
    if !output.status.success() {
        return Err(format!("`{program}` ended with {}.", output.status));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("`{program}` printed bytes that are not UTF-8."))
}
