//! Tests and their steps.

use dva_plan::expr::{Comparison, ExprIx, Node};
use dva_plan::plan::{Resource, TestIx};
use dva_plan::step::{Capture, Run, Slot, SlotIx, SourceText, Step, StepKind};
use dva_plan::table::Table;
use dva_plan::unit::display_duration;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::Sources;
use crate::span::Span;
use crate::syntax::ast;
use crate::types::lets::OUTERMOST;
use crate::types::machine::{Course, with_inner};
use crate::types::modifier::{Expect, Modifiers};
use crate::types::scope::{Output, Scope};
use crate::types::{Checker, Exclude, TypedTest, Uses};

/// The limit of a test that says none, in milliseconds.
pub const DEFAULT_WITHIN_MS: u64 = 600_000;
/// The longest text of a step that the plan keeps, in characters.
const MAX_SOURCE_TEXT: usize = 120;

impl Checker<'_, '_> {
    pub(crate) fn test(&mut self, test: TestIx) -> TypedTest {
        let known = self.bag.len();
        self.test = Some(test);
        let typed = if self.hir.tests[test].is_setup {
            self.setup(test)
        } else {
            self.one_test(test)
        };
        self.test = None;
        // What is wrong with a test that has parameters is said once, whatever it is given.
        if self.hir.tests[test].template.is_some() {
            self.bag.forget_repeated(known);
        }
        typed
    }

    fn one_test(&mut self, test: TestIx) -> TypedTest {
        let hir = self.hir;
        let row = &hir.tests[test];
        let applies = self.applies(test).map(Box::new);
        self.uses = Uses::default();
        self.scope = Scope::Constant;
        let within = row.within.map(|(_, value)| self.duration(value, "a limit"));
        let takes = row
            .takes
            .map(|(_, value)| self.duration(value, "an expected duration"));
        let retry = row.retry.and_then(|(_, times)| self.retries(times));
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
        self.course = Course::default();
        let mut requires = self.needs(&row.needs);
        for (_, mention) in &row.effects {
            if let Resource::Disk(disk) = mention.to {
                requires.extend(self.storage_for(disk, mention.span));
            }
        }
        let mut typed = Progress::begin();
        self.open_blocks = vec![OUTERMOST];
        // A limit that was reported limits nothing here.
        let limit_ms = if within == Some(None) {
            u64::MAX
        } else {
            within_ms
        };
        let steps = self.steps(test, &row.steps, limit_ms, &mut typed);
        self.enter_finally();
        typed.in_finally = true;
        let finally = self.steps(test, &row.finally, u64::MAX, &mut typed);
        self.machine_is_started();
        if !row.steps.iter().any(|step| can_fail(step)) {
            let text = match row.steps.len() {
                0 => format!("`{}` has no steps", row.id),
                _ => format!("no step of `{}` can fail", row.id),
            };
            let help = "It passes whatever the image is like. Add a `check`, or let a command `expect` something.";
            self.report(Code::P0505, row.name.span, text, help);
        }
        TypedTest {
            within_ms,
            takes_ms,
            retry: retry.unwrap_or(0),
            slots: self.slots(test),
            steps,
            finally,
            is_complete: typed.is_complete,
            needs: std::mem::take(&mut self.course).needs,
            requires,
            uses: std::mem::take(&mut self.uses),
            applies,
        }
    }

    /// What a test captures.
    pub(crate) fn slots(&self, test: TestIx) -> Table<SlotIx, Slot> {
        let slots = self.lets[test].iter().map(|value| Slot {
            name: value.name.text.clone(),
            // A type that was reported leaves no plan that could hold this one.
            r#type: value.r#type.clone().unwrap_or(Type::String),
        });
        slots.collect()
    }

