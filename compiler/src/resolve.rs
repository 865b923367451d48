//! Names to items: declares every item, checks its name, and resolves what items say of each other.
//!
//! All items of a file share one set of names, so a word means one thing in the whole file: what the file
//! declares or takes from others ([`declare`]). What stands inside expressions and commands is not looked at here; see [`crate::types`].

mod declare;
mod effect;
mod image;
mod instance;
mod matrix;
mod name;
mod policy;
mod selection;
mod value;

pub(crate) use declare::private;
use name::check_kind;
pub(crate) use name::{check_name, dotted, dotted_words};

use std::collections::BTreeMap;

use dva_plan::plan::{EffectKind, TestIx};
use dva_stdlib::{Catalog, modules};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{
    Disk, FileIx, Hir, ItemRef, MatrixIx, Mention, Plan, PlanPart, Policy, Test, file,
};
use crate::modules::Modules;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;

/// The fields of a disk.
const DISK_FIELDS: [(&str, Given); 3] = [
    ("size", Given::Always),
    ("from", Given::Sometimes),
    ("attached", Given::Sometimes),
];

/// Whether a field must be given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Always,
    Sometimes,
}

/// Resolves the items of `modules`.
#[must_use]
pub fn resolve<'a>(modules: &'a Modules, catalog: &Catalog, bag: &mut Bag) -> Hir<'a> {
    let mut resolution = Resolution {
        modules,
        catalog,
        bag,
        hir: Hir {
            files: file::files(&modules.files),
            ..Hir::default()
        },
        known_everywhere: BTreeMap::new(),
        test: None,
        unfilled: Vec::new(),
        setups: Vec::new(),
    };
    resolution.declare();
    resolution.parameters_hide_nothing();
    resolution.fill();
    resolution.hir
}

struct Resolution<'a, 'b> {
    modules: &'a Modules,
    catalog: &'b Catalog,
    bag: &'b mut Bag,
    hir: Hir<'a>,
    /// By what it is and its name, what has one name in all files, with the first place.
    known_everywhere: BTreeMap<(&'static str, &'a str), (FileIx, Span)>,
    /// The test that is being filled.
    test: Option<TestIx>,
    /// Tests that were made of others with parameters and have nothing but their rows.
    unfilled: Vec<(TestIx, &'a ast::Item, &'a ast::Test)>,
    /// The setups of plans, which have no rows yet.
    setups: Vec<(Span, &'a [ast::Step])>,
}

impl<'a> Resolution<'a, '_> {
    /// All items of all files, those of the source itself first.
    fn items(&self) -> impl Iterator<Item = &'a ast::Item> + use<'a> {
        let files = self.modules.files.iter();
        files.flat_map(|file| &file.module.items)
    }

    fn fill(&mut self) {
        // Images have the facts as fields.
        for item in self.items() {
            if let ast::ItemKind::Fact(fact) = &item.kind {
                let fact = self.fact(fact);
                self.hir.facts.push(fact);
            }
        }
        for item in self.items() {
            match &item.kind {
                ast::ItemKind::Image(image) => {
                    let image = self.image(image);
                    self.hir.images.push(image);
                }
                ast::ItemKind::Disk(disk) => {
                    let fields = self.fields(&disk.name, &disk.fields, &DISK_FIELDS, "a disk");
                    self.hir.disks.push(Disk {
                        name: &disk.name,
                        fields,
                    });
                }
                ast::ItemKind::Boot(boot) => {
                    let boot = self.boot(boot);
                    self.hir.boots.push(boot);
                }
                ast::ItemKind::Axis(axis) => {
                    let axis = self.axis(axis);
                    self.hir.axes.push(axis);
                }
                ast::ItemKind::State(state) => {
                    let state = self.state(state);
                    self.hir.states.push(state);
                }
                // Rows that mention others wait until all of those are there.
                ast::ItemKind::Matrix(_)
                | ast::ItemKind::Test(_)
                | ast::ItemKind::Plan(_)
                | ast::ItemKind::Input(_)
                | ast::ItemKind::Use(_)
                | ast::ItemKind::Let(_)
                | ast::ItemKind::Table(_)
                | ast::ItemKind::Fact(_)
                | ast::ItemKind::Error(_) => {}
            }
        }
        self.inherit();
        // Those without parameters have their rows, in order.
        let mut rows = self.hir.tests.indices();
        for item in self.items() {
            match &item.kind {
                ast::ItemKind::Matrix(matrix) => {
                    let matrix = self.matrix(matrix);
                    self.hir.matrices.push(matrix);
                }
                ast::ItemKind::Test(test) if test.parameters.as_ref().is_none_or(Vec::is_empty) => {
                    if let Some(row) = rows.next() {
                        self.fill_test(row, item, test);
                    }
                }
                ast::ItemKind::Plan(_)
                | ast::ItemKind::Test(_)
                | ast::ItemKind::Image(_)
                | ast::ItemKind::Disk(_)
                | ast::ItemKind::Input(_)
                | ast::ItemKind::Axis(_)
                | ast::ItemKind::Use(_)
                | ast::ItemKind::Let(_)
                | ast::ItemKind::Table(_)
                | ast::ItemKind::Fact(_)
                | ast::ItemKind::State(_)
                | ast::ItemKind::Boot(_)
                | ast::ItemKind::Error(_) => {}
            }
        }
        self.fill_instances();
        // A plan selects by what tests say of themselves.
        let root = self.modules.files.iter().next();
        for item in root.into_iter().flat_map(|root| &root.module.items) {
            if let ast::ItemKind::Plan(plan) = &item.kind {
                let plan = self.plan(plan);
                self.hir.plans.push(plan);
            }
        }
        self.fill_instances();
        self.open_instances();
        self.fill_setups();
    }

