//! Plans.

use dva_grammar::Rule;
use pest::iterators::Pair;

use super::{Builder, Parts, bug};
use crate::syntax::ast;

impl Builder<'_> {
    pub(super) fn plan(&mut self, name: ast::Name, clauses: Parts<'_>) -> ast::Plan {
        let clauses = clauses
            .flat_map(Parts::of)
            .map(|clause| self.plan_clause(clause));
        let clauses = clauses.collect();
        ast::Plan { name, clauses }
    }

    fn plan_clause(&mut self, pair: Pair<'_, Rule>) -> ast::PlanClause {
        let keyword = self.keyword(&pair);
        let rule = pair.as_rule();
        if rule == Rule::waive {
            return ast::PlanClause::Waive(self.waive(pair));
        }
        let mut parts = Parts::of(pair);
        match rule {
            Rule::plan_matrix => {
                ast::PlanClause::Matrix(parts.map(|matrix| self.path(matrix)).collect())
            }
            Rule::plan_tests => ast::PlanClause::Tests(self.selection(parts)),
            Rule::again => {
                let (mut tests, mut after) = (Vec::new(), None);
                for part in parts {
                    match part.as_rule() {
                        Rule::selector => tests.push(self.selector(part)),
                        _ => after = Some(self.test_ref(part)),
                    }
                }
                let Some(after) = after else {
                    panic!("a part that the grammar promises is not there")
                };
                ast::PlanClause::Again(ast::Again { tests, after })
            }
            Rule::plan_on => {
                let matrix = self.path(parts.one());
                let clauses = parts.map(|clause| self.plan_clause(clause));
                ast::PlanClause::On(matrix, clauses.collect())
            }
            Rule::limit => {
                let limits = parts.map(|limit| {
                    let mut parts =
                        Parts::of(limit).filter(|part| part.as_rule() != Rule::op_at_most);
                    let mut part = || match parts.next() {
                        Some(part) => part,
                        None => panic!("a part that the grammar promises is not there"),
                    };
                    ast::Limit {
                        name: self.name(&part()),
                        value: self.expr(part()),
                    }
                });
                ast::PlanClause::Limit(keyword, limits.collect())
            }
            Rule::market => {
                ast::PlanClause::Market(keyword, parts.map(|name| self.name(&name)).collect())
            }
            Rule::gate => {
                let first = self.path(parts.one());
                ast::PlanClause::Gate(keyword, first, self.path(parts.one()))
            }
            Rule::setup => {
                ast::PlanClause::Setup(keyword, parts.map(|step| self.step(step)).collect())
            }
            other => bug(other),
        }
    }

    fn waive(&mut self, pair: Pair<'_, Rule>) -> ast::Waive {
        let keyword = self.keyword(&pair);
        let (mut tests, mut condition, mut because, mut until) = (Vec::new(), None, None, None);
        for part in Parts::of(pair) {
            match part.as_rule() {
                Rule::selector => tests.push(self.selector(part)),
                Rule::expr => condition = Some(self.expr(part)),
                Rule::because => because = Some(self.prose(&Parts::of(part).one())),
                Rule::numeral => until = Some(self.numeral(&part)),
                other => bug(other),
            }
        }
        let Some(because) = because else {
            panic!("a part that the grammar promises is not there")
        };
        let end = until
            .as_ref()
            .map_or(because.span, |until: &ast::Expr| until.span);
        ast::Waive {
            span: keyword.to(end),
            tests,
            condition,
            because,
            until,
        }
    }

    fn selection(&mut self, parts: Parts<'_>) -> ast::Selection {
        let mut selection = ast::Selection {
            tests: Vec::new(),
            condition: None,
            except: Vec::new(),
        };
        for part in parts {
            match part.as_rule() {
                Rule::selector => selection.tests.push(self.selector(part)),
                Rule::expr => selection.condition = Some(self.expr(part)),
                Rule::except => {
                    let except = Parts::of(part).map(|test| self.selector(test));
                    selection.except = except.collect();
                }
                other => bug(other),
            }
        }
        selection
    }

    fn selector(&mut self, pair: Pair<'_, Rule>) -> ast::Selector {
        let whole = self.keyword(&pair);
        match Parts::of(pair).next() {
            None => ast::Selector::All(whole),
            Some(part) if part.as_rule() == Rule::glob => {
                ast::Selector::Module(self.path(Parts::of(part).one()))
            }
            Some(part) => ast::Selector::Test(self.test_ref(part)),
        }
    }
}