    /// The condition behind `when`.
    fn applies(&mut self, test: TestIx) -> Option<Exclude> {
        let (span, condition) = self.hir.tests[test].when?;
        self.scope = Scope::Cell { test };
        self.uses = Uses::default();
        let decided = self.condition_in(condition, "`when`")?;
        Some(Exclude {
            span,
            condition: decided,
            uses: std::mem::take(&mut self.uses),
        })
    }

    pub(crate) fn steps(
        &mut self,
        test: TestIx,
        steps: &[&ast::Step],
        within_ms: u64,
        typed: &mut Progress,
    ) -> Vec<Step> {
        let mut made = Vec::new();
        for step in steps {
            self.scope = Scope::Step {
                test,
                captured: typed.count,
                output: Output::None,
            };
            self.machine_runs(step);
            let modifiers = self.modifiers(step);
            let limit = modifiers
                .within
                .map(|limit| self.duration(limit, "a limit"));
            let source = source_text(self.sources, step.span);
            let kind = match &step.kind {
                ast::StepKind::Check(condition) => self.check(condition),
                ast::StepKind::Let {
                    value: ast::Bound::Value { value, otherwise },
                    ..
                } => {
                    let at = typed.count;
                    let kind = self.named_value(at, value, otherwise.as_deref(), typed.in_finally);
                    typed.count += 1;
                    kind
                }
                ast::StepKind::Assume { condition, because } => {
                    self.assume(condition, because, typed.in_finally)
                }
                ast::StepKind::Note(text) => self.note(text),
                ast::StepKind::When {
                    condition,
                    then,
                    otherwise,
                } => self.when(condition, [then, otherwise], within_ms, typed),
                ast::StepKind::For { list, steps, .. } => self.each(list, steps, within_ms, typed),
                ast::StepKind::Console(pattern) => self.console(pattern),
                ast::StepKind::Run(run)
                | ast::StepKind::Let {
                    value: ast::Bound::Output(run),
                    ..
                } => {
                    let is_let = matches!(step.kind, ast::StepKind::Let { .. });
                    let value = is_let.then_some(typed.count);
                    typed.count += usize::from(is_let);
                    self.run(run, &modifiers, value).map(|(before, run)| {
                        made.extend(before.map(|kind| Step {
                            kind,
                            within_ms: None,
                            source: source.clone(),
                        }));
                        StepKind::Run(run)
                    })
                }
                ast::StepKind::Reboot => Some(self.reboot()),
                ast::StepKind::Stop => Some(self.stop(step.span)),
                ast::StepKind::Start => self.start(step.span),
                ast::StepKind::Attach(disk) => self.attach(disk),
                ast::StepKind::Detach { disk, how } => self.detach(disk, *how),
                ast::StepKind::Wait(time) => self.wait(time, within_ms),
                ast::StepKind::WaitUntil(until) => self.wait_until(until, &modifiers),
                ast::StepKind::Upload {
                    file,
                    to,
                    executable,
                } => self.upload(file, to, *executable),
                ast::StepKind::Collect(path) => self.collect(path),
            };
            typed.is_complete &= kind.is_some();
            made.extend(kind.map(|kind| Step {
                kind,
                within_ms: limit.flatten(),
                source,
            }));
        }
        made
    }

    /// The steps of a branch or loop, which begins here.
    pub(crate) fn block(
        &mut self,
        steps: &[ast::Step],
        within_ms: u64,
        typed: &mut Progress,
    ) -> Vec<Step> {
        let block = typed.enter();
        self.block_entered(block, steps, within_ms, typed)
    }

    /// The steps of a branch or loop, which began before.
    pub(crate) fn block_entered(
        &mut self,
        block: u32,
        steps: &[ast::Step],
        within_ms: u64,
        typed: &mut Progress,
    ) -> Vec<Step> {
        let Scope::Step { test, .. } = self.scope else {
            return Vec::new();
        };
        self.open_blocks.push(block);
        let steps: Vec<_> = steps.iter().collect();
        let steps = self.steps(test, &steps, within_ms, typed);
        self.open_blocks.pop();
        steps
    }

