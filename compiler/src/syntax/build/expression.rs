//! Expressions: flat in the grammar, given their levels here.

use std::sync::LazyLock;

use dva_grammar::Rule;
use pest::iterators::Pair;
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::{Builder, Parts, bug};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast::{Argument, BinaryOperator, Entry, Expr, ExprKind, ProsePiece};

/// The levels, from loosest to tightest. Everything groups to the left, comparisons too: a chain of them
/// is refused one stage later, where a good message can be given.
static LEVELS: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::op_or))
        .op(left(Rule::op_and))
        .op(Op::prefix(Rule::op_not))
        .op(left(Rule::op_equal)
            | left(Rule::op_not_equal)
            | left(Rule::op_less)
            | left(Rule::op_at_most)
            | left(Rule::op_greater)
            | left(Rule::op_at_least)
            | left(Rule::op_in)
            | left(Rule::op_has)
            | left(Rule::op_has_all)
            | left(Rule::op_has_none)
            | left(Rule::op_matches))
        .op(left(Rule::op_range))
        .op(left(Rule::op_add) | left(Rule::op_without))
        .op(left(Rule::op_multiply) | left(Rule::op_of))
});

/// How deep the tree of an expression may be. Each operator is a level, since it may become the operand
/// of the next one.
const MAX_TREE_DEPTH: usize = 256;

impl Builder<'_> {
    /// An expression.
    pub(super) fn expr(&mut self, pair: Pair<'_, Rule>) -> Expr {
        if is_too_deep(&pair) {
            let text = pair.as_str().trim_end();
            let start = pair.as_span().start();
            let span = self.shift(start, start + text.len());
            self.bag.push(
                Diagnostic::new(
                    Code::P0106,
                    span,
                    format!("more than {MAX_TREE_DEPTH} operators in one another"),
                )
                .help("Split the expression. A list with `in` says the same as many `or`."),
            );
            return Expr {
                span,
                kind: ExprKind::Error,
            };
        }
        self.levels(pair)
    }

    /// An expression that is known not to be too deep.
    fn levels(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let mut parts = pair.into_inner();
        if parts.len() == 1
            && let Some(primary) = parts.next()
        {
            return self.primary(Parts::of(primary).one());
        }
        let base = self.base;
        LEVELS
            .map_primary(|primary| self.primary(Parts::of(primary).one()))
            .map_prefix(|not, value| {
                let span = Span::new(base + not.as_span().start(), base + not.as_span().end());
                Expr {
                    span: span.to(value.span),
                    kind: ExprKind::Not(Box::new(value)),
                }
            })
            .map_infix(|left, operator, right| {
                let span = Span::new(
                    base + operator.as_span().start(),
                    base + operator.as_span().end(),
                );
                Expr {
                    span: left.span.to(right.span),
                    kind: ExprKind::Binary {
                        operator: binary_operator(operator.as_rule()),
                        operator_span: span,
                        left: Box::new(left),
                        right: Box::new(right),
                    },
                }
            })
            .parse(parts)
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Expr {
        match pair.as_rule() {
            Rule::reference => return self.reference(pair),
            Rule::numeral => return self.numeral(&pair),
            Rule::list => return self.list(pair),
            _ => {}
        }
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::boolean => ExprKind::Bool(pair.as_str() == "true"),
            Rule::string => {
                let prose = self.prose(&pair);
                match prose.pieces.as_deref() {
                    None => ExprKind::Error,
                    Some([]) => ExprKind::Text(String::new()),
                    Some([ProsePiece::Text(text)]) => ExprKind::Text(text.clone()),
                    Some(_) => ExprKind::Prose(prose),
                }
            }
            Rule::command => ExprKind::Command(self.plain_text(pair)),
            Rule::group => ExprKind::Group(Box::new(self.levels(Parts::of(pair).one()))),
            other => bug(other),
        };
        Expr { span, kind }
    }

    /// What begins with a digit, by what it looks like. Whether a unit exists is decided by types.
    pub(super) fn numeral(&self, pair: &Pair<'_, Rule>) -> Expr {
        let written = pair.as_str();
        let is_digit = |character: char| character.is_ascii_digit();
        let number_ends = |text: &str| {
            text.find(|character: char| !is_digit(character) && character != '.')
                .unwrap_or(text.len())
        };
        let amount = written.trim_start_matches('$');
        let (number, unit) = amount.split_at(number_ends(amount));
        let parts: Vec<&str> = written.split('-').collect();
        let is_date = matches!(*parts, [year, month, day]
            if year.len() == 4 && month.len() == 2 && day.len() == 2
                && parts.iter().all(|part| part.chars().all(is_digit)));
        let is_unit = unit == "%" || unit.chars().all(|unit| unit.is_ascii_alphabetic());
        let text = written.to_owned();
        let kind = if is_date {
            ExprKind::Date(text)
        } else if unit.is_empty() && amount.len() == written.len() {
            ExprKind::Number(text)
        } else if amount.len() < written.len() || (is_unit && !number.ends_with('.')) {
            ExprKind::Quantity(text)
        } else {
            ExprKind::Version(text)
        };
        Expr {
            span: self.span(pair),
            kind,
        }
    }

    fn list(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut entries = Vec::new();
        let mut values = Vec::new();
        for element in Parts::of(pair) {
            let mut parts = Parts::of(element);
            let first = parts.one();
            match parts.next() {
                None => values.push(self.levels(first)),
                Some(value) => entries.push(Entry {
                    name: self.name(&first),
                    value: self.levels(value),
                }),
            }
        }
        values.shrink_to_fit();
        let kind = match (entries.first(), values.first()) {
            (None, _) => ExprKind::List(values),
            (Some(_), None) => ExprKind::Entries(entries),
            (Some(_), Some(bare)) => {
                let text = "this one has no name, and others of the list have one";
                let help = "Give every value a name, as in `[aws: \"…\", aws-cn: \"…\"]`, or none.";
                let finding = Diagnostic::new(Code::P0108, bare.span, text).help(help);
                self.bag.push(finding);
                ExprKind::Error
            }
        };
        Expr { span, kind }
    }

    /// A name, a call of one, or a look-up in one.
    pub(super) fn reference(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let mut parts = Parts::of(pair);
        let path = self.path(parts.one());
        let Some(behind) = parts.next() else {
            return Expr {
                span: path.span,
                kind: ExprKind::Path(path),
            };
        };
        let span = path.span.to(self.span(&behind));
        let kind = match behind.as_rule() {
            Rule::index => ExprKind::Index {
                table: path,
                key: Box::new(self.levels(Parts::of(behind).one())),
            },
            _ => ExprKind::Call {
                callee: path,
                arguments: Parts::of(behind)
                    .map(|argument| self.argument(argument))
                    .collect(),
            },
        };
        Expr { span, kind }
    }

    fn argument(&mut self, pair: Pair<'_, Rule>) -> Argument {
        let mut parts = Parts::of(pair);
        let first = parts.one();
        match parts.next() {
            None => Argument {
                name: None,
                value: self.levels(first),
            },
            Some(value) => Argument {
                name: Some(self.name(&first)),
                value: self.levels(value),
            },
        }
    }
}

