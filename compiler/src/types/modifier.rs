//! What stands behind a step: which modifiers there are, and which step they fit.

use dva_plan::step::Retry;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast::{Command, Expr, Modifier, ModifierKind, Run, Step, StepKind, Text, With};
use crate::types::Checker;

/// How often a command may be tried again.
const MAX_RETRIES: i64 = 1000;

/// What is said about a step, each once.
#[derive(Default)]
pub(crate) struct Modifiers<'e> {
    pub(crate) within: Option<&'e Expr>,
    pub(crate) expect: Option<Expect<'e>>,
    pub(crate) find: Option<&'e Command>,
    pub(crate) json: Option<Span>,
    pub(crate) by: Option<&'e Text>,
    pub(crate) retry: Option<(Span, &'e Expr, &'e Expr)>,
    pub(crate) every: Option<&'e Expr>,
    pub(crate) with: &'e [With],
}

/// What is said behind `expect`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect<'e> {
    Any,
    Condition(&'e Expr),
}

impl Checker<'_, '_> {
    /// The modifiers of `step` that fit it, each once.
    pub(crate) fn modifiers<'e>(&mut self, step: &'e Step) -> Modifiers<'e> {
        let mut modifiers = Modifiers::default();
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for modifier in &step.modifiers {
            let word = word(modifier);
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == word) {
                let help = match word {
                    "expect" => "Join the two conditions with `and`.",
                    "with" => "Name all variables behind one `with`, with commas between them.",
                    _ => "Remove one of them.",
                };
                let text = format!("`{word}` a second time");
                self.bag.push(
                    Diagnostic::new(Code::P0208, modifier.span, text)
                        .and(*first, "the first time")
                        .help(help),
                );
                continue;
            }
            seen.push((word, modifier.span));
            if let Some((label, help)) = misplaced(&step.kind, modifier) {
                self.report(Code::P0605, modifier.span, label, help);
                continue;
            }
            match &modifier.kind {
                ModifierKind::Within(limit) => modifiers.within = Some(limit),
                ModifierKind::ExpectAny => modifiers.expect = Some(Expect::Any),
                ModifierKind::Expect(condition) => {
                    modifiers.expect = Some(Expect::Condition(condition));
                }
                ModifierKind::Find(pattern) => modifiers.find = Some(pattern),
                ModifierKind::By(user) => modifiers.by = Some(user),
                ModifierKind::Retry(retry) => {
                    modifiers.retry = Some((modifier.span, &retry.0, &retry.1));
                }
                ModifierKind::Every(every) => modifiers.every = Some(every),
                ModifierKind::With(variables) => modifiers.with = variables,
                ModifierKind::Json => modifiers.json = Some(modifier.span),
            }
        }
        if let (Some(Expect::Any), Some((span, ..))) = (modifiers.expect, modifiers.retry) {
            let text = "nothing is expected, so one attempt is as good as the next";
            let help = "Say what to `expect`, or remove the `retry`.";
            self.report(Code::P0605, span, text, help);
        }
        modifiers
    }

    /// `retry TIMES every DURATION`
    pub(crate) fn retry(&mut self, times: &Expr, every: &Expr) -> Option<Retry> {
        let help =
            "`retry` says how many more attempts there may be, for example `retry 3 every 5s`";
        let times_is = self.constant(times, &Type::Int, help);
        let every_ms = self.duration(every, "a pause");
        let Value::Int(times_is) = times_is? else {
            return None;
        };
        if !(1..=MAX_RETRIES).contains(&times_is) {
            let help = format!("There may be from 1 to {MAX_RETRIES} more attempts.");
            let text = "not so many attempts";
            self.report(Code::P0305, times.span, text, help);
            return None;
        }
        Some(Retry {
            times: u32::try_from(times_is).ok()?,
            every_ms: every_ms?,
        })
    }

    /// The user behind `by`.
    pub(crate) fn user(&mut self, user: &Text) -> Option<String> {
        let name = user.text.as_ref()?;
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !name.starts_with(first) || !name.chars().all(rest) {
            let help = "It is the name of an account of the machine, for example `by \"nobody\"`: \
                        letters, digits, `_`, `-` and `.`.";
            self.report(Code::P0608, user.span, "no user has this name", help);
            return None;
        }
        Some(name.clone())
    }
}

fn word(modifier: &Modifier) -> &'static str {
    match &modifier.kind {
        ModifierKind::Within(_) => "within",
        ModifierKind::Expect(_) | ModifierKind::ExpectAny => "expect",
        ModifierKind::Find(_) => "find",
        ModifierKind::By(_) => "by",
        ModifierKind::Retry(..) => "retry",
        ModifierKind::Every(_) => "every",
        ModifierKind::With(_) => "with",
        ModifierKind::Json => "json",
    }
}

/// What is wrong where `modifier` stands behind such a step, and what to do; nothing where it fits.
fn misplaced(step: &StepKind, modifier: &Modifier) -> Option<(&'static str, &'static str)> {
    use ModifierKind as M;
    match (step, &modifier.kind) {
        (_, M::Within(_))
        | (
            StepKind::Run(_) | StepKind::Let { .. },
            M::Expect(_) | M::ExpectAny | M::By(_) | M::Retry(..) | M::With(_),
        )
        | (StepKind::Let { .. }, M::Find(_) | M::Json)
        | (StepKind::WaitUntil(_), M::Every(_)) => None,
        (StepKind::Run(_), M::Json) => Some((
            "there is no `let` that would keep the value",
            "`json` reads the output as a value: ``let x: { name: string } = run `…` json``. \
             Without a `let` nobody asks for one.",
        )),
        (StepKind::Run(_), M::Find(_)) => Some((
            "there is no `let` that would keep what it finds",
            "`find` picks a value out of the output: ``let n: int = run `nproc` find `(\\d+)` ``. \
             To look for something, write ``expect stdout matches `…` ``.",
        )),
        (StepKind::Run(Run::Command(_) | Run::Script(_)) | StepKind::Let { .. }, M::Every(_)) => {
            Some((
                "nothing says how many attempts there are",
                "Write `retry 3 every 5s` to run it again, or `wait until run …` to wait for it.",
            ))
        }
        (StepKind::Console(_), _) => Some((
            "no command is run here",
            "It belongs behind a `run`. Behind `console contains` stands `within` alone, the time it may take.",
        )),
        (StepKind::WaitUntil(_), _) => Some((
            "this cannot be said of `wait until`",
            "Behind it stand `within`, the time it may take, and `every`, the time between two looks.",
        )),
        (
            StepKind::Check(_)
            | StepKind::Assume { .. }
            | StepKind::Note(_)
            | StepKind::When { .. }
            | StepKind::For { .. }
            | StepKind::Reboot
            | StepKind::Stop
            | StepKind::Start
            | StepKind::Attach(_)
            | StepKind::Detach { .. }
            | StepKind::Wait(_)
            | StepKind::Upload { .. }
            | StepKind::Collect(_),
            _,
        ) => Some((
            "no command is run here",
            "It belongs behind a `run`. Behind this step stands `within` alone.",
        )),
    }
}