    fn check(&mut self, condition: &ast::Expr) -> Option<StepKind> {
        let expr = self.condition_in(condition, "`check`")?;
        self.exited_already(condition)?;
        self.report_constant(expr, condition.span, "the check")?;
        Some(StepKind::Check(expr))
    }

    /// Reports a condition on how a command exited that must have exited with 0 to come here; `None` where
    /// there is one.
    fn exited_already(&mut self, condition: &ast::Expr) -> Option<()> {
        let (operator, left, right) = match &condition.kind {
            ast::ExprKind::Group(inner) => return self.exited_already(inner),
            ast::ExprKind::Binary {
                operator,
                left,
                right,
                ..
            } => (*operator, left, right),
            _ => return Some(()),
        };
        if operator == ast::BinaryOperator::And {
            let (left, right) = (self.exited_already(left), self.exited_already(right));
            return left.and(right);
        }
        let ast::ExprKind::Path(path) = &left.kind else {
            return Some(());
        };
        let is_zero = self.sources.slice(right.span) == "0";
        let never = match operator {
            ast::BinaryOperator::Equal => {
                !is_zero && matches!(right.kind, ast::ExprKind::Number(_))
            }
            ast::BinaryOperator::NotEqual | ast::BinaryOperator::Greater => is_zero,
            _ => false,
        };
        let (Some(command), true) = (self.must_exit_with_zero(path), never) else {
            return Some(());
        };
        let text = "this is never true: another exit has failed the test before";
        let help = "A command must exit with 0 unless it says what else it may. Write `expect any` behind \
                    it, or say there what is expected: `expect exit == 4`.";
        self.bag.push(
            Diagnostic::new(Code::P0315, condition.span, text)
                .and(command, "this command must exit with 0")
                .help(help),
        );
        None
    }

    /// Where `path` is the exit code of a command of this test behind which nothing is said of what is
    /// expected: that command's step.
    fn must_exit_with_zero(&self, path: &ast::Path) -> Option<Span> {
        let (Scope::Step { test, .. }, [value, field]) = (self.scope, path.segments.as_slice())
        else {
            return None;
        };
        if field.text != "exit" {
            return None;
        }
        let row = &self.hir.tests[test];
        let steps = with_inner(row.steps.iter().chain(&row.finally).copied());
        let mut named = steps.into_iter().filter(
            |step| matches!(&step.kind, ast::StepKind::Let { name, .. } if name.text == value.text),
        );
        // A name that several branches give may be any of theirs.
        let (Some(step), None) = (named.next(), named.next()) else {
            return None;
        };
        let is_output = matches!(
            step.kind,
            ast::StepKind::Let {
                value: ast::Bound::Output(_),
                ..
            }
        );
        let mut modifiers = step.modifiers.iter();
        let says_what = modifiers.any(|modifier| {
            matches!(
                modifier.kind,
                ast::ModifierKind::Expect(_) | ast::ModifierKind::ExpectAny
            )
        });
        (is_output && !says_what).then_some(step.span)
    }

