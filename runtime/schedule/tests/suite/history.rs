//! What is learned of runs, and how well that foretells the next ones.

use std::collections::BTreeMap;

use dva_plan::document::{read, to_bytes};
use dva_plan::history::{MAX_SAMPLES, Observations, TestKey};
use dva_plan::id::RunId;
use dva_plan::plan::TestIx;
use dva_plan::quote::OsClass;
use dva_plan::report::{CommandStatus, StepOutcome};
use dva_plan::schedule::LifeIx;
use dva_plan::verdict::Verdict;
use dva_plan::{ExecutionPlan, FailureClass, RunReport, TestId};
use dva_schedule::{
    Assumptions, Coverage, Expected, Foretold, History, MoneyTest, Spread, back_test, coverage,
    forecast, money_test, schedule, with_history,
};
use proptest::prelude::*;

use crate::follow::{follow, step};
use crate::generate::{Random, Size, quote, rich, single, test};

/// A plan of so many tests, `test_0` first.
fn tests(count: usize) -> ExecutionPlan {
    let tests = (0..count).map(|number| test(&format!("test_{number}"), None));
    single(tests.collect(), &[], &[])
}

/// The run of this number, in which the tests took so long on a machine of the type `r#type`.
fn run(plan: &ExecutionPlan, number: u32, r#type: &str, took_ms: &[u64]) -> RunReport {
    let schedule = schedule(plan, "sha256:00", &Assumptions::default());
    let mut report = follow(plan, &schedule);
    report.run = RunId::new(format!("20261123-093000-{number:04}"));
    for life in report.lives.iter_mut() {
        life.r#type = r#type.to_owned();
    }
    for (run, took_ms) in report.test_runs.iter_mut().zip(took_ms) {
        for execution in &mut run.executions {
            execution.end_ms = execution.start_ms + took_ms;
        }
    }
    report
}

