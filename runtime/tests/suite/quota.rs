//! An account that may not have all machines of a run at once: who gets none waits until another one has ended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dva_plan::plan::{ImageSource, Machine};
use dva_runtime::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, Backend, MachineRequest, MachineToken,
    Provider, ReleaseError,
};
use dva_runtime::{SimBackend, SimScript, run};

use crate::fixture::{PlanBuilder, options, schedule_of};

/// The simulator, with so many machines at once.
struct Few {
    inner: Arc<dyn Provider>,
    most: usize,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    held: BTreeSet<MachineToken>,
    asked: usize,
    most: usize,
}

#[async_trait]
impl Provider for Few {
    fn name(&self) -> &'static str {
        "few"
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        self.inner.serves(image, machine)
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        {
            let mut seen = self.seen.lock().unwrap();
            seen.asked += 1;
            if seen.held.len() >= self.most {
                return Err(AcquireError {
                    machine_type: request.machine.r#type.clone(),
                    region: request.machine.region.clone(),
                    kind: AcquireErrorKind::Quota,
                    message: "the quota is used up".to_owned(),
                });
            }
            seen.held.insert(request.token.clone());
            seen.most = seen.most.max(seen.held.len());
        }
        self.inner.acquire(request).await
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        self.inner.release_token(token).await?;
        self.seen.lock().unwrap().held.remove(token);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_machine_waits_for_others_to_end_theirs() {
    const CELLS: usize = 12;
    for (most, verdict) in [(5, "passed"), (1, "passed"), (0, "blocked (quota)")] {
        let mut plan = PlanBuilder::new();
        plan.test("t", 10, &[]);
        plan.filesystems((0..CELLS).map(|number| format!("fs{number}")));
        let plan = plan.build();
        let sim = SimBackend::new(Arc::new(plan.body.clone()), SimScript::default());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let backend = Backend {
            provider: Arc::new(Few {
                inner: sim.provider,
                most,
                seen: Arc::clone(&seen),
            }),
            transport: sim.transport,
        };
        let schedule = schedule_of(&plan, &SimScript::default());
        let outcome = run(&plan, schedule, backend, options()).await;
        for run in &outcome.report.test_runs {
            assert_eq!(run.verdict.to_string(), verdict, "{most} at once");
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.most, most);
        assert!(seen.held.is_empty());
        // Each asks once, and those that are refused again when there is room for them, not whenever anybody ends.
        assert!(seen.asked <= 3 * CELLS, "{} for {most} at once", seen.asked);
    }
}
