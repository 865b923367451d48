//! What tests on one life demand of each other: order, groups, and who must be apart when.

use std::collections::BTreeSet;

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::id::TestId;
use dva_plan::plan::*;
use dva_plan::step::{SourceText, Step, StepKind};
use dva_plan::table::{Index, Table};
use dva_plan::together::Together;
use dva_plan::validate::validate;

use crate::fixture;

const PLACE: Resource = Resource::State(StateIx(0));

/// Tests by their effects, in one shape without edges.
fn plan(effects: &[&[Effect]]) -> ExecutionPlan {
    let mut plan = fixture::plan();
    plan.expressions = Default::default();
    plan.states.push(State {
        name: "place".into(),
        lost_on_reboot: false,
        per_account: None,
    });
    let model = plan.tests[TestIx(0)].clone();
    let test = |(row, effects): (usize, &&[Effect])| Test {
        id: TestId::new(format!("t{row}")),
        effects: effects.to_vec(),
        steps: Vec::new(),
        slots: Table::new(),
        ..model.clone()
    };
    plan.tests = effects.iter().enumerate().map(test).collect();
    plan.shapes = Table::from(vec![Shape {
        tests: plan.tests.indices().collect(),
        ..Shape::default()
    }]);
    plan
}

fn shape(plan: &mut ExecutionPlan) -> &mut Shape {
    &mut plan.shapes[ShapeIx(0)]
}

fn edge(test: u32, after: u32) -> Edge {
    Edge {
        test: TestIx(test),
        after: TestIx(after),
    }
}

fn together(plan: &ExecutionPlan) -> Together {
    Together::of(plan, &plan.shapes[ShapeIx(0)])
}

fn rows(groups: Vec<BTreeSet<TestIx>>) -> Vec<Vec<usize>> {
    let row = |test: TestIx| test.row();
    let rows = |tests: BTreeSet<TestIx>| tests.into_iter().map(row).collect();
    groups.into_iter().map(rows).collect()
}

#[test]
fn fresh_goes_before_what_changes_and_dirty_behind_everything() {
    let plan = plan(&[
        &[Effect::writes(Resource::Machine)],
        &[Effect::reads(Resource::Machine)],
        &[Effect::writes(PLACE)],
        &[],
    ]);
    let expected = [edge(0, 1), edge(0, 2), edge(0, 3), edge(2, 1)];
    assert_eq!(together(&plan).order(), expected);
}

#[test]
fn what_is_after_a_dirty_test_runs_behind_it_and_may_be_fresh_to_its_eyes() {
    let mut plan = plan(&[
        &[Effect::writes(Resource::Machine)],
        &[Effect::reads(Resource::Machine)],
    ]);
    shape(&mut plan).after = vec![edge(1, 0)];
    let together = together(&plan);
    assert_eq!(together.order(), []);
    assert!(together.fits_one_life());
}

#[test]
fn two_dirty_tests_need_two_lives() {
    let dirty: &[Effect] = &[Effect::writes(Resource::Machine)];
    let plan = plan(&[dirty, dirty]);
    assert!(!together(&plan).fits_one_life());
    assert_eq!(rows(together(&plan).atoms()), [[0], [1]]);
    assert_eq!(validate(&plan), vec![]);
}

#[test]
fn a_last_test_is_behind_everything_and_in_no_atom() {
    let mut plan = plan(&[&[], &[Effect::writes(Resource::Machine)], &[]]);
    plan.tests[TestIx(0)].last = true;
    let expected = [edge(0, 1), edge(0, 2), edge(1, 2)];
    assert_eq!(together(&plan).order(), expected);
    assert_eq!(rows(together(&plan).atoms()), [[1], [2]]);
    // One that needs another test is on that one's life, wherever else it is.
    shape(&mut plan).after = vec![edge(0, 2)];
    assert_eq!(rows(together(&plan).atoms()), [vec![0, 2], vec![1]]);
    assert_eq!(validate(&plan), vec![]);
    for test in [1, 2] {
        plan.tests[TestIx(test)].last = true;
    }
    shape(&mut plan).after.clear();
    assert_eq!(rows(together(&plan).atoms()), [[0], [1], [2]]);
}

#[test]
fn regardless_joins_an_atom_and_is_an_edge_of_order() {
    let mut plan = plan(&[&[], &[], &[]]);
    shape(&mut plan).regardless = vec![edge(2, 0)];
    shape(&mut plan).order = vec![edge(1, 0)];
    let together = together(&plan);
    assert_eq!(together.order(), [edge(1, 0), edge(2, 0)]);
    assert_eq!(rows(together.atoms()), [vec![0, 2], vec![1]]);
}

/// The one in the middle may be blocked by a third, and then be over before the first has ended.
#[test]
fn regardless_reaches_over_what_it_is_after() {
    let mut plan = plan(&[&[], &[], &[], &[]]);
    shape(&mut plan).after = vec![edge(1, 0), edge(3, 2)];
    shape(&mut plan).regardless = vec![edge(2, 1)];
    assert_eq!(together(&plan).order(), [edge(2, 0), edge(2, 1)]);
}

#[test]
fn parts_bring_what_they_need_and_stay_together_for_what_runs_once() {
    let mut plan = plan(&[&[], &[], &[], &[]]);
    shape(&mut plan).after = vec![edge(1, 0), edge(2, 0), edge(3, 0)];
    shape(&mut plan).conflicts = vec![Pair::of(TestIx(2), TestIx(1))];
    let atom = together(&plan).atoms().remove(0);
    assert!(!together(&plan).fits(&atom));
    let parts = [[0, 1], [0, 2], [0, 3]];
    assert_eq!(rows(together(&plan).parts(&atom)), parts);
    assert_eq!(validate(&plan), vec![]);

    plan.tests[TestIx(0)].once = true;
    assert_eq!(rows(together(&plan).parts(&atom)), [[0, 1, 2, 3]]);
    assert_eq!(validate(&plan).len(), 1);
}

#[test]
fn who_must_not_run_beside_whom() {
    let mut plan = plan(&[
        &[Effect::borrows(PLACE)],
        &[Effect::reads(PLACE)],
        &[Effect::borrows(Resource::Machine)],
        &[],
        &[],
    ]);
    plan.tests[TestIx(4)].finally.push(Step {
        kind: StepKind::Reboot,
        within_ms: None,
        source: SourceText::default(),
    });
    let exclusions = Exclusions::of(&plan);
    let mut apart = Vec::new();
    for one in 0..5 {
        for other in 0..5 {
            let exclude = exclusions.exclude(TestIx(one), TestIx(other));
            assert_eq!(exclude, exclusions.exclude(TestIx(other), TestIx(one)));
            if exclude && one < other {
                apart.push((one, other));
            }
        }
    }
    let all_but_the_quiet = [
        (0, 1),
        (0, 2),
        (0, 4),
        (1, 2),
        (1, 4),
        (2, 3),
        (2, 4),
        (3, 4),
    ];
    assert_eq!(apart, all_but_the_quiet);
    let exclusive = plan
        .tests
        .indices()
        .filter(|test| exclusions.is_exclusive(*test));
    let exclusive: Vec<_> = exclusive.map(|test| test.row()).collect();
    assert_eq!(exclusive, [0, 2, 4]);
}
