//! Every rule of validation refuses a plan that breaks it, and only that.

use dva_plan::ExecutionPlan;
use dva_plan::expr::{CellFact, ExprIx, Node};
use dva_plan::money::Money;
use dva_plan::plan::*;
use dva_plan::quote::{Market, QuoteLine, RateUnit};
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

fn waive(plan: &mut ExecutionPlan) -> &mut Waiver {
    plan.policy.waivers.push(Waiver {
        tests: vec![TestIx(1)],
        condition: None,
        because: "BZ 1234567".into(),
        until: Some("2028-02-29".into()),
    });
    &mut plan.policy.waivers[0]
}

fn gate(first: &str, then: &str) -> Gate {
    Gate {
        first: first.into(),
        then: then.into(),
    }
}

fn boot(plan: &mut ExecutionPlan) -> &mut Boot {
    let boot = plan.boots.push(Boot {
        name: "marker".into(),
        user_data: None,
        mode: Some(BootMode::Uefi),
        root_bytes: Some(15 << 30),
    });
    &mut plan.boots[boot]
}

fn blob(plan: &mut ExecutionPlan, bytes: usize) -> BlobIx {
    let thirds = bytes.div_ceil(3);
    let filling = ["", "==", "="][bytes % 3];
    let mut base64 = "A".repeat(thirds * 4 - filling.len());
    base64.push_str(filling);
    plan.blobs.push(Blob {
        name: "marker.yaml".into(),
        digest: String::new(),
        base64,
    })
}

fn setup(plan: &mut ExecutionPlan) -> &mut Setup {
    let steps = plan.tests[TestIx(0)].steps.clone();
    plan.setup.insert(Setup {
        within_ms: 1,
        needs: Vec::new(),
        slots: Table::new(),
        steps,
    })
}

#[test]
fn boots_waivers_limits_gates_and_setup_hold_together() {
    let mut plan = fixture::plan();
    waive(&mut plan);
    setup(&mut plan);
    let user_data = blob(&mut plan, 16 * 1024);
    boot(&mut plan).user_data = Some(user_data);
    boot(&mut plan).name = "other".into();
    plan.shapes[ShapeIx(0)].after.clear();
    plan.shapes[ShapeIx(0)].conflicts = vec![PAIR];
    plan.tests[TestIx(0)].boot = Some(BootIx(0));
    plan.tests[TestIx(1)].boot = Some(BootIx(1));
    plan.tests[TestIx(1)].retry = 10;
    plan.cells[CellIx(1)].matrix = "large".into();
    plan.policy.gates = vec![gate("sizes", "large")];
    plan.policy.market = vec![Market::Spot, Market::OnDemand];
    plan.policy.limits.machines = Some(1);
    plan.policy.limits.cost_nano_usd = Some(Money::ZERO);
    assert_eq!(validate(&plan), vec![]);
    let bytes = dva_plan::document::to_bytes(&plan);
    let read = dva_plan::document::read::<ExecutionPlan>(bytes.as_slice()).expect("it is read");
    assert_eq!(read.body, plan);
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
        ("the cost is negative", |plan| {
            plan.policy.limits.cost_nano_usd = Some(Money::from_nano_usd(-1));
        }),
        ("a limit allows nothing", |plan| {
            plan.policy.limits.elapsed_ms = Some(0);
        }),
        ("a limit allows nothing", |plan| {
            plan.policy.limits.machines = Some(0);
        }),
        ("a way to buy is there twice", |plan| {
            plan.policy.market = vec![Market::Spot, Market::OnDemand, Market::Spot];
        }),
        ("it names a test that is not there", |plan| {
            waive(plan).tests.push(TestIx(2));
        }),
        ("its tests are none or not ascending", |plan| {
            waive(plan).tests.clear();
        }),
        ("its tests are none or not ascending", |plan| {
            waive(plan).tests.push(TestIx(0));
        }),
        ("it names an expression that is not there", |plan| {
            waive(plan).condition = Some(ExprIx(999));
        }),
        ("it names a slot that is not there", |plan| {
            let slot = plan.expressions.push(Node::Slot(SlotIx(0)));
            waive(plan).condition = Some(slot);
        }),
        ("its date is no day", |plan| {
            waive(plan).until = Some("2027-02-29".into());
        }),
        ("they are not ascending", |plan| {
            plan.policy.gates = vec![gate("sizes", "sizes"), gate("sizes", "sizes")];
        }),
        ("one names a matrix that has no cells", |plan| {
            plan.policy.gates = vec![gate("smoke", "sizes")];
        }),
        ("they form a cycle", |plan| {
            plan.policy.gates = vec![gate("sizes", "sizes")];
        }),
        ("they form a cycle", |plan| {
            plan.cells[CellIx(1)].matrix = "large".into();
            plan.policy.gates = vec![gate("large", "sizes"), gate("sizes", "large")];
        }),
        ("another boot has the same name", |plan| {
            boot(plan);
            boot(plan);
        }),
        ("its root disk is empty", |plan| {
            boot(plan).root_bytes = Some(0);
        }),
        ("it names a blob that is not there", |plan| {
            boot(plan).user_data = Some(BlobIx(0));
        }),
        ("its user data is too large", |plan| {
            let user_data = blob(plan, 16 * 1024 + 1);
            boot(plan).user_data = Some(user_data);
        }),
        ("it names a boot that is not there", |plan| {
            plan.tests[TestIx(0)].boot = Some(BootIx(0));
        }),
        ("a `last` test needs a boot", |plan| {
            boot(plan);
            plan.tests[TestIx(1)].boot = Some(BootIx(0));
            plan.tests[TestIx(1)].last = true;
        }),
        ("it is retried too often", |plan| {
            plan.tests[TestIx(0)].retry = 11;
        }),
        ("tests of two boots are in no conflict", |plan| {
            boot(plan);
            boot(plan).name = "other".into();
            plan.shapes[ShapeIx(0)].after.clear();
            plan.tests[TestIx(0)].boot = Some(BootIx(0));
            plan.tests[TestIx(1)].boot = Some(BootIx(1));
        }),
        ("it has no steps", |plan| {
            setup(plan).steps.clear();
        }),
        ("its needs are not ascending", |plan| {
            setup(plan).needs = vec![Capability::Reboot, Capability::Reboot];
        }),
        ("it is no step of a setup", |plan| {
            setup(plan).steps[0].kind = StepKind::Attach(DiskIx(0));
        }),
        ("it names a slot that is not there", |plan| {
            let check = plan.tests[TestIx(1)].steps[1].clone();
            setup(plan).steps.push(check);
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
