//! Steps and what stands behind them.

use dva_grammar::Rule;
use pest::iterators::Pair;

use super::{Builder, Parts, bug, collected};
use crate::span::Span;
use crate::syntax::ast::{
    Bound, Detach, Missing, Modifier, ModifierKind, Otherwise, Run, Step, StepKind, Text, Until,
    With,
};

impl Builder<'_> {
    pub(super) fn step(&mut self, pair: Pair<'_, Rule>) -> Step {
        let step = Parts::of(pair).one();
        let mut span = self.keyword(&step);
        let rule = step.as_rule();
        let mut parts = Parts::of(step).peekable();
        let mut part = || match parts.next_if(|part| part.as_rule() != Rule::modifier) {
            Some(part) => part,
            None => panic!("a part that the grammar promises is not there"),
        };
        let kind = match rule {
            Rule::run_step => {
                let (run, end) = self.run(part());
                span = span.to(end);
                StepKind::Run(run)
            }
            Rule::let_step => {
                let name = self.name(&part());
                let mut value = part();
                let mut r#type = None;
                if value.as_rule() == Rule::type_expr {
                    r#type = Some(self.type_expr(value));
                    value = part();
                }
                let otherwise = parts.next_if(|part| part.as_rule() == Rule::otherwise);
                let (value, end) = self.bound(value, otherwise);
                span = span.to(end);
                StepKind::Let {
                    name,
                    r#type,
                    value,
                }
            }
            Rule::check_step => {
                let condition = self.expr(part());
                span = span.to(condition.span);
                StepKind::Check(condition)
            }
            Rule::assume_step => {
                let condition = self.expr(part());
                let because = self.prose(&Parts::of(part()).one());
                span = span.to(because.span);
                StepKind::Assume { condition, because }
            }
            Rule::note_step => {
                let note = self.prose(&part());
                span = span.to(note.span);
                StepKind::Note(note)
            }
            Rule::when_step => {
                let condition = self.expr(part());
                let (then, end) = self.block_of_steps(part());
                span = span.to(end);
                let otherwise = parts.next().map(|steps| self.block_of_steps(steps));
                let (otherwise, end) = otherwise.unwrap_or((Vec::new(), end));
                span = span.to(end);
                StepKind::When {
                    condition,
                    then,
                    otherwise,
                }
            }
            Rule::for_step => {
                let name = self.name(&part());
                let list = self.expr(part());
                let (steps, end) = self.block_of_steps(part());
                span = span.to(end);
                StepKind::For { name, list, steps }
            }
            Rule::console_step => {
                let pattern = self.plain_text(part());
                span = span.to(pattern.span);
                StepKind::Console(pattern)
            }
            Rule::reboot_step => StepKind::Reboot,
            Rule::stop_step => StepKind::Stop,
            Rule::start_step => StepKind::Start,
            Rule::attach_step => {
                let disk = self.path(part());
                span = span.to(disk.span);
                StepKind::Attach(disk)
            }
            Rule::detach_step => {
                let disk = self.path(part());
                span = span.to(disk.span);
                let how = parts.next_if(|part| part.as_rule() != Rule::modifier);
                if let Some(how) = &how {
                    span = span.to(self.span(how));
                }
                let how = match how.map(|how| how.as_rule()) {
                    None => Detach::Wait,
                    Some(Rule::kw_nowait) => Detach::Nowait,
                    Some(Rule::kw_force) => Detach::Force,
                    Some(other) => bug(other),
                };
                StepKind::Detach { disk, how }
            }
            Rule::wait_step => {
                let time = self.expr(part());
                span = span.to(time.span);
                StepKind::Wait(time)
            }
            Rule::wait_until_step => {
                let condition = part();
                let (until, end) = if condition.as_rule() == Rule::run {
                    let command = self.command(Parts::of(condition).one());
                    let end = command.span;
                    (Until::Succeeds(command), end)
                } else {
                    let condition = self.expr(condition);
                    let end = condition.span;
                    (Until::Holds(condition), end)
                };
                span = span.to(end);
                StepKind::WaitUntil(until)
            }
            Rule::upload_step => {
                let file = self.string(&part());
                let to = self.string(&part());
                span = span.to(to.span);
                let executable = parts.next_if(|part| part.as_rule() == Rule::kw_executable);
                if let Some(executable) = &executable {
                    span = span.to(self.span(executable));
                }
                StepKind::Upload {
                    file,
                    to,
                    executable: executable.is_some(),
                }
            }
            Rule::collect_step => {
                let path = self.string(&part());
                span = span.to(path.span);
                StepKind::Collect(path)
            }
            other => bug(other),
        };
        let modifiers = parts
            .flat_map(Parts::of)
            .map(|modifier| self.modifier(modifier));
        let modifiers = collected(modifiers);
        if let Some(last) = modifiers.last() {
            span = span.to(last.span);
        }
        Step {
            span,
            kind,
            modifiers,
        }
    }

    /// What a `let` gives a name to, and where it ends.
    fn bound(&mut self, value: Pair<'_, Rule>, otherwise: Option<Pair<'_, Rule>>) -> (Bound, Span) {
        if matches!(value.as_rule(), Rule::run | Rule::script) {
            let (run, end) = self.run(value);
            return (Bound::Output(run), end);
        }
        let value = self.expr(value);
        let mut end = value.span;
        let otherwise = otherwise.map(|otherwise| {
            let mut parts = Parts::of(otherwise);
            let how = match parts.one().as_rule() {
                Rule::kw_fail => Missing::Fail,
                _ => Missing::Skip,
            };
            let why = self.prose(&parts.one());
            end = why.span;
            Box::new(Otherwise { how, why })
        });
        (Bound::Value { value, otherwise }, end)
    }

    /// The steps between braces, and where the second brace stands.
    fn block_of_steps(&mut self, pair: Pair<'_, Rule>) -> (Vec<Step>, Span) {
        let end = self.span(&pair);
        let steps = Parts::of(pair).map(|step| self.step(step));
        (steps.collect(), end)
    }

    /// What is run, and where it ends.
    fn run(&mut self, pair: Pair<'_, Rule>) -> (Run, Span) {
        let rule = pair.as_rule();
        let what = Parts::of(pair).one();
        match rule {
            Rule::run => {
                let command = self.command(what);
                let end = command.span;
                (Run::Command(command), end)
            }
            Rule::script => {
                let file = self.string(&what);
                let end = file.span;
                (Run::Script(file), end)
            }
            other => bug(other),
        }
    }

    fn modifier(&mut self, pair: Pair<'_, Rule>) -> Modifier {
        let keyword = self.keyword(&pair);
        let rule = pair.as_rule();
        let is_any = |part: &Pair<'_, Rule>| part.as_rule() == Rule::kw_any;
        let any = match rule {
            Rule::expect => pair.clone().into_inner().find(is_any),
            _ => None,
        };
        let mut parts = Parts::of(pair);
        let (span, kind) = match (rule, any) {
            (Rule::expect, Some(any)) => (self.span(&any), ModifierKind::ExpectAny),
            (Rule::expect, None) => {
                let condition = self.expr(parts.one());
                (condition.span, ModifierKind::Expect(condition))
            }
            (Rule::within, _) => {
                let limit = self.expr(parts.one());
                (limit.span, ModifierKind::Within(limit))
            }
            (Rule::find, _) => {
                let pattern = self.plain_text(parts.one());
                (pattern.span, ModifierKind::Find(pattern))
            }
            (Rule::json, _) => (keyword, ModifierKind::Json),
            (Rule::by, _) => {
                let user = self.string(&parts.one());
                (user.span, ModifierKind::By(user))
            }
            (Rule::retry, _) => {
                let times = self.expr(parts.one());
                let every = self.expr(parts.one());
                (every.span, ModifierKind::Retry(Box::new((times, every))))
            }
            (Rule::every, _) => {
                let every = self.expr(parts.one());
                (every.span, ModifierKind::Every(every))
            }
            (Rule::with, _) => {
                let variables: Vec<_> = parts.map(|value| self.with_value(value)).collect();
                let end = variables.last().map_or(keyword, |last| last.value.span);
                (end, ModifierKind::With(variables))
            }
            (other, _) => bug(other),
        };
        Modifier {
            span: keyword.to(span),
            kind,
        }
    }

    fn with_value(&mut self, pair: Pair<'_, Rule>) -> With {
        let mut parts = Parts::of(pair);
        With {
            name: self.name(&parts.one()),
            value: self.expr(parts.one()),
        }
    }

    /// A text in quotes where no other value may stand.
    pub(super) fn string(&mut self, pair: &Pair<'_, Rule>) -> Text {
        Text {
            span: self.span(pair),
            text: self.text(pair.as_str(), pair.as_span().start()),
        }
    }
}
