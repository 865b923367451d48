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
mod item;
mod literal;
mod plan;
mod step;
mod test;

use dva_grammar::{PlanParser, Rule};
use pest::Parser;
use pest::error::Error;
use pest::iterators::Pair;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast;
use crate::syntax::lex::{Lexer, TokenKind};
use crate::syntax::mistake;
use crate::syntax::scan::MAX_DEPTH;

/// How many mistakes are looked for in one item.
const MAX_MISTAKES: usize = 16;

/// Reads one item from `text`, which stands at `base` in the file. `None` where it could not be read,
/// which was reported.
pub(super) fn item(
    text: &str,
    base: usize,
    bag: &mut Bag,
) -> Option<(Option<Span>, ast::ItemKind)> {
    let error = match PlanParser::parse(Rule::one_item, text) {
        Ok(pairs) => {
            let mut builder = Builder { base, bag };
            let mut parts = pairs.flat_map(Pair::into_inner).peekable();
            let public = parts.next_if(|part| part.as_rule() == Rule::public);
            let public = public.map(|public| builder.span(&public));
            return Some((public, builder.item(parts.next()?)));
        }
        Err(error) => error,
    };
    further_mistakes(error, text, base, bag);
    None
}

/// Reads a condition from `text`. `None` where it could not be read, which was reported.
pub(super) fn condition(text: &str, bag: &mut Bag) -> Option<ast::Expr> {
    let opened = |kind| matches!(kind, TokenKind::Open(_));
    let open = Lexer::new(text).filter(|token| opened(token.kind)).count();
    let span = Span::new(0, text.len());
    let help = "Conditions are such as `memory >= 16GiB and nvme`.";
    if open > MAX_DEPTH {
        let finding = Diagnostic::new(Code::P0106, span, "too many brackets are open");
        bag.push(finding.help(help));
        return None;
    }
    match PlanParser::parse(Rule::one_value, text) {
        Ok(pairs) => {
            let value = pairs.flat_map(Pair::into_inner).next()?;
            if expression::is_too_deep(&value) {
                let finding = Diagnostic::new(Code::P0106, span, "too many operators");
                bag.push(finding.help(help));
                return None;
            }
            Some(Builder { base: 0, bag }.expr(value))
        }
        Err(error) => {
            mistake::report(&error, text, 0, 0, bag);
            if !bag.has_errors() {
                let finding = Diagnostic::new(Code::P0108, span, "no condition can be read here");
                bag.push(finding.help(help));
            }
            None
        }
    }
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
    fn type_expr(&mut self, pair: Pair<'_, Rule>) -> ast::TypeExpr {
        let mut parts = Parts::of(pair);
        let first = parts.one();
        let span = self.span(&first);
        let kind = match first.as_rule() {
            Rule::type_list => {
                let element = self.type_expr(Parts::of(first).one());
                ast::TypeExprKind::List(Box::new(element))
            }
            Rule::type_record => ast::TypeExprKind::Record(self.parameters(first)),
            _ => {
                let name = self.name(&first);
                match parts.next().map(|unit| self.name(&unit)) {
                    None => ast::TypeExprKind::Named(name),
                    Some(unit) => {
                        return ast::TypeExpr {
                            span: span.to(unit.span),
                            kind: ast::TypeExprKind::In(Box::new((name, unit))),
                        };
                    }
                }
            }
        };
        ast::TypeExpr { span, kind }
    }

    /// `NAME: TYPE, …` in any brackets.
    fn parameters(&mut self, pair: Pair<'_, Rule>) -> Vec<ast::Parameter> {
        let parameters = Parts::of(pair).map(|parameter| {
            let mut parts = Parts::of(parameter);
            ast::Parameter {
                name: self.name(&parts.one()),
                r#type: self.type_expr(parts.one()),
            }
        });
        parameters.collect()
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

    fn paths(&mut self, pair: Pair<'_, Rule>) -> Vec<ast::Path> {
        collected(Parts::of(pair).map(|path| self.path(path)))
    }

    fn path(&self, pair: Pair<'_, Rule>) -> ast::Path {
        let span = self.span(&pair);
        let words = pair.into_inner();
        let mut segments = Vec::with_capacity(words.len());
        segments.extend(words.map(|word| self.name(&word)));
        ast::Path { segments, span }
    }

    /// The span of the keyword that a pair begins with. Keywords are small letters, and none stands
    /// behind them, so the text tells where one ends.
    fn keyword(&self, pair: &Pair<'_, Rule>) -> Span {
        let start = pair.as_span().start();
        let letters = pair.as_str().bytes().take_while(u8::is_ascii_lowercase);
        self.shift(start, start + letters.count())
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

/// The values of an iterator without room for more: most lists of a tree hold one value or two, and
/// trees of large files are large.
fn collected<T>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.shrink_to_fit();
    values
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
            | Rule::kw_pub
            | Rule::kw_use
            | Rule::kw_as
            | Rule::kw_at
            | Rule::kw_table
            | Rule::kw_fact
            | Rule::kw_like
            | Rule::kw_boot
            | Rule::kw_state
            | Rule::kw_per
            | Rule::kw_account
            | Rule::kw_where
            | Rule::kw_on
            | Rule::kw_except
            | Rule::kw_again
            | Rule::kw_limit
            | Rule::kw_market
            | Rule::kw_else
            | Rule::kw_waive
            | Rule::kw_before
            | Rule::kw_gate
            | Rule::kw_setup
            | Rule::kw_because
            | Rule::kw_borrows
            | Rule::kw_tags
            | Rule::kw_regardless
            | Rule::kw_when
            | Rule::kw_last
            | Rule::kw_once
            | Rule::kw_assume
            | Rule::kw_note
            | Rule::kw_for
            | Rule::kw_console
            | Rule::kw_contains
            | Rule::kw_json
            | Rule::kw_none
            | Rule::brace_open
            | Rule::brace_close
            | Rule::paren_open
            | Rule::paren_close
            | Rule::bracket_open
            | Rule::bracket_close
            | Rule::comma
            | Rule::colon
            | Rule::assign
            | Rule::arrow
            | Rule::bar
    )
}

/// A rule that the grammar does not allow in the place it was found in.
fn bug(rule: Rule) -> ! {
    panic!("the grammar has no {rule:?} in this place")
}
