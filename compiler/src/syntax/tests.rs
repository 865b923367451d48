//! What the syntax stage reads, and what it says about what it cannot read.

mod anything;
mod bytes;
mod commands;
mod comments;
mod depth;
mod files;
mod mistakes;
mod nodes;
mod pages;
mod places;
mod recovery;
mod steps;
mod values;

use std::fmt::Write as _;

use proptest::prelude::*;
use regex::Regex;

use super::ast::{
    BinaryOperator, Clause, Command, CommandPiece, Expr, ExprKind, ItemKind, ModifierKind, Run,
    StepKind, TypeExprKind,
};
use super::*;

const STORAGE: &str = include_str!("../../../grammar/corpus/ok/storage.plan");

/// A text without mistakes.
fn good(text: &str) -> Module {
    let mut bag = Bag::default();
    let module = parse(text, &mut bag);
    assert_eq!(bag.into_sorted(), [], "{text}");
    module
}

/// The mistakes of a text: code, the text at the primary place, the label.
fn found(text: &str) -> Vec<(Code, String, String)> {
    let mut bag = Bag::default();
    let _ = parse(text, &mut bag);
    let source = Source::new("a.plan", text);
    bag.into_sorted()
        .into_iter()
        .map(|diagnostic| {
            let place = source.slice(diagnostic.primary.span).to_owned();
            (diagnostic.code, place, diagnostic.primary.text)
        })
        .collect()
}

/// The one mistake of a text: code and the text at the primary place.
#[track_caller]
fn only(text: &str) -> (Code, String) {
    match found(text).as_slice() {
        [(code, place, _)] => (*code, place.clone()),
        other => panic!("{text}\nnot one mistake: {other:#?}"),
    }
}

#[track_caller]
fn assert_only(text: &str, code: Code, place: &str) {
    assert_eq!(only(text), (code, place.to_owned()), "{text}");
}

/// The value of the first `check` in a text.
fn check(condition: &str) -> Expr {
    let module = good(&format!("test a {{ check {condition} }}"));
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let [Clause::Step(step)] = test.body.as_slice() else {
        panic!("not one step: {:?}", test.body);
    };
    let StepKind::Check(value) = &step.kind else {
        panic!("no check");
    };
    value.clone()
}

/// The command of a test that runs it.
fn run(command: &str) -> Command {
    let module = good(&format!("test a {{ run {command} }}"));
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let [Clause::Step(step)] = test.body.as_slice() else {
        panic!("not one step: {:?}", test.body);
    };
    let StepKind::Run(run) = &step.kind else {
        panic!("no run");
    };
    let Run::Command(command) = run else {
        panic!("no command");
    };
    command.clone()
}

/// An expression with every level in parentheses; those of the author are square.
fn levels(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Quantity(text)
        | ExprKind::Number(text)
        | ExprKind::Date(text)
        | ExprKind::Version(text) => text.clone(),
        ExprKind::Prose(_) => "prose".to_owned(),
        ExprKind::Index { table, key } => format!("{}[{}]", words(table), levels(key)),
        ExprKind::Entries(entries) => {
            let entries = entries
                .iter()
                .map(|entry| format!("{}: {}", entry.name.text, levels(&entry.value)));
            format!("entries({})", entries.collect::<Vec<_>>().join(", "))
        }
        ExprKind::Text(text) => format!("{text:?}"),
        ExprKind::Command(command) => format!("`{}`", pieces(command)),
        ExprKind::Path(path) => words(path),
        ExprKind::Call { callee, arguments } => {
            let values: Vec<_> = arguments
                .iter()
                .map(|argument| argument.value.clone())
                .collect();
            format!("{}({})", words(callee), list(&values))
        }
        ExprKind::List(values) => format!("list({})", list(values)),
        ExprKind::Group(value) => format!("[{}]", levels(value)),
        ExprKind::Not(value) => format!("(not {})", levels(value)),
        ExprKind::Binary {
            operator,
            left,
            right,
            ..
        } => format!("({} {operator:?} {})", levels(left), levels(right)),
        ExprKind::Error => "error".to_owned(),
    }
}

fn words(path: &ast::Path) -> String {
    let words: Vec<_> = path
        .segments
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    words.join("|")
}

fn list(values: &[Expr]) -> String {
    values.iter().map(levels).collect::<Vec<_>>().join(", ")
}

/// The pieces of a command, holes in angle brackets.
fn pieces(command: &Command) -> String {
    let mut shown = String::new();
    for piece in &command.pieces {
        match piece {
            CommandPiece::Text { text, .. } => shown.push_str(text),
            CommandPiece::Hole { raw, value, .. } => {
                let raw = if *raw { "raw " } else { "" };
                write!(shown, "<{raw}{}>", levels(value)).expect("a string takes any text");
            }
        }
    }
    shown
}
