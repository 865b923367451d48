//! Random plans that are valid; the same seed, the same plan. Those of [`plan`] can be packed one cell
//! to a life, those of [`rich`] have all that tests can say of each other.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::document::PRODUCER;
use dva_plan::expr::{self, Comparison, Expressions, MachineFact};
use dva_plan::money::Money;
use dva_plan::plan::{
    Boot, Cell, CellIx, Disk, DiskIx, Edge, Effect, EffectKind, ExecutionPlan, Image, ImageIx,
    ImageSource, Machine, MachineIx, Pair, Policy, Requirement, Resource, Shape, ShapeIx, State,
    Test, TestIx,
};
use dva_plan::quote::{LineKind, Market, OsClass, Quality, Quote, QuoteLine, Rate};
use dva_plan::step::{SourceText, Step, StepKind};
use dva_plan::table::{Index, Table};
use dva_plan::validate::validate;
use dva_plan::value::Value;
use dva_plan::{CellId, TestId};

/// Random numbers that are the same everywhere (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// At least 0 and below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.below(from.len())])
    }
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// How large a plan is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub tests: usize,
    pub cells: usize,
    pub lanes: u32,
}

pub fn test(id: &str, takes_ms: Option<u64>) -> Test {
    Test {
        id: TestId::new(id),
        doc: String::new(),
        tags: Vec::new(),
        last: false,
        once: false,
        effects: Vec::new(),
        within_ms: 60_000,
        takes_ms,
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

pub fn image(arch: &str) -> Image {
    Image {
        name: format!("image_{arch}"),
        os: "linux".to_owned(),
        version: None,
        arch: arch.to_owned(),
        sources: vec![ImageSource::LocalHost],
        logins: Vec::new(),
        facts: BTreeMap::new(),
    }
}

pub fn machine(r#type: &str, arch: &str) -> Machine {
    Machine {
        region: "local".to_owned(),
        r#type: r#type.to_owned(),
        vcpus: 2,
        memory_bytes: 1 << 30,
        arch: arch.to_owned(),
        quote: None,
        partition: String::new(),
        features: None,
    }
}

pub fn cell(number: usize, image: ImageIx, shape: ShapeIx, candidates: Vec<MachineIx>) -> Cell {
    let number = number.to_string();
    Cell {
        id: CellId::of("matrix", [("number", number.as_str())]),
        matrix: "matrix".to_owned(),
        axes: BTreeMap::from([("number".to_owned(), number)]),
        image,
        shape,
        candidates,
        unsupported: Vec::new(),
        network: Default::default(),
    }
}

/// A plan of one cell, for tests that say exactly what is in it.
pub fn single(tests: Vec<Test>, after: &[(u32, u32)], order: &[(u32, u32)]) -> ExecutionPlan {
    let edges = |pairs: &[(u32, u32)]| {
        let mut edges: Vec<_> = pairs
            .iter()
            .map(|(test, after)| Edge {
                test: TestIx(*test),
                after: TestIx(*after),
            })
            .collect();
        edges.sort_unstable();
        edges
    };
    let shape = Shape {
        tests: (0..tests.len()).map(TestIx::from_row).collect(),
        after: edges(after),
        order: edges(order),
        ..Shape::default()
    };
    ExecutionPlan {
        producer: PRODUCER.into(),
        name: "single".to_owned(),
        source: String::new(),
        images: vec![image("x86_64")].into(),
        disks: Table::new(),
        expressions: Expressions::default(),
        tests: tests.into(),
        shapes: vec![shape].into(),
        machines: vec![machine("local.small", "x86_64")].into(),
        cells: vec![cell(0, ImageIx(0), ShapeIx(0), vec![MachineIx(0)])].into(),
        policy: Policy {
            lanes: 2,
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

/// A plan of `size`. Its tests are a random graph of which every shape takes a part that is closed
/// under `after`; writers of a disk lie on a chain, and readers come before the writers that they are not after.
pub fn plan(seed: u64, size: Size) -> ExecutionPlan {
    let random = &mut Random(seed);
    let mut graph = Graph::random(random, size.tests);
    let disks = random.below(5);
    for disk in 0..disks {
        graph.use_disk(random, DiskIx::from_row(disk));
    }
    // Rows must not tell the order of the graph.
    let mut rows: Vec<_> = (0..size.tests).map(TestIx::from_row).collect();
    random.shuffle(&mut rows);
    let mut tests: Vec<_> = graph.nodes.iter().zip(&rows).collect();
    tests.sort_by_key(|(_, row)| **row);
    let tests = tests
        .into_iter()
        .map(|(node, row)| Test {
            effects: {
                let mut effects = node.effects.clone();
                effects.sort_unstable();
                effects
            },
            ..test(
                &format!("test_{:04x}_{}", random.next() as u16, row.row()),
                node.takes_ms,
            )
        })
        .collect();
    let shapes: Table<ShapeIx, Shape> = (0..1 + random.below(3))
        .map(|_| graph.shape(random, &rows))
        .collect();
    let archs = ["x86_64", "arm64"];
    let machines = ["a", "b", "c", "d"]
        .iter()
        .enumerate()
        .map(|(row, name)| machine(&format!("local.{name}"), archs[row % 2]))
        .collect();
    let cells = (0..size.cells)
        .map(|number| {
            let arch = random.below(2);
            let mut candidates = vec![MachineIx::from_row(arch), MachineIx::from_row(arch + 2)];
            random.shuffle(&mut candidates);
            candidates.truncate(1 + random.below(2));
            let shape = ShapeIx::from_row(random.below(shapes.len()));
            cell(number, ImageIx::from_row(arch), shape, candidates)
        })
        .collect();
    ExecutionPlan {
        producer: PRODUCER.into(),
        name: "random".to_owned(),
        source: String::new(),
        images: archs.iter().map(|arch| image(arch)).collect(),
        disks: (0..disks)
            .map(|disk| Disk {
                name: format!("disk_{disk}"),
                from: dva_plan::plan::DiskOrigin::Volume,
                size_bytes: 1 << 30,
                attached: true,
            })
            .collect(),
        expressions: Expressions::default(),
        tests,
        shapes,
        machines,
        cells,
        policy: Policy {
            lanes: size.lanes,
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

/// Tests in an order in which all edges lead forward.
struct Graph {
    nodes: Vec<Node>,
}

struct Node {
    takes_ms: Option<u64>,
    effects: Vec<Effect>,
    after: BTreeSet<usize>,
    order: BTreeSet<usize>,
    /// All it is `after`, directly or not.
    ancestors: BTreeSet<usize>,
}

impl Graph {
    fn random(random: &mut Random, tests: usize) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        // Few distinct durations in some plans, so that ties are common.
        let longest = if random.one_in(3) { 4 } else { 5_000 };
        for row in 0..tests {
            let mut after = BTreeSet::new();
            if row > 0 && !random.one_in(4) {
                after.extend((0..random.below(4)).map(|_| random.below(row)));
            }
            let mut ancestors = after.clone();
            for other in &after {
                ancestors.extend(&nodes[*other].ancestors);
            }
            let mut order = BTreeSet::new();
            if row > 0 && random.one_in(8) {
                order.insert(random.below(row));
            }
            nodes.push(Node {
                takes_ms: (!random.one_in(5)).then(|| 1 + random.below(longest) as u64),
                effects: Vec::new(),
                after,
                order,
                ancestors,
            });
        }
        Self { nodes }
    }

    fn use_disk(&mut self, random: &mut Random, disk: DiskIx) {
        let mut writers: Vec<usize> = Vec::new();
        for row in 0..self.nodes.len() {
            let chained = writers
                .iter()
                .all(|writer| self.nodes[row].ancestors.contains(writer));
            if chained && random.one_in(3) {
                writers.push(row);
            }
        }
        for row in 0..self.nodes.len() {
            let ancestors = &self.nodes[row].ancestors;
            let unseen: Vec<_> = writers
                .iter()
                .filter(|writer| **writer != row && !ancestors.contains(*writer))
                .copied()
                .collect();
            if unseen.iter().all(|writer| *writer > row) && random.one_in(3) {
                self.nodes[row]
                    .effects
                    .push(Effect::reads(Resource::Disk(disk)));
                for writer in unseen {
                    self.nodes[writer].order.insert(row);
                }
            }
            if writers.contains(&row) {
                self.nodes[row]
                    .effects
                    .push(Effect::writes(Resource::Disk(disk)));
            }
        }
    }

    /// About two thirds of the tests and all these are after.
    fn shape(&self, random: &mut Random, rows: &[TestIx]) -> Shape {
        let mut chosen: BTreeSet<_> = [random.below(self.nodes.len())].into();
        chosen.extend((0..self.nodes.len()).filter(|_| !random.one_in(3)));
        for row in chosen.clone() {
            chosen.extend(&self.nodes[row].ancestors);
        }
        let edges = |of: fn(&Node) -> &BTreeSet<usize>| {
            let mut edges: Vec<_> = chosen
                .iter()
                .flat_map(|row| of(&self.nodes[*row]).iter().map(move |after| (row, after)))
                .filter(|(_, after)| chosen.contains(after))
                .map(|(row, after)| Edge {
                    test: rows[*row],
                    after: rows[*after],
                })
                .collect();
            edges.sort_unstable();
            edges
        };
        let (after, order) = (edges(|node| &node.after), edges(|node| &node.order));
        let mut tests: Vec<_> = chosen.iter().map(|row| rows[*row]).collect();
        tests.sort_unstable();
        Shape {
            tests,
            after,
            order,
            ..Shape::default()
        }
    }
}

/// A plan of `size` with states, effects of all kinds, reboots, `regardless`, `last` and `once`, and the
/// order and conflicts that follow from them. Most need several lives for a cell.
pub fn rich(seed: u64, size: Size) -> ExecutionPlan {
    let random = &mut Random(seed);
    // Some combinations have no schedule at all; rarer effects make them rarer.
    let rarity = 3 + random.below(1 + size.tests / 3);
    (rarity..)
        .step_by(2)
        .map(|rarity| {
            let mut plan = plan(random.next(), size);
            enrich(&mut plan, random, rarity);
            plan
        })
        .find(|plan| validate(plan).is_empty())
        .expect("with very rare effects there is one")
}

fn enrich(plan: &mut ExecutionPlan, random: &mut Random, rarity: usize) {
    for number in 0..random.below(4) {
        plan.states.push(State {
            name: format!("state_{number}"),
            lost_on_reboot: !random.one_in(3),
            per_account: None,
        });
    }
    let states = plan.states.indices().map(Resource::State);
    let mut resources: Vec<Resource> = states.collect();
    resources.push(Resource::Machine);
    for test in plan.tests.indices() {
        let test = &mut plan.tests[test];
        for of in &resources {
            if random.one_in(rarity) {
                let kinds = [Effect::reads, Effect::writes, Effect::borrows];
                test.effects.push(kinds[random.below(3)](*of));
            }
        }
        test.effects.sort_unstable();
        if random.one_in(2 * rarity) {
            test.steps.push(Step {
                kind: StepKind::Reboot,
                within_ms: None,
                source: SourceText::default(),
            });
        }
        test.once = random.one_in(6 * rarity);
    }
    for number in 0..random.below(3) {
        plan.boots.push(Boot {
            name: format!("boot_{number}"),
            user_data: None,
            mode: None,
            root_bytes: None,
        });
    }
    let boots: Vec<_> = plan.boots.indices().collect();
    for test in plan.tests.indices() {
        if random.one_in(rarity) {
            plan.tests[test].boot = random.pick(&boots).copied();
        }
    }
    let last = random.below(3);
    let last: Vec<TestIx> = (0..last)
        .map(|number| {
            let mut last = test(&format!("last_{number}"), Some(1 + random.below(50) as u64));
            last.last = true;
            plan.tests.push(last)
        })
        .collect();
    for shape in plan.shapes.indices() {
        let mut shape_of = plan.shapes[shape].clone();
        let (regardless, after) = shape_of.after.iter().partition(|_| random.one_in(5));
        (shape_of.regardless, shape_of.after) = (regardless, after);
        for last in &last {
            if random.one_in(3)
                && let Some(after) = random.pick(&shape_of.tests)
                && !plan.tests[*after].last
            {
                let after = *after;
                let edge = Edge { test: *last, after };
                shape_of.after.push(edge);
            }
            shape_of.tests.push(*last);
        }
        shape_of.after.sort_unstable();
        imply(plan, &mut shape_of);
        plan.shapes[shape] = shape_of;
    }
}

/// Adds the edges of order and the conflicts that follow from effects, as the compiler does.
pub fn imply(plan: &ExecutionPlan, shape: &mut Shape) {
    let before: BTreeMap<TestIx, BTreeSet<TestIx>> = shape
        .tests
        .iter()
        .map(|test| {
            let (mut waiting, mut before) = (vec![*test], BTreeSet::new());
            while let Some(test) = waiting.pop() {
                let edges = shape.after.iter().chain(&shape.regardless);
                let direct = edges.filter(|edge| edge.test == test);
                waiting.extend(
                    direct
                        .map(|edge| edge.after)
                        .filter(|after| before.insert(*after)),
                );
            }
            (*test, before)
        })
        .collect();
    let does = |test: TestIx, kind: EffectKind, of: Resource| {
        plan.tests[test].effects.contains(&Effect { kind, of })
    };
    let loses = |test: TestIx, of: Resource| match of {
        Resource::State(state) => {
            plan.states[state].lost_on_reboot && plan.tests[test].takes_machine_away()
        }
        Resource::Machine | Resource::Disk(_) => false,
    };
    let disks = plan.disks.indices().map(Resource::Disk);
    let states = plan.states.indices().map(Resource::State);
    let passed = |test: TestIx| {
        let (mut waiting, mut passed) = (vec![test], BTreeSet::new());
        while let Some(test) = waiting.pop() {
            let direct = shape.after.iter().filter(|edge| edge.test == test);
            waiting.extend(
                direct
                    .map(|edge| edge.after)
                    .filter(|after| passed.insert(*after)),
            );
        }
        passed
    };
    let mut order: BTreeSet<Edge> = shape.order.iter().copied().collect();
    let mut conflicts = BTreeSet::new();
    for of in disks.chain(states) {
        let sees =
            |test: TestIx| does(test, EffectKind::Reads, of) || does(test, EffectKind::Borrows, of);
        // Who sees what it loses counts as a writer.
        let writes =
            |test: TestIx| does(test, EffectKind::Writes, of) || sees(test) && loses(test, of);
        let only_loses = |test: TestIx| loses(test, of) && !writes(test);
        let tests = || shape.tests.iter().copied();
        let pairs = tests().flat_map(|one| tests().map(move |other| (one, other)));
        for (one, other) in pairs.filter(|(one, other)| one != other) {
            let is_after = before[&one].contains(&other);
            let ordered = is_after || before[&other].contains(&one);
            if writes(one) && writes(other) && !ordered {
                conflicts.insert(Pair::of(one, other));
            }
            let edge = Edge {
                test: other,
                after: one,
            };
            if (sees(one) || writes(one)) && only_loses(other) && !ordered {
                order.insert(edge);
            }
            if sees(one) && writes(other) && !is_after {
                let lost = passed(one).into_iter().filter(|test| only_loses(*test));
                if lost
                    .into_iter()
                    .all(|loser| before[&other].contains(&loser))
                {
                    order.insert(edge);
                }
            }
        }
    }
    for one in &shape.tests {
        for other in &shape.tests {
            let (mine, theirs) = (plan.tests[*one].boot, plan.tests[*other].boot);
            if mine.is_some() && theirs.is_some() && mine != theirs {
                conflicts.insert(Pair::of(*one, *other));
            }
        }
    }
    shape.order = order.into_iter().collect();
    shape.conflicts = conflicts.into_iter().collect();
}

/// The same plan with its tests, cells, shapes and machines listed in another order.
pub fn reordered(plan: &ExecutionPlan, seed: u64) -> ExecutionPlan {
    let random = &mut Random(seed);
    let mut order: Vec<_> = plan.tests.indices().collect();
    random.shuffle(&mut order);
    let mut moved: BTreeMap<TestIx, TestIx> = BTreeMap::new();
    for (row, old) in order.iter().enumerate() {
        moved.insert(*old, TestIx::from_row(row));
    }
    let edges = |edges: &[Edge]| {
        let mut edges: Vec<_> = edges
            .iter()
            .map(|edge| Edge {
                test: moved[&edge.test],
                after: moved[&edge.after],
            })
            .collect();
        edges.sort_unstable();
        edges
    };
    let mut cells: Vec<Cell> = plan.cells.iter().cloned().collect();
    random.shuffle(&mut cells);
    ExecutionPlan {
        tests: order.iter().map(|old| plan.tests[*old].clone()).collect(),
        shapes: plan
            .shapes
            .iter()
            .map(|shape| {
                let mut tests: Vec<_> = shape.tests.iter().map(|test| moved[test]).collect();
                tests.sort_unstable();
                Shape {
                    tests,
                    after: edges(&shape.after),
                    order: edges(&shape.order),
                    regardless: edges(&shape.regardless),
                    conflicts: {
                        let pairs = shape.conflicts.iter();
                        let pairs = pairs.map(|pair| Pair::of(moved[&pair.a], moved[&pair.b]));
                        let mut pairs: Vec<_> = pairs.collect();
                        pairs.sort_unstable();
                        pairs
                    },
                }
            })
            .collect(),
        cells: cells.into_iter().collect::<Table<CellIx, Cell>>(),
        ..plan.clone()
    }
}

/// A quote of so many billionths an hour, with disks and an address, for machines of class `os`.
pub fn quote(os: OsClass, nano_usd: i64) -> Quote {
    let line = |kind: LineKind, nano_usd: i64| {
        let rate = Rate {
            nano_usd: Money::from_nano_usd(nano_usd),
            quality: Quality::Exact,
            source: "a table".to_owned(),
            as_of: "2026-11-23".to_owned(),
        };
        QuoteLine::new(kind, os, rate)
    };
    let mut lines = vec![line(LineKind::Compute, nano_usd)];
    if os == OsClass::Suse {
        lines.push(line(LineKind::OsSurcharge, 56_300_000));
    }
    if os == OsClass::Rhel {
        lines.push(line(LineKind::OsSurcharge, 14_400_000).per_vcpu(2));
    }
    lines.push(line(LineKind::Disk, 80_000_000));
    lines.push(line(LineKind::Ipv4, 5_000_000));
    Quote {
        market: Market::OnDemand,
        os,
        lines,
    }
}

/// The same plan on machines of a cloud with prices of all kinds.
pub fn priced(mut plan: ExecutionPlan, random: &mut Random) -> ExecutionPlan {
    let classes = [OsClass::Linux, OsClass::Rhel, OsClass::Suse];
    for row in plan.machines.indices() {
        let machine = &mut plan.machines[row];
        machine.region = ["eu-west-1", "us-east-1"][random.below(2)].to_owned();
        machine.partition = "aws".to_owned();
        machine.r#type = ["m7i.large", "c7i.large", "t3.micro"][random.below(3)].to_owned();
        let class = classes[random.below(3)];
        machine.quote = Some(quote(class, 10_000_000 + random.below(400_000_000) as i64));
    }
    for image in plan.images.indices() {
        let owners = BTreeMap::from([("aws".to_owned(), "amazon".to_owned())]);
        plan.images[image].sources = vec![ImageSource::Ec2AmiNamed {
            name: "image".to_owned(),
            owners,
        }];
    }
    plan
}

/// A cell of up to six tests of one minute or so, on priced machines.
pub fn small(seed: u64) -> ExecutionPlan {
    let random = &mut Random(seed);
    let size = Size {
        tests: 2 + random.below(4),
        cells: 1,
        lanes: 1 + random.below(3) as u32,
    };
    let mut plan = priced(rich(seed, size), random);
    for test in plan.tests.indices() {
        let test = &mut plan.tests[test];
        test.takes_ms = Some((1 + random.below(60) as u64) * 1_000);
    }
    plan
}

/// The same with a larger machine to choose, and tests that need it.
pub fn choosy(seed: u64) -> ExecutionPlan {
    let mut plan = small(seed);
    let random = &mut Random(!seed);
    let cell = CellIx(0);
    let own = &plan.machines[plan.cells[cell].candidates[0]];
    let larger = Machine {
        vcpus: 8,
        quote: Some(quote(
            own.quote.as_ref().map_or(OsClass::Linux, |quote| quote.os),
            20_000_000 + random.below(1_500_000_000) as i64,
        )),
        ..own.clone()
    };
    let larger = plan.machines.push(larger);
    plan.cells[cell].candidates.push(larger);
    let tests: Vec<TestIx> = plan.tests.indices().collect();
    for _ in 0..=random.below(2) {
        need_vcpus(&mut plan, tests[random.below(tests.len())], 8);
    }
    plan
}

/// `test` needs a machine with so many processors.
pub fn need_vcpus(plan: &mut ExecutionPlan, test: TestIx, vcpus: i64) {
    let left = plan
        .expressions
        .push(expr::Node::Machine(MachineFact::Vcpus));
    let right = plan.expressions.push(expr::Node::Const(Value::Int(vcpus)));
    let condition = plan.expressions.push(expr::Node::Compare {
        how: Comparison::AtLeast,
        left,
        right,
    });
    plan.tests[test].requires.push(Requirement {
        condition,
        source: SourceText::default(),
    });
}
