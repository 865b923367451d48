//! Steps that act on the machine itself: its power, its disks, and waiting for it.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::expr::{DiskFact, ExprIx, Node};
use dva_plan::plan::{Capability, DiskIx, TestIx};
use dva_plan::step::{DetachMode, StepKind, WaitCondition};
use dva_plan::unit::display_duration;

use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{Hir, ItemRef};
use crate::resolve::{dotted, private};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{self, Expr, ExprKind, Name};
use crate::types::Checker;
use crate::types::choice::Required;
use crate::types::modifier::Modifiers;
use crate::types::scope::Scope;

/// How often `wait until` looks where nothing is said, in milliseconds.
const DEFAULT_EVERY_MS: u64 = 2000;

/// What an author can ask of a machine.
const CAPABILITIES: [(&str, Capability); 5] = [
    ("console", Capability::Console),
    ("hotplug", Capability::Hotplug),
    ("kernel", Capability::Kernel),
    ("reboot", Capability::Reboot),
    ("stop_start", Capability::StopStart),
];

/// What is known of a machine between two steps of a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// What the steps and the author say that it must be able to do.
    pub(crate) needs: BTreeSet<Capability>,
    /// Where it was stopped, until it is started.
    pub(crate) stopped: Option<Span>,
    /// Whether the machine may be stopped here.
    may_be_stopped: bool,
    /// Whether any step before this one stopped it.
    was_stopped: bool,
    /// Disks that the test moved: whether they are attached, where that is sure.
    pub(crate) disks: BTreeMap<DiskIx, Option<bool>>,
    /// How long the steps wait at least, in milliseconds.
    waited_ms: u64,
}

impl Checker<'_, '_> {
    /// What the test says that its machine must be able to do, which is added to the course of the test,
    /// and what must hold of it.
    pub(crate) fn needs(&mut self, needs: &[&Expr]) -> Vec<Required> {
        let mut seen: BTreeMap<Capability, Span> = BTreeMap::new();
        let mut requires = Vec::new();
        for need in needs {
            if is_condition(need) {
                let scope = std::mem::replace(&mut self.scope, Scope::Need);
                requires.extend(self.parts(need, "`needs`").into_iter().flatten());
                self.scope = scope;
                continue;
            }
            let Some(capability) = self.capability(need) else {
                continue;
            };
            match seen.get(&capability) {
                Some(first) => self.bag.push(
                    Diagnostic::new(Code::P0208, need.span, "the same need a second time")
                        .and(*first, "the first time")
                        .help("Remove one of them."),
                ),
                None => {
                    seen.insert(capability, need.span);
                    self.course.needs.insert(capability);
                }
            }
        }
        requires
    }

