//! What a machine says on its console.

use base64ct::{Base64, Encoding};

use crate::bucket::Api;
use crate::call::{CallError, Line};
use crate::error::Meaning;

/// Reads the console of a machine, the last 64 KiB of it at most. With `is_live` it is read as it is now, which newer
/// machines alone can do; the others show it as it was some minutes ago.
///
/// Source: EC2 API reference, *GetConsoleOutput*.
pub(crate) async fn read(line: &Line, id: &str, is_live: bool) -> Result<Vec<u8>, CallError> {
    let call = line
        .client
        .get_console_output()
        .instance_id(id)
        .latest(is_live);
    let answer = line.call(Api::Expensive, 0, || call.clone().send()).await?;
    let encoded: String = answer
        .output()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    Base64::decode_vec(&encoded)
        .map_err(|error| CallError::told(Meaning::Unknown, format!("the console of {id}: {error}")))
}
