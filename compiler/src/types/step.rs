//! Tests and their steps.

use dva_plan::expr::{Comparison, ExprIx, Node};
use dva_plan::plan::TestIx;
use dva_plan::step::{Capture, Run, Slot, SourceText, Step, StepKind};
use dva_plan::unit::display_duration;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::Source;
use crate::span::Span;
use crate::syntax::ast;
use crate::types::scope::{Output, Scope};
use crate::types::{Checker, TypedTest, Uses};

/// The limit of a test that says none, in milliseconds.
pub const DEFAULT_WITHIN_MS: u64 = 600_000;
/// The longest text of a step that the plan keeps, in characters.
const MAX_SOURCE_TEXT: usize = 120;

impl Checker<'_, '_> {
    pub(crate) fn test(&mut self, test: TestIx) -> TypedTest {
        let hir = self.hir;
        let row = &hir.tests[test];
        self.uses = Uses::default();
        self.scope = Scope::Constant;
        let within = row.within.map(|(_, value)| self.duration(value, "a limit"));
        let takes = row
            .takes
            .map(|(_, value)| self.duration(value, "an expected duration"));
        let within_ms = within.flatten().unwrap_or(DEFAULT_WITHIN_MS);
        let takes_ms = takes.flatten();
        if let (Some(takes_ms), Some((_, value))) = (takes_ms, row.takes)
            && takes_ms > within_ms
            && within != Some(None)
        {
            let text = format!("the test may take {}", display_duration(within_ms));
            let mut finding = Diagnostic::new(Code::P0506, value.span, text);
            finding = match row.within {
                Some((span, _)) => finding.and(span, "its limit"),
                None => finding.and(row.name.span, "it says no limit, so the default holds"),
            };
            self.bag
                .push(finding.help("Raise `within`, or lower `takes`."));
        }
        let mut captured = 0;
        let steps = self.steps(test, &row.steps, &mut captured);
        let finally = self.steps(test, &row.finally, &mut captured);
        if !row.steps.iter().any(|step| can_fail(step)) {
            let text = match row.steps.len() {
                0 => format!("`{}` has no steps", row.name.text),
                _ => format!("no step of `{}` can fail", row.name.text),
            };
            let help = "It passes whatever the image is like. Add a `check`, or let a command `expect` something.";
            self.report(Code::P0505, row.name.span, text, help);
        }
        let lets = &self.lets[test];
        let slots = lets
            .iter()
            .map(|value| Slot {
                name: value.name.text.clone(),
                // A type that was reported leaves no plan that could hold this one.
                r#type: value.r#type.clone().unwrap_or(Type::String),
            })
            .collect();
        TypedTest {
            within_ms,
            takes_ms,
            slots,
            steps,
            finally,
            uses: std::mem::take(&mut self.uses),
        }
    }

    fn steps(&mut self, test: TestIx, steps: &[&ast::Step], captured: &mut usize) -> Vec<Step> {
        let mut typed = Vec::new();
        for step in steps {
            self.scope = Scope::Step {
                test,
                captured: *captured,
                output: Output::None,
            };
            let (kind, within_ms) = match &step.kind {
                ast::StepKind::Check(condition) => (self.check(condition), None),
                ast::StepKind::Run(run) => self.run(run, None),
                ast::StepKind::Let { run, .. } => {
                    let made = self.run(run, Some(*captured));
                    *captured += 1;
                    made
                }
            };
            if let Some(kind) = kind {
                typed.push(Step {
                    kind,
                    within_ms,
                    source: source_text(self.source, step.span),
                });
            }
        }
        typed
    }

    fn check(&mut self, condition: &ast::Expr) -> Option<StepKind> {
        let expr = self.condition_in(condition, "`check`")?;
        self.report_constant(expr, condition.span, "the check")?;
        Some(StepKind::Check(expr))
    }

    /// Reports a condition that is decided already; `None` where it cannot hold.
    fn report_constant(&mut self, expr: ExprIx, span: Span, what: &str) -> Option<()> {
        match self.nodes.node(expr) {
            Node::Const(Value::Bool(true)) => {
                let help = format!(
                    "{what} says nothing about the machine. Compare something that it captured."
                );
                self.report(Code::P0314, span, "this is always true", capitalise(help));
                Some(())
            }
            Node::Const(Value::Bool(false)) => {
                let help =
                    format!("{what} fails on every machine. Compare something that it captured.");
                self.report(Code::P0315, span, "this is never true", capitalise(help));
                None
            }
            _ => Some(()),
        }
    }