    /// `capability(NAME)`
    fn capability(&mut self, need: &Expr) -> Option<Capability> {
        let known = || CAPABILITIES.iter().map(|(name, _)| *name);
        let name = match &need.kind {
            ExprKind::Error => return None,
            ExprKind::Call { callee, arguments } if dotted(callee) == "capability" => {
                let kinds: Vec<_> = arguments
                    .iter()
                    .map(|argument| &argument.value.kind)
                    .collect();
                match *kinds {
                    [ExprKind::Path(path)] => path,
                    [ExprKind::Error] => return None,
                    _ => {
                        let text = "`capability` takes one name";
                        let help = "Write for example `needs capability(kernel)`.";
                        self.report(Code::P0301, need.span, text, help);
                        return None;
                    }
                }
            }
            _ => {
                let help = format!(
                    "Write for example `needs capability(kernel)`, where there are {}; or a condition on \
                     the machine, such as `needs instance.gpus >= 1`.",
                    listed(known())
                );
                self.report(Code::P0304, need.span, "a test cannot need this", help);
                return None;
            }
        };
        let word = dotted(name);
        let found = CAPABILITIES.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let help = did_you_mean(&word, known())
                .unwrap_or_else(|| format!("There are {}.", listed(known())));
            let text = format!("`{word}` is no capability");
            self.report(Code::P0304, name.span, text, help);
        }
        found.map(|(_, capability)| *capability)
    }

    pub(crate) fn reboot(&mut self) -> StepKind {
        self.course.needs.insert(Capability::Reboot);
        StepKind::Reboot
    }

    pub(crate) fn stop(&mut self, span: Span) -> StepKind {
        self.course.needs.insert(Capability::StopStart);
        self.course.stopped.get_or_insert(span);
        (self.course.may_be_stopped, self.course.was_stopped) = (true, true);
        StepKind::Stop
    }

    pub(crate) fn start(&mut self, span: Span) -> Option<StepKind> {
        self.course.needs.insert(Capability::StopStart);
        self.course.stopped = None;
        if !std::mem::take(&mut self.course.may_be_stopped) {
            let help =
                "Every machine runs when its test begins. Write `stop` before it, or remove it.";
            self.report(Code::P0514, span, "nothing stopped the machine", help);
            return None;
        }
        Some(StepKind::Start)
    }

    pub(crate) fn attach(&mut self, path: &ast::Path) -> Option<StepKind> {
        let name = &whole(path);
        let disk = self.moved(name)?;
        if self.is_attached(disk) == Some(true) {
            let text = format!("`{}` is attached already", name.text);
            let mut finding = Diagnostic::new(Code::P0511, name.span, text);
            if !self.course.disks.contains_key(&disk) {
                finding = finding.and(self.hir.disks[disk].name.span, "from the start");
            }
            self.bag.push(finding.help(format!(
                "A disk is attached from the start unless it says `attached = false`. Detach it \
                 first, or remove `attach {}`.",
                name.text
            )));
            return None;
        }
        self.course.disks.insert(disk, Some(true));
        Some(StepKind::Attach(disk))
    }

    pub(crate) fn detach(&mut self, path: &ast::Path, how: ast::Detach) -> Option<StepKind> {
        let name = &whole(path);
        let disk = self.moved(name)?;
        let (how, attached) = match how {
            ast::Detach::Wait => (DetachMode::Wait, Some(false)),
            // The machine may hold on to it for as long as it likes.
            ast::Detach::Nowait => (DetachMode::Nowait, None),
            ast::Detach::Force => (DetachMode::Force, Some(false)),
        };
        self.course.disks.insert(disk, attached);
        Some(StepKind::Detach { disk, how })
    }

    /// The disk that a step attaches or detaches.
    fn moved(&mut self, name: &Name) -> Option<DiskIx> {
        self.course.needs.insert(Capability::Hotplug);
        let help = |checker: &Self| {
            let disks = || checker.hir.disks.iter().map(|disk| disk.name.text.as_str());
            did_you_mean(&name.text, disks()).unwrap_or_else(|| match disks().next() {
                None => "The file declares no disk.".to_owned(),
                Some(_) => format!("The file declares {}.", listed(disks())),
            })
        };
        match self.find(&name.text, name.span) {
            Some((ItemRef::Disk(disk), place)) => {
                if self.comes_with_machine(disk) {
                    let text = format!("`{}` comes with the machine and stays with it", name.text);
                    self.bag.push(
                        Diagnostic::new(Code::P0511, name.span, text)
                            .and(place, "declared here")
                            .help("Only volumes are attached and detached."),
                    );
                    return None;
                }
                self.uses.moved.entry(disk).or_insert(name.span);
                return Some(disk);
            }
            Some((ItemRef::Unread, _)) => {}
            Some((ItemRef::Private, place)) => {
                self.bag.push(private(&name.text, name.span, place));
            }
            Some((item, place)) => {
                let text = format!("`{}` is {}, not a disk", name.text, item.noun());
                self.bag.push(
                    Diagnostic::new(Code::P0205, name.span, text)
                        .and(place, "declared here")
                        .help("Name a disk here."),
                );
            }
            None if self.hir.has_unread => {}
            None => {
                let text = format!("no disk is named `{}`", name.text);
                self.report(Code::P0204, name.span, text, help(self));
            }
        }
        None
    }

    /// Whether `disk` is attached in this place of a test, where that is sure.
    pub(crate) fn is_attached(&self, disk: DiskIx) -> Option<bool> {
        if let Some(moved) = self.course.disks.get(&disk) {
            return *moved;
        }
        let Scope::Step { test, .. } = self.scope else {
            return None;
        };
        // An edge that was reported may lead to the test that moves the disk.
        let movers = self.movers.get(&disk).into_iter().flatten();
        let moved_before = !self.all_intact
            || movers
                .into_iter()
                .any(|other| *other != test && self.order.is_behind(test, *other));
        (!moved_before).then(|| self.attached_at_start[disk])?
    }

    /// Reports a device of a disk that is surely not attached.
    pub(crate) fn device_is_there(&mut self, disk: DiskIx, span: Span) -> bool {
        if self.is_attached(disk) != Some(false) {
            return true;
        }
        let name = &self.hir.disks[disk].name;
        let mut finding = Diagnostic::new(
            Code::P0510,
            span,
            format!("`{}` has no device here", name.text),
        );
        if !self.course.disks.contains_key(&disk) {
            finding = finding.and(name.span, "it is not attached from the start");
        }
        self.bag.push(finding.help(format!(
            "Write `attach {}` before, in this test or in one that it is after.",
            name.text
        )));
        false
    }

    /// `wait DURATION`; the test may take `within_ms` in all.
    pub(crate) fn wait(&mut self, time: &Expr, within_ms: u64) -> Option<StepKind> {
        let ms = self.duration(time, "a pause")?;
        let before = self.course.waited_ms;
        self.course.waited_ms = before.saturating_add(ms);
        if before < within_ms && self.course.waited_ms >= within_ms {
            let text = format!("the test may take {}", display_duration(within_ms));
            let help = "Waiting alone takes that long, so it never ends in time. Raise the test's \
                        `within`, or wait less.";
            self.report(Code::P0506, time.span, text, help);
        }
        Some(StepKind::Wait { ms })
    }

    /// `wait until CONDITION`
    pub(crate) fn wait_until(
        &mut self,
        until: &ast::Until,
        modifiers: &Modifiers<'_>,
    ) -> Option<StepKind> {
        let every_ms = modifiers.every.map(|every| self.duration(every, "a pause"));
        let condition = match until {
            ast::Until::Succeeds(command) => WaitCondition::Succeeds(self.command(command, &[])?),
            ast::Until::Holds(condition) if matches!(condition.kind, ExprKind::Command(_)) => {
                let help = "Write `run` before the command: ``wait until run `…` ``.";
                let text = "nothing says what to do with it";
                self.report(Code::P0114, condition.span, text, help);
                return None;
            }
            ast::Until::Holds(condition) => {
                let expr = self.condition_in(condition, "`wait until`")?;
                self.report_constant(expr, condition.span, "the condition")?;
                if !self.is_constant(expr) && !self.changes(expr) {
                    let text = "nothing in it changes while the test waits";
                    let help = "Values that were captured stay as they are. Wait for a disk, \
                                `wait until not data.attached`, or for a command that exits with 0: \
                                ``wait until run `…` ``.";
                    self.report(Code::P0513, condition.span, text, help);
                    return None;
                }
                WaitCondition::Holds(expr)
            }
        };
        Some(StepKind::WaitUntil {
            condition,
            every_ms: every_ms.map_or(Some(DEFAULT_EVERY_MS), |every_ms| every_ms)?,
        })
    }

    fn is_constant(&self, expr: ExprIx) -> bool {
        matches!(self.nodes.node(expr), Node::Const(_))
    }

    /// Whether the value of an expression may become another one during a step.
    fn changes(&self, expr: ExprIx) -> bool {
        let node = self.nodes.node(expr);
        let may_change = matches!(
            node,
            Node::Disk {
                what: DiskFact::Attached,
                ..
            }
        );
        may_change || node.children().into_iter().any(|child| self.changes(child))
    }

    /// Reports a step that needs a running machine where it is stopped.
    pub(crate) fn machine_runs(&mut self, step: &ast::Step) {
        let needs_it = match &step.kind {
            ast::StepKind::Run(_)
            | ast::StepKind::Let {
                value: ast::Bound::Output(_),
                ..
            }
            | ast::StepKind::Reboot
            | ast::StepKind::Attach(_)
            | ast::StepKind::WaitUntil(ast::Until::Succeeds(_))
            | ast::StepKind::Upload { .. }
            | ast::StepKind::Collect(_) => true,
            ast::StepKind::Check(_)
            | ast::StepKind::Let {
                value: ast::Bound::Value { .. },
                ..
            }
            | ast::StepKind::Assume { .. }
            | ast::StepKind::Note(_)
            | ast::StepKind::When { .. }
            | ast::StepKind::For { .. }
            | ast::StepKind::Console(_)
            | ast::StepKind::Stop
            | ast::StepKind::Start
            | ast::StepKind::Detach { .. }
            | ast::StepKind::Wait(_)
            | ast::StepKind::WaitUntil(ast::Until::Holds(_)) => false,
        };
        if needs_it && let Some(stopped) = self.course.stopped.take() {
            self.bag.push(
                Diagnostic::new(Code::P0512, step.span, "the machine is not running here")
                    .and(stopped, "it was stopped here")
                    .help("Write `start` between them."),
            );
        }
    }

    /// Reports a machine that a test leaves stopped.
    pub(crate) fn machine_is_started(&mut self) {
        if let Some(stopped) = self.course.stopped.take() {
            let help = "Write `start` behind it, or in `finally`.";
            self.report(Code::P0512, stopped, "nothing starts it again", help);
        }
    }

    /// Forgets what a `finally` cannot rely on: it may begin behind any of the steps.
    pub(crate) fn enter_finally(&mut self) {
        for attached in self.course.disks.values_mut() {
            *attached = None;
        }
        self.course.may_be_stopped = self.course.was_stopped;
    }
}

