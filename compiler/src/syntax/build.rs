//! The pairs that pest found, turned into the tree. pest's types stop here.
//!
//! An item is parsed from its own slice of the file and every span is shifted to where the slice
//! stands. Spans are put together from words and marks, never taken from the rules around them, since
//! those may end with blanks.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a pair has the children that its rule names; any other is a bug"
)]

mod command;
mod expression;
mod literal;
mod step;

use dva_grammar::{PlanParser, Rule};
use pest::Parser;
use pest::error::Error;
use pest::iterators::Pair;

use crate::diagnostic::Bag;
use crate::span::Span;
use crate::syntax::ast;
use crate::syntax::mistake;

/// How many mistakes are looked for in one item.
const MAX_MISTAKES: usize = 16;

/// Reads one item from `text`, which stands at `base` in the file. `None` where it could not be read,
/// which was reported.
pub(super) fn item(text: &str, base: usize, bag: &mut Bag) -> Option<ast::ItemKind> {
    let error = match PlanParser::parse(Rule::one_item, text) {
        Ok(pairs) => {
            let item = pairs.flat_map(Pair::into_inner).next()?;
            return Some(Builder { base, bag }.item(item));
        }
        Err(error) => error,
    };
    further_mistakes(error, text, base, bag);
    None
}

/// Reports `error`, then leaves the lines around it out and looks for the next one. The tree of what is
/// left is of no use: what it lacks would be missed by later stages.
fn further_mistakes(error: Error<Rule>, text: &str, base: usize, bag: &mut Bag) {
    let mut text = text.to_owned();
    let mut error = error;
    let mut done = 0;
    for _ in 0..MAX_MISTAKES {
        let Some(lines) = mistake::report(&error, &text, base, done, bag) else {
            return;
        };
        done = lines.end;
        let blanks = " ".repeat(lines.len());
        text.replace_range(lines, &blanks);
        match PlanParser::parse(Rule::one_item, &text) {
            Ok(_) => return,
            Err(next) => error = next,
        }
    }
}

/// What is needed to turn pairs into a tree: where the text stands, and where mistakes go that the
/// grammar lets pass so that they have messages of their own.
struct Builder<'a> {
    base: usize,
    bag: &'a mut Bag,
}

impl Builder<'_> {
    fn item(&mut self, pair: Pair<'_, Rule>) -> ast::ItemKind {
        let rule = pair.as_rule();
        let mut parts = Parts::of(pair);
        let name = self.name(&parts.one());
        match rule {
            Rule::image_item => ast::ItemKind::Image(self.block(name, parts)),
            Rule::disk_item => ast::ItemKind::Disk(self.block(name, parts)),
            Rule::axis_item => ast::ItemKind::Axis(self.axis(name, parts)),
            Rule::matrix_item => ast::ItemKind::Matrix(self.matrix(name, parts)),
            Rule::input_item => ast::ItemKind::Input(ast::Input {
                name,
                r#type: self.type_expr(parts.one()),
            }),
            Rule::test_item => ast::ItemKind::Test(self.test(name, parts)),
            Rule::plan_item => ast::ItemKind::Plan(self.plan(name, parts)),
            other => bug(other),
        }
    }

    fn block(&mut self, name: ast::Name, fields: Parts<'_>) -> ast::Block {
        let fields = fields.map(|field| {
            let mut parts = Parts::of(field);
            ast::Field {
                name: self.name(&parts.one()),
                value: self.expr(parts.one()),
            }
        });
        let fields = fields.collect();
        ast::Block { name, fields }
    }

    fn axis(&mut self, name: ast::Name, values: Parts<'_>) -> ast::Axis {
        let values = values.map(|value| {
            let mut parts = Parts::of(value);
            let name = self.name(&parts.one());
            self.block(name, parts)
        });
        let values = values.collect();
        ast::Axis { name, values }
    }

    fn matrix(&mut self, name: ast::Name, clauses: Parts<'_>) -> ast::Matrix {
        let mut matrix = ast::Matrix {
            name,
            axes: Vec::new(),
            excludes: Vec::new(),
        };
        for clause in clauses.flat_map(Parts::of) {
            let rule = clause.as_rule();
            let mut parts = Parts::of(clause);
            match rule {
                Rule::exclude => matrix.excludes.push(self.expr(parts.one())),
                Rule::matrix_axis => {
                    let axis = self.name(&parts.one());
                    let values: Vec<_> = parts.map(|value| self.path(value)).collect();
                    let span = values
                        .last()
                        .map_or(axis.span, |last| axis.span.to(last.span));
                    matrix.axes.push(ast::MatrixAxis { axis, values, span });
                }
                other => bug(other),
            }
        }
        matrix
    }

    fn plan(&mut self, name: ast::Name, clauses: Parts<'_>) -> ast::Plan {
        let mut plan = ast::Plan {
            name,
            matrices: Vec::new(),
            tests: Vec::new(),
        };
        for clause in clauses.flat_map(Parts::of) {
            let rule = clause.as_rule();
            let parts = Parts::of(clause);
            match rule {
                Rule::plan_matrix => plan.matrices.extend(parts.map(|name| self.name(&name))),
                Rule::plan_tests => plan.tests.extend(parts.map(|test| self.path(test))),
                other => bug(other),
            }
        }
        plan
    }

    fn test(&mut self, name: ast::Name, parts: Parts<'_>) -> ast::Test {
        let mut test = ast::Test {
            name,
            after: Vec::new(),
            body: Vec::new(),
        };
        for part in parts {
            match part.as_rule() {
                Rule::after_clause => {
                    test.after = Parts::of(part).map(|test| self.path(test)).collect();
                }
                Rule::clause => test.body.push(self.clause(Parts::of(part).one())),
                other => bug(other),
            }
        }
        test
    }

    fn clause(&mut self, pair: Pair<'_, Rule>) -> ast::Clause {
        match pair.as_rule() {
            Rule::step => ast::Clause::Step(self.step(pair)),
            Rule::reads => ast::Clause::Reads(self.names(pair)),
            Rule::writes => ast::Clause::Writes(self.names(pair)),
            Rule::needs => {
                ast::Clause::Needs(Parts::of(pair).map(|need| self.expr(need)).collect())
            }
            Rule::within_clause => {
                let keyword = self.keyword(&pair);
                ast::Clause::Within(keyword, self.expr(Parts::of(pair).one()))
            }
            Rule::takes => {
                let keyword = self.keyword(&pair);
                ast::Clause::Takes(keyword, self.expr(Parts::of(pair).one()))
            }
            Rule::finally => {
                let keyword = self.keyword(&pair);
                let steps = Parts::of(pair).map(|step| self.step(step));
                ast::Clause::Finally(keyword, steps.collect())
            }
            other => bug(other),
        }
    }

    fn type_expr(&mut self, pair: Pair<'_, Rule>) -> ast::TypeExpr {
        let mut parts = Parts::of(pair);
        let first = parts.one();
        if first.as_rule() == Rule::type_list {
            let span = self.span(&first);
            let element = self.type_expr(Parts::of(first).one());
            return ast::TypeExpr {
                span,
                kind: ast::TypeExprKind::List(Box::new(element)),
            };
        }
        let name = self.name(&first);
        match parts.next().map(|unit| self.name(&unit)) {
            None => ast::TypeExpr {
                span: name.span,
                kind: ast::TypeExprKind::Named(name),
            },
            Some(unit) => ast::TypeExpr {
                span: name.span.to(unit.span),
                kind: ast::TypeExprKind::In(name, unit),
            },
        }
    }

    fn names(&mut self, pair: Pair<'_, Rule>) -> Vec<ast::Name> {
        Parts::of(pair).map(|name| self.name(&name)).collect()
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> ast::Name {
        ast::Name {
            text: pair.as_str().to_owned(),
            span: self.span(pair),
        }
    }

    fn path(&self, pair: Pair<'_, Rule>) -> ast::Path {
        ast::Path {
            span: self.span(&pair),
            segments: pair.into_inner().map(|word| self.name(&word)).collect(),
        }
    }

    /// The span of the keyword that a pair begins with.
    fn keyword(&self, pair: &Pair<'_, Rule>) -> Span {
        let mut first = pair.clone();
        while let Some(inner) = first.clone().into_inner().next() {
            first = inner;
        }
        self.span(&first)
    }

    /// The span of a pair that ends with a word or a mark.
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        self.shift(span.start(), span.end())
    }

    /// A range of the parsed text as one of the file.
    fn shift(&self, start: usize, end: usize) -> Span {
        Span::new(self.base + start, self.base + end)
    }
}

