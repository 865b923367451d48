//! What a host is, as far as it can be read from it.

use dva_plan::plan::Machine;
use dva_runtime::transport::{ExecRequest, ExecStatus, Purpose, Reach, Session, StreamPlan};

use crate::client::SshTransport;

/// Three lines: processors, memory in KiB, architecture.
const COMMAND: &str = "nproc && \
    sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo && \
    uname -m";

/// The machine at `reach`: its region and type are as `asserted`, the rest is read. The login that this
/// takes is put by for who uses the machine.
///
/// # Errors
/// What went wrong.
pub(super) async fn read(
    transport: &SshTransport,
    reach: &Reach,
    asserted: &Machine,
) -> Result<Machine, String> {
    let session = transport
        .log_in(reach)
        .await
        .map_err(|error| error.to_string())?;
    let outcome = session
        .exec(ExecRequest {
            command: COMMAND.to_owned(),
            stdin: Vec::new(),
            stdout: StreamPlan::default(),
            stderr: StreamPlan::default(),
            purpose: Purpose::Housekeeping,
        })
        .await;
    let outcome = outcome.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&outcome.stdout.head).into_owned();
    if outcome.status != ExecStatus::Exit(0) {
        let why = String::from_utf8_lossy(&outcome.stderr.head).into_owned();
        return Err(format!(
            "its processors and memory cannot be read: {}",
            why.trim().escape_debug()
        ));
    }
    let machine = understand(&said, asserted)
        .ok_or_else(|| format!("its facts are not understood: {}", said.escape_debug()))?;
    transport.park(reach, session);
    Ok(machine)
}

fn understand(said: &str, asserted: &Machine) -> Option<Machine> {
    let mut lines = said.lines();
    let vcpus = lines
        .next()?
        .trim()
        .parse()
        .ok()
        .filter(|&count| count > 0)?;
    let memory_kib: u64 = lines.next()?.trim().parse().ok()?;
    let arch = match lines.next()?.trim() {
        "amd64" => "x86_64",
        "aarch64" => "arm64",
        other if is_name(other) => other,
        _ => return None,
    };
    Some(Machine {
        vcpus,
        memory_bytes: memory_kib.checked_mul(1024)?,
        arch: arch.to_owned(),
        ..asserted.clone()
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_asserted() {
        let asserted = Machine {
            region: "lab".into(),
            r#type: "big".into(),
            vcpus: 1,
            memory_bytes: 1,
            arch: "x86_64".into(),
            quote: None,
            partition: String::new(),
            features: None,
        };
        let machine = understand("16\n1024\naarch64\n", &asserted).expect("three lines");
        assert_eq!((machine.vcpus, machine.memory_bytes), (16, 1 << 20));
        assert_eq!(machine.arch, "arm64");
        assert_eq!((&*machine.region, &*machine.r#type), ("lab", "big"));
        for said in [
            "",
            "16",
            "0\n1\nx86_64",
            "16\nx\nx86_64",
            "16\n1\n\u{1b}[1m",
        ] {
            assert_eq!(understand(said, &asserted), None, "{said:?}");
        }
    }
}