/// Whether a need is a condition on the machine, rather than something that it must be able to do.
fn is_condition(need: &Expr) -> bool {
    match &need.kind {
        ExprKind::Not(_) | ExprKind::Binary { .. } => true,
        ExprKind::Group(inner) => is_condition(inner),
        // A word alone is more likely a capability.
        ExprKind::Path(path) => path.segments.len() > 1,
        _ => false,
    }
}

impl Course {
    /// What is known where the test may have come this way or `other`.
    pub(crate) fn either(&mut self, other: &Self) {
        self.needs.extend(&other.needs);
        self.stopped = self.stopped.or(other.stopped);
        self.may_be_stopped |= other.may_be_stopped;
        self.was_stopped |= other.was_stopped;
        self.waited_ms = self.waited_ms.min(other.waited_ms);
        let moved: BTreeSet<_> = self
            .disks
            .keys()
            .chain(other.disks.keys())
            .copied()
            .collect();
        for disk in moved {
            if self.disks.get(&disk) != other.disks.get(&disk) {
                self.disks.insert(disk, None);
            }
        }
    }
}

/// `steps` with all that stand in them.
pub(crate) fn with_inner<'s>(steps: impl Iterator<Item = &'s ast::Step>) -> Vec<&'s ast::Step> {
    let mut all = Vec::new();
    for step in steps {
        all.push(step);
        match &step.kind {
            ast::StepKind::When {
                then, otherwise, ..
            } => all.extend(with_inner(then.iter().chain(otherwise))),
            ast::StepKind::For { steps, .. } => all.extend(with_inner(steps.iter())),
            _ => {}
        }
    }
    all
}

/// A path as one name.
fn whole(path: &ast::Path) -> Name {
    Name {
        text: dotted(path),
        span: path.span,
    }
}

/// The tests that attach or detach each disk.
pub(crate) fn movers(hir: &Hir<'_>) -> BTreeMap<DiskIx, Vec<TestIx>> {
    let mut movers: BTreeMap<DiskIx, Vec<TestIx>> = BTreeMap::new();
    for (test, row) in hir.tests.enumerate() {
        for step in with_inner(row.steps.iter().chain(&row.finally).copied()) {
            let (ast::StepKind::Attach(name) | ast::StepKind::Detach { disk: name, .. }) =
                &step.kind
            else {
                continue;
            };
            let found = hir.find_in(Some(test), &dotted(name), name.span);
            if let Some((ItemRef::Disk(disk), _)) = found {
                movers.entry(disk).or_default().push(test);
            }
        }
    }
    movers
}
