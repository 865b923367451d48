//! Which machines serve the cells of a plan, and at what price.
//!
//! The needs of the tests narrow down what a cell may run on: of several machines those stay that
//! serve all of its tests, the cheapest first. Cheaper ones that serve only some tests come behind these:
//! two lives may cost less than one on a larger machine, which the scheduler decides. Where none of a
//! cell's machines meets the need of a test, the test is unsupported there. A need that is met nowhere
//! is a mistake.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::eval::eval;
use dva_plan::money::Money;
use dva_plan::plan::{Machine, MachineIx, TestIx};
use dva_plan::quote::Market;
use dva_plan::table::Table;
use dva_plan::value::Value;
use dva_stdlib::Catalog;

use crate::constraint::binding;
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::expand::Cells;
use crate::graph::Graph;
use crate::graph::apply::Applied;
use crate::hir::{Hir, Plan};
use crate::quote::{hourly, quote};
use crate::suggest::listed;
use crate::types::Typed;
use crate::types::choice::{MachineFacts, range};

/// The most machines that a cell has to fall back on. The cheapest are kept.
pub const MAX_CANDIDATES: usize = 64;

/// What serves a cell.
#[derive(Debug)]
pub struct Served {
    /// The machines that serve all that is supported, the cheapest first, and then cheaper ones that do not;
    /// never empty.
    pub candidates: Vec<MachineIx>,
    /// The tests that none of the cell's machines can do, as rows of the source, ascending.
    pub unsupported: Vec<TestIx>,
}

/// Narrows the machines of cells down to those that serve their tests.
pub(super) struct Serving<'e, 'a> {
    hir: &'e Hir<'a>,
    typed: &'e Typed,
    catalog: &'e Catalog,
    graph: &'e Graph,
    applied: &'e Applied,
    /// How machines are bought where that is possible.
    market: Market,
    bag: &'e mut Bag,
    machines: Table<MachineIx, Machine>,
    rows: BTreeMap<Machine, MachineIx>,
}

impl<'e, 'a> Serving<'e, 'a> {
    pub(super) fn new(
        (hir, typed, catalog): (&'e Hir<'a>, &'e Typed, &'e Catalog),
        plan: &Plan<'_>,
        (graph, applied): (&'e Graph, &'e Applied),
        bag: &'e mut Bag,
    ) -> Self {
        Self {
            hir,
            typed,
            catalog,
            graph,
            applied,
            market: plan.policy.first_market(),
            bag,
            machines: Table::new(),
            rows: BTreeMap::new(),
        }
    }

    /// The machines that serve some cell, each once.
    pub(super) fn machines(self) -> Table<MachineIx, Machine> {
        self.machines
    }