    /// The fields of `block`, each once, without unknown ones.
    fn fields(
        &mut self,
        block: &'a ast::Name,
        written: &'a [ast::Field],
        known: &[(&str, Given)],
        noun: &str,
    ) -> BTreeMap<&'a str, &'a ast::Field> {
        let mut fields: BTreeMap<&str, &ast::Field> = BTreeMap::new();
        for field in written {
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
                written
                    .iter()
                    .any(|field| did_you_mean(&field.name.text, [*name]).is_some())
            };
            if *given == Given::Always && !fields.contains_key(name) && !misspelt() {
                let text = format!("`{}` has no `{name}`", block.text);
                let finding = Diagnostic::new(Code::P0207, block.span, text);
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

    /// Fills the row of a test with what `test` says.
    fn fill_test(&mut self, to: TestIx, item: &'a ast::Item, test: &'a ast::Test) {
        self.test = Some(to);
        let own = &mut self.hir.tests[to];
        let id = std::mem::take(&mut own.id);
        let mut row = Test::new(&test.name, id, item.span);
        row.template = own.template;
        row.parameters = own.parameters.clone();
        row.docs = &item.docs;
        let last_of_head = test.after.last().map(|after| after.test.span);
        row.head.end = last_of_head.unwrap_or(test.name.span).end;
        // What the row is called and given must be known while it is filled.
        self.hir.tests[to].id = row.id.clone();
        row.intact &= self.predecessors(&test.after, &mut row);
        self.each_once(&test.per, &mut row.per);
        row.intact &= self.axes_exist(&row.per);
        let mut finally: Option<Span> = None;
        for clause in &test.body {
            match clause {
                ast::Clause::Reads(names) => self.effects(EffectKind::Reads, names, &mut row),
                ast::Clause::Writes(names) => self.effects(EffectKind::Writes, names, &mut row),
                ast::Clause::Needs(needs) => {
                    for need in needs {
                        match need {
                            ast::Need::Holds(need) => row.needs.push(need),
                            ast::Need::Boot(boot) => self.needs_boot(boot, &mut row),
                        }
                    }
                }
                ast::Clause::Borrows(names) => self.effects(EffectKind::Borrows, names, &mut row),
                ast::Clause::Tags(names) => self.each_once(names, &mut row.tags),
                ast::Clause::Retry(span, value) => match row.retry {
                    Some((first, _)) => self.said_twice(*span, first, "`retry`"),
                    None => row.retry = Some((*span, value)),
                },
                ast::Clause::When(span, condition) => match row.when {
                    Some((first, _)) => self.said_twice(*span, first, "`when`"),
                    None => row.when = Some((*span, condition)),
                },
                ast::Clause::Last(span) => match row.last {
                    Some(first) => self.said_twice(*span, first, "`last`"),
                    None => row.last = Some(*span),
                },
                ast::Clause::Once(span) => match row.once {
                    Some(first) => self.said_twice(*span, first, "`once`"),
                    None => row.once = Some(*span),
                },
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
        self.hir.tests[to] = row;
        self.test = None;
    }

    fn plan(&mut self, plan: &'a ast::Plan) -> Plan<'a> {
        let mut row = Plan {
            name: &plan.name,
            parts: Vec::new(),
            policy: Policy::default(),
            intact: true,
        };
        let mut own = PlanPart::default();
        let (mut matrices, mut has_tests, mut blocks) = (Vec::new(), false, Vec::new());
        for clause in &plan.clauses {
            match clause {
                ast::PlanClause::Matrix(paths) => matrices.extend(paths),
                ast::PlanClause::Tests(_) | ast::PlanClause::Again(_) => {
                    has_tests = true;
                    row.intact &= self.plan_tests(clause, &mut own);
                }
                ast::PlanClause::On(path, clauses) => blocks.push((path, clauses)),
                ast::PlanClause::Waive(_)
                | ast::PlanClause::Limit(..)
                | ast::PlanClause::Market(..)
                | ast::PlanClause::Gate(..)
                | ast::PlanClause::Setup(..) => {
                    row.intact &= self.policy(clause, &mut row.policy);
                }
            }
        }
        if let Some(first) = matrices.first() {
            own.matrix = self.mention_of_matrix(first);
            row.intact &= own.matrix.is_some();
            if let Some(second) = matrices.get(1) {
                row.intact = false;
                self.bag.push(
                    Diagnostic::new(Code::P0705, second.span, "a second matrix")
                        .and(first.span, "the first one")
                        .help(
                            "Say which tests run on which: `on MATRIX { tests … }` for each of them.",
                        ),
                );
            }
        }
        let is_whole = !matrices.is_empty() || has_tests;
        if is_whole {
            row.parts.push(own);
        }
        let lacks = match (matrices.is_empty(), !has_tests) {
            (true, true) if blocks.is_empty() => Some("neither a matrix nor tests"),
            (true, false) => Some("no matrix"),
            (false, true) => Some("no tests"),
            (true, true) | (false, false) => None,
        };
        if let Some(lacks) = lacks {
            row.intact = false;
            let text = format!("`{}` has {lacks}", plan.name.text);
            self.bag.push(Diagnostic::new(Code::P0704, plan.name.span, text).help(
                "A plan says what is tested and on what: `plan gate { matrix sizes  tests memory }`.",
            ));
        }
        for (path, clauses) in blocks {
            row.intact &= self.block(path, clauses, &mut row.parts);
        }
        row
    }

    /// The test that is named; `None` where there is none.
    fn mention_of_test(&mut self, test: &'a ast::TestRef) -> Option<Mention<TestIx>> {
        let span = test.path.span;
        let name = dotted(&test.path);
        match self.find(&name, span) {
            Some((ItemRef::Template(template), _)) => self.instance(template, test),
            Some((ItemRef::Test(to), place)) => {
                if test.arguments.is_some() {
                    let text = format!("`{name}` takes no arguments");
                    self.bag.push(
                        Diagnostic::new(Code::P0528, test.span, text)
                            .and(place, "declared here")
                            .help(format!("Write `{name}`.")),
                    );
                    return None;
                }
                Some(Mention { to, span })
            }
            found => {
                self.unknown(&name, span, found, "a test", |to| {
                    matches!(to, ItemRef::Test(_) | ItemRef::Template(_))
                });
                None
            }
        }
    }

    /// The matrix that is named; `None` where there is none.
    fn mention_of_matrix(&mut self, path: &ast::Path) -> Option<Mention<MatrixIx>> {
        let (name, span) = (dotted(path), path.span);
        match self.find(&name, span) {
            Some((ItemRef::Matrix(to), _)) => Some(Mention { to, span }),
            found => {
                self.unknown(&name, span, found, "a matrix", |to| {
                    matches!(to, ItemRef::Matrix(_))
                });
                None
            }
        }
    }

    /// Takes `names` over, each once.
    fn each_once(&mut self, names: &'a [ast::Name], taken: &mut Vec<&'a ast::Name>) {
        for name in names {
            match taken.iter().find(|known| known.text == name.text) {
                Some(first) => {
                    self.said_twice(name.span, first.span, &format!("`{}`", name.text));
                }
                None => taken.push(name),
            }
        }
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
            None if self.is_of_unread(name, span) => {}
            Some((ItemRef::Private, place)) => self.private(name, span, place),
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
                let names = self.hir.names_at(span);
                let known: Vec<String> = names
                    .filter(|(_, to)| fits(*to))
                    .map(|(name, _)| name)
                    .collect();
                let known = || known.iter().map(String::as_str);
                let noun = wanted.trim_start_matches("an ").trim_start_matches("a ");
                let first = name.split('.').next().unwrap_or_default();
                let module = modules::text(first).map(|_| {
                    format!(
                        "Write `use {}.{first}` at the top of the file.",
                        modules::STD
                    )
                });
                let module = module.filter(|_| self.find(first, span).is_none());
                let meant = module.or_else(|| did_you_mean(name, known()));
                let help = meant.unwrap_or_else(|| {
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

    /// Whether `name` may be declared in what could not be read.
    fn is_of_unread(&self, name: &str, span: Span) -> bool {
        let module = name.split_once('.').map(|(module, _)| module);
        let found = module.and_then(|module| self.find(module, span));
        self.hir.has_unread || matches!(found, Some((ItemRef::Unread, _)))
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
