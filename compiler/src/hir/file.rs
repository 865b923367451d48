//! The files of a source and what names mean in each of them.
//!
//! A name means what its own file declares or takes from others by `use`, so where it stands decides. What
//! cells and configurations are made of (images, axes, facts and inputs) has one name in all files.

use std::collections::HashMap;

use dva_plan::plan::{ImageIx, TestIx};
use dva_plan::table::{Index, Table};

use super::{AxisIx, FileIx, Hir, ItemRef};
use crate::span::Span;
use crate::syntax::ast::Name;

/// A file.
#[derive(Debug, Default)]
pub struct File<'a> {
    /// Where it begins among the files.
    pub base: u32,
    /// What ids begin with of what it declares: `std.storage`; nothing for the source itself.
    pub path: &'a str,
    /// Where the files are that it names, from the folder of the source; `None` where it can name none.
    pub folder: Option<&'a str>,
    /// What names mean in it. A large source asks some ten times a test, so it is no ordered map; who goes
    /// through all of them sorts them.
    pub(crate) names: HashMap<&'a str, Named>,
}

/// What a name means.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The item.
    pub item: ItemRef,
    /// Where the file declares it, or takes it from another one.
    pub span: Span,
    /// Whether the file declares it.
    pub is_own: bool,
    /// Whether other files may name it.
    pub is_public: bool,
}

impl<'a> Hir<'a> {
    /// The file that `at` stands in.
    #[must_use]
    pub fn file_of(&self, at: Span) -> FileIx {
        let files = self.files.iter().as_slice();
        let behind = files.partition_point(|file| file.base <= at.start);
        FileIx::from_row(behind.saturating_sub(1))
    }

    /// What `name`, which may be that of a module's item with its dot, means where it stands at `at`.
    #[must_use]
    pub fn find(&self, name: &str, at: Span) -> Option<(ItemRef, Span)> {
        let file = self.files.get(self.file_of(at))?;
        let named = |found: &Named| (found.item, found.span);
        let Some((module, rest)) = name.split_once('.') else {
            return file.names.get(name).map(named);
        };
        let ItemRef::Module(module) = file.names.get(module)?.item else {
            return None;
        };
        let found = self.files[module].names.get(rest);
        let found = found.filter(|found| found.is_own)?;
        Some(match found.is_public {
            true => named(found),
            false => (ItemRef::Private, found.span),
        })
    }

    /// As [`Hir::find`], in `test`, where its parameters mean what it is given.
    #[must_use]
    pub fn find_in(&self, test: Option<TestIx>, name: &str, at: Span) -> Option<(ItemRef, Span)> {
        let parameter = || {
            let row = self.tests.get(test?)?;
            let whole = self.templates[row.template?].item.span;
            let own = row.parameters.get(name).copied();
            own.filter(|_| whole.start <= at.start && at.end <= whole.end)
        };
        parameter().or_else(|| self.find(name, at))
    }

    /// All names that mean something at `at`, those of modules with their dot.
    pub fn names_at(&self, at: Span) -> impl Iterator<Item = (String, ItemRef)> + '_ {
        let file = self.files.get(self.file_of(at));
        let names = file.into_iter().flat_map(|file| sorted(&file.names));
        names.flat_map(|(name, found)| {
            let mut all = vec![(name.to_owned(), found.item)];
            if let ItemRef::Module(module) = found.item {
                let inside = self.public_of(module);
                all.extend(inside.map(|(inner, item)| (format!("{name}.{inner}"), item)));
            }
            all
        })
    }

    /// What other files may name of `file`.
    pub fn public_of(&self, file: FileIx) -> impl Iterator<Item = (&'a str, ItemRef)> + '_ {
        let names = sorted(&self.files[file].names).into_iter();
        let public = names.filter(|(_, found)| found.is_own && found.is_public);
        public.map(|(name, found)| (name, found.item))
    }

    /// What the source itself declares, imports apart, in no order.
    pub fn own_names(&self) -> impl Iterator<Item = (&'a str, ItemRef)> + '_ {
        let root = self.files.iter().next();
        let names = root.into_iter().flat_map(|root| &root.names);
        let own = names.filter(|(_, found)| found.is_own);
        own.map(|(name, found)| (*name, found.item))
    }

    /// Whether something may be declared where a file could not be read.
    #[must_use]
    pub fn may_be_unread(&self) -> bool {
        let mut files = self.files.iter();
        let is_unread = |found: &Named| found.item == ItemRef::Unread;
        self.has_unread || files.any(|file| file.names.values().any(is_unread))
    }

    /// The name of an item as reports and ids have it: with the path of its file, unless that is the source
    /// itself.
    #[must_use]
    pub fn qualified(&self, name: &Name) -> String {
        match self
            .files
            .get(self.file_of(name.span))
            .map(|file| file.path)
        {
            None | Some("") => name.text.clone(),
            Some(path) => format!("{path}.{}", name.text),
        }
    }

    /// The image of this name.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<ImageIx> {
        let mut images = self.images.enumerate();
        images
            .find(|(_, image)| image.name.text == name)
            .map(|(image, _)| image)
    }

    /// The axis of the author's own of this name.
    #[must_use]
    pub fn axis(&self, name: &str) -> Option<AxisIx> {
        let mut axes = self.axes.enumerate();
        axes.find(|(_, axis)| axis.name.text == name)
            .map(|(axis, _)| axis)
    }
}

/// In the order of the names.
fn sorted<'a>(names: &HashMap<&'a str, Named>) -> Vec<(&'a str, Named)> {
    let mut names: Vec<_> = names.iter().map(|(name, found)| (*name, *found)).collect();
    names.sort_unstable_by_key(|(name, _)| *name);
    names
}

/// The files of a source, without names as yet.
#[must_use]
pub fn files(modules: &Table<FileIx, crate::modules::File>) -> Table<FileIx, File<'_>> {
    let files = modules.iter().map(|file| File {
        base: file.base,
        path: &file.path,
        folder: file.folder.as_deref(),
        names: HashMap::new(),
    });
    files.collect()
}
