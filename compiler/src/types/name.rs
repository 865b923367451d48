//! Names of a type: which there are, and what to say of a word that is none of them.

use std::collections::BTreeSet;

use dva_plan::value::Type;

use crate::diagnostic::Code;
use crate::hir::{Choice, FactType, ItemRef};
use crate::resolve::dotted;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;
use crate::types::fact::facts_of;
use crate::types::scope::{Output, Scope};
use crate::types::{Checker, a_type};

impl Checker<'_, '_> {
    /// Whether `name` is a name of type `kind`.
    pub(crate) fn is_value_of(&self, kind: &str, name: &str) -> bool {
        match kind {
            "region" => self.catalog.region(name).is_some(),
            "instance" => self.catalog.machine_type(name).is_some(),
            _ => self.values_of(kind).iter().any(|known| known == name),
        }
    }

    /// The names of type `kind`.
    pub(crate) fn values_of(&self, kind: &str) -> Vec<String> {
        let owned = |name: &str| name.to_owned();
        match kind {
            "region" => self
                .catalog
                .regions()
                .map(|region| region.name.clone())
                .collect(),
            "instance" => self
                .catalog
                .machine_types()
                .map(|of| of.name.clone())
                .collect(),
            "arch" => self.catalog.architectures().map(owned).collect(),
            "image" => self
                .hir
                .images
                .iter()
                .map(|image| image.name.text.clone())
                .collect(),
            "os" => {
                // An author's image may have an operating system that the catalog does not know.
                let own = self.hir.images.iter().filter_map(|image| {
                    match &image.fields.get("os")?.value.kind {
                        ast::ExprKind::Path(path) => Some(dotted(path)),
                        ast::ExprKind::Call { callee, .. } => Some(dotted(callee)),
                        _ => None,
                    }
                });
                self.catalog
                    .operating_systems()
                    .map(owned)
                    .chain(own)
                    .collect()
            }
            "family" => self.catalog.families().into_iter().map(owned).collect(),
            "partition" => {
                let of_regions = self.catalog.regions().map(|region| &region.partition);
                let partitions: BTreeSet<&String> = of_regions.collect();
                partitions.into_iter().cloned().collect()
            }
            "hypervisor" => ["nitro", "none", "xen"].map(owned).to_vec(),
            "medium" => ["hdd", "none", "ssd"].map(owned).to_vec(),
            own => {
                let words =
                    |words: &[&ast::Name]| words.iter().map(|word| word.text.clone()).collect();
                if let Some(axis) = self.hir.axis(own) {
                    return words(&self.hir.axes[axis].values);
                }
                let mut facts = self.hir.facts.iter();
                let fact = facts.find(|fact| fact.name.text == own);
                match fact.map(|fact| &fact.r#type) {
                    Some(FactType::OneOf(choices)) => words(choices),
                    Some(FactType::Named(_) | FactType::Unknown) | None => Vec::new(),
                }
            }
        }
    }

    /// Reports a word that is no value, or not one of those that are expected.
    pub(crate) fn unknown(&mut self, path: &ast::Path, whole: &str, expected: Option<&Type>) {
        if let Some(Type::Name(kind)) = expected {
            self.no_such_value(kind, whole, path.span);
            return;
        }
        if let Scope::Filter(from) = self.scope {
            self.unknown_fact(from, path, whole);
            return;
        }
        if self.hir.has_unread {
            return;
        }
        let mut in_scope = self.names_in_scope(path.span);
        // A test or a module alone is no value.
        if path.segments.len() == 1 {
            in_scope.retain(|name| {
                let item = self.find(name, path.span).map(|(item, _)| item);
                !matches!(
                    item,
                    Some(ItemRef::Test(_) | ItemRef::Template(_) | ItemRef::Module(_))
                )
            });
        }
        let known: Vec<&str> = in_scope.iter().map(String::as_str).collect();
        let first = path
            .segments
            .first()
            .map_or(whole, |first| first.text.as_str());
        let meant = did_you_mean(first, known.iter().copied());
        let meant = fact_named(whole)
            .filter(|_| expected != Some(&Type::String) && !known.contains(&first))
            .or(meant);
        let help = match (meant, expected) {
            (help, Some(Type::String)) => {
                let help = help.map_or(String::new(), |help| format!(" {help}"));
                format!("Text stands in quotes: `\"{whole}\"`.{help}")
            }
            (Some(help), _) => help,
            (None, _) if is_for_the_shell(whole) => {
                format!(
                    "In a command, a variable of the shell is written `${whole}` or `$${{{whole}}}`."
                )
            }
            (None, Some(Type::Version)) => {
                format!("A version that is no number stands in quotes: `\"{whole}\"`.")
            }
            (None, Some(_) | None) => {
                "A value is an axis, a field of `instance` or `image`, something of a disk, or what an \
                 earlier `let` captured."
                    .to_owned()
            }
        };
        self.report(
            Code::P0204,
            path.span,
            format!("nothing is named `{whole}` here"),
            help,
        );
    }

