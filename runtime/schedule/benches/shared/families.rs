//! Random cells of the kinds that images are tested with: atoms of 1 to 8 tests with 0 to 3 states.

use dva_plan::ExecutionPlan;
use dva_plan::plan::{
    Edge, Effect, ImageIx, ImageSource, MachineIx, Pair, Policy, Resource, Shape, ShapeIx, State,
    StateIx, Test, TestIx,
};
use dva_plan::quote::OsClass;
use dva_plan::step::{SourceText, Step, StepKind};
use dva_plan::table::Index;
use dva_plan::validate::validate;

use crate::generate::{Random, cell, imply, quote, single, test};

/// A kind of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Mixed,
    ChainHeavy,
    Wide,
    ConflictHeavy,
    RebootHeavy,
    Suse,
}

impl Family {
    pub const ALL: [Self; 6] = [
        Self::Mixed,
        Self::ChainHeavy,
        Self::Wide,
        Self::ConflictHeavy,
        Self::RebootHeavy,
        Self::Suse,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::ChainHeavy => "chain-heavy",
            Self::Wide => "wide",
            Self::ConflictHeavy => "conflict-heavy",
            Self::RebootHeavy => "reboot-heavy",
            Self::Suse => "SUSE",
        }
    }

    /// The most tests of an atom.
    fn largest_atom(self) -> usize {
        match self {
            Self::Wide => 2,
            Self::Mixed
            | Self::ChainHeavy
            | Self::ConflictHeavy
            | Self::RebootHeavy
            | Self::Suse => 8,
        }
    }

    fn states(self, random: &mut Random) -> usize {
        match self {
            Self::ConflictHeavy => 2 + random.below(2),
            Self::Mixed | Self::ChainHeavy | Self::Wide | Self::RebootHeavy | Self::Suse => {
                random.below(4)
            }
        }
    }

    /// One test in so many reboots.
    fn reboots(self) -> usize {
        match self {
            Self::RebootHeavy => 5,
            Self::Mixed | Self::ChainHeavy | Self::Wide | Self::ConflictHeavy | Self::Suse => 40,
        }
    }

    /// One atom in so many writes a state.
    fn writes(self) -> usize {
        match self {
            Self::ConflictHeavy => 4,
            Self::Mixed | Self::ChainHeavy | Self::Wide | Self::RebootHeavy | Self::Suse => 20,
        }
    }
}

/// Durations in milliseconds: 64 parts of a log-normal distribution with a median of 12 s, whose logarithm has
/// a standard deviation of 1.
const DURATIONS_MS: [u64; 64] = [
    1_070, 1_645, 2_061, 2_420, 2_750, 3_061, 3_361, 3_654, 3_942, 4_228, 4_513, 4_799, 5_086,
    5_375, 5_667, 5_963, 6_264, 6_570, 6_881, 7_199, 7_524, 7_856, 8_197, 8_547, 8_907, 9_277,
    9_658, 10_052, 10_458, 10_879, 11_315, 11_767, 12_237, 12_727, 13_237, 13_769, 14_326, 14_910,
    15_523, 16_168, 16_848, 17_567, 18_329, 19_139, 20_003, 20_927, 21_919, 22_989, 24_148, 25_409,
    26_791, 28_315, 30_008, 31_906, 34_058, 36_529, 39_412, 42_846, 47_045, 52_372, 59_496, 69_866,
    87_561, 134_621,
];

/// A plan of one cell with `tests` tests on 4 lanes.
pub fn family(family: Family, tests: usize, seed: u64) -> ExecutionPlan {
    let mut random = Random(seed);
    loop {
        let plan = attempt(family, tests, &mut random);
        if validate(&plan).is_empty() {
            return plan;
        }
    }
}