/// The parts of a pair that carry meaning: keywords and marks left out.
struct Parts<'i>(pest::iterators::Pairs<'i, Rule>);

impl<'i> Parts<'i> {
    fn of(pair: Pair<'i, Rule>) -> Self {
        Self(pair.into_inner())
    }

    /// The next part, which the grammar promises.
    fn one(&mut self) -> Pair<'i, Rule> {
        match self.next() {
            Some(pair) => pair,
            None => panic!("a part that the grammar promises is not there"),
        }
    }
}

impl<'i> Iterator for Parts<'i> {
    type Item = Pair<'i, Rule>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find(|pair| !is_syntax_alone(pair.as_rule()))
    }
}

/// Whether a rule is a keyword or a mark that says nothing beyond the rule it stands in.
fn is_syntax_alone(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::kw_image
            | Rule::kw_axis
            | Rule::kw_matrix
            | Rule::kw_disk
            | Rule::kw_input
            | Rule::kw_test
            | Rule::kw_plan
            | Rule::kw_each
            | Rule::kw_exclude
            | Rule::kw_tests
            | Rule::kw_after
            | Rule::kw_reads
            | Rule::kw_writes
            | Rule::kw_needs
            | Rule::kw_within
            | Rule::kw_takes
            | Rule::kw_finally
            | Rule::kw_run
            | Rule::kw_script
            | Rule::kw_let
            | Rule::kw_check
            | Rule::kw_reboot
            | Rule::kw_stop
            | Rule::kw_start
            | Rule::kw_attach
            | Rule::kw_detach
            | Rule::kw_wait
            | Rule::kw_until
            | Rule::kw_upload
            | Rule::kw_to
            | Rule::kw_collect
            | Rule::kw_expect
            | Rule::kw_any
            | Rule::kw_find
            | Rule::kw_by
            | Rule::kw_retry
            | Rule::kw_every
            | Rule::kw_with
            | Rule::kw_in
            | Rule::kw_all
            | Rule::kw_raw
            | Rule::brace_open
            | Rule::brace_close
            | Rule::paren_open
            | Rule::paren_close
            | Rule::bracket_open
            | Rule::bracket_close
            | Rule::comma
            | Rule::colon
            | Rule::assign
    )
}

/// A rule that the grammar does not allow in the place it was found in.
fn bug(rule: Rule) -> ! {
    panic!("the grammar has no {rule:?} in this place")
}