    /// Reports a word in the condition behind `where` that is no fact of what is chosen.
    fn unknown_fact(&mut self, from: Choice, path: &ast::Path, whole: &str) {
        let known: Vec<&str> = facts_of(from.thing()).map(|(name, _, _)| name).collect();
        let help = did_you_mean(whole, known.iter().copied()).unwrap_or_else(|| {
            format!("`{}` have {}.", from.word(), listed(known.iter().copied()))
        });
        let text = format!("`{}` have no `{whole}`", from.word());
        self.report(Code::P0204, path.span, text, help);
    }

    /// The words that mean a value here.
    fn names_in_scope(&self, at: Span) -> Vec<String> {
        let mut known: Vec<String> = ["instance", "region", "image"].map(str::to_owned).to_vec();
        let names = self.hir.names_at(at);
        known.extend(
            names
                .filter(|(_, item)| item.is_seen_by_steps())
                .map(|(name, _)| name),
        );
        let parameters = self.test.map(|test| &self.hir.tests[test].parameters);
        known.extend(
            parameters
                .into_iter()
                .flatten()
                .map(|(name, _)| (*name).to_owned()),
        );
        if let Scope::Step {
            test,
            captured,
            output,
        } = self.scope
        {
            let lets = self.lets[test].iter().take(captured);
            known.extend(
                lets.filter(|own| self.open_blocks.contains(&own.block))
                    .map(|of| of.name.text.clone()),
            );
            if output == Output::Of {
                known.extend(["exit", "stdout", "stderr"].map(str::to_owned));
            }
        }
        known
    }

    /// Whether `word` is much like a word that means a value here.
    pub(crate) fn resembles_a_name(&self, word: &str, at: Span) -> bool {
        let known = self.names_in_scope(at);
        did_you_mean(word, known.iter().map(String::as_str)).is_some()
    }

    /// Reports a name that is not one of type `kind`.
    pub(crate) fn no_such_value(&mut self, kind: &str, name: &str, span: Span) {
        let is_unread = matches!(self.find(name, span), Some((ItemRef::Unread, _)));
        if kind == "image" && (self.hir.has_unread || is_unread) {
            return;
        }
        let known = self.values_of(kind);
        let known = || known.iter().map(String::as_str);
        let also = self.catalog.our_name_for(name).filter(|_| kind == "arch");
        let help = also
            .map(|ours| format!("It is called `{ours}` here."))
            .or_else(|| did_you_mean(name, known()))
            .unwrap_or_else(|| match known().count() {
                1 => format!("The only one is {}.", listed(known())),
                _ => format!("There are {}.", listed(known())),
            });
        let text = format!("`{name}` is not {}", a_type(&Type::Name(kind.to_owned())));
        self.report(Code::P0304, span, text, help);
    }
}

/// A sentence that offers the fact called `word`, of the machine or of the image.
fn fact_named(word: &str) -> Option<String> {
    let of_machine = ["instance", "region"].into_iter();
    let mut of_machine = of_machine.filter(|of| facts_of(of).any(|(name, ..)| name == word));
    let of_image = || ["os", "arch", "version"].contains(&word).then_some("image");
    let of = of_machine.next().or_else(of_image)?;
    Some(format!("Did you mean `{of}.{word}`?"))
}

/// Whether `word` is spelt as variables of the environment are, and nothing of a source is: `HOME`.
fn is_for_the_shell(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase())
        && word
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}
