//! What a plan says of its run as a whole.

use std::collections::BTreeMap;

use dva_plan::plan::TestIx;
use dva_plan::quote::Market;

use super::{MatrixIx, Mention};
use crate::span::Span;
use crate::syntax::ast;

/// The rules of a plan's runs.
#[derive(Debug, Default)]
pub struct Policy<'a> {
    /// Its limits, each once.
    pub limits: BTreeMap<LimitOf, &'a ast::Limit>,
    /// How machines are bought, the best way first, each once; with the keyword.
    pub market: Option<(Span, Vec<Market>)>,
    /// Failures that do not count.
    pub waivers: Vec<Waiver<'a>>,
    /// Which matrices wait for others.
    pub gates: Vec<Gate>,
    /// What every life does before its first test: a row of its own among the tests, which nothing names.
    pub setup: Option<TestIx>,
    /// The keyword of the setup.
    pub setup_span: Option<Span>,
}

impl Policy<'_> {
    /// How machines are bought where that is possible: prices are those of this market.
    #[must_use]
    pub fn first_market(&self) -> Market {
        let markets = self.market.iter().flat_map(|(_, markets)| markets);
        markets.copied().next().unwrap_or(Market::OnDemand)
    }
}

/// What a limit is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitOf {
    /// What the run costs.
    Cost,
    /// How long it takes.
    Elapsed,
    /// How many machines there are at once.
    Machines,
}

/// Failures that do not count.
#[derive(Debug)]
pub struct Waiver<'a> {
    /// The tests that it names, each once.
    pub tests: Vec<Mention<TestIx>>,
    /// Whether it means all tests of the plan.
    pub all: bool,
    /// All of it as it was written.
    pub written: &'a ast::Waive,
}

/// `gate FIRST before THEN`
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// The matrix whose cells come first.
    pub first: Mention<MatrixIx>,
    /// The matrix whose cells wait.
    pub then: Mention<MatrixIx>,
}
