//! Steps and what stands behind them.

use dva_grammar::Rule;
use pest::iterators::Pair;

use super::{Builder, Parts, bug};
use crate::span::Span;
use crate::syntax::ast::{Detach, Modifier, ModifierKind, Run, Step, StepKind, Text, Until, With};

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
                let r#type = self.type_expr(part());
                let (run, end) = self.run(part());
                span = span.to(end);
                StepKind::Let { name, r#type, run }
            }
            Rule::check_step => {
                let condition = self.expr(part());
                span = span.to(condition.span);
                StepKind::Check(condition)
            }
            Rule::reboot_step => StepKind::Reboot,
            Rule::stop_step => StepKind::Stop,
            Rule::start_step => StepKind::Start,
            Rule::attach_step => {
                let disk = self.name(&part());
                span = span.to(disk.span);
                StepKind::Attach(disk)
            }
            Rule::detach_step => {
                let disk = self.name(&part());
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
        let modifiers: Vec<_> = parts
            .flat_map(Parts::of)
            .map(|modifier| self.modifier(modifier))
            .collect();
        if let Some(last) = modifiers.last() {
            span = span.to(last.span);
        }
        Step {
            span,
            kind,
            modifiers,
        }
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
        let any = pair
            .clone()
            .into_inner()
            .find(|part| part.as_rule() == Rule::kw_any);
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
            (Rule::by, _) => {
                let user = self.string(&parts.one());
                (user.span, ModifierKind::By(user))
            }
            (Rule::retry, _) => {
                let times = self.expr(parts.one());
                let every = self.expr(parts.one());
                (every.span, ModifierKind::Retry(times, every))
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
    fn string(&mut self, pair: &Pair<'_, Rule>) -> Text {
        Text {
            span: self.span(pair),
            text: self.text(pair.as_str(), pair.as_span().start()),
        }
    }
}
