//! How long the bytes of a large plan take to write and to read: 3,600 cells × 75 tests.
//!
//! `cargo bench -p dva-plan`. Prints medians; the goals are 400 ms to emit (compiling included) and
//! 100 ms to load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dva_plan::document::{PRODUCER, read, to_bytes};
use dva_plan::expr::{CellFact, Comparison, ExpressionBuilder, Node};
use dva_plan::id::{CellId, TestId};
use dva_plan::plan::*;
use dva_plan::step::*;
use dva_plan::table::Table;
use dva_plan::template::{Piece, Place, Template};
use dva_plan::value::Value;

fn main() {
    let plan = plan();
    let bytes = to_bytes(&plan);
    println!(
        "{} cells, {} test runs, {} kB",
        plan.cells.len(),
        plan.test_runs(),
        bytes.len() / 1_000
    );
    println!("write  {:?}", median(|| drop(to_bytes(&plan))));
    println!(
        "read   {:?}",
        median(|| drop(read::<ExecutionPlan>(bytes.as_slice()).expect("it reads")))
    );
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..11)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn plan() -> ExecutionPlan {
    let mut nodes = ExpressionBuilder::default();
    let axis = nodes.add(Node::Cell(CellFact::Axis("image".into())));
    let exit = nodes.add(Node::Exit);
    let tests = (0..75).map(|number| {
        let status = nodes.add(Node::Const(Value::Int(number)));
        let expect = nodes.add(Node::Compare {
            how: Comparison::Equal,
            left: exit,
            right: status,
        });
        let step = |line| Step {
            kind: StepKind::Run(Run {
                command: Template(vec![
                    Piece::Lit(format!("check-something --number {number} --image ")),
                    Piece::Arg {
                        expr: axis,
                        place: Place::Bare,
                    },
                ]),
                expect: Some(expect),
                capture: None,
                user: None,
                retry: None,
                with: Vec::new(),
            }),
            within_ms: None,
            source: SourceText {
                text: format!("run `check-something --number {number} --image ${{image}}`"),
                line,
                file: None,
            },
        };
        Test {
            id: TestId::new(format!("module.test_{number}")),
            doc: "What this test is about, in a sentence of the usual length.".into(),
            tags: Vec::new(),
            last: false,
            once: false,
            effects: vec![],
            needs: Vec::new(),
            within_ms: 600_000,
            takes_ms: Some(10_000),
            takes_p90_ms: None,
            boot: None,
            retry: 0,
            slots: Table::new(),
            steps: (0..4).map(step).collect(),
            finally: vec![],
            source: SourceText::default(),
            requires: Vec::new(),
        }
    });
    let tests: Table<TestIx, Test> = tests.collect();
    let machines: Table<MachineIx, Machine> = (0..360)
        .map(|number| Machine {
            region: format!("region-{}", number / 30),
            r#type: format!("m{number}.large"),
            vcpus: 2,
            memory_bytes: 8 << 30,
            arch: "x86_64".into(),
            quote: None,
            partition: String::new(),
            features: None,
        })
        .collect();
    let cells = (0..3_600_u32).map(|number| {
        let axes = BTreeMap::from([
            ("image".to_owned(), format!("image-{}", number % 5)),
            ("instance".to_owned(), format!("m{}.large", number / 10)),
            ("network".to_owned(), format!("network-{}", number % 2)),
            ("region".to_owned(), format!("region-{}", number / 300)),
            ("number".to_owned(), number.to_string()),
        ]);
        let pairs = axes
            .iter()
            .map(|(axis, value)| (axis.as_str(), value.as_str()));
        Cell {
            id: CellId::of("release", pairs),
            matrix: "release".into(),
            image: ImageIx(number % 5),
            shape: ShapeIx(0),
            candidates: vec![MachineIx(number / 10)],
            axes,
            unsupported: Vec::new(),
            network: Default::default(),
        }
    });
    ExecutionPlan {
        producer: PRODUCER.into(),
        name: "release".into(),
        source: "release.plan".into(),
        images: (0..5)
            .map(|number| Image {
                name: format!("image-{number}"),
                os: "linux".into(),
                version: None,
                arch: "x86_64".into(),
                sources: vec![ImageSource::LocalHost],
                logins: Vec::new(),
                facts: BTreeMap::new(),
            })
            .collect(),
        disks: Table::new(),
        shapes: Table::from(vec![Shape {
            tests: tests.indices().collect(),
            after: vec![],
            regardless: Vec::new(),
            order: Vec::new(),
            conflicts: Vec::new(),
        }]),
        tests,
        machines,
        cells: cells.collect(),
        expressions: nodes.finish(),
        policy: Policy {
            lanes: 4,
            ..Policy::default()
        },
        blobs: Table::new(),
        secrets: Table::new(),
        inputs: Table::new(),
        settings: std::collections::BTreeMap::new(),
        tables: Table::new(),
        states: Table::new(),
        boots: Table::new(),
        setup: None,
    }
}
