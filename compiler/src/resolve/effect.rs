//! States, and what tests say of each other and of what they share: predecessors and effects.

use std::collections::BTreeMap;

use dva_plan::plan::{EffectKind, Resource, TestIx};

use super::{Given, Resolution, dotted};
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{ItemRef, Mention, State, Test};
use crate::span::Span;
use crate::suggest::did_you_mean;
use crate::syntax::ast;

/// The fields of a state.
const STATE_FIELDS: [(&str, Given); 1] = [("lost", Given::Sometimes)];
/// The machine as a whole, where tests say what they do to it.
const MACHINE: &str = "machine";

impl<'a> Resolution<'a, '_> {
    pub(super) fn state(&mut self, state: &'a ast::State) -> State<'a> {
        let fields = self.fields(&state.name, &state.fields, &STATE_FIELDS, "a state");
        let mut lost = None;
        if let Some(field) = fields.get("lost") {
            match &field.value.kind {
                ast::ExprKind::Path(path) if dotted(path) == "reboot" => {
                    lost = Some(field.name.span);
                }
                ast::ExprKind::Error => {}
                _ => self.bag.push(
                    Diagnostic::new(Code::P0304, field.value.span, "a state is not lost by this")
                        .help("There is only `lost = reboot`."),
                ),
            }
        }
        let account = state.account.as_ref().and_then(|account| {
            if account.limit.is_none() {
                let text = format!("`{}` has no limit", state.name.text);
                self.bag.push(
                    Diagnostic::new(Code::P0207, account.span, text)
                        .help("Say how many machines may use it at once: `per account limit 4`."),
                );
            }
            Some((account.span, account.limit.as_ref()?))
        });
        if let (Some(lost), Some(account)) = (lost, &state.account) {
            let text = "a state of the account outlives every machine";
            self.bag.push(
                Diagnostic::new(Code::P0524, lost, text)
                    .and(account.span, "it is the account's")
                    .help("Remove one of them."),
            );
        }
        State {
            name: &state.name,
            lost,
            account,
        }
    }

    /// What a test is after, each once; false where one of them does not resolve.
    pub(super) fn predecessors(&mut self, written: &'a [ast::After], row: &mut Test<'a>) -> bool {
        let mut all = true;
        let mut known: BTreeMap<TestIx, Span> = BTreeMap::new();
        for after in written {
            let Some(mention) = self.mention_of_test(&after.test) else {
                all = false;
                continue;
            };
            if let Some(first) = known.get(&mention.to) {
                let name = format!("`{}`", dotted(&after.test.path));
                self.said_twice(mention.span, *first, &name);
                continue;
            }
            known.insert(mention.to, mention.span);
            match after.regardless {
                Some(_) => row.regardless.push(mention),
                None => row.after.push(mention),
            }
        }
        all
    }

    pub(super) fn effects(&mut self, kind: EffectKind, paths: &[ast::Path], row: &mut Test<'a>) {
        for path in paths {
            let (name, span) = (dotted(path), path.span);
            let Some(to) = self.resource(&name, span) else {
                row.intact = false;
                continue;
            };
            let same = |(known, mention): &&(EffectKind, Mention<Resource>)| {
                *known == kind && mention.to == to
            };
            match row.effects.iter().find(same) {
                Some((_, first)) => self.said_twice(span, first.span, &format!("`{name}`")),
                None => {
                    self.opposite(kind, &name, Mention { to, span }, row);
                    row.effects.push((kind, Mention { to, span }));
                }
            }
            self.account_is_borrowed(kind, to, span);
        }
    }

    /// Reports another effect of the test on what `own` names: only one of them can be.
    ///
    /// `reads machine` goes with the others, since it asks for something before the test and they for
    /// something behind it.
    fn opposite(&mut self, kind: EffectKind, name: &str, own: Mention<Resource>, row: &Test<'a>) {
        let mut effects = row.effects.iter();
        let Some((other, first)) = effects.find(|(_, known)| known.to == own.to) else {
            return;
        };
        let kinds = [kind, *other];
        if own.to == Resource::Machine && kinds.contains(&EffectKind::Reads) {
            return;
        }
        // What is wrong with those is said of each.
        if matches!(own.to, Resource::State(state) if self.hir.states[state].account.is_some()) {
            return;
        }
        let help = if !kinds.contains(&EffectKind::Borrows) {
            format!(
                "Who changes a thing may look at it too: `writes {name}` is enough. Remove `reads {name}`."
            )
        } else if kinds.contains(&EffectKind::Reads) {
            format!(
                "Who has a thing alone may look at it too: `borrows {name}` is enough. Remove `reads {name}`."
            )
        } else {
            format!(
                "`borrows {name}` promises that it is as before when the test ends, `writes {name}` that it \
                 is not. Keep one of them."
            )
        };
        let text = format!("the test {} `{name}` and {} it", word(*other), word(kind));
        self.bag.push(
            Diagnostic::new(Code::P0208, own.span, text)
                .and(first.span, "the other of the two")
                .help(help),
        );
    }

    fn resource(&mut self, name: &str, span: Span) -> Option<Resource> {
        match self.find(name, span) {
            Some((ItemRef::Disk(disk), _)) => Some(Resource::Disk(disk)),
            Some((ItemRef::State(state), _)) => Some(Resource::State(state)),
            None if name == MACHINE => Some(Resource::Machine),
            None if did_you_mean(name, [MACHINE]).is_some() && !self.hir.has_unread => {
                let text = format!("no disk or state is named `{name}`");
                let help = did_you_mean(name, [MACHINE]).unwrap_or_default();
                self.bag
                    .push(Diagnostic::new(Code::P0204, span, text).help(help));
                None
            }
            found => {
                self.unknown(name, span, found, "a disk or state", |to| {
                    matches!(to, ItemRef::Disk(_) | ItemRef::State(_))
                });
                None
            }
        }
    }

    /// Reports a test that says it knows what a state of the account holds.
    fn account_is_borrowed(&mut self, kind: EffectKind, of: Resource, span: Span) {
        let Resource::State(state) = of else {
            return;
        };
        let state = &self.hir.states[state];
        if let (Some((account, _)), true) = (state.account, kind != EffectKind::Borrows) {
            let name = &state.name.text;
            self.bag.push(
                Diagnostic::new(
                    Code::P0524,
                    span,
                    format!("other machines use `{name}` at the same time"),
                )
                .and(account, "it is the account's")
                .help(format!(
                    "What it holds is nothing that one machine could know. Write `borrows {name}`: at \
                     most so many machines use it at once, and each leaves it as it was."
                )),
            );
        }
    }
}

fn word(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::Reads => "reads",
        EffectKind::Writes => "writes",
        EffectKind::Borrows => "borrows",
    }
}
