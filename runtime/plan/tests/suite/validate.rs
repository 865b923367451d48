//! Every rule of validation refuses a plan that breaks it, and only that.

use dva_plan::ExecutionPlan;
use dva_plan::expr::{CellFact, ExprIx, Node};
use dva_plan::money::Money;
use dva_plan::plan::*;
use dva_plan::quote::{QuoteLine, RateUnit};
use dva_plan::step::{CaptureFrom, SlotIx, Step, StepKind};
use dva_plan::table::Table;
use dva_plan::template::Piece;
use dva_plan::validate::validate;
use dva_plan::value::Value;

use crate::fixture;

/// As the fixture's own edge.
const FORTH: Edge = Edge {
    test: TestIx(1),
    after: TestIx(0),
};
const BACK: Edge = Edge {
    test: TestIx(0),
    after: TestIx(1),
};
const PAIR: Pair = Pair {
    a: TestIx(0),
    b: TestIx(1),
};

#[test]
fn the_fixture_holds_together() {
    assert_eq!(validate(&fixture::plan()), vec![]);
}

/// The price lines of the one machine: compute, OS surcharge, credits.
fn lines(plan: &mut ExecutionPlan) -> &mut Vec<QuoteLine> {
    let quote = plan.machines[MachineIx(0)].quote.as_mut();
    &mut quote.expect("the fixture has a price").lines
}

