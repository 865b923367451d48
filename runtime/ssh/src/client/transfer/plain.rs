//! Files by commands: for machines without SFTP.

use std::path::Path;
use std::sync::Arc;

use dva_plan::template::single_quoted;
use dva_runtime::transport::{Collected, ExecStatus, Purpose, StreamPlan, TransferError};
use tokio::fs::File;

use super::{Content, Failure, remote_error};
use crate::client::channel::Input;
use crate::client::pool::Pool;
use crate::client::session::exec;
use crate::output::Collector;

/// Writes `remote`, which nobody else can read before it has its mode.
pub(super) async fn upload(
    pool: &Arc<Pool>,
    content: Content,
    remote: &str,
    mode: u32,
) -> Result<(), TransferError> {
    let path = quote(remote);
    let command = format!("umask 077 && : > {path} && chmod {mode:o} {path} && exec cat > {path}");
    let input = match content {
        Content::Bytes(bytes) => Input::Bytes(bytes),
        Content::File(file, path) => Input::File(file, path),
    };
    let mut stdout = silent()?;
    run(pool, command, input, &mut stdout, remote).await
}

/// Copies the first `limit` bytes of `remote` into `file`.
pub(super) async fn collect(
    pool: &Arc<Pool>,
    remote: &str,
    file: File,
    into: &Path,
    limit: u64,
) -> Result<Collected, TransferError> {
    let more = limit.saturating_add(1);
    let command = format!("exec head -c {more} < {}", quote(remote));
    let mut stdout = Collector::into_file(file, into, limit);
    run(pool, command, Input::Bytes(Vec::new()), &mut stdout, remote).await?;
    let output = stdout.finish().await.map_err(Failure::from)?;
    Ok(Collected {
        bytes: output.filed,
        truncated: output.total > limit,
    })
}

async fn run(
    pool: &Arc<Pool>,
    command: String,
    input: Input,
    stdout: &mut Collector,
    remote: &str,
) -> Result<(), TransferError> {
    let mut stderr = silent()?;
    let purpose = Purpose::Housekeeping;
    let status = exec(pool, &purpose, command, input, stdout, &mut stderr)
        .await
        .map_err(Failure::from)?;
    if status == ExecStatus::Exit(0) {
        return Ok(());
    }
    let said = stderr.finish().await.map_err(Failure::from)?;
    Err(remote_error(remote, &String::from_utf8_lossy(&said.head)))
}

fn silent() -> Result<Collector, TransferError> {
    Ok(Collector::open(&StreamPlan::default()).map_err(Failure::from)?)
}

/// One word of a shell. A path that begins with `-` is no option of `chmod`.
fn quote(path: &str) -> String {
    let at = if path.starts_with('-') { "./" } else { "" };
    single_quoted(&format!("{at}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(quote("/a b/c"), "'/a b/c'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("-rf"), "'./-rf'");
    }
}
