//! Who polluted it: trials on fresh machines find the test that makes another one fail.

use std::sync::Arc;

use dva_plan::ExecutionPlan;
use dva_plan::document::Loaded;
use dva_runtime::diagnose::{Culprit, Search, Suspicion, Turn, heard, suspicions};
use dva_runtime::{SimBackend, SimScript};
use dva_schedule::{Assumptions, check};

use crate::fixture::{PlanBuilder, options, run_on, simulate};

const ASSUMPTIONS: Assumptions = Assumptions {
    boot_ms: 30_000,
    pending_ms: 0,
    default_takes_ms: 1_000,
};

/// Chains of two, `a0` and `b0` to `a5` and `b5`, and `victim` after one more, `first`; one lane.
fn plan() -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    plan.lanes(1);
    for number in 0..6 {
        let a = plan.test(&format!("a{number}"), 10, &[]);
        plan.test(&format!("b{number}"), 10, &[a]);
    }
    let first = plan.test("first", 10, &[]);
    plan.test("victim", 1, &[first]);
    plan.filesystems(["xfs", "ext4"]);
    plan.build()
}

/// Runs trials until it is known who did it; gives the tests that are blamed, and how many trials there were.
async fn diagnose(
    plan: &ExecutionPlan,
    suspicion: &Suspicion,
    script: &str,
) -> (Culprit, Option<String>, u32) {
    let mut search = Search::new(suspicion.suspects.len());
    loop {
        let behind = match search.turn() {
            Turn::Try(behind) => behind,
            Turn::Over(culprit) => {
                let name = |number: usize| plan.tests[suspicion.suspects[number]].id.to_string();
                let who = match &culprit {
                    Culprit::Suspect { number, .. } => Some(name(*number)),
                    _ => None,
                };
                return (culprit, who, search.trials());
            }
        };
        let behind: Vec<_> = behind.iter().map(|row| suspicion.suspects[*row]).collect();
        let trial = suspicion.trial(plan, &behind, &ASSUMPTIONS).unwrap();
        let violations = check(&trial.plan.body, &trial.plan.header.digest, &trial.schedule);
        assert_eq!(violations, vec![]);
        let script = SimScript::parse_for_part(script, &trial.plan.body).unwrap();
        let (backend, machines) = SimBackend::observed(Arc::new(trial.plan.body.clone()), script);
        let ran = run_on(&trial.plan, trial.schedule, backend, machines, options()).await;
        search.hear(heard(plan, suspicion, ran.report()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_test_is_named_that_makes_another_one_fail() {
    let plan = plan();
    let everybody = simulate(&plan, "").await.lives();
    let victim_runs_at = everybody[0]
        .iter()
        .position(|test| test == "victim")
        .unwrap();
    let before: Vec<_> = everybody[0][..victim_runs_at]
        .iter()
        .filter(|test| *test != "first")
        .cloned()
        .collect();
    assert!(!before.is_empty());
    for polluter in &before {
        let script = format!(
            "[[test]]\ntest = 'victim'\ncells = {{ filesystem = 'xfs' }}\nafter = '{polluter}'\nexit = 1\n"
        );
        let ran = simulate(&plan, &script).await;
        let found = suspicions(&plan.body, ran.report());
        assert_eq!(found.len(), 1, "{polluter}");
        let (culprit, who, trials) = diagnose(&plan.body, &found[0], &script).await;
        assert_eq!(who.as_ref(), Some(polluter), "{culprit:?}");
        assert!(trials <= 3 + 4, "{trials}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_fails_alone_has_only_itself_to_blame() {
    let plan = plan();
    let script = "[[test]]\ntest = 'victim'\ncells = { filesystem = 'xfs' }\nexit = 1\n";
    let ran = simulate(&plan, script).await;
    let found = suspicions(&plan.body, ran.report());
    assert_eq!(found.len(), 1);
    let (culprit, _, trials) = diagnose(&plan.body, &found[0], script).await;
    assert_eq!((culprit, trials), (Culprit::Nobody, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_does_not_come_again_accuses_nobody() {
    let plan = plan();
    let script = "[[test]]\ntest = 'victim'\ncells = { filesystem = 'xfs' }\nexit = 1\n";
    let ran = simulate(&plan, script).await;
    let found = suspicions(&plan.body, ran.report());
    let (culprit, _, trials) = diagnose(&plan.body, &found[0], "").await;
    assert_eq!((culprit, trials), (Culprit::NotReproduced, 2));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_breaks_says_nothing_of_the_test() {
    let plan = plan();
    let script = "[[test]]\ntest = 'victim'\ncells = { filesystem = 'xfs' }\nexit = 1\n";
    let ran = simulate(&plan, script).await;
    let found = suspicions(&plan.body, ran.report());
    let broken = "[[life]]\nfault = 'broken'\n";
    let (culprit, _, _) = diagnose(&plan.body, &found[0], broken).await;
    assert_eq!(
        culprit,
        Culprit::Unknown("errored (machine.acquire)".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn what_had_its_machine_to_itself_and_what_runs_once_is_not_looked_into() {
    let mut plan = PlanBuilder::new();
    let first = plan.test("first", 10, &[]);
    plan.test("victim", 1, &[first]);
    let plan = plan.build();
    let script = "[[test]]\ntest = 'victim'\nexit = 1\n";
    let ran = simulate(&plan, script).await;
    assert_eq!(suspicions(&plan.body, ran.report()), vec![]);

    let mut plan = PlanBuilder::new();
    plan.lanes(1);
    plan.test("other", 10, &[]);
    let first = plan.test("first", 10, &[]);
    plan.test("victim", 20, &[first]);
    plan.edit(first).once = true;
    let plan = plan.build();
    let ran = simulate(&plan, script).await;
    assert_eq!(suspicions(&plan.body, ran.report()), vec![]);
}