#[test]
fn each_rule_is_broken_once() {
    type Break = fn(&mut ExecutionPlan);
    let capture_from = |plan: &mut ExecutionPlan, from| {
        let StepKind::Run(run) = &mut plan.tests[TestIx(1)].steps[0].kind else {
            panic!("the fixture has changed");
        };
        run.capture.as_mut().expect("it captures").from = from;
    };
    let cases: Vec<(&str, Break)> = vec![
        ("a child does not come before its parent", |plan| {
            let last = ExprIx(plan.expressions.len() as u32);
            plan.expressions.push(Node::Not(last));
        }),
        ("it names a slot that is not there", |plan| {
            plan.expressions.push(Node::Other {
                test: TestIx(0),
                slot: SlotIx(0),
            });
        }),
        ("it names a disk that is not there", |plan| {
            plan.disks = Table::new();
        }),
        ("it is no regular expression", |plan| {
            plan.expressions.push(Node::Const(Value::Regex("(".into())));
        }),
        ("a ratio's second number is not above zero", |plan| {
            plan.expressions.push(Node::Const(Value::Ratio(1, 0)));
        }),
        ("another test has the same id", |plan| {
            plan.tests[TestIx(1)].id = plan.tests[TestIx(0)].id.clone();
        }),
        ("a command holds a NUL", |plan| {
            let StepKind::Run(run) = &mut plan.tests[TestIx(0)].steps[0].kind else {
                return;
            };
            run.command.0.push(Piece::Lit("\0".into()));
        }),
        ("it names an expression that is not there", |plan| {
            plan.tests[TestIx(1)].steps[1].kind = StepKind::Check(ExprIx(999));
        }),
        ("it names a slot that is not there", |plan| {
            let slot = plan.expressions.push(Node::Slot(SlotIx(7)));
            plan.tests[TestIx(1)].steps[1].kind = StepKind::Check(slot);
        }),
        ("it names a table that is not there", |plan| {
            plan.expressions.push(Node::Lookup(TableIx(0)));
        }),
        ("it names an input that is not there", |plan| {
            plan.expressions.push(Node::Input(InputIx(0)));
        }),
        ("an entry names a value that is not there", |plan| {
            plan.tables.push(Lookup {
                name: "packages".into(),
                key: CellFact::ImageOs,
                entries: [("rhel".to_owned(), 1)].into(),
                values: vec![Value::Int(1)],
            });
        }),
        ("it names a slot that is not there", |plan| {
            let list = plan.expressions.push(Node::Const(Value::List(vec![])));
            plan.tests[TestIx(1)].steps[1].kind = StepKind::For {
                slot: SlotIx(7),
                list,
                steps: vec![],
            };
        }),
        ("it names an expression that is not there", |plan| {
            let inner = plan.tests[TestIx(1)].steps[1].clone();
            let condition = plan.expressions.push(Node::Const(Value::Bool(true)));
            plan.tests[TestIx(1)].steps[1].kind = StepKind::When {
                condition,
                then: vec![],
                otherwise: vec![Step {
                    kind: StepKind::Note(ExprIx(999)),
                    ..inner
                }],
            };
        }),
        ("its pattern is no regular expression", |plan| {
            plan.tests[TestIx(1)].steps[1].kind = StepKind::Console("(".into());
        }),
        ("it has no tests", |plan| {
            plan.shapes[ShapeIx(0)] = Shape::default();
        }),
        ("its tests are not ascending", |plan| {
            plan.shapes[ShapeIx(0)].tests.reverse();
        }),
        ("an edge leaves it", |plan| {
            plan.shapes[ShapeIx(0)].tests.pop();
        }),
        ("its edges are not ascending", |plan| {
            let edge = plan.shapes[ShapeIx(0)].after[0];
            plan.shapes[ShapeIx(0)].after.push(edge);
        }),
        ("its edges form a cycle", |plan| {
            plan.shapes[ShapeIx(0)].regardless = vec![BACK];
        }),
        ("its edges are not ascending", |plan| {
            plan.shapes[ShapeIx(0)].regardless = vec![FORTH, FORTH];
        }),
        ("an edge leaves it", |plan| {
            plan.shapes[ShapeIx(0)].regardless = vec![Edge {
                test: TestIx(1),
                after: TestIx(9),
            }];
        }),
        ("what a test needs cannot share a life", |plan| {
            plan.shapes[ShapeIx(0)].order = vec![BACK];
        }),
        ("what a test needs cannot share a life", |plan| {
            plan.shapes[ShapeIx(0)].conflicts = vec![PAIR];
        }),
        // The second sees a machine that the first has changed, and wants it fresh.
        ("what a test needs cannot share a life", |plan| {
            let fresh = Effect::reads(Resource::Machine);
            plan.tests[TestIx(0)].effects.insert(0, fresh);
            plan.tests[TestIx(1)]
                .effects
                .push(Effect::writes(Resource::Machine));
            plan.shapes[ShapeIx(0)].order = vec![BACK];
        }),
        ("a conflict leaves it", |plan| {
            plan.shapes[ShapeIx(0)].conflicts = vec![Pair {
                a: TestIx(1),
                b: TestIx(2),
            }];
        }),
        ("its conflicts are not ascending", |plan| {
            plan.shapes[ShapeIx(0)].conflicts = vec![Pair {
                a: TestIx(1),
                b: TestIx(0),
            }];
        }),
        ("a `last` test is in a conflict", |plan| {
            plan.tests[TestIx(1)].last = true;
            plan.shapes[ShapeIx(0)].conflicts = vec![PAIR];
        }),
        ("something comes after a `last` test", |plan| {
            plan.tests[TestIx(0)].last = true;
        }),
        ("something comes after a `last` test", |plan| {
            plan.tests[TestIx(1)].last = true;
            plan.shapes[ShapeIx(0)].order = vec![BACK];
        }),
        ("its tags are not ascending", |plan| {
            plan.tests[TestIx(0)].tags = vec!["b".into(), "a".into()];
        }),
        ("its effects are not ascending", |plan| {
            let effect = plan.tests[TestIx(0)].effects[0];
            plan.tests[TestIx(0)].effects.push(effect);
        }),
        ("an effect names a disk that is not there", |plan| {
            plan.tests[TestIx(1)].effects = vec![Effect::reads(Resource::Disk(DiskIx(1)))];
        }),
        ("an effect names a state that is not there", |plan| {
            plan.tests[TestIx(1)].effects = vec![Effect::borrows(Resource::State(StateIx(0)))];
        }),
        ("there are none", |plan| plan.cells = Table::new()),
        ("another cell has the same id", |plan| {
            plan.cells[CellIx(1)].id = plan.cells[CellIx(0)].id.clone();
        }),
        ("it names an image that is not there", |plan| {
            plan.cells[CellIx(0)].image = ImageIx(4);
        }),
        ("it names a shape that is not there", |plan| {
            plan.cells[CellIx(0)].shape = ShapeIx(4);
        }),
        ("it has no candidates", |plan| {
            plan.cells[CellIx(0)].candidates.clear();
        }),
        ("it names a machine that is not there", |plan| {
            plan.cells[CellIx(0)].candidates.push(MachineIx(4));
        }),
        ("its rate is negative", |plan| {
            lines(plan)[0].nano_usd = Money::from_nano_usd(-1);
        }),
        ("its unit is none of its kind", |plan| {
            lines(plan)[0].unit = RateUnit::GibMonth;
        }),
        ("its granularity is not above zero", |plan| {
            lines(plan)[1].granularity_s = 0;
        }),
        (
            "virtual processors belong to a rate by them, and there only",
            |plan| {
                lines(plan)[1].vcpus = None;
            },
        ),
        (
            "virtual processors belong to a rate by them, and there only",
            |plan| {
                lines(plan)[0].vcpus = Some(2);
            },
        ),
        (
            "virtual processors belong to a rate by them, and there only",
            |plan| {
                lines(plan)[1].vcpus = Some(0);
            },
        ),
        ("a baseline belongs to credits, and there only", |plan| {
            lines(plan)[0].baseline = Some((1, 10));
        }),
        ("a baseline belongs to credits, and there only", |plan| {
            lines(plan)[2].baseline = None;
        }),
        ("a baseline belongs to credits, and there only", |plan| {
            lines(plan)[2].baseline = Some((1, 0));
        }),
        ("its date is no YYYY-MM-DD", |plan| {
            lines(plan)[0].as_of = "2026-13-01".into();
        }),
        ("its kind is not above that of the line before", |plan| {
            let line = lines(plan)[0].clone();
            lines(plan).insert(1, line);
        }),
        ("there must be at least one lane", |plan| {
            plan.policy.lanes = 0;
        }),
    ];
    for (what, break_it) in cases {
        let mut plan = fixture::plan();
        break_it(&mut plan);
        let faults = validate(&plan);
        assert!(
            faults.iter().any(|fault| fault.what == what),
            "{what}: {faults:?}"
        );
    }
    for from in [
        CaptureFrom::Lines,
        CaptureFrom::Find("no group".into()),
        CaptureFrom::Find("(".into()),
    ] {
        let mut plan = fixture::plan();
        capture_from(&mut plan, from.clone());
        assert_eq!(validate(&plan).len(), 1, "{from:?}");
    }
}
