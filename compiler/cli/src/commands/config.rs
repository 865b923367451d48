//! `dva config`: the configuration that holds here.

use dva_plan::ExitCode;

use crate::args::ConfigArguments;
use crate::config::{Config, files};
use crate::failure::Failure;
use crate::output;

/// Prints the configuration as TOML, with the files it comes from.
pub fn run(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    let given = arguments.config.as_deref();
    let config = Config::load(given)?;
    let mut text = String::new();
    for file in files(given)? {
        text.push_str(&format!("# from {}\n", file.display()));
    }
    if text.is_empty() {
        text.push_str("# There is no dva.toml here; these are the defaults.\n");
    }
    #[expect(
        clippy::expect_used,
        reason = "its keys are text and its values have a TOML form"
    )]
    text.push_str(&toml::to_string(&config).expect("a configuration serializes"));
    output::print(text)?;
    Ok(ExitCode::Ok)
}