/// Whether the tree of an expression would be deeper than [`MAX_TREE_DEPTH`], brackets apart. Those are
/// known to be few, so this may recurse with them.
pub(super) fn is_too_deep(pair: &Pair<'_, Rule>) -> bool {
    fn depth(pair: Pair<'_, Rule>) -> usize {
        let is_expr = pair.as_rule() == Rule::expr;
        let mut operators = 0;
        let mut deepest = 0;
        for part in pair.into_inner() {
            if is_expr && part.as_rule() != Rule::primary {
                operators += 1;
            } else {
                deepest = deepest.max(depth(part));
            }
        }
        operators + deepest
    }
    // Each operator has a value behind it, so a short text is known to be shallow without a look.
    pair.as_str().len() > 2 * MAX_TREE_DEPTH && depth(pair.clone()) > MAX_TREE_DEPTH
}

fn binary_operator(rule: Rule) -> BinaryOperator {
    match rule {
        Rule::op_or => BinaryOperator::Or,
        Rule::op_and => BinaryOperator::And,
        Rule::op_equal => BinaryOperator::Equal,
        Rule::op_not_equal => BinaryOperator::NotEqual,
        Rule::op_less => BinaryOperator::Less,
        Rule::op_at_most => BinaryOperator::AtMost,
        Rule::op_greater => BinaryOperator::Greater,
        Rule::op_at_least => BinaryOperator::AtLeast,
        Rule::op_in => BinaryOperator::In,
        Rule::op_has => BinaryOperator::Has,
        Rule::op_has_all => BinaryOperator::HasAll,
        Rule::op_has_none => BinaryOperator::HasNone,
        Rule::op_matches => BinaryOperator::Matches,
        Rule::op_range => BinaryOperator::Range,
        Rule::op_add => BinaryOperator::Add,
        Rule::op_without => BinaryOperator::Without,
        Rule::op_multiply => BinaryOperator::Multiply,
        Rule::op_of => BinaryOperator::Of,
        other => bug(other),
    }
}