fn attempt(family: Family, count: usize, random: &mut Random) -> ExecutionPlan {
    let mut tests: Vec<Test> = Vec::new();
    let mut after: Vec<Edge> = Vec::new();
    let states = family.states(random);
    while tests.len() < count {
        let first = tests.len();
        let size = (1 + random.below(family.largest_atom())).min(count - first);
        // One writer of a state an atom, so that an atom never conflicts with itself.
        let written = (states > 0 && random.one_in(family.writes()))
            .then(|| (random.below(size), random.below(states)));
        for place in 0..size {
            let row = first + place;
            let mut one = test(
                &format!("test_{row:03}"),
                Some(DURATIONS_MS[random.below(DURATIONS_MS.len())]),
            );
            one.within_ms = 10 * DURATIONS_MS[DURATIONS_MS.len() - 1];
            if place > 0 {
                let other = match family {
                    Family::ChainHeavy => row - 1,
                    _ => first + random.below(place),
                };
                after.push(Edge {
                    test: TestIx::from_row(row),
                    after: TestIx::from_row(other),
                });
            }
            if let Some((writer, state)) = written
                && writer == place
            {
                let of = Resource::State(StateIx::from_row(state));
                one.effects.push(Effect::writes(of));
            } else if states > 0 && random.one_in(12) {
                let of = Resource::State(StateIx::from_row(random.below(states)));
                one.effects.push(match random.one_in(3) {
                    true => Effect::borrows(of),
                    false => Effect::reads(of),
                });
            }
            if random.one_in(family.reboots()) {
                one.steps.push(Step {
                    kind: StepKind::Reboot,
                    within_ms: None,
                    source: SourceText::default(),
                });
            }
            tests.push(one);
        }
    }
    let mut plan = single(tests, &[], &[]);
    plan.policy = Policy {
        lanes: 4,
        ..Policy::default()
    };
    for number in 0..states {
        plan.states.push(State {
            name: format!("state_{number}"),
            lost_on_reboot: false,
            per_account: None,
        });
    }
    after.sort_unstable();
    let mut shape = Shape {
        tests: plan.tests.indices().collect(),
        after,
        ..Shape::default()
    };
    imply(&plan, &mut shape);
    plan.shapes = vec![shape].into();
    let os = match family {
        Family::Suse => OsClass::Suse,
        _ => OsClass::Rhel,
    };
    let machine = &mut plan.machines[MachineIx(0)];
    machine.region = "eu-west-1".to_owned();
    machine.partition = "aws".to_owned();
    machine.r#type = "m7i.large".to_owned();
    machine.quote = Some(quote(os, 107_000_000));
    plan.images[ImageIx(0)].sources = vec![ImageSource::Ec2AmiNamed {
        name: "image".to_owned(),
        owners: [("aws".to_owned(), "amazon".to_owned())].into(),
    }];
    plan.cells = vec![cell(0, ImageIx(0), ShapeIx(0), vec![MachineIx(0)])].into();
    plan
}

/// A plan of `cells` cells that have `shapes` shapes of these families in turn, each with tests of its own, on
/// machines of 20 prices.
pub fn many(families: &[Family], shapes: usize, cells: usize, tests: usize) -> ExecutionPlan {
    let mut plan = family(families[0], tests, 0);
    for shape in 1..shapes {
        let of = families[shape % families.len()];
        let other = family(of, tests, shape as u64);
        let (first, states) = (plan.tests.len(), plan.states.len());
        let test = |row: TestIx| TestIx::from_row(row.row() + first);
        for mut one in other.tests.iter().cloned() {
            one.id = dva_plan::TestId::new(format!("{}_{shape}", one.id.as_str()));
            for effect in &mut one.effects {
                if let Resource::State(state) = &mut effect.of {
                    *state = StateIx::from_row(state.row() + states);
                }
            }
            plan.tests.push(one);
        }
        for state in other.states.iter() {
            plan.states.push(state.clone());
        }
        let shape = &other.shapes[ShapeIx(0)];
        let edges = |edges: &[Edge]| {
            let edges = edges.iter().map(|edge| Edge {
                test: test(edge.test),
                after: test(edge.after),
            });
            edges.collect()
        };
        plan.shapes.push(Shape {
            tests: shape.tests.iter().map(|row| test(*row)).collect(),
            after: edges(&shape.after),
            order: edges(&shape.order),
            conflicts: shape
                .conflicts
                .iter()
                .map(|pair| Pair::of(test(pair.a), test(pair.b)))
                .collect(),
            ..Shape::default()
        });
    }
    let machine = plan.machines[MachineIx(0)].clone();
    for price in 1..20_i64 {
        let mut other = machine.clone();
        other.r#type = format!("m7i.{price}");
        other.quote = Some(quote(OsClass::Rhel, 107_000_000 + 10_000_000 * price));
        plan.machines.push(other);
    }
    plan.cells = (0..cells)
        .map(|number| {
            let shape = ShapeIx::from_row(number % shapes);
            let machine = MachineIx::from_row(number / shapes % plan.machines.len());
            cell(number, ImageIx(0), shape, vec![machine])
        })
        .collect();
    plan
}