    /// Reports a condition that is decided already; `None` where it cannot hold.
    pub(crate) fn report_constant(&mut self, expr: ExprIx, span: Span, what: &str) -> Option<()> {
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

    /// What is run, and the step before it that a script needs. `value` is the number of the captured
    /// value that it gives.
    fn run(
        &mut self,
        run: &ast::Run,
        modifiers: &Modifiers<'_>,
        value: Option<usize>,
    ) -> Option<(Option<StepKind>, Run)> {
        let command = match run {
            ast::Run::Command(command) => self
                .command(command, modifiers.with)
                .map(|command| (None, command)),
            ast::Run::Script(file) => self
                .script(file)
                .map(|(upload, command)| (Some(upload), command)),
        };
        let user = modifiers.by.map(|user| self.user(user));
        let retry = modifiers
            .retry
            .map(|(_, times, every)| self.retry(times, every));
        let with = self.with(modifiers.with);
        let expect = match modifiers.expect {
            None => Some(Some(self.exited_with_zero())),
            Some(Expect::Any) => Some(None),
            Some(Expect::Condition(condition)) => self.expect(condition).map(Some),
        };
        let capture: Option<Option<Capture>> = match value {
            None => Some(None),
            Some(at) => {
                let Scope::Step { test, .. } = self.scope else {
                    return None;
                };
                let value = self.lets[test][at].clone();
                self.capture(&value, modifiers).map(Some)
            }
        };
        let (before, command) = command?;
        // Where something was said and is wrong, there is no step.
        let run = Run {
            command,
            expect: expect?,
            capture: capture?,
            user: said(user)?,
            retry: said(retry)?,
            with: with?,
        };
        Some((before, run))
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
}

/// The text of `span` as the plan keeps it.
pub(crate) fn source_text(sources: &Sources, span: Span) -> SourceText {
    let source = sources.file(span);
    let words: Vec<_> = source.slice(span).split_whitespace().collect();
    let mut text = words.join(" ");
    if text.chars().count() > MAX_SOURCE_TEXT {
        text = text.chars().take(MAX_SOURCE_TEXT - 1).collect();
        text.push('…');
    }
    let (line, _) = source.position(span.start);
    let is_root = sources.row(span) == 0;
    SourceText {
        text,
        line,
        file: (!is_root).then(|| source.name().to_owned()),
    }
}

/// How far the steps of a test have been read.
pub(crate) struct Progress {
    /// How many values they captured.
    pub(crate) count: usize,
    /// Whether none of them was left out.
    pub(crate) is_complete: bool,
    /// How many branches and loops have begun.
    blocks: u32,
    /// Whether they are those of `finally`.
    pub(crate) in_finally: bool,
}

impl Progress {
    /// Nothing was read yet.
    pub(crate) fn begin() -> Self {
        Self {
            count: 0,
            is_complete: true,
            blocks: OUTERMOST,
            in_finally: false,
        }
    }

    /// Begins a branch or loop.
    pub(crate) fn enter(&mut self) -> u32 {
        self.blocks += 1;
        self.blocks
    }
}

/// What was said, or that nothing was; `None` where what was said is wrong.
fn said<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| value.map(Some))
}

/// Whether `step` can make its test fail, its limit apart.
fn can_fail(step: &ast::Step) -> bool {
    match &step.kind {
        ast::StepKind::Run(_) => !step
            .modifiers
            .iter()
            .any(|modifier| modifier.kind == ast::ModifierKind::ExpectAny),
        ast::StepKind::Let {
            value: ast::Bound::Value { otherwise, .. },
            ..
        } => otherwise
            .as_ref()
            .is_some_and(|otherwise| otherwise.how == ast::Missing::Fail),
        ast::StepKind::When {
            then, otherwise, ..
        } => then.iter().chain(otherwise).any(can_fail),
        ast::StepKind::For { steps, .. } => steps.iter().any(can_fail),
        ast::StepKind::Check(_)
        | ast::StepKind::Let {
            value: ast::Bound::Output(_),
            ..
        }
        | ast::StepKind::Console(_)
        | ast::StepKind::Reboot
        | ast::StepKind::Start
        | ast::StepKind::Attach(_)
        | ast::StepKind::WaitUntil(_)
        | ast::StepKind::Collect(_)
        | ast::StepKind::Detach {
            how: ast::Detach::Wait,
            ..
        } => true,
        ast::StepKind::Assume { .. }
        | ast::StepKind::Note(_)
        | ast::StepKind::Stop
        | ast::StepKind::Wait(_)
        | ast::StepKind::Upload { .. }
        | ast::StepKind::Detach {
            how: ast::Detach::Nowait | ast::Detach::Force,
            ..
        } => false,
    }
}

fn capitalise(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
