//! A source to its files: reads what `use` names, and what those files use in turn.
//!
//! Which names that brings is for [`crate::resolve`]. Files are known by their paths from the folder of
//! the source, so one that is used from several places is read once.

use std::collections::{BTreeMap, VecDeque};

use dva_plan::table::{Index, Table};
use dva_stdlib::modules::{self, STD};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::files::{MAX_FILE_BYTES, ReadProblem, SourceLoader};
use crate::hir::FileIx;
use crate::resolve::dotted;
use crate::source::{Source, Sources};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{self, UseFrom};
use crate::syntax::{decode, parse_at};

/// How many files a source may have.
pub const MAX_FILES: usize = 256;

/// The files of a source; the first one is the source itself.
#[derive(Debug)]
pub struct Modules {
    /// The files.
    pub files: Table<FileIx, File>,
    /// Their texts.
    pub sources: Sources,
}

/// A file.
#[derive(Debug)]
pub struct File {
    /// What stands in it.
    pub module: ast::Module,
    /// Where it begins among the files.
    pub base: u32,
    /// What names in ids begin with: `std.storage`, `lib.disks`; empty for the source itself.
    pub path: String,
    /// Where the files are that it names, from the folder of the source; `None` for one of `dva`'s own,
    /// which names none.
    pub folder: Option<String>,
    /// By the place of a `use` among the items, the file that it names; none where that was reported.
    pub uses: BTreeMap<usize, FileIx>,
}

/// Reads what `root` uses, through `loader`.
#[must_use]
pub fn load(root: Source, loader: &dyn SourceLoader, bag: &mut Bag) -> Modules {
    let own = root.name().rsplit(['/', '\\']).next().unwrap_or_default();
    let known = BTreeMap::from([(Place::File(own.to_owned()), FileIx::from_row(0))]);
    let file = File {
        module: parse_at(root.text(), root.base(), bag),
        base: root.base(),
        path: String::new(),
        folder: Some(String::new()),
        uses: BTreeMap::new(),
    };
    let mut loading = Loading {
        loader,
        bag,
        known,
        files: Table::from(vec![file]),
        sources: Sources::of(root),
        is_full: false,
        waiting: VecDeque::from([FileIx::from_row(0)]),
    };
    while let Some(file) = loading.waiting.pop_front() {
        loading.uses_of(file);
    }
    loading.report_circles();
    Modules {
        files: loading.files,
        sources: loading.sources,
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// One of `dva`'s own, by its name behind `std.`.
    Std(String),
    /// Its path from the folder of the source.
    File(String),
}

struct Loading<'l> {
    loader: &'l dyn SourceLoader,
    bag: &'l mut Bag,
    known: BTreeMap<Place, FileIx>,
    files: Table<FileIx, File>,
    sources: Sources,
    /// Whether there were too many, which is said once.
    is_full: bool,
    /// The files whose own uses are still to be read.
    waiting: VecDeque<FileIx>,
}

