//! Which names there are in each file: those it declares, and those it takes from others by `use`.

use dva_plan::table::Index;

use super::{Resolution, check_name};
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{FileIx, ItemRef, Named, Test};
use crate::modules::File;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;

impl<'a> Resolution<'a, '_> {
    /// Gives every item its number, so that items may name each other in any order.
    pub(super) fn declare(&mut self) {
        let mut counts = [0_usize; 8];
        let mut next = |kind: usize| {
            counts[kind] += 1;
            counts[kind] - 1
        };
        for (file, of) in self.modules.files.enumerate() {
            for item in &of.module.items {
                let (name, to) = match &item.kind {
                    ast::ItemKind::Image(image) => {
                        (&image.name, ItemRef::Image(Index::from_row(next(0))))
                    }
                    ast::ItemKind::Axis(axis) => {
                        (&axis.name, ItemRef::Axis(Index::from_row(next(1))))
                    }
                    ast::ItemKind::Fact(fact) => {
                        (&fact.name, ItemRef::Fact(Index::from_row(next(2))))
                    }
                    ast::ItemKind::Matrix(matrix) => {
                        (&matrix.name, ItemRef::Matrix(Index::from_row(next(3))))
                    }
                    ast::ItemKind::Disk(disk) => {
                        (&disk.name, ItemRef::Disk(Index::from_row(next(4))))
                    }
                    ast::ItemKind::State(state) => {
                        (&state.name, ItemRef::State(Index::from_row(next(5))))
                    }
                    ast::ItemKind::Boot(boot) => {
                        (&boot.name, ItemRef::Boot(Index::from_row(next(6))))
                    }
                    // These mention nothing that must be there before, so their rows are made here.
                    ast::ItemKind::Let(constant) => (&constant.name, self.constant(constant)),
                    ast::ItemKind::Input(input) => (&input.name, self.input(input)),
                    ast::ItemKind::Table(table) => (&table.name, self.lookup_table(table)),
                    ast::ItemKind::Test(test) => (&test.name, self.declare_test(item, test)),
                    // The plans of a file that is used are for when it is compiled itself.
                    ast::ItemKind::Plan(_) if file.row() > 0 => continue,
                    ast::ItemKind::Plan(plan) => {
                        (&plan.name, ItemRef::Plan(Index::from_row(next(7))))
                    }
                    ast::ItemKind::Error(None) => {
                        self.hir.has_unread = true;
                        continue;
                    }
                    ast::ItemKind::Use(_) => continue,
                    ast::ItemKind::Error(Some(name)) => (name, ItemRef::Unread),
                };
                if to != ItemRef::Unread {
                    check_name(name, self.catalog, self.bag);
                    self.is_known_everywhere(file, name, to);
                }
                let named = Named {
                    item: to,
                    span: name.span,
                    is_own: true,
                    is_public: item.public.is_some(),
                };
                self.name(file, name, named);
            }
        }
        for (file, of) in self.modules.files.enumerate() {
            for (row, item) in of.module.items.iter().enumerate() {
                if let ast::ItemKind::Use(used) = &item.kind {
                    self.take_over(file, of, row, used);
                }
            }
        }
    }

    /// A test without parameters has its row from here on, which is filled later.
    fn declare_test(&mut self, item: &'a ast::Item, test: &'a ast::Test) -> ItemRef {
        if test.parameters.as_ref().is_some_and(|own| !own.is_empty()) {
            return ItemRef::Template(self.template(item, test));
        }
        let id = match self.hir.file_of(test.name.span).row() {
            0 => test.name.text.as_str().into(),
            _ => self.hir.qualified(&test.name).into(),
        };
        let row = Test::new(&test.name, id, item.span);
        ItemRef::Test(self.hir.tests.push(row))
    }

    /// Gives `name` a meaning in `file`.
    fn name(&mut self, file: FileIx, name: &'a ast::Name, named: Named) {
        let known = self.hir.files[file].names.get(name.text.as_str()).copied();
        let Some(first) = known else {
            self.hir.files[file].names.insert(&name.text, named);
            return;
        };
        // One of them could not be read, so this may well be the same item twice.
        if first.item == ItemRef::Unread {
            return;
        }
        let text = format!("`{}` is declared a second time", name.text);
        // What is taken from other files is looked at last, wherever it stands.
        let (earlier, later) = match first.span.start <= named.span.start {
            true => (first, named),
            false => (named, first),
        };
        self.bag.push(
            Diagnostic::new(Code::P0201, later.span, text)
                .and(
                    earlier.span,
                    format!("the first one, {}", earlier.item.noun()),
                )
                .help("All items of a file share one set of names. Rename one of them."),
        );
        // A mention may mean either, so none is held against the first one.
        if first.item.noun() != named.item.noun() {
            let unread = Named {
                item: ItemRef::Unread,
                ..first
            };
            self.hir.files[file].names.insert(&name.text, unread);
        }
    }

    /// Reports the second one of a name where all files share it.
    fn is_known_everywhere(&mut self, file: FileIx, name: &'a ast::Name, item: ItemRef) {
        if !has_one_name(item) {
            return;
        }
        let key = (item.noun(), name.text.as_str());
        match self.known_everywhere.get(&key) {
            Some((first, place)) if *first != file => {
                let text = format!("another file has {} of this name", item.noun());
                self.bag.push(
                    Diagnostic::new(Code::P0201, name.span, text)
                        .and(*place, "the first one")
                        .help(
                            "Images, axes, facts and inputs are what cells, reports and configurations are \
                             made of, so no two files may have one of the same name. Rename one of them.",
                        ),
                );
            }
            Some(_) => {}
            None => {
                self.known_everywhere.insert(key, (file, name.span));
            }
        }
    }

    /// `use MODULE { NAME, … }`
    fn take_over(&mut self, file: FileIx, of: &'a File, row: usize, used: &'a ast::Use) {
        let from = of.uses.get(&row).copied();
        let Some(names) = &used.names else {
            self.whole_module(file, from, used);
            return;
        };
        for taken in names {
            let here = taken.alias.as_ref().unwrap_or(&taken.name);
            let item = match from {
                Some(from) => self.taken(from, taken),
                // What was reported may have declared it.
                None => ItemRef::Unread,
            };
            if let Some(alias) = &taken.alias {
                check_name(alias, self.catalog, self.bag);
                if has_one_name(item) {
                    let text = format!("{} has one name in all files", item.noun());
                    self.bag
                        .push(Diagnostic::new(Code::P0214, alias.span, text).help(
                            "Cells, reports and configurations know it by that. Remove the `as`.",
                        ));
                }
            }
            let named = Named {
                item,
                span: here.span,
                is_own: false,
                is_public: false,
            };
            self.name(file, here, named);
        }
    }

    /// What `from` has of the name that is taken.
    fn taken(&mut self, from: FileIx, taken: &ast::UseName) -> ItemRef {
        let name = taken.name.text.as_str();
        match self.hir.files[from].names.get(name).copied() {
            Some(found) if found.item == ItemRef::Unread => ItemRef::Unread,
            Some(found) if found.is_own && found.is_public => found.item,
            Some(found) if found.is_own => {
                self.private(name, taken.name.span, found.span);
                ItemRef::Unread
            }
            _ if self.hir.has_unread => ItemRef::Unread,
            _ => {
                let known: Vec<&str> = self.hir.public_of(from).map(|(name, _)| name).collect();
                let help = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match known
                    .as_slice()
                {
                    [] => "It has nothing for other files: they may name what stands behind `pub`."
                        .to_owned(),
                    known => format!("It has {}.", listed(known.iter().copied())),
                });
                let shown = &self.modules.sources.files()[from.row()];
                let text = format!("`{}` has no `{name}`", shown.name());
                self.bag
                    .push(Diagnostic::new(Code::P0204, taken.name.span, text).help(help));
                ItemRef::Unread
            }
        }
    }

    /// `use MODULE`, without names: the module gets one.
    fn whole_module(&mut self, file: FileIx, from: Option<FileIx>, used: &'a ast::Use) {
        let item = from.map_or(ItemRef::Unread, ItemRef::Module);
        let (text, span) = match &used.from {
            ast::UseFrom::Module(path) => match path.segments.last() {
                Some(last) => (last.text.as_str(), last.span),
                None => return,
            },
            ast::UseFrom::File(text) => {
                let Some(path) = text.text.as_deref() else {
                    return;
                };
                let own = path.rsplit('/').next().unwrap_or_default();
                (own.trim_end_matches(".plan"), text.span)
            }
        };
        let is_name = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !is_name {
            if from.is_some() {
                let label = format!("`{text}` is not a name of this form");
                self.bag.push(Diagnostic::new(Code::P0202, span, label).help(
                    "A module is called as its file is. Rename the file, or say which of its items are \
                     meant: `use \"./FILE.plan\" { NAME }`.",
                ));
            }
            return;
        }
        let named = Named {
            item,
            span,
            is_own: false,
            is_public: false,
        };
        let names = &mut self.hir.files[file].names;
        match names.get(text).copied() {
            Some(first) if first.item != ItemRef::Unread => {
                let label = format!("`{text}` is declared a second time");
                self.bag.push(
                    Diagnostic::new(Code::P0201, span, label)
                        .and(first.span, format!("the first one, {}", first.item.noun()))
                        .help("All names of a file are different. Say which items are meant, in braces."),
                );
            }
            _ => {
                names.insert(text, named);
            }
        }
    }

    /// Reports an item that its file keeps to itself.
    pub(super) fn private(&mut self, name: &str, span: Span, place: Span) {
        self.bag.push(private(name, span, place));
    }
}

/// What is said of an item that its file, where it stands at `place`, keeps to itself.
pub(crate) fn private(name: &str, span: Span, place: Span) -> Diagnostic {
    let text = format!("`{name}` is private to its file");
    Diagnostic::new(Code::P0211, span, text)
        .and(place, "declared here")
        .help("Write `pub` before it there, or use what that file does have for others.")
}

/// Whether all files know an item by one name.
fn has_one_name(item: ItemRef) -> bool {
    matches!(
        item,
        ItemRef::Image(_)
            | ItemRef::Axis(_)
            | ItemRef::Fact(_)
            | ItemRef::Input(_)
            | ItemRef::Setting(_)
            | ItemRef::RunInput(_)
    )
}
