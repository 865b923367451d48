//! How fast machines come: 3,600 of them in 12 regions, on virtual time, under the rates that EC2 has for every account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dva_ec2::bucket::{Api, Buckets};
use dva_plan::expr::Expressions;
use dva_plan::plan::{
    Cell, ExecutionPlan, Image, ImageIx, ImageSource, Machine, MachineIx, Policy, Shape, ShapeIx,
    Test, TestIx,
};
use dva_plan::step::SourceText;
use dva_plan::table::{Index, Table};
use dva_plan::{CellId, TestId};
use dva_schedule::{LaunchRate, Options, Quotas, optimize};
use tokio::task::JoinSet;
use tokio::time::Instant;

const REGIONS: usize = 12;
const MACHINES_A_REGION: usize = 300;

fn region(number: usize) -> String {
    format!("region-{number}")
}

/// What no order of calls can beat: so many calls, one a machine, from a full bucket.
fn limit() -> Duration {
    let calls = LaunchRate::of_run_instances().requests;
    let waited = u32::try_from(MACHINES_A_REGION).expect("they are few") - calls.capacity;
    Duration::from_secs(u64::from(waited)) / calls.refill_a_second
}

/// How long the last of all machines waits for its call, each asked for at once.
async fn simulated() -> Duration {
    let buckets = Arc::new(Buckets::default());
    let begun = Instant::now();
    let mut launches = JoinSet::new();
    for machine in 0..REGIONS * MACHINES_A_REGION {
        let buckets = Arc::clone(&buckets);
        launches.spawn(async move {
            let region = region(machine % REGIONS);
            buckets.take(&region, Api::RunInstances, 1).await;
            begun.elapsed()
        });
    }
    launches
        .join_all()
        .await
        .into_iter()
        .max()
        .expect("there are some")
}

/// When the schedule launches the last of as many machines, no two of a region alike.
fn scheduled() -> Duration {
    let options = Options {
        quotas: Quotas {
            launches: Some(LaunchRate::of_run_instances()),
            ..Quotas::default()
        },
        ..Options::default()
    };
    let planned = optimize(&plan(), "sha256:0", &options).expect("there is a schedule");
    let lives = &planned.schedule.lives;
    assert_eq!(lives.len(), REGIONS * MACHINES_A_REGION);
    let last = lives.iter().map(|life| life.launch_ms).max();
    Duration::from_millis(last.expect("there are some"))
}

#[tokio::test(start_paused = true)]
async fn a_ramp_is_as_long_as_the_buckets_make_it_and_as_the_schedule_says() {
    let (limit, simulated, scheduled) = (limit(), simulated().await, scheduled());
    println!(
        "3,600 machines in 12 regions: {simulated:?}, scheduled {scheduled:?}, limit {limit:?}"
    );
    assert!(
        simulated >= limit,
        "{simulated:?} beats the limit {limit:?}"
    );
    assert!(simulated * 10 <= limit * 11, "{simulated:?} of {limit:?}");
    assert_eq!(simulated, scheduled);
}

fn plan() -> ExecutionPlan {
    let machines: Vec<_> = (0..REGIONS * MACHINES_A_REGION).map(machine).collect();
    let cells: Vec<_> = (0..machines.len()).map(cell).collect();
    let shape = Shape {
        tests: vec![TestIx::from_row(0)],
        ..Shape::default()
    };
    ExecutionPlan {
        producer: "dva".to_owned(),
        name: "ramp".to_owned(),
        source: String::new(),
        images: vec![image()].into(),
        disks: Table::new(),
        expressions: Expressions::default(),
        tests: vec![test()].into(),
        shapes: vec![shape].into(),
        machines: machines.into(),
        cells: cells.into(),
        policy: Policy {
            lanes: 1,
            ..Policy::default()
        },
        blobs: Table::new(),
        secrets: Table::new(),
        inputs: Table::new(),
        settings: BTreeMap::new(),
        tables: Table::new(),
        states: Table::new(),
        boots: Table::new(),
        setup: None,
    }
}

fn image() -> Image {
    Image {
        name: "image".to_owned(),
        os: "linux".to_owned(),
        version: None,
        arch: "x86_64".to_owned(),
        sources: vec![ImageSource::LocalHost],
        logins: Vec::new(),
        facts: BTreeMap::new(),
    }
}

fn machine(number: usize) -> Machine {
    Machine {
        region: region(number % REGIONS),
        partition: "aws".to_owned(),
        r#type: format!("m7i.{}", number / REGIONS),
        vcpus: 2,
        memory_bytes: 8 << 30,
        arch: "x86_64".to_owned(),
        features: None,
        quote: None,
    }
}

fn cell(number: usize) -> Cell {
    let text = number.to_string();
    Cell {
        id: CellId::of("matrix", [("number", text.as_str())]),
        matrix: "matrix".to_owned(),
        axes: BTreeMap::from([("number".to_owned(), text)]),
        image: ImageIx::from_row(0),
        shape: ShapeIx::from_row(0),
        candidates: vec![MachineIx::from_row(number)],
        unsupported: Vec::new(),
        network: dva_plan::plan::Network::default(),
    }
}

fn test() -> Test {
    Test {
        id: TestId::new("test"),
        doc: String::new(),
        tags: Vec::new(),
        last: false,
        once: false,
        effects: Vec::new(),
        within_ms: 60_000,
        takes_ms: Some(1_000),
        takes_p90_ms: None,
        boot: None,
        retry: 0,
        slots: Table::new(),
        steps: Vec::new(),
        finally: Vec::new(),
        source: SourceText::default(),
        needs: Vec::new(),
        requires: Vec::new(),
    }
}
