//! The log of a run: what dva itself did, for those who look for a fault in it. It goes to `dva.log` in
//! the run folder and never between the lines of a display.

use std::fs::File;
use std::path::Path;

use dva_plan::ExitCode;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// The variable that says what is logged, in the form of `RUST_LOG`. It goes before `--verbose`.
const FILTER_VARIABLE: &str = "DVA_LOG";

/// Begins the log of a run in its folder.
pub fn begin(folder: &Path, verbose: u8) -> Result<(), Failure> {
    let level = match verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            Failure::new(
                ExitCode::Invocation,
                format!(
                    "{FILTER_VARIABLE}={text} is no filter: {error}. An example is `dva=debug`."
                ),
            )
        })?,
        Err(_) => EnvFilter::new(format!(
            "warn,dva={level},dva_runtime={level},dva_ssh={level},dva_local={level}"
        )),
    };
    let path = folder.join("dva.log");
    let file = File::create(&path).map_err(|error| Failure::file("write", &path, &error))?;
    // A second run in one process keeps the first one's log; the command has only one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(file)
        .try_init();
    Ok(())
}