impl Loading<'_> {
    fn uses_of(&mut self, file: FileIx) {
        let items = self.files[file].module.items.iter().enumerate();
        let uses = items.filter_map(|(row, item)| match &item.kind {
            ast::ItemKind::Use(of) => Some((row, of.from.clone())),
            _ => None,
        });
        let uses: Vec<(usize, UseFrom)> = uses.collect();
        for (row, from) in uses {
            let found = match &from {
                UseFrom::Module(path) => self.std_module(path),
                UseFrom::File(text) => self.beside(file, text),
            };
            if let Some(found) = found {
                self.files[file].uses.insert(row, found);
            }
        }
    }

    /// `std.storage`
    fn std_module(&mut self, path: &ast::Path) -> Option<FileIx> {
        let name = dotted(path);
        let own = name
            .strip_prefix(STD)
            .and_then(|rest| rest.strip_prefix('.'));
        let text = own.and_then(modules::text);
        let (Some(own), Some(text)) = (own, text) else {
            let known: Vec<String> = modules::names().map(|own| format!("{STD}.{own}")).collect();
            let known = || known.iter().map(String::as_str);
            let help = match modules::text(&name) {
                Some(_) => format!("Did you mean `{STD}.{name}`?"),
                None => did_you_mean(&name, known()).unwrap_or_else(|| {
                    format!(
                        "There are {}. A file beside this one is named in quotes: `use \"./{}.plan\"`.",
                        listed(known()),
                        name.replace('.', "/")
                    )
                }),
            };
            let text = format!("no module is named `{name}`");
            self.bag
                .push(Diagnostic::new(Code::P0213, path.span, text).help(help));
            return None;
        };
        let place = Place::Std(own.to_owned());
        if let Some(known) = self.known.get(&place) {
            return Some(*known);
        }
        let shown = format!("{STD}/{own}.plan");
        self.read(place, &name, &shown, text.as_bytes(), path.span)
    }

    /// `"./lib/disks.plan"`, named in `file`.
    fn beside(&mut self, file: FileIx, written: &ast::Text) -> Option<FileIx> {
        let (text, span) = (written.text.as_deref()?, written.span);
        let Some(folder) = self.files[file].folder.clone() else {
            let text = "a module of `dva` has no files beside it";
            self.bag
                .push(Diagnostic::new(Code::P0803, span, text).help("Use `std.…`."));
            return None;
        };
        let Some(path) = joined(&folder, text).filter(|path| path.ends_with(".plan")) else {
            let help = "Write the path from this file's folder, with `/` between its parts and `.plan` at its \
                        end: `use \"./lib/disks.plan\"`. A module of `dva` stands without quotes: \
                        `use std.storage`.";
            let text = "this is no path of a source";
            self.bag
                .push(Diagnostic::new(Code::P0803, span, text).help(help));
            return None;
        };
        let place = Place::File(path.clone());
        if let Some(known) = self.known.get(&place) {
            return Some(*known);
        }
        let bytes = match self.loader.read(&path) {
            Ok(bytes) => bytes,
            Err(problem) => {
                let help = match &problem {
                    ReadProblem::Missing => {
                        "A path begins at the folder of the file that names it."
                    }
                    ReadProblem::NotAFile => "One file is used, by its path.",
                    ReadProblem::NoFiles => "The source was compiled where it has no folder.",
                    ReadProblem::Other(_) => "Whoever compiles the source must be able to read it.",
                };
                let finding = Diagnostic::new(Code::P0801, span, problem.to_string());
                self.bag.push(finding.help(help));
                return None;
            }
        };
        if bytes.len() > MAX_FILE_BYTES {
            let text = format!("it has more than {} MiB", MAX_FILE_BYTES >> 20);
            let help = "A file that is used is small: divide it.";
            self.bag
                .push(Diagnostic::new(Code::P0103, span, text).help(help));
            return None;
        }
        // Without its ending and the way to it, it is what ids begin with.
        let name = path.trim_end_matches(".plan").trim_start_matches("../");
        let name = name.replace('/', ".");
        let beside_root = self.sources.root().name();
        let shown = match beside_root.rfind(['/', '\\']) {
            Some(end) => format!("{}{path}", &beside_root[..=end]),
            None => path.clone(),
        };
        let is_std = name == STD || name.starts_with(&format!("{STD}."));
        let mut files = self.files.iter();
        if is_std || files.any(|other| other.path == name) {
            let text =
                format!("its items would be called `{name}.…`, as those of another file are");
            self.bag.push(Diagnostic::new(Code::P0215, span, text).help(
                "Reports name the items of a file by its path from the folder of the source, without `../`; \
                 `std` is `dva`'s own. Rename the file or its folder.",
            ));
            return None;
        }
        self.read(place, &name, &shown, &bytes, span)
    }

    /// Adds a file, which is named at `span`.
    fn read(
        &mut self,
        place: Place,
        path: &str,
        shown: &str,
        bytes: &[u8],
        span: Span,
    ) -> Option<FileIx> {
        let base = self.sources.next_base(bytes.len());
        let Some(base) = base.filter(|_| self.files.len() < MAX_FILES) else {
            if std::mem::replace(&mut self.is_full, true) {
                return None;
            }
            let text = format!("a source has at most {MAX_FILES} files");
            self.bag
                .push(Diagnostic::new(Code::P0805, span, text).help("Put some of them into one."));
            return None;
        };
        let mut found = Bag::default();
        let Some(source) = decode(shown, bytes, &mut found) else {
            // It has no text to show anything in.
            for mut finding in found.into_sorted() {
                finding.primary.span = span;
                self.bag.push(finding);
            }
            return None;
        };
        let source = Source::at(base, shown, source.text());
        let folder = match &place {
            Place::Std(_) => None,
            Place::File(path) => Some(match path.rfind('/') {
                Some(end) => path[..=end].to_owned(),
                None => String::new(),
            }),
        };
        let file = self.files.push(File {
            module: parse_at(source.text(), base, self.bag),
            base,
            path: path.to_owned(),
            folder,
            uses: BTreeMap::new(),
        });
        self.sources.push(source);
        self.known.insert(place, file);
        self.waiting.push_back(file);
        Some(file)
    }

    /// Reports files that use each other in a circle, and takes the `use` away that closes it.
    fn report_circles(&mut self) {
        let mut done = vec![false; self.files.len()];
        let mut way = Vec::new();
        self.follow(FileIx::from_row(0), &mut way, &mut done);
    }

    /// There are at most [`MAX_FILES`] files on a way.
    fn follow(&mut self, file: FileIx, way: &mut Vec<FileIx>, done: &mut [bool]) {
        way.push(file);
        let uses: Vec<_> = self.files[file].uses.clone().into_iter().collect();
        for (row, used) in uses {
            if let Some(start) = way.iter().position(|on| *on == used) {
                self.files[file].uses.remove(&row);
                let circle = way[start..].iter().chain([&used]);
                let names: Vec<_> = circle
                    .map(|file| format!("`{}`", self.sources.files()[file.row()].name()))
                    .collect();
                let span = self.files[file].module.items[row].span;
                let text = "this leads back to where it began";
                self.bag
                    .push(Diagnostic::new(Code::P0212, span, text).help(format!(
                        "{}. Put what both need into a third file.",
                        names.join(" uses ")
                    )));
            } else if !done[used.row()] {
                self.follow(used, way, done);
            }
        }
        way.pop();
        done[file.row()] = true;
    }
}

/// The path of the file that `folder`, which ends with `/` or is empty, has at `path`; `None` where that is
/// no path from a folder.
pub(crate) fn joined(folder: &str, path: &str) -> Option<String> {
    if path.is_empty() || path.starts_with(['/', '~']) || path.contains(['\0', '\\', '\n']) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            (part, _) => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_from_the_folder_of_who_names_them() {
        let joined = |folder, path| joined(folder, path);
        assert_eq!(joined("", "./a.plan").as_deref(), Some("a.plan"));
        assert_eq!(joined("lib/", "../a.plan").as_deref(), Some("a.plan"));
        assert_eq!(
            joined("lib/", "b/./c.plan").as_deref(),
            Some("lib/b/c.plan")
        );
        assert_eq!(joined("", "../../a.plan").as_deref(), Some("../../a.plan"));
        for wrong in ["", "/a.plan", "~/a.plan", "a\\b.plan"] {
            assert_eq!(joined("", wrong), None, "{wrong:?}");
        }
    }
}
