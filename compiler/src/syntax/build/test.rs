//! Tests and their clauses.

use dva_grammar::Rule;
use pest::iterators::Pair;

use super::{Builder, Parts, bug, collected};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::ast::{self, ExprKind};

impl Builder<'_> {
    pub(super) fn test(&mut self, name: ast::Name, parts: Parts<'_>) -> ast::Test {
        let mut test = ast::Test {
            name,
            parameters: None,
            after: Vec::new(),
            per: Vec::new(),
            body: Vec::new(),
        };
        for part in parts {
            match part.as_rule() {
                Rule::parameters => test.parameters = Some(self.parameters(part)),
                Rule::after_clause => {
                    test.after = collected(Parts::of(part).map(|after| self.after(after)));
                }
                Rule::per_clause => test.per = self.names(part),
                Rule::clause => test.body.push(self.clause(Parts::of(part).one())),
                other => bug(other),
            }
        }
        test.body.shrink_to_fit();
        test
    }

    fn after(&mut self, pair: Pair<'_, Rule>) -> ast::After {
        let mut parts = Parts::of(pair);
        ast::After {
            test: self.test_ref(parts.one()),
            regardless: parts.next().map(|word| self.keyword(&word)),
        }
    }

    /// A test that is named, with its arguments.
    pub(super) fn test_ref(&mut self, pair: Pair<'_, Rule>) -> ast::TestRef {
        let expr = self.reference(pair);
        let span = expr.span;
        match expr.kind {
            ExprKind::Call { callee, arguments } => {
                let arguments = arguments.into_iter().map(|argument| {
                    if let Some(name) = &argument.name {
                        let text = "an argument of a test has no name";
                        let finding = Diagnostic::new(Code::P0108, name.span, text);
                        let help = "Write the values alone, in the order of the parameters.";
                        self.bag.push(finding.help(help));
                    }
                    argument.value
                });
                ast::TestRef {
                    span,
                    path: callee,
                    arguments: Some(arguments.collect()),
                }
            }
            ExprKind::Index { table, key } => {
                let text = "a test is named here, and a test has no entries";
                let finding = Diagnostic::new(Code::P0108, key.span, text);
                let help = "Arguments stand in parentheses: `mounted(data)`.";
                self.bag.push(finding.help(help));
                ast::TestRef {
                    span,
                    path: table,
                    arguments: Some(vec![*key]),
                }
            }
            ExprKind::Path(path) => ast::TestRef {
                span,
                path,
                arguments: None,
            },
            other => panic!("a reference is a path, a call or a look-up, not {other:?}"),
        }
    }

    fn clause(&mut self, pair: Pair<'_, Rule>) -> ast::Clause {
        let keyword = self.keyword(&pair);
        let rule = pair.as_rule();
        match rule {
            Rule::step => return ast::Clause::Step(self.step(pair)),
            Rule::reads => return ast::Clause::Reads(self.paths(pair)),
            Rule::writes => return ast::Clause::Writes(self.paths(pair)),
            Rule::borrows => return ast::Clause::Borrows(self.paths(pair)),
            Rule::tags => return ast::Clause::Tags(self.names(pair)),
            Rule::last => return ast::Clause::Last(keyword),
            Rule::once => return ast::Clause::Once(keyword),
            _ => {}
        }
        let mut parts = Parts::of(pair);
        match rule {
            Rule::needs => ast::Clause::Needs(parts.map(|need| self.need(need)).collect()),
            Rule::within_clause => ast::Clause::Within(keyword, self.expr(parts.one())),
            Rule::takes => ast::Clause::Takes(keyword, self.expr(parts.one())),
            Rule::retry_clause => ast::Clause::Retry(keyword, self.expr(parts.one())),
            Rule::when_clause => ast::Clause::When(keyword, self.expr(parts.one())),
            Rule::finally => {
                ast::Clause::Finally(keyword, parts.map(|step| self.step(step)).collect())
            }
            other => bug(other),
        }
    }

    fn need(&mut self, pair: Pair<'_, Rule>) -> ast::Need {
        let need = Parts::of(pair).one();
        match need.as_rule() {
            Rule::needs_boot => ast::Need::Boot(self.path(Parts::of(need).one())),
            _ => ast::Need::Holds(self.expr(need)),
        }
    }
}
