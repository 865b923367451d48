//! Boots, and what plans say of their runs: limits, markets, waivers, gates, setup.

use dva_plan::plan::{BootIx, TestIx};
use dva_plan::quote::Market;

use super::{Given, Resolution, dotted};
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{Boot, Gate, ItemRef, LimitOf, Mention, Policy, Test, Waiver};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;

/// The fields of a boot.
const BOOT_FIELDS: [(&str, Given); 3] = [
    ("mode", Given::Sometimes),
    ("root", Given::Sometimes),
    ("user_data", Given::Sometimes),
];

const LIMITS: [(&str, LimitOf); 3] = [
    ("cost", LimitOf::Cost),
    ("elapsed", LimitOf::Elapsed),
    ("machines", LimitOf::Machines),
];

const MARKETS: [(&str, Market); 2] = [("on_demand", Market::OnDemand), ("spot", Market::Spot)];

impl<'a> Resolution<'a, '_> {
    pub(super) fn boot(&mut self, boot: &'a ast::Block) -> Boot<'a> {
        let fields = self.fields(&boot.name, &boot.fields, &BOOT_FIELDS, "a boot");
        if boot.fields.is_empty() {
            let text = format!("`{}` says nothing", boot.name.text);
            self.bag.push(
                Diagnostic::new(Code::P0735, boot.name.span, text).help(
                    "A boot says what a life needs at its launch: `user_data`, `mode`, `root`.",
                ),
            );
        }
        Boot {
            name: &boot.name,
            fields,
        }
    }

    /// `needs boot NAME`
    pub(super) fn needs_boot(&mut self, path: &ast::Path, row: &mut Test<'a>) {
        let Some(to) = self.boot_named(path) else {
            row.intact = false;
            return;
        };
        match &row.boot {
            None => {
                row.boot = Some(Mention {
                    to,
                    span: path.span,
                });
            }
            Some(first) if first.to == to => {
                let first = first.span;
                self.said_twice(path.span, first, &format!("`{}`", dotted(path)));
            }
            Some(first) => self.bag.push(
                Diagnostic::new(Code::P0731, path.span, "this boot")
                    .and(first.span, "and this one")
                    .help("A life has one boot. Put all that the test needs into one of them."),
            ),
        }
    }

    fn boot_named(&mut self, path: &ast::Path) -> Option<BootIx> {
        let name = dotted(path);
        match self.find(&name, path.span) {
            Some((ItemRef::Boot(boot), _)) => Some(boot),
            found => {
                let fits = |to| matches!(to, ItemRef::Boot(_));
                self.unknown(&name, path.span, found, "a boot", fits);
                None
            }
        }
    }

    /// One of the clauses of a plan that are not about its tests.
    pub(super) fn policy(&mut self, clause: &'a ast::PlanClause, policy: &mut Policy<'a>) -> bool {
        match clause {
            ast::PlanClause::Limit(_, limits) => {
                limits.iter().for_each(|limit| self.limit(limit, policy));
                true
            }
            ast::PlanClause::Market(span, names) => {
                self.market(*span, names, policy);
                true
            }
            ast::PlanClause::Waive(waive) => self.waive(waive, policy),
            ast::PlanClause::Gate(_, first, then) => self.gate(first, then, policy),
            // Its steps become a row behind those of the tests.
            ast::PlanClause::Setup(span, steps) => {
                match policy.setup_span {
                    Some(first) => self.said_twice(*span, first, "`setup`"),
                    None => {
                        policy.setup_span = Some(*span);
                        self.setups.push((*span, steps));
                    }
                }
                true
            }
            ast::PlanClause::Matrix(_)
            | ast::PlanClause::Tests(_)
            | ast::PlanClause::Again(_)
            | ast::PlanClause::On(..) => true,
        }
    }

    fn limit(&mut self, limit: &'a ast::Limit, policy: &mut Policy<'a>) {
        let word = limit.name.text.as_str();
        let known = || LIMITS.iter().map(|(name, _)| *name);
        let Some((_, of)) = LIMITS.iter().find(|(name, _)| *name == word) else {
            let help = match word {
                "time" | "duration" | "within" => {
                    "How long the whole run may take is `elapsed`.".to_owned()
                }
                _ => did_you_mean(word, known())
                    .unwrap_or_else(|| format!("There are {}.", listed(known()))),
            };
            let text = format!("nothing called `{word}` can be limited");
            let finding = Diagnostic::new(Code::P0730, limit.name.span, text);
            self.bag.push(finding.help(help));
            return;
        };
        match policy.limits.get(of) {
            Some(first) => {
                let first = first.name.span;
                self.said_twice(limit.name.span, first, &format!("a limit of `{word}`"));
            }
            None => {
                policy.limits.insert(*of, limit);
            }
        }
    }

    fn market(&mut self, span: Span, names: &[ast::Name], policy: &mut Policy<'a>) {
        if let Some((first, _)) = policy.market {
            self.said_twice(span, first, "`market`");
            return;
        }
        let mut markets: Vec<(Market, Span)> = Vec::new();
        for name in names {
            let word = name.text.as_str();
            let known = || MARKETS.iter().map(|(name, _)| *name);
            let Some((_, market)) = MARKETS.iter().find(|(known, _)| *known == word) else {
                let help = did_you_mean(word, known())
                    .unwrap_or_else(|| format!("There are {}.", listed(known())));
                let text = format!("no machines are bought `{word}`");
                let finding = Diagnostic::new(Code::P0304, name.span, text);
                self.bag.push(finding.help(help));
                continue;
            };
            match markets.iter().find(|(known, _)| known == market) {
                Some((_, first)) => self.said_twice(name.span, *first, &format!("`{word}`")),
                None => markets.push((*market, name.span)),
            }
        }
        let markets = markets.into_iter().map(|(market, _)| market);
        policy.market = Some((span, markets.collect()));
    }

    /// False where a test that it names was reported.
    fn waive(&mut self, waive: &'a ast::Waive, policy: &mut Policy<'a>) -> bool {
        let (mut tests, mut all, mut known) = (Vec::<Mention<TestIx>>::new(), false, true);
        for selector in &waive.tests {
            match selector {
                ast::Selector::Test(test) => match self.mention_of_test(test) {
                    Some(mention) => {
                        match tests.iter().find(|other| other.to == mention.to).copied() {
                            Some(first) => {
                                let name = format!("`{}`", dotted(&test.path));
                                self.said_twice(mention.span, first.span, &name);
                            }
                            None => tests.push(mention),
                        }
                    }
                    None => known = false,
                },
                ast::Selector::All(_) => all = true,
                ast::Selector::Module(path) => match self.tests_of_module(path) {
                    Some(named) => {
                        let span = path.span;
                        tests.extend(named.into_iter().map(|to| Mention { to, span }));
                    }
                    None => known = false,
                },
            }
        }
        policy.waivers.push(Waiver {
            tests,
            all,
            written: waive,
        });
        known
    }

    /// False where a matrix was reported.
    fn gate(&mut self, first: &ast::Path, then: &ast::Path, policy: &mut Policy<'a>) -> bool {
        let first = self.mention_of_matrix(first);
        let then = self.mention_of_matrix(then);
        let (Some(first), Some(then)) = (first, then) else {
            return false;
        };
        let same = |gate: &&Gate| gate.first.to == first.to && gate.then.to == then.to;
        match policy.gates.iter().find(same).copied() {
            Some(known) => self.said_twice(
                first.span.to(then.span),
                known.first.span.to(known.then.span),
                "the same gate",
            ),
            None => policy.gates.push(Gate { first, then }),
        }
        true
    }

    /// Gives the setups of the plans their rows, behind those of the tests. Nothing names them.
    pub(super) fn fill_setups(&mut self) {
        let setups = std::mem::take(&mut self.setups);
        let mut plans: Vec<_> = self.hir.plans.indices().collect();
        plans.retain(|plan| self.hir.plans[*plan].policy.setup_span.is_some());
        for (plan, (span, steps)) in plans.into_iter().zip(setups) {
            let name = self.hir.plans[plan].name;
            let mut setup = Test::new(name, name.text.as_str().into(), span);
            setup.steps = steps.iter().collect();
            setup.is_setup = true;
            let setup = self.hir.tests.push(setup);
            self.hir.plans[plan].policy.setup = Some(setup);
        }
    }
}
