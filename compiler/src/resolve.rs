//! Names to items: declares every item, checks its name, and resolves what items say of each other.
//!
//! All items of a source share one set of names, so a word means one thing in the whole file. What
//! stands inside expressions and commands is not looked at here; see [`crate::types`].

mod matrix;
mod name;

pub(crate) use name::{check_name, dotted};

use std::collections::BTreeMap;

use dva_plan::plan::{EffectKind, TestIx};
use dva_plan::table::Index;
use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{Disk, Hir, Image, Input, ItemRef, Mention, Plan, Test};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;

/// The fields of an image: name, and whether it must be given.
const IMAGE_FIELDS: [(&str, Given); 3] = [
    ("os", Given::Always),
    ("arch", Given::Always),
    ("local", Given::Sometimes),
];

/// The fields of a disk.
const DISK_FIELDS: [(&str, Given); 2] = [("size", Given::Always), ("attached", Given::Sometimes)];

/// Whether a field must be given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Always,
    Sometimes,
}

/// Resolves the items of `module`.
#[must_use]
pub fn resolve<'a>(module: &'a ast::Module, catalog: &Catalog, bag: &mut Bag) -> Hir<'a> {
    let mut resolution = Resolution {
        catalog,
        bag,
        hir: Hir::default(),
    };
    resolution.declare(module);
    resolution.fill(module);
    resolution.hir
}

struct Resolution<'a, 'b> {
    catalog: &'b Catalog,
    bag: &'b mut Bag,
    hir: Hir<'a>,
}