    /// What serves each of `cells`, those of the plan's part `part`; `None` where a need is met nowhere,
    /// which is reported.
    pub(super) fn serve(&mut self, part: usize, cells: &Cells) -> Option<Vec<Served>> {
        let sets = &self.applied.cells[part];
        // For each set of tests, those with needs that it runs, as rows of the source.
        let needy: Vec<BTreeSet<TestIx>> = self
            .applied
            .sets
            .iter()
            .map(|running| {
                let runs = running.enumerate().filter(|(_, runs)| **runs);
                let tests = runs.map(|(node, _)| self.graph.nodes[node].test);
                tests
                    .filter(|test| !self.typed.tests[*test].requires.is_empty())
                    .collect()
            })
            .collect();
        let here = sets.iter().flatten().flat_map(|set| &needy[*set]);
        let tests: BTreeSet<TestIx> = here.copied().collect();
        let needs = Needs::of(self.typed, &tests, cells);
        let mut supported: BTreeSet<TestIx> = BTreeSet::new();
        let mut prices = Prices {
            catalog: self.catalog,
            cells,
            market: self.market,
            known: BTreeMap::new(),
        };
        let mut rows: BTreeMap<MachineIx, MachineIx> = BTreeMap::new();
        let mut all = Vec::new();
        for (cell, set) in cells.cells.iter().zip(sets) {
            let mut candidates = cell.candidates.clone();
            let mut unsupported = Vec::new();
            for test in set.iter().flat_map(|set| &needy[*set]) {
                let holds = &needs.tests[test];
                let able: Vec<_> = candidates
                    .iter()
                    .copied()
                    .filter(|machine| holds[*machine].iter().all(|holds| *holds))
                    .collect();
                if able.is_empty() {
                    unsupported.push(*test);
                } else {
                    supported.insert(*test);
                    candidates = able;
                }
            }
            prices.sort(&mut candidates);
            candidates.truncate(MAX_CANDIDATES);
            let needed = set.iter().flat_map(|set| &needy[*set]);
            let needed: Vec<_> = needed.map(|test| &needs.tests[test]).collect();
            let cheaper = prices.cheaper(&cell.candidates, &candidates, |machine| {
                let met = needed
                    .iter()
                    .map(|holds| holds[machine].iter().all(|it| *it));
                met.collect()
            });
            candidates.extend(cheaper);
            candidates.truncate(MAX_CANDIDATES);
            let priced = candidates.into_iter().map(|machine| {
                *rows
                    .entry(machine)
                    .or_insert_with(|| self.priced(cells, machine))
            });
            all.push(Served {
                candidates: priced.collect(),
                unsupported,
            });
        }
        let mut all_met = true;
        for (test, holds) in &needs.tests {
            if !supported.contains(test) {
                all_met = false;
                Unmet {
                    hir: self.hir,
                    typed: self.typed,
                    cells,
                    supported: &supported,
                }
                .report(*test, holds, self.bag);
            }
        }
        all_met.then_some(all)
    }

    /// The row of `machine` with its quote.
    fn priced(&mut self, cells: &Cells, machine: MachineIx) -> MachineIx {
        let row = &cells.machines[machine];
        let class = cells.classes[machine];
        let priced = Machine {
            quote: quote(self.catalog, &row.region, &row.r#type, class, self.market),
            ..row.clone()
        };
        let machines = &mut self.machines;
        *self
            .rows
            .entry(priced)
            .or_insert_with_key(|priced| machines.push(priced.clone()))
    }
}

/// For each test with needs, and each machine, which of the needs it meets.
struct Needs {
    tests: BTreeMap<TestIx, Table<MachineIx, Vec<bool>>>,
}

impl Needs {
    fn of(typed: &Typed, tests: &BTreeSet<TestIx>, cells: &Cells) -> Self {
        let nodes = typed.expressions.expressions();
        let mut of = BTreeMap::new();
        for test in tests {
            let requires = &typed.tests[*test].requires;
            if requires.is_empty() {
                continue;
            }
            let holds = cells.machines.iter().map(|machine| {
                let facts = MachineFacts(machine);
                let holds = requires.iter().map(|required| {
                    eval(nodes, required.condition, &facts) == Ok(Value::Bool(true))
                });
                holds.collect()
            });
            of.insert(*test, holds.collect());
        }
        Self { tests: of }
    }
}

/// Prices of machines, each looked up once.
struct Prices<'e> {
    catalog: &'e Catalog,
    cells: &'e Cells,
    market: Market,
    known: BTreeMap<MachineIx, Option<Money>>,
}

impl<'e> Prices<'e> {
    /// The cheapest first.
    fn sort(&mut self, machines: &mut [MachineIx]) {
        if machines.len() > 1 {
            machines.sort_by_cached_key(|machine| (self.rank(*machine), *machine));
        }
    }

