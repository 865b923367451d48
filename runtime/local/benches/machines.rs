//! Many machines at once: how long until each has run a command, and what an idle one takes.
//!
//! `cargo bench -p dva-local -- 50 200` as root; the numbers are how many to start, 50 where none is
//! given. Prints what it saw and judges nothing but that all of them work and nothing is left.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dva_local::{HostInventory, LocalConfig, LocalProvider};
use dva_plan::plan::{ImageSource, Machine, Network};
use dva_plan::{CellId, RunId};
use dva_runtime::provider::{MachineRequest, MachineToken, Provider};
use dva_runtime::transport::{ExecRequest, ExecStatus, Purpose, StreamPlan, Transport};
use dva_ssh::SshTransport;

fn main() -> ExitCode {
    dva_local::enter_if_helper();
    if let Err(missing) = LocalProvider::check_host() {
        println!("SKIP {missing}");
        return ExitCode::SUCCESS;
    }
    let counts: Vec<u32> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let counts = if counts.is_empty() { vec![50] } else { counts };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for count in std::iter::once(1).chain(counts) {
        runtime.block_on(start(count));
    }
    ExitCode::SUCCESS
}

async fn start(count: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = LocalConfig {
        state: folder.path().join("state"),
        runtime: folder.path().join("leases"),
    };
    for folder in [&config.state, &config.runtime] {
        fs::create_dir_all(folder).expect("a folder");
    }
    let before = HostInventory::take_with(&config);
    let provider = Arc::new(LocalProvider::new(config.clone()));
    let run = RunId::new(format!("bench-{}", std::process::id()));
    let begun = Instant::now();
    let starts: Vec<_> = (0..count)
        .map(|life| {
            let (provider, run) = (Arc::clone(&provider), run.clone());
            tokio::spawn(async move {
                let token = MachineToken::new(&run, life);
                first_command(&provider, &token).await;
                (token, begun.elapsed())
            })
        })
        .collect();
    let mut machines = Vec::new();
    for start in starts {
        machines.push(start.await.expect("a machine"));
    }
    machines.sort_by_key(|(_, took)| *took);
    let at = |part: usize| machines[(machines.len() - 1) * part / 100].1;
    println!(
        "{count} at once: first command after {:?} (median), {:?} (last)",
        at(50),
        at(100)
    );
    let (processes, kib) = idle(machines[0].0.as_str());
    println!("one of {count}, idle: {processes} processes, PSS {kib} KiB");

    let begun = Instant::now();
    let ends: Vec<_> = machines
        .into_iter()
        .map(|(token, _)| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { provider.release_token(&token).await })
        })
        .collect();
    for end in ends {
        end.await.expect("an end").expect("an end");
    }
    println!("{count} ended after {:?}", begun.elapsed());
    assert_eq!(
        HostInventory::take_with(&config).difference(&before),
        Vec::<String>::new()
    );
}

/// Starts a machine, runs a command on it, and logs out.
async fn first_command(provider: &LocalProvider, token: &MachineToken) {
    let request = MachineRequest {
        token: token.clone(),
        run: RunId::new("bench"),
        cell: CellId::new("0"),
        image: ImageSource::LocalHost,
        logins: Vec::new(),
        machine: Machine {
            region: "local".into(),
            r#type: "local.small".into(),
            vcpus: 1,
            memory_bytes: 512 << 20,
            arch: std::env::consts::ARCH.into(),
            quote: None,
            partition: String::new(),
            features: None,
        },
        disks: Vec::new(),
        boot: Default::default(),
        network: Network::default(),
        network_name: None,
        market: Vec::new(),
        lifetime: Duration::from_secs(600),
    };
    let machine = provider.acquire(&request).await.expect("a machine");
    let session = SshTransport::new()
        .connect(&machine.reach)
        .await
        .expect("a login");
    let request = ExecRequest {
        command: "true".into(),
        stdout: StreamPlan::default(),
        stderr: StreamPlan::default(),
        stdin: Vec::new(),
        purpose: Purpose::Housekeeping,
    };
    let outcome = session.exec(request).await.expect("an end");
    assert_eq!(outcome.status, ExecStatus::Exit(0));
    session.close().await;
}

/// The processes of a machine, and their share of memory in KiB.
fn idle(token: &str) -> (usize, u64) {
    let mark = format!("DVA_MACHINE={token}\0");
    let mut found = (0, 0);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let ours = environment
            .windows(mark.len())
            .any(|part| part == mark.as_bytes());
        if !ours {
            continue;
        }
        let memory = fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let share: u64 = memory
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0);
        found = (found.0 + 1, found.1 + share);
    }
    found
}