impl<'a> Resolution<'a, '_> {
    /// Gives every item its number, so that items may name each other in any order.
    fn declare(&mut self, module: &'a ast::Module) {
        let mut counts = [0_usize; 7];
        let mut next = |kind: usize| {
            counts[kind] += 1;
            counts[kind] - 1
        };
        for item in &module.items {
            let (name, to) = match &item.kind {
                ast::ItemKind::Image(image) => {
                    (&image.name, ItemRef::Image(Index::from_row(next(0))))
                }
                ast::ItemKind::Axis(axis) => (&axis.name, ItemRef::Axis(Index::from_row(next(1)))),
                ast::ItemKind::Matrix(matrix) => {
                    (&matrix.name, ItemRef::Matrix(Index::from_row(next(2))))
                }
                ast::ItemKind::Disk(disk) => (&disk.name, ItemRef::Disk(Index::from_row(next(3)))),
                ast::ItemKind::Input(input) => {
                    (&input.name, ItemRef::Input(Index::from_row(next(6))))
                }
                ast::ItemKind::Test(test) => (&test.name, ItemRef::Test(Index::from_row(next(4)))),
                ast::ItemKind::Plan(plan) => (&plan.name, ItemRef::Plan(Index::from_row(next(5)))),
                ast::ItemKind::Error(None) => {
                    self.hir.has_unread = true;
                    continue;
                }
                ast::ItemKind::Error(Some(name)) => (name, ItemRef::Unread),
            };
            if to != ItemRef::Unread {
                check_name(name, self.catalog, self.bag);
            }
            match self.hir.names.get(name.text.as_str()) {
                // One of them could not be read, so this may well be the same item twice.
                Some((ItemRef::Unread, _)) => {}
                Some((first, place)) => self.bag.push(
                    Diagnostic::new(
                        Code::P0201,
                        name.span,
                        format!("`{}` is declared a second time", name.text),
                    )
                    .and(*place, format!("the first one, {}", first.noun()))
                    .help("All items of a file share one set of names. Rename one of them."),
                ),
                None => {
                    self.hir.names.insert(&name.text, (to, name.span));
                }
            }
        }
    }

    fn fill(&mut self, module: &'a ast::Module) {
        for item in &module.items {
            match &item.kind {
                ast::ItemKind::Image(image) => {
                    let fields = self.fields(image, &IMAGE_FIELDS, "an image");
                    self.hir.images.push(Image {
                        name: &image.name,
                        fields,
                    });
                }
                ast::ItemKind::Disk(disk) => {
                    let fields = self.fields(disk, &DISK_FIELDS, "a disk");
                    self.hir.disks.push(Disk {
                        name: &disk.name,
                        fields,
                    });
                }
                ast::ItemKind::Axis(axis) => {
                    let axis = self.axis(axis);
                    self.hir.axes.push(axis);
                }
                ast::ItemKind::Input(input) => {
                    self.input_type(&input.r#type);
                    self.hir.inputs.push(Input { name: &input.name });
                }
                // Rows that mention others wait until all of those are there.
                ast::ItemKind::Matrix(_)
                | ast::ItemKind::Test(_)
                | ast::ItemKind::Plan(_)
                | ast::ItemKind::Error(_) => {}
            }
        }
        for item in &module.items {
            match &item.kind {
                ast::ItemKind::Matrix(matrix) => {
                    let matrix = self.matrix(matrix);
                    self.hir.matrices.push(matrix);
                }
                ast::ItemKind::Test(test) => {
                    let test = self.test(item, test);
                    self.hir.tests.push(test);
                }
                ast::ItemKind::Plan(plan) => {
                    let plan = self.plan(plan);
                    self.hir.plans.push(plan);
                }
                ast::ItemKind::Image(_)
                | ast::ItemKind::Disk(_)
                | ast::ItemKind::Input(_)
                | ast::ItemKind::Axis(_)
                | ast::ItemKind::Error(_) => {}
            }
        }
    }

    /// Reports a type that no input can have.
    fn input_type(&mut self, written: &ast::TypeExpr) {
        if let ast::TypeExprKind::Named(name) = &written.kind
            && name.text == "secret"
        {
            return;
        }
        let help = match &written.kind {
            ast::TypeExprKind::Named(name) => did_you_mean(&name.text, ["secret"]),
            ast::TypeExprKind::In(..) | ast::TypeExprKind::List(_) => None,
        };
        let text = "an input cannot be of this type";
        self.bag.push(
            Diagnostic::new(Code::P0311, written.span, text).help(help.unwrap_or_else(|| {
                "An input is a `secret`: bound in the configuration, given to commands by `with`, \
                 and never shown."
                    .to_owned()
            })),
        );
    }

    /// The fields of `block`, each once, without unknown ones.
    fn fields(
        &mut self,
        block: &'a ast::Block,
        known: &[(&str, Given)],
        noun: &str,
    ) -> BTreeMap<&'a str, &'a ast::Field> {
        let mut fields: BTreeMap<&str, &ast::Field> = BTreeMap::new();
        for field in &block.fields {
            let name = field.name.text.as_str();
            if !known.iter().any(|(field, _)| *field == name) {
                let names = || known.iter().map(|(field, _)| *field);
                let help = match known {
                    [] => format!("{} has no fields yet.", capitalised(noun)),
                    _ => did_you_mean(name, names()).unwrap_or_else(|| {
                        format!("{} has {}.", capitalised(noun), listed(names()))
                    }),
                };
                let text = format!("{noun} has no field `{name}`");
                let finding = Diagnostic::new(Code::P0206, field.name.span, text);
                self.bag.push(finding.help(help));
            } else if let Some(first) = fields.get(name) {
                self.said_twice(field.name.span, first.name.span, &format!("`{name}`"));
            } else {
                fields.insert(name, field);
            }
        }
        for (name, given) in known {
            let misspelt = || {
                block
                    .fields
                    .iter()
                    .any(|field| did_you_mean(&field.name.text, [*name]).is_some())
            };
            if *given == Given::Always && !fields.contains_key(name) && !misspelt() {
                let text = format!("`{}` has no `{name}`", block.name.text);
                let finding = Diagnostic::new(Code::P0207, block.name.span, text);
                self.bag.push(finding.help(format!(
                    "Every {} says its `{name}`, for example `{}`.",
                    noun.trim_start_matches("an ").trim_start_matches("a "),
                    match *name {
                        "os" => "os = linux",
                        "arch" => "arch = x86_64",
                        _ => "size = 1GiB",
                    }
                )));
            }
        }
        fields
    }

    fn test(&mut self, item: &'a ast::Item, test: &'a ast::Test) -> Test<'a> {
        let last_of_head = test.after.last().map_or(test.name.span, |path| path.span);
        let mut row = Test {
            name: &test.name,
            docs: &item.docs,
            head: item.span.to(last_of_head),
            after: Vec::new(),
            effects: Vec::new(),
            needs: Vec::new(),
            within: None,
            takes: None,
            steps: Vec::new(),
            finally: Vec::new(),
            intact: true,
        };
        row.head.end = last_of_head.end;
        row.intact &= self.mentions_of_tests(&test.after, &mut row.after);
        let mut finally: Option<Span> = None;
        for clause in &test.body {
            match clause {
                ast::Clause::Reads(names) => self.effects(EffectKind::Reads, names, &mut row),
                ast::Clause::Writes(names) => self.effects(EffectKind::Writes, names, &mut row),
                ast::Clause::Needs(needs) => row.needs.extend(needs),
                ast::Clause::Within(span, value) => match row.within {
                    Some((first, _)) => self.said_twice(*span, first, "`within`"),
                    None => row.within = Some((*span, value)),
                },
                ast::Clause::Takes(span, value) => match row.takes {
                    Some((first, _)) => self.said_twice(*span, first, "`takes`"),
                    None => row.takes = Some((*span, value)),
                },
                ast::Clause::Step(step) => row.steps.push(step),
                ast::Clause::Finally(span, steps) => {
                    if let Some(first) = finally {
                        self.said_twice(*span, first, "`finally`");
                    }
                    finally.get_or_insert(*span);
                    row.finally.extend(steps);
                }
            }
        }
        row
    }

    fn effects(&mut self, kind: EffectKind, names: &[ast::Name], row: &mut Test<'a>) {
        for name in names {
            let to = match self.hir.names.get(name.text.as_str()) {
                Some((ItemRef::Disk(disk), _)) => *disk,
                found => {
                    let found = found.copied();
                    self.unknown(&name.text, name.span, found, "a disk", |to| {
                        matches!(to, ItemRef::Disk(_))
                    });
                    row.intact = false;
                    continue;
                }
            };
            let same =
                |(known, mention): &&(EffectKind, Mention<_>)| *known == kind && mention.to == to;
            match row
                .effects
                .iter()
                .find(same)
                .map(|(_, mention)| mention.span)
            {
                Some(first) => self.said_twice(name.span, first, &format!("`{}`", name.text)),
                None => {
                    let span = name.span;
                    row.effects.push((kind, Mention { to, span }));
                }
            }
        }
    }

    fn plan(&mut self, plan: &'a ast::Plan) -> Plan<'a> {
        let mut row = Plan {
            name: &plan.name,
            matrix: None,
            tests: Vec::new(),
            intact: true,
        };
        if let Some(first) = plan.matrices.first() {
            row.matrix = match self.hir.names.get(first.text.as_str()) {
                Some((ItemRef::Matrix(matrix), _)) => Some(Mention {
                    to: *matrix,
                    span: first.span,
                }),
                found => {
                    let found = found.copied();
                    self.unknown(&first.text, first.span, found, "a matrix", |to| {
                        matches!(to, ItemRef::Matrix(_))
                    });
                    row.intact = false;
                    None
                }
            };
            if let Some(second) = plan.matrices.get(1) {
                row.intact = false;
                self.bag.push(
                    Diagnostic::new(Code::P0705, second.span, "a second matrix")
                        .and(first.span, "the first one")
                        .help("A plan has one matrix. Write a plan for each of them."),
                );
            }
        }
        row.intact &= self.mentions_of_tests(&plan.tests, &mut row.tests);
        let lacks = match (plan.matrices.is_empty(), plan.tests.is_empty()) {
            (true, true) => Some("neither a matrix nor tests"),
            (true, false) => Some("no matrix"),
            (false, true) => Some("no tests"),
            (false, false) => None,
        };
        if let Some(lacks) = lacks {
            row.intact = false;
            let text = format!("`{}` has {lacks}", plan.name.text);
            self.bag.push(Diagnostic::new(Code::P0704, plan.name.span, text).help(
                "A plan says what is tested and on what: `plan gate { matrix sizes  tests memory }`.",
            ));
        }
        row
    }

    /// Resolves `paths` to tests, each once; false where one of them does not.
    fn mentions_of_tests(
        &mut self,
        paths: &[ast::Path],
        mentions: &mut Vec<Mention<TestIx>>,
    ) -> bool {
        let mut all = true;
        for path in paths {
            let name = dotted(path);
            let to = match self.hir.names.get(name.as_str()) {
                Some((ItemRef::Test(test), _)) => *test,
                found => {
                    let found = found.copied();
                    self.unknown(&name, path.span, found, "a test", |to| {
                        matches!(to, ItemRef::Test(_))
                    });
                    all = false;
                    continue;
                }
            };
            match mentions.iter().find(|known| known.to == to) {
                Some(first) => self.said_twice(path.span, first.span, &format!("`{name}`")),
                None => mentions.push(Mention {
                    to,
                    span: path.span,
                }),
            }
        }
        all
    }

    /// Reports a name that is not that of `wanted` (`a test`), unless it may stand in unread text.
    fn unknown(
        &mut self,
        name: &str,
        span: Span,
        found: Option<(ItemRef, Span)>,
        wanted: &str,
        fits: impl Fn(ItemRef) -> bool,
    ) {
        match found {
            Some((ItemRef::Unread, _)) => {}
            None if self.hir.has_unread => {}
            Some((to, place)) => self.bag.push(
                Diagnostic::new(
                    Code::P0205,
                    span,
                    format!("`{name}` is {}, not {wanted}", to.noun()),
                )
                .and(place, "declared here")
                .help(format!("Name {wanted} here.")),
            ),
            None => {
                let names = &self.hir.names;
                let known = || {
                    let fitting = names.iter().filter(|(_, (to, _))| fits(*to));
                    fitting.map(|(name, _)| *name)
                };
                let noun = wanted.trim_start_matches("an ").trim_start_matches("a ");
                let help = did_you_mean(name, known()).unwrap_or_else(|| {
                    if known().next().is_none() {
                        format!("The file declares no {noun}.")
                    } else {
                        format!("The file declares {}.", listed(known()))
                    }
                });
                let text = format!("no {noun} is named `{name}`");
                self.bag
                    .push(Diagnostic::new(Code::P0204, span, text).help(help));
            }
        }
    }

    fn said_twice(&mut self, again: Span, first: Span, what: &str) {
        self.bag.push(
            Diagnostic::new(Code::P0208, again, format!("{what} a second time"))
                .and(first, "the first time")
                .help("Remove one of them."),
        );
    }
}

/// `text` with its first letter in upper case.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
