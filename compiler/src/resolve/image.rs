//! Images and their facts: which fields an image has, its own and those of the image it is like.

use std::collections::BTreeMap;

use dva_plan::plan::ImageIx;
use dva_plan::table::Table;

use super::{Given, Resolution, check_kind, check_name, dotted};
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{Fact, FactType, Image, ItemRef, Mention};
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;

/// The fields of an image: name, and whether it must be given. An author's facts come on top.
const FIELDS: [(&str, Given); 8] = [
    ("os", Given::Always),
    ("arch", Given::Always),
    ("local", Given::Sometimes),
    ("ec2", Given::Sometimes),
    ("login", Given::Sometimes),
    ("license", Given::Sometimes),
    ("boot_mode", Given::Sometimes),
    ("ena", Given::Sometimes),
];

/// What an image has that is no field, so that no fact may be called so.
const NO_FIELDS: [&str; 1] = ["version"];

/// The types that a fact may have, beside words of its own.
const FACT_TYPES: [&str; 8] = [
    "bool", "int", "string", "version", "size", "duration", "percent", "date",
];

impl<'a> Resolution<'a, '_> {
    pub(super) fn fact(&mut self, fact: &'a ast::Fact) -> Fact<'a> {
        let name = &fact.name;
        let is_field = FIELDS.iter().any(|(field, _)| *field == name.text);
        if is_field || NO_FIELDS.contains(&name.text.as_str()) {
            let text = format!("every image has `{}`", name.text);
            let finding = Diagnostic::new(Code::P0203, name.span, text);
            self.bag.push(finding.help("Choose another name."));
        }
        let is_own = is_field || check_kind(name, self.bag);
        let r#type = match fact.choices.as_slice() {
            [one] if FACT_TYPES.contains(&one.text.as_str()) => FactType::Named(one),
            [one] => {
                let text = format!("`{}` is no type that a fact can have", one.text);
                let help = did_you_mean(&one.text, FACT_TYPES).unwrap_or_else(|| {
                    "Write `bool`, `int`, `string`, `version`, `size`, `duration`, `percent` or `date`, \
                     or at least two words of your own: `fact product: cloud | sap = cloud`."
                        .to_owned()
                });
                self.bag
                    .push(Diagnostic::new(Code::P0311, one.span, text).help(help));
                FactType::Unknown
            }
            several => {
                let mut choices: Vec<&ast::Name> = Vec::new();
                for choice in several {
                    check_name(choice, self.catalog, self.bag);
                    match choices.iter().find(|known| known.text == choice.text) {
                        Some(first) => {
                            let what = format!("`{}`", choice.text);
                            self.said_twice(choice.span, first.span, &what);
                        }
                        None => choices.push(choice),
                    }
                }
                FactType::OneOf(choices)
            }
        };
        Fact {
            name,
            // The words of such a fact would be sought among those of the catalog.
            r#type: match is_own {
                true => r#type,
                false => FactType::Unknown,
            },
            default: &fact.default,
        }
    }

    /// The image with its own fields; what it takes over comes with [`Self::inherit`].
    pub(super) fn image(&mut self, image: &'a ast::Image) -> Image<'a> {
        let facts = self.hir.facts.iter();
        let facts = facts.map(|fact| (fact.name.text.as_str(), Given::Sometimes));
        // What an image lacks it may have from the one that it is like.
        let known: Vec<(&str, Given)> = FIELDS
            .iter()
            .map(|(name, given)| match image.like {
                Some(_) => (*name, Given::Sometimes),
                None => (*name, *given),
            })
            .chain(facts)
            .collect();
        let fields = self.fields(&image.name, &image.fields, &known, "an image");
        self.plain_fields(&fields);
        Image {
            name: &image.name,
            like: None,
            fields,
        }
    }

    /// Reports `>=` where a field is what it is.
    pub(super) fn plain_fields(&mut self, fields: &BTreeMap<&str, &ast::Field>) {
        for (name, field) in fields {
            if let Some(span) = field.at_least {
                let text = format!("`{name}` is one value, not a range");
                let finding = Diagnostic::new(Code::P0308, span, text);
                self.bag.push(finding.help("Write `=`."));
            }
        }
    }

    /// Gives each image the fields of the one it is like. They are taken over whole, never merged.
    pub(super) fn inherit(&mut self) {
        let images = self.items().filter_map(|item| match &item.kind {
            ast::ItemKind::Image(image) => Some(image),
            _ => None,
        });
        let mut like: Table<ImageIx, Option<Mention<ImageIx>>> = Table::new();
        for image in images {
            let mention = image.like.as_ref().and_then(|path| self.base(path));
            like.push(mention);
        }
        let own: Table<ImageIx, BTreeMap<&str, &ast::Field>> = self
            .hir
            .images
            .iter()
            .map(|image| image.fields.clone())
            .collect();
        for image in own.indices() {
            let chain = self.chain(&like, image);
            let mut fields: BTreeMap<&str, &ast::Field> = BTreeMap::new();
            for link in chain.iter().rev() {
                if *link == image {
                    self.changes_system(&own[image], &fields, like[image]);
                }
                fields.extend(own[*link].iter().map(|(name, field)| (*name, *field)));
            }
            self.hir.images[image].fields = fields;
            self.hir.images[image].like = like[image];
        }
    }

    /// The image that another one says it is like.
    fn base(&mut self, path: &ast::Path) -> Option<Mention<ImageIx>> {
        let name = dotted(path);
        match self.find(&name, path.span) {
            Some((ItemRef::Image(to), _)) => Some(Mention {
                to,
                span: path.span,
            }),
            found => {
                self.unknown(&name, path.span, found, "an image", |to| {
                    matches!(to, ItemRef::Image(_))
                });
                None
            }
        }
    }

    /// The image, the one that it is like, and so on, each once. A circle is reported by the first image
    /// of it.
    fn chain(
        &mut self,
        like: &Table<ImageIx, Option<Mention<ImageIx>>>,
        image: ImageIx,
    ) -> Vec<ImageIx> {
        let mut chain = vec![image];
        let mut next = like[image];
        while let Some(mention) = next {
            if chain.contains(&mention.to) {
                if mention.to == image && chain.iter().all(|other| *other >= image) {
                    let names = chain
                        .iter()
                        .map(|of| self.hir.images[*of].name.text.as_str());
                    let path: Vec<_> = names.map(|name| format!("`{name}`")).collect();
                    let first = like[image].map_or(mention.span, |mention| mention.span);
                    let text = "this leads back to where it began";
                    self.bag
                        .push(Diagnostic::new(Code::P0411, first, text).help(format!(
                            "{} is like {} again. Give one of them all of its fields.",
                            path.join(" is like "),
                            path[0]
                        )));
                }
                break;
            }
            chain.push(mention.to);
            next = like[mention.to];
        }
        chain
    }

    /// Reports an image of another operating system that keeps something of the one it is like.
    fn changes_system(
        &mut self,
        own: &BTreeMap<&'a str, &'a ast::Field>,
        base: &BTreeMap<&'a str, &'a ast::Field>,
        like: Option<Mention<ImageIx>>,
    ) {
        let (Some(os), Some(like), Some(_)) = (own.get("os"), like, base.get("os")) else {
            return;
        };
        let kept = base.keys().copied().filter(|name| !own.contains_key(name));
        let kept: Vec<_> = kept.collect();
        if kept.is_empty() {
            return;
        }
        let text = format!("it keeps {} of the other one", listed(kept.iter().copied()));
        self.bag.push(
            Diagnostic::new(Code::P0410, os.name.span, text)
                .and(like.span, "the other one")
                .help(
                    "What belongs to one operating system seldom fits another, or another version. Say \
                     these fields here too, as they are or otherwise.",
                ),
        );
    }
}