/// The same, and the limit of the first test cut it.
fn cut(plan: &ExecutionPlan, number: u32, r#type: &str, took_ms: u64) -> RunReport {
    let mut report = run(plan, number, r#type, &[took_ms]);
    let first = &mut report.test_runs[0];
    first.verdict = Verdict::Failed {
        class: FailureClass::LimitTest,
    };
    first.executions[0].steps = vec![step(StepOutcome::Failed)];
    report
}

fn learned(plan: &ExecutionPlan, reports: &[RunReport]) -> History {
    let mut history = History::default();
    for report in reports {
        history.learn(plan, report);
    }
    history
}

fn on(history: &History, r#type: &str) -> Option<Expected> {
    history.expected_ms(&TestKey {
        plan: "single".into(),
        test: TestId::new("test_0"),
        arch: "x86_64".into(),
        image: "image_x86_64".into(),
        r#type: r#type.into(),
    })
}

fn expected(mean_ms: u64, p50_ms: u64, p90_ms: u64, samples: u32) -> Option<Expected> {
    Some(Expected {
        mean_ms,
        p50_ms,
        p90_ms,
        samples,
    })
}

/// ln 30,000 with the spread that is assumed, 0.3: the mean is 30,000 e^0.045 and nine of ten are below
/// 30,000 e^(1.281552 × 0.3).
#[test]
fn one_sample_is_spread_as_is_assumed() {
    let plan = tests(1);
    let history = learned(&plan, &[run(&plan, 0, "small", &[30_000])]);
    let once = expected(31_381, 30_000, 44_065, 1);
    assert_eq!(on(&history, "small"), once);
    assert_eq!(
        history.expected_test_ms("single", &TestId::new("test_0")),
        once
    );
    // Another machine has no samples of its own.
    assert_eq!(on(&history, "large"), expected(31_381, 30_000, 44_065, 0));
    assert_eq!(
        history.expected_test_ms("single", &TestId::new("test_1")),
        None
    );
    assert_eq!(
        history.expected_boot_ms("image_x86_64", "small", "local"),
        once
    );
    assert_eq!(
        history.expected_boot_ms("image_arm64", "small", "local"),
        None
    );
}

/// In units of ln 2 over ln 10,000 the samples are 0, 1, 0, 1, 0. The level goes 0, 0.3, 0.21, 0.447, 0.3129, and
/// the misses are 1, −0.3, 0.79, −0.447: their squares come to 1.913909, of which a quarter is the variance.
#[test]
fn five_samples_stand_for_themselves() {
    let plan = tests(1);
    let took = [10_000, 20_000, 10_000, 20_000, 10_000];
    let mut reports: Vec<_> = (0..5)
        .map(|number| run(&plan, number as u32, "small", &[took[number]]))
        .collect();
    let history = learned(&plan, &reports);
    assert_eq!(on(&history, "small"), expected(13_935, 12_422, 22_964, 5));
    // What another machine takes does not matter to it.
    reports.push(run(&plan, 5, "large", &[500_000]));
    let history = learned(&plan, &reports);
    assert_eq!(on(&history, "small"), expected(13_935, 12_422, 22_964, 5));
}

/// One sample of 10,000 here, four of 20,000 there. In units of ln 2 over ln 10,000 the test is at
/// (0 + 4 × 1) ÷ 5 = 0.8 with a variance of 2 × 0.09 ÷ 5 within and (0.8² + 4 × 0.2²) ÷ 5 × ln² 2 between machines:
/// 0.112872. Here is (0 + 4 × 0.8) ÷ 5 = 0.64 with all of that variance, there (4 + 0.8) ÷ 5 = 0.96 with 2 fifths of
/// it.
#[test]
fn few_samples_are_drawn_towards_the_test() {
    let plan = tests(1);
    let mut reports = vec![run(&plan, 0, "small", &[10_000])];
    reports.extend((1..5).map(|number| run(&plan, number, "large", &[20_000])));
    let history = learned(&plan, &reports);
    assert_eq!(on(&history, "small"), expected(16_488, 15_583, 23_969, 1));
    assert_eq!(on(&history, "large"), expected(19_897, 19_453, 25_542, 4));
    assert_eq!(on(&history, "other"), expected(18_422, 17_411, 26_780, 0));
    let all = history.expected_test_ms("single", &TestId::new("test_0"));
    assert_eq!(all, expected(18_422, 17_411, 26_780, 5));
}

#[test]
fn what_a_limit_cut_took_longer() {
    let plan = tests(1);
    let four: Vec<_> = (0..4)
        .map(|number| run(&plan, number, "small", &[10_000]))
        .collect();
    let with = |report| learned(&plan, &[four.clone(), vec![report]].concat());
    // Longer than foretold: as a sample, of a level of 0.3 ln 2 and a variance of ln² 2 ÷ 4.
    let longer = with(cut(&plan, 4, "small", 20_000));
    assert_eq!(on(&longer, "small"), expected(13_073, 12_311, 19_196, 4));
    // Shorter: nothing is known from it.
    let shorter = with(cut(&plan, 4, "small", 5_000));
    assert_eq!(on(&shorter, "small"), on(&learned(&plan, &four), "small"));
    // Nobody saw it end.
    let never = learned(&plan, &[cut(&plan, 0, "small", 20_000)]);
    assert_eq!(on(&never, "small"), None);
    let marks: Vec<_> = never.observations("ec2").tests[0]
        .samples
        .iter()
        .map(|sample| (sample.ms, sample.cut))
        .collect();
    assert_eq!(marks, [(20_000, true)]);
}

/// What each test run says of its duration: nothing, that it ended, or that it was cut.
#[test]
fn only_what_ran_to_its_end_or_into_a_limit_is_learned() {
    let plan = tests(1);
    let failed = |class| Verdict::Failed { class };
    let mut timed_out = step(StepOutcome::Failed);
    timed_out.status = Some(CommandStatus::TimedOut);
    let mut forgiven = timed_out.clone();
    forgiven.outcome = StepOutcome::Passed;
    let broken = step(StepOutcome::Failed);
    let cases = [
        (Verdict::Passed, false, None, Some(false)),
        (Verdict::Passed, false, Some(&forgiven), Some(false)),
        (Verdict::Flaky, false, None, Some(false)),
        (Verdict::Passed, true, None, Some(false)),
        (Verdict::Passed, true, Some(&broken), None),
        (Verdict::Passed, true, Some(&timed_out), Some(true)),
        (Verdict::Interrupted, false, None, None),
        (failed(FailureClass::Check), false, Some(&broken), None),
        (
            failed(FailureClass::LimitStep),
            false,
            Some(&broken),
            Some(true),
        ),
        (
            failed(FailureClass::Expect),
            false,
            Some(&timed_out),
            Some(true),
        ),
    ];
    for (verdict, setup, step, learns) in cases {
        let mut report = run(&plan, 0, "small", &[1_000]);
        let first = &mut report.test_runs[0];
        first.verdict = verdict.clone();
        first.executions[0].setup = setup;
        first.executions[0].steps = step.into_iter().cloned().collect();
        let tests = learned(&plan, &[report]).observations("ec2").tests;
        let cut = tests.first().map(|observed| observed.samples[0].cut);
        assert_eq!(cut, learns, "{verdict}, {setup}");
    }
}

/// The first try of a test that passed on the second says nothing, unless a limit cut it.
#[test]
fn a_first_try_is_no_sample() {
    let plan = tests(1);
    let mut report = run(&plan, 0, "small", &[1_000]);
    let executions = &mut report.test_runs[0].executions;
    let mut second = executions[0].clone();
    second.start_ms += 500_000;
    second.end_ms += 500_700;
    executions.push(second);
    let observed = learned(&plan, &[report]).observations("ec2");
    let samples = observed.tests[0].samples.iter();
    assert_eq!(samples.map(|sample| sample.ms).collect::<Vec<_>>(), [1_700]);
}

#[test]
fn boots_are_learned_of_lives_that_were_ready() {
    let plan = tests(1);
    let mut report = run(&plan, 0, "small", &[1_000]);
    let life = &mut report.lives[LifeIx(0)];
    (life.launch_ms, life.ready_ms) = (2_000, Some(27_000));
    let boots = learned(&plan, &[report.clone()]).observations("ec2").boots;
    assert_eq!(boots.len(), 1);
    assert_eq!(
        (boots[0].samples[0].ms, &*boots[0].of.region),
        (25_000, "local")
    );
    report.lives[LifeIx(0)].ready_ms = None;
    assert!(
        learned(&plan, &[report])
            .observations("ec2")
            .boots
            .is_empty()
    );
}

#[test]
fn the_newest_samples_are_kept() {
    let plan = tests(1);
    let reports: Vec<_> = (0..30)
        .map(|number| run(&plan, number, "small", &[u64::from(number)]))
        .collect();
    let observed = learned(&plan, &reports).observations("ec2");
    let samples = observed.tests[0].samples.iter();
    let kept: Vec<u64> = samples.map(|sample| sample.ms).collect();
    assert_eq!(kept, (10..30).collect::<Vec<u64>>());
    assert_eq!(kept.len(), MAX_SAMPLES);
}

#[test]
fn a_plan_gets_what_was_measured() {
    let mut plan = tests(3);
    plan.tests[TestIx(1)].takes_ms = Some(7_000);
    plan.tests[TestIx(2)].within_ms = 25_000;
    let mut report = run(&plan, 0, "small", &[30_000, 1, 30_000]);
    report.test_runs.remove(1);
    let measured = with_history(&plan, &learned(&plan, &[report]));
    let takes: Vec<_> = measured.tests.iter().map(|test| test.takes_ms).collect();
    assert_eq!(takes, [Some(31_381), Some(7_000), Some(25_000)]);
    let p90: Vec<_> = measured
        .tests
        .iter()
        .map(|test| test.takes_p90_ms)
        .collect();
    assert_eq!(p90, [Some(44_065), None, Some(25_000)]);
    let stated: Vec<_> = plan.tests.iter().map(|test| test.takes_ms).collect();
    assert_eq!(stated, [None, Some(7_000), None]);
    assert_eq!(with_history(&plan, &History::default()), plan);
}

/// Of a test that always takes as long, nine of ten runs take no longer than expected; of one that varies they take
/// what was measured and not what is assumed.
#[test]
fn a_forecast_spreads_durations_as_they_were_measured() {
    let mut plan = tests(1);
    plan.tests[TestIx(0)].within_ms = 3_600_000;
    let nine_of_ten_ms = |took: &[u64]| {
        let reports = took.iter().enumerate();
        let reports = reports.map(|(number, took)| run(&plan, number as u32, "small", &[*took]));
        let measured = with_history(&plan, &learned(&plan, &reports.collect::<Vec<_>>()));
        let schedule = schedule(&measured, "sha256:00", &Assumptions::default());
        let forecast = forecast(&measured, &schedule, &Spread::default());
        (schedule.makespan_ms, forecast.makespan_p90_ms)
    };
    let (expected_ms, p90_ms) = nine_of_ten_ms(&[100_000; 12]);
    assert_eq!(p90_ms, expected_ms);
    let (expected_ms, p90_ms) = nine_of_ten_ms(&[50_000, 200_000].repeat(6));
    // Without its boot of 30 s: 0.3 would give 1.4 times as much.
    let (test_ms, p90_ms) = (expected_ms - 30_000, p90_ms - 30_000);
    assert!(p90_ms > test_ms * 16 / 10, "{p90_ms} of {test_ms}");
}

#[test]
fn how_much_of_a_plan_is_known_is_told() {
    let mut plan = tests(3);
    plan.tests[TestIx(1)].takes_ms = Some(7_000);
    let assumptions = Assumptions::default();
    let nothing = Coverage {
        stated: 1,
        ..Coverage::default()
    };
    let history = History::default();
    assert_eq!(coverage(&plan, &history, &assumptions), nothing);
    let mut reports = [0, 1].map(|number| run(&plan, number, "small", &[30_000, 1, 30_000]));
    for report in &mut reports {
        report.test_runs.truncate(1);
    }
    let history = learned(&plan, &reports);
    let known = coverage(&plan, &history, &assumptions);
    // Both boots took 30 s, on another type than that of the plan.
    let boot_ms = history.expected_boot_ms("image_x86_64", "other", "local");
    let boot_ms = boot_ms.map(|expected| expected.mean_ms);
    assert!(boot_ms.is_some());
    let expected = Coverage {
        runs: 2,
        test_runs: 1,
        stated: 1,
        boot_ms,
    };
    assert_eq!(known, expected);
    // Of another plan's tests nothing is known, and of its image only that it boots.
    let other = single(vec![test("other", None)], &[], &[]);
    let known = coverage(&other, &history, &assumptions);
    assert_eq!(
        (known.runs, known.test_runs, known.boot_ms),
        (2, 0, boot_ms)
    );
    assert!(history.of_plan(&other).observations("ec2").tests.is_empty());
}

#[test]
fn tests_of_one_name_in_two_plans_are_kept_apart() {
    let plan = tests(1);
    let other = ExecutionPlan {
        name: "other".to_owned(),
        ..tests(1)
    };
    let mut history = learned(&plan, &[run(&plan, 0, "small", &[30_000])]);
    assert_eq!(
        coverage(&other, &history, &Assumptions::default()).test_runs,
        0
    );
    history.learn(&other, &run(&other, 1, "small", &[300_000]));
    assert_eq!(on(&history, "small"), expected(31_381, 30_000, 44_065, 1));
    let test = TestId::new("test_0");
    let of_other = history.expected_test_ms("other", &test);
    assert_eq!(of_other.map(|expected| expected.p50_ms), Some(300_000));
    let alone = history.of_plan(&plan);
    assert_eq!(alone.expected_test_ms("other", &test), None);
    assert_eq!(
        alone.expected_test_ms("single", &test),
        on(&history, "small")
    );
}

/// A report that has little to do with the plan it is said to be of.
#[test]
fn what_the_plan_does_not_know_is_left_out() {
    let mut report = run(&tests(2), 0, "small", &[1_000, 1_000]);
    report.test_runs[0].cell = dva_plan::CellId::new("elsewhere");
    report.test_runs[1].executions[0].life = LifeIx(9);
    report.lives[LifeIx(0)].cell = dva_plan::CellId::new("elsewhere");
    assert_eq!(learned(&tests(1), &[report]), History::default());
}

/// A random run of a random plan, in which many cells share images and machines.
fn random_run(plan: &ExecutionPlan, number: u32, random: &mut Random) -> RunReport {
    let types = ["small", "large"];
    let took = (0..plan.test_runs()).map(|_| 1 + random.next() % 100_000);
    let took: Vec<u64> = took.collect();
    let mut report = run(plan, number, types[random.below(2)], &took);
    for run in &mut report.test_runs {
        if random.one_in(5) {
            run.verdict = Verdict::Interrupted;
        } else if random.one_in(5) {
            run.verdict = Verdict::Failed {
                class: FailureClass::LimitTest,
            };
            for execution in &mut run.executions {
                execution.steps = vec![step(StepOutcome::Failed)];
            }
        }
    }
    report
}

fn size() -> impl Strategy<Value = Size> {
    (1..=6_usize, 1..=12_usize, 1..=3_u32).prop_map(|(tests, cells, lanes)| Size {
        tests,
        cells,
        lanes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn runs_are_learned_once_and_in_any_order(seed: u64, size in size(), again in 0..6_usize) {
        let plan = rich(seed, size);
        let random = &mut Random(seed);
        let mut reports: Vec<RunReport> = (0..6)
            .map(|number| random_run(&plan, number, random))
            .collect();
        let history = learned(&plan, &reports);
        let mut twice = history.clone();
        twice.learn(&plan, &reports[again]);
        prop_assert_eq!(&twice, &history);
        random.shuffle(&mut reports);
        prop_assert_eq!(&learned(&plan, &reports), &history);

        // In two parts and then together it is the same, however often they are merged.
        let (one, other) = reports.split_at(again);
        let (mut merged, other) = (learned(&plan, one), learned(&plan, other));
        for _ in 0..2 {
            merged.merge(&other);
            prop_assert_eq!(&merged, &history);
        }

        // Its document has its keys in their order, and is read back as it is.
        let observations = history.observations("ec2");
        prop_assert_eq!(observations.faults(), vec![]);
        let bytes = to_bytes(&observations);
        let loaded = read::<Observations>(&*bytes).expect("it reads");
        prop_assert_eq!(&History::of(&loaded.body), &history);
        let keys: Vec<_> = observations.tests.iter().map(|row| &row.of).collect();
        prop_assert!(keys.is_sorted_by(|one, next| one < next));

        for row in &observations.tests {
            let of = &row.of;
            let expected = history.expected_ms(of);
            if let Some(expected) = expected {
                prop_assert!(expected.p50_ms <= expected.mean_ms);
                prop_assert!(expected.p50_ms <= expected.p90_ms);
                let complete = row.samples.iter().filter(|sample| !sample.cut);
                prop_assert_eq!(expected.samples as usize, complete.count());
            }
        }
    }
}

#[test]
fn a_back_test_of_nothing_is_nothing() {
    assert_eq!(back_test(&[]), dva_schedule::BackTest::default());
    let plan = tests(2);
    let only = run(&plan, 0, "small", &[1_000, 2_000]);
    let found = back_test(&[(&plan, &only)]);
    assert_eq!((found.points, found.unforetold), (0, 2));
}

/// The second run of a test that took 30,000 takes 40,000: above the half, which is 30,000, and under nine of
/// ten, which is 44,065. The loss of the half is 0.5 × 10,000, and of nine of ten 0.1 × 4,065; both others foretell
/// 30,000, whose loss is 0.9 × 10,000.
#[test]
fn a_back_test_by_hand() {
    let plan = tests(1);
    let reports = [30_000, 40_000].map(|took_ms| run(&plan, took_ms as u32, "small", &[took_ms]));
    let found = back_test(&[(&plan, &reports[0]), (&plan, &reports[1])]);
    assert_eq!((found.points, found.unforetold), (1, 1));
    assert_eq!(
        (found.under_p50_permille, found.under_p90_permille),
        (0, 1_000)
    );
    let losses = [found.loss, found.loss_of_last, found.loss_of_mean];
    let losses = losses.map(|loss| (loss.p50_us, loss.p90_us));
    assert_eq!(
        losses,
        [
            (5_000_000, 406_500),
            (5_000_000, 9_000_000),
            (5_000_000, 9_000_000)
        ]
    );
}

/// A boot of 30 s and a test of 90 s that is stated to take 30 s, at a dollar in a thousand seconds: the plan foretells
/// 60 s of the bill's 120 s. One sample foretells the mean of its distribution: 31.381 s and 94.142 s,
/// which are billed as 126 s.
#[test]
fn a_money_test_by_hand() {
    let mut plan = single(vec![test("test_0", Some(30_000))], &[], &[]);
    let mut quote = quote(OsClass::Linux, 3_600_000_000);
    quote.lines.truncate(1);
    for machine in plan.machines.iter_mut() {
        machine.quote = Some(quote.clone());
    }
    let schedule = schedule(&plan, "sha256:00", &Assumptions::default());
    let reports = [0, 1, 2].map(|number| {
        let mut report = follow(&plan, &schedule);
        report.run = RunId::new(format!("20261123-093000-{number:04}"));
        report.test_runs[0].executions[0].end_ms = 120_000;
        report.lives[LifeIx(0)].end_ms = Some(120_000);
        report
    });
    let runs = reports.each_ref().map(|report| Foretold {
        plan: &plan,
        schedule: &schedule,
        report,
    });
    let assumptions = Assumptions::default();
    let judged = money_test(runs.into_iter().take(2), &assumptions);
    let expected = MoneyTest {
        bills: 1,
        measured_permille: 50,
        stated_permille: 500,
    };
    assert_eq!(judged, expected);
    // What nobody could foretell is learned from and not judged.
    let mut lost = reports[1].clone();
    lost.lives.push(lost.lives[LifeIx(0)].clone());
    let [first, second, _] = runs;
    let lost = Foretold {
        report: &lost,
        ..second
    };
    let nothing = MoneyTest::default();
    assert_eq!(money_test([first, lost], &assumptions), nothing);
    assert_eq!(money_test([], &assumptions), nothing);
}

/// A duration of a log-normal distribution with this median and σ.
#[expect(
    clippy::float_arithmetic,
    reason = "what is tested is told by whole numbers; this is what it is tested with"
)]
fn drawn(random: &mut Random, median_ms: f64, sigma: f64) -> u64 {
    let mut uniform = || ((random.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let radius = (-2.0 * uniform().ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * uniform()).cos();
    (median_ms * (sigma * normal).exp()).round() as u64
}

/// 40 tests in 60 runs: about as many are below as should be, by a binomial error of 2,000 points, of which
/// those of one test hang together, and by what 20 samples leave unknown.
#[test]
fn as_many_are_below_as_should_be() {
    let plan = tests(40);
    for (seed, sigma) in [(1, 0.1), (2, 0.3), (3, 0.8)] {
        let random = &mut Random(seed);
        let reports: Vec<RunReport> = (0..60)
            .map(|number| {
                let took = (1..=40).map(|test| drawn(random, f64::from(test * 1_000), sigma));
                let took: Vec<u64> = took.collect();
                run(&plan, number, "small", &took)
            })
            .collect();
        let runs: Vec<_> = reports.iter().map(|report| (&plan, report)).collect();
        let found = back_test(&runs);
        assert_eq!((found.points, found.unforetold), (59 * 40, 40));
        let (half, ninth) = (found.under_p50_permille, found.under_p90_permille);
        assert!((470..=530).contains(&half), "{sigma}: {half}");
        assert!((870..=930).contains(&ninth), "{sigma}: {ninth}");
        // Nothing is better than the plain mean for what never changes, but for nine of ten.
        assert!(found.loss.p50_us < found.loss_of_last.p50_us, "{sigma}");
        assert!(found.loss.p90_us < found.loss_of_last.p90_us, "{sigma}");
        assert!(found.loss.p90_us < found.loss_of_mean.p90_us, "{sigma}");
    }
}

/// A test that becomes twice as slow is followed within a few runs; the plain mean is not.
#[test]
fn what_changes_is_followed() {
    let plan = tests(1);
    let random = &mut Random(4);
    let reports: Vec<RunReport> = (0..40)
        .map(|number| {
            let median_ms = if number < 20 { 10_000.0 } else { 20_000.0 };
            run(&plan, number, "small", &[drawn(random, median_ms, 0.1)])
        })
        .collect();
    let runs: Vec<_> = reports.iter().map(|report| (&plan, report)).collect();
    let found = back_test(&runs);
    assert!(found.loss.p50_us < found.loss_of_mean.p50_us, "{found:?}");
    let after_ten = on(&learned(&plan, &reports[..30]), "small").map(|one| one.p50_ms);
    assert!(
        after_ten.is_some_and(|ms| (18_000..=22_000).contains(&ms)),
        "{after_ten:?}"
    );
}

/// Types are apart, and each is listed once.
#[test]
fn keys_are_apart() {
    let plan = tests(2);
    let reports = [
        run(&plan, 0, "small", &[1_000, 2_000]),
        run(&plan, 1, "large", &[3_000, 4_000]),
    ];
    let observed = learned(&plan, &reports).observations("ec2");
    let found: BTreeMap<_, _> = observed
        .tests
        .iter()
        .map(|row| ((row.of.test.as_str(), &*row.of.r#type), row.samples[0].ms))
        .collect();
    let expected = [
        (("test_0", "large"), 3_000),
        (("test_0", "small"), 1_000),
        (("test_1", "large"), 4_000),
        (("test_1", "small"), 2_000),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    assert_eq!(observed.boots.len(), 2);
}
