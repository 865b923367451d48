//! Much output, and strange output: memory stays bounded and reports stay readable.

use std::sync::Arc;

use async_trait::async_trait;
use dva_plan::RunReport;
use dva_plan::document::{read, to_bytes};
use dva_runtime::junit::junit;
use dva_runtime::transport::{
    CAPTURE_LIMIT, ConnectError, ExecError, ExecOutcome, ExecRequest, ExecStatus, FILE_LIMIT,
    Purpose, Reach, Session, StreamOutput, TAIL_BYTES, Transport,
};
use dva_runtime::{Backend, SimBackend, SimScript};

use crate::fixture::{PlanBuilder, options, run_on, schedule_of};

/// Every command writes 200 MiB to both streams: text, lines of 10 MiB, binary with NULs and escapes.
struct Chatty;

#[async_trait]
impl Transport for Chatty {
    async fn connect(&self, _: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        Ok(Arc::new(Chatty))
    }
}

#[async_trait]
impl Session for Chatty {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let Purpose::Step { run, .. } = request.purpose else {
            let stdout = StreamOutput {
                total: 7,
                head: b"uid=0\n".to_vec(),
                ..StreamOutput::default()
            };
            return Ok(ExecOutcome {
                stdout,
                ..ExecOutcome::default()
            });
        };
        let pattern: &[u8] = match run {
            0 => b"x",
            1 | 3 => b"\x00\x1b[31m\xff\xfe]]>\r",
            _ => b"line\n",
        };
        let bytes = |length: usize| pattern.iter().copied().cycle().take(length).collect();
        let stream = || StreamOutput {
            total: 200 << 20,
            head: bytes(CAPTURE_LIMIT),
            tail: bytes(TAIL_BYTES),
            filed: FILE_LIMIT,
        };
        Ok(ExecOutcome {
            status: ExecStatus::Exit(u32::from(run == 3)),
            stdout: stream(),
            stderr: stream(),
        })
    }

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_little_of_much_output_and_its_report_is_well_formed() {
    let mut plan = PlanBuilder::new();
    let succeeds = plan.exits(0);
    for test in 0..6 {
        let runs = (0..4)
            .map(|_| plan.run("yes", Some(succeeds), None))
            .collect();
        plan.test_of(&format!("t{test}"), 1, &[], runs);
    }
    let plan = plan.build();
    let schedule = schedule_of(&plan, &SimScript::default());
    let (sim, machines) = SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
    let backend = Backend {
        provider: sim.provider,
        transport: Arc::new(Chatty),
    };
    let ran = run_on(&plan, schedule, backend, machines, options()).await;
    for run in &ran.report().test_runs {
        assert_eq!(run.verdict.to_string(), "failed (expect)");
        let steps = &run.executions[0].steps;
        for (number, step) in steps.iter().enumerate() {
            for stream in [&step.stdout, &step.stderr].into_iter().flatten() {
                let most = if number == 3 { 1 << 20 } else { 5 << 10 };
                assert!(
                    stream.excerpt.len() < most,
                    "{number}: {}",
                    stream.excerpt.len()
                );
                assert_eq!(stream.bytes, 200 << 20);
            }
        }
    }
    let json = to_bytes(ran.report());
    assert!(json.len() < 16 << 20, "{}", json.len());
    let again = read::<RunReport>(json.as_slice()).unwrap();
    assert_eq!(again.body, *ran.report());
    let xml = junit(ran.report()).unwrap();
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    assert!(xml.chars().all(is_text) && !xml.contains('\u{ffff}'));
}