    /// Of `all` the machines that are cheaper than each of those `serving` all tests, the cheapest first, and
    /// of those of which `met` says the same, only that one.
    fn cheaper(
        &mut self,
        all: &[MachineIx],
        serving: &[MachineIx],
        met: impl Fn(MachineIx) -> Vec<bool>,
    ) -> Vec<MachineIx> {
        if all.len() == serving.len() {
            return Vec::new();
        }
        let Some(most) = serving.first().and_then(|first| self.rank(*first).1) else {
            return Vec::new();
        };
        let is_cheaper = |machine: &MachineIx| {
            let price = self.rank(*machine).1;
            price.is_some_and(|price| price < most)
        };
        let mut cheaper: Vec<_> = all.iter().copied().filter(is_cheaper).collect();
        self.sort(&mut cheaper);
        let mut known = BTreeSet::new();
        cheaper.retain(|machine| known.insert(met(*machine)));
        cheaper
    }

    /// The cheapest is the least; then by name. What has no price comes last.
    fn rank(&mut self, machine: MachineIx) -> (bool, Option<Money>, &'e str, &'e str) {
        let row: &'e Machine = &self.cells.machines[machine];
        let os = self.cells.classes[machine];
        let price = *self
            .known
            .entry(machine)
            .or_insert_with(|| hourly(self.catalog, &row.region, &row.r#type, os, self.market));
        (price.is_none(), price, &row.r#type, &row.region)
    }
}

/// What a report of needs that no cell meets is made of.
struct Unmet<'e, 'a> {
    hir: &'e Hir<'a>,
    typed: &'e Typed,
    cells: &'e Cells,
    /// The tests that some cell can do.
    supported: &'e BTreeSet<TestIx>,
}

impl Unmet<'_, '_> {
    /// Reports `test`, with those of its needs that bind; `holds` says which of them each machine meets.
    fn report(&self, test: TestIx, holds: &Table<MachineIx, Vec<bool>>, bag: &mut Bag) {
        let requires = &self.typed.tests[test].requires;
        let cells = self.cells.cells.iter();
        let serving: BTreeSet<MachineIx> = cells
            .flat_map(|cell| cell.candidates.iter().copied())
            .collect();
        let serving: Vec<MachineIx> = serving.into_iter().collect();
        let rows: Vec<Vec<bool>> = serving.iter().map(|of| holds[*of].clone()).collect();
        let Some(binding) = binding(&rows) else {
            self.report_rivals(test, bag);
            return;
        };
        let words = binding.conditions.iter();
        let words = words.map(|one| format!("`{}`", requires[*one].source.text));
        let words: Vec<_> = words.collect();
        let first = requires[binding.conditions[0]].span;
        let text = "no machine of the matrix is like that";
        let mut finding = Diagnostic::new(Code::P0414, first, text);
        for other in &binding.conditions[1..] {
            finding = finding.and(requires[*other].span, "together with this");
        }
        let machines = || {
            let places = binding.without.iter();
            places.map(|place| &self.cells.machines[serving[*place]])
        };
        let types: BTreeSet<&str> = machines().map(|machine| machine.r#type.as_str()).collect();
        let range = match binding.conditions.as_slice() {
            [only] => range(
                self.typed.expressions.expressions(),
                requires[*only].condition,
                machines(),
            ),
            _ => String::new(),
        };
        bag.push(finding.help(format!(
            "`{}` would run nowhere. Without {} it could run on {}{range}. Give the matrix such a \
             machine, or need less.",
            self.hir.tests[test].id,
            words.join(" and "),
            listed(types)
        )));
    }

    /// Reports a test that some machine could do, if tests before it did not need another one.
    fn report_rivals(&self, test: TestIx, bag: &mut Bag) {
        let Some(first) = self.typed.tests[test].requires.first() else {
            return;
        };
        let text = "no machine meets this and what other tests of the plan need";
        let mut finding = Diagnostic::new(Code::P0414, first.span, text);
        for other in self.supported.iter().filter(|other| **other < test) {
            for required in &self.typed.tests[*other].requires {
                finding = finding.and(required.span, "this too");
            }
        }
        bag.push(finding.help(
            "One machine runs all tests of a cell. Put the tests into plans of their own, or let the \
             matrix have `each` of the machines.",
        ));
    }
}
