//! The rules of one life that follow from what tests say of themselves: effects, `last`, `once`.

use dva_plan::plan::{Resource, TestIx};
use dva_plan::schedule::PlannedExecution;

use super::life::{Executions, OnLife};
use super::rule::Rule;
use super::shape::{Demands, OnResource};

impl OnLife<'_, '_, '_> {
    /// Readers, writers and borrowers see what they should, and in peace.
    pub(super) fn effects(&mut self, executions: &Executions<'_>, demands: &Demands) {
        for unseen in &demands.unseen {
            let OnResource {
                of, one, writer, ..
            } = unseen;
            let does = if unseen.is_lost { "loses" } else { "writes" };
            self.ends_before(executions, Rule::AsShipped, (*one, *writer), |of_life| {
                format!("{does} {}", of_life.resource(*of))
            });
        }
        for OnResource {
            of, one, writer, ..
        } in &demands.unchained
        {
            if both(executions, *one, *writer).next().is_some() {
                let message = format!(
                    "{} and {} both write {}, and neither is after the other",
                    self.name(*one),
                    self.name(*writer),
                    self.resource(*of)
                );
                self.add(Rule::OneWriterChain, *writer, &message);
            }
        }
        for (fresh, changer) in &demands.fresh {
            self.ends_before(executions, Rule::FreshFirst, (*fresh, *changer), |_| {
                "changes the machine".to_owned()
            });
        }
        for (other, dirty) in &demands.dirty {
            self.ends_before(executions, Rule::DirtyLast, (*other, *dirty), |_| {
                "leaves the machine dirty".to_owned()
            });
        }
        for test in &demands.alone {
            let others = executions.all().filter(|other| other.test != *test);
            self.apart(executions.of(*test), others, |_| {
                (Rule::MachineAlone, "the machine".to_owned())
            });
        }
        for (of, borrower, others) in &demands.borrowed {
            let others = others
                .iter()
                .flat_map(|other| executions.of(*other))
                .copied();
            self.apart(executions.of(*borrower), others, |of_life| {
                (Rule::BorrowedAlone, of_life.resource(*of))
            });
        }
    }

    /// Who is on this life, or must be.
    pub(super) fn presence(&mut self, executions: &Executions<'_>, demands: &Demands) {
        for (a, b) in &demands.conflicts {
            if both(executions, *a, *b).next().is_some() {
                let message = format!(
                    "{} and {} are both there, which the plan forbids",
                    self.name(*a),
                    self.name(*b)
                );
                self.add(Rule::ConflictsApart, *b, &message);
            }
        }
        for execution in executions.all() {
            if execution.setup && demands.once.contains(&execution.test) {
                let message = format!(
                    "{} is set up and may run but once",
                    self.name(execution.test)
                );
                self.add(Rule::OnceOnly, execution.test, &message);
            }
        }
        for last in &demands.last {
            let has_needs = demands
                .ancestors(*last)
                .iter()
                .all(|need| !executions.of(*need).is_empty());
            let own = executions.of(*last);
            if has_needs && !matches!(own, [own] if !own.setup) {
                let message = format!(
                    "{} is a `last` test and not there once, with a verdict",
                    self.name(*last)
                );
                self.add(Rule::LastEverywhere, *last, &message);
            }
            for other in executions.all() {
                if demands.last.contains(&other.test) {
                    continue;
                }
                if let Some(early) = own.iter().find(|own| own.start_ms < other.end_ms) {
                    let message = format!(
                        "{} is a `last` test and starts at {} ms, before {} has ended, at {} ms",
                        self.name(*last),
                        early.start_ms,
                        self.name(other.test),
                        other.end_ms
                    );
                    self.add(Rule::LastAtTheEnd, *last, &message);
                }
            }
        }
    }

    /// `first` has ended when `then` starts; `what` says what that does.
    fn ends_before(
        &mut self,
        executions: &Executions<'_>,
        rule: Rule,
        (first, then): (TestIx, TestIx),
        what: impl Fn(&Self) -> String,
    ) {
        for (one, other) in both(executions, first, then) {
            if one.end_ms > other.start_ms {
                let message = format!(
                    "{} runs until {} ms, and {}, which it is not after, {} from {} ms",
                    self.name(first),
                    one.end_ms,
                    self.name(then),
                    what(self),
                    other.start_ms
                );
                self.add(rule, first, &message);
            }
        }
    }

    /// None of `own`, who have something to themselves, runs beside one of `others`.
    fn apart<'s>(
        &mut self,
        own: &[&PlannedExecution],
        others: impl Iterator<Item = &'s PlannedExecution>,
        what: impl Fn(&Self) -> (Rule, String),
    ) {
        for other in others {
            for own in own {
                if own.start_ms < other.end_ms && other.start_ms < own.end_ms {
                    let (rule, of) = what(self);
                    let message = format!(
                        "{} has {of} to itself from {} ms to {} ms, and {} runs from {} ms to {} ms",
                        self.name(own.test),
                        own.start_ms,
                        own.end_ms,
                        self.name(other.test),
                        other.start_ms,
                        other.end_ms
                    );
                    self.add(rule, own.test, &message);
                }
            }
        }
    }

    /// What tests have effects on, for messages.
    fn resource(&self, of: Resource) -> String {
        self.check.resource(of)
    }
}

/// Every execution of `one` with every execution of `other`.
fn both<'s>(
    executions: &Executions<'s>,
    one: TestIx,
    other: TestIx,
) -> impl Iterator<Item = (&'s PlannedExecution, &'s PlannedExecution)> {
    executions.of(one).iter().flat_map(move |first| {
        let others = executions.of(other).iter();
        others.map(move |second| (*first, *second))
    })
}