    /// A command, and its own limit. `value` is the number of the captured value that it gives.
    fn run(&mut self, run: &ast::Run, value: Option<usize>) -> (Option<StepKind>, Option<u64>) {
        let modifiers = self.modifiers(run, value.is_some());
        let command = self.command(&run.command);
        let within_ms = modifiers
            .within
            .map(|limit| self.duration(limit, "a limit"));
        let expect = match modifiers.expect {
            None => Some(Some(self.exited_with_zero())),
            Some(Expect::Any) => Some(None),
            Some(Expect::Condition(condition)) => self.expect(condition).map(Some),
        };
        let capture: Option<Option<Capture>> = match value {
            None => Some(None),
            Some(at) => {
                let Scope::Step { test, .. } = self.scope else {
                    return (None, None);
                };
                let lets = self.lets;
                self.capture(&lets[test][at], modifiers.find).map(Some)
            }
        };
        let kind = match (command, expect, capture) {
            (Some(command), Some(expect), Some(capture)) => Some(StepKind::Run(Run {
                command,
                expect,
                capture,
            })),
            _ => None,
        };
        (kind, within_ms.flatten())
    }

    fn exited_with_zero(&mut self) -> ExprIx {
        let left = self.nodes.add(Node::Exit);
        let right = self.nodes.add(Node::Const(Value::Int(0)));
        self.nodes.add(Node::Compare {
            how: Comparison::Equal,
            left,
            right,
        })
    }

    /// The condition behind `expect`, with `exit == 0` where the author did not speak of the exit status.
    fn expect(&mut self, condition: &ast::Expr) -> Option<ExprIx> {
        let scope = self.scope;
        if let Scope::Step { output, .. } = &mut self.scope {
            *output = Output::Of;
        }
        self.uses.exit = None;
        let expr = self.condition_in(condition, "`expect`");
        self.scope = scope;
        let expr = expr?;
        self.report_constant(expr, condition.span, "the expectation")?;
        if self.uses.exit.is_some() {
            return Some(expr);
        }
        let zero = self.exited_with_zero();
        Some(self.nodes.add(Node::And(zero, expr)))
    }

    fn modifiers<'e>(&mut self, run: &'e ast::Run, is_let: bool) -> Modifiers<'e> {
        let mut modifiers = Modifiers::default();
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for modifier in &run.modifiers {
            let word = match &modifier.kind {
                ast::ModifierKind::Within(_) => "within",
                ast::ModifierKind::Expect(_) | ast::ModifierKind::ExpectAny => "expect",
                ast::ModifierKind::Find(_) => "find",
            };
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == word) {
                let help = match word {
                    "expect" => "Join the two conditions with `and`.",
                    _ => "Remove one of them.",
                };
                self.bag.push(
                    Diagnostic::new(
                        Code::P0208,
                        modifier.span,
                        format!("`{word}` a second time"),
                    )
                    .and(*first, "the first time")
                    .help(help),
                );
                continue;
            }
            seen.push((word, modifier.span));
            match &modifier.kind {
                ast::ModifierKind::Within(limit) => modifiers.within = Some(limit),
                ast::ModifierKind::ExpectAny => modifiers.expect = Some(Expect::Any),
                ast::ModifierKind::Expect(condition) => {
                    modifiers.expect = Some(Expect::Condition(condition));
                }
                ast::ModifierKind::Find(pattern) if is_let => modifiers.find = Some(pattern),
                ast::ModifierKind::Find(_) => {
                    let help = "`find` picks a value out of the output: ``let n: int = run `nproc` find `(\\d+)` ``. \
                                To look for something, write ``expect stdout matches `…` ``.";
                    self.report(
                        Code::P0605,
                        modifier.span,
                        "there is no `let` that would keep what it finds",
                        help,
                    );
                }
            }
        }
        modifiers
    }
}

/// The text of `span` as the plan keeps it.
pub(crate) fn source_text(source: &Source, span: Span) -> SourceText {
    let words: Vec<_> = source.slice(span).split_whitespace().collect();
    let mut text = words.join(" ");
    if text.chars().count() > MAX_SOURCE_TEXT {
        text = text.chars().take(MAX_SOURCE_TEXT - 1).collect();
        text.push('…');
    }
    let (line, _) = source.position(span.start);
    SourceText { text, line }
}

/// What is said about a command, each once.
#[derive(Default)]
struct Modifiers<'e> {
    within: Option<&'e ast::Expr>,
    expect: Option<Expect<'e>>,
    find: Option<&'e ast::Command>,
}

#[derive(Clone, Copy)]
enum Expect<'e> {
    Any,
    Condition(&'e ast::Expr),
}

/// Whether `step` can make its test fail, its limit apart.
fn can_fail(step: &ast::Step) -> bool {
    match &step.kind {
        ast::StepKind::Check(_) | ast::StepKind::Let { .. } => true,
        ast::StepKind::Run(run) => !run
            .modifiers
            .iter()
            .any(|modifier| modifier.kind == ast::ModifierKind::ExpectAny),
    }
}

fn capitalise(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
