//! Files: what is read beside the source, put onto machines and fetched from them.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use dva_plan::document::digest;
use dva_plan::plan::{Blob, BlobIx};
use dva_plan::step::StepKind;
use dva_plan::table::Table;
use dva_plan::template::{Piece, Place, Template, quote};
use dva_plan::unit::display_size;
use dva_plan::value::Value;

use crate::diagnostic::Code;
use crate::files::{MAX_FILE_BYTES, ReadProblem, SourceLoader};
use crate::hir::FileIx;
use crate::modules::joined;
use crate::span::Span;
use crate::syntax::ast::Text;
use crate::types::Checker;

/// The permissions of a file that is only read.
const READABLE: u32 = 0o644;
/// The permissions of a file that may be run.
const EXECUTABLE: u32 = 0o755;

/// The files that were read, each content once.
pub(crate) struct Files<'c> {
    loader: &'c dyn SourceLoader,
    /// Their contents.
    pub(crate) blobs: Table<BlobIx, Blob>,
    by_digest: BTreeMap<String, BlobIx>,
    /// By the file that names it and its path there; `None` where it was reported, which is done once.
    by_path: BTreeMap<(FileIx, String), Option<BlobIx>>,
}

impl<'c> Files<'c> {
    pub(crate) fn new(loader: &'c dyn SourceLoader) -> Self {
        Self {
            loader,
            blobs: Table::new(),
            by_digest: BTreeMap::new(),
            by_path: BTreeMap::new(),
        }
    }

    pub(crate) fn intern(&mut self, name: &str, content: &[u8]) -> BlobIx {
        let digest = digest(content);
        if let Some(known) = self.by_digest.get(&digest) {
            return *known;
        }
        let blob = self.blobs.push(Blob {
            name: name.to_owned(),
            digest: digest.clone(),
            base64: Base64::encode_string(content),
        });
        self.by_digest.insert(digest, blob);
        blob
    }

    /// The size of a content, in bytes.
    pub(crate) fn size_of(&self, blob: BlobIx) -> usize {
        let base64 = &self.blobs[blob].base64;
        let filling = base64.bytes().rev().take_while(|byte| *byte == b'=');
        (base64.len() / 4 * 3).saturating_sub(filling.count())
    }
}

impl Checker<'_, '_> {
    /// `upload FILE to PATH`
    pub(crate) fn upload(&mut self, file: &Text, to: &Text, executable: bool) -> Option<StepKind> {
        let blob = self.blob(file);
        let to = self.path_there(to, "upload");
        Some(StepKind::Upload {
            blob: blob?,
            to: to?,
            mode: if executable { EXECUTABLE } else { READABLE },
        })
    }

    /// `collect PATH`
    pub(crate) fn collect(&mut self, path: &Text) -> Option<StepKind> {
        let path = self.path_there(path, "collect")?;
        Some(StepKind::Collect { path })
    }

    /// A script: the step that puts it into the working directory, and the command that runs it there.
    pub(crate) fn script(&mut self, file: &Text) -> Option<(StepKind, Template)> {
        let blob = self.blob(file)?;
        let name = file.text.as_deref()?.rsplit('/').next()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let word = if name.chars().all(plain) {
            name.to_owned()
        } else {
            quote(&Value::String(name.to_owned()), Place::Bare).ok()?
        };
        let upload = StepKind::Upload {
            blob,
            to: Template(vec![Piece::Lit(name.to_owned())]),
            mode: EXECUTABLE,
        };
        Some((upload, Template(vec![Piece::Lit(format!("./{word}"))])))
    }

    /// The content of a file beside the source.
    pub(crate) fn blob(&mut self, file: &Text) -> Option<BlobIx> {
        let path = file.text.as_deref()?;
        let key = (self.hir.file_of(file.span), path.to_owned());
        if let Some(known) = self.files.by_path.get(&key) {
            return *known;
        }
        let blob = self.read_blob(path, file);
        self.files.by_path.insert(key, blob);
        blob
    }

    fn read_blob(&mut self, path: &str, file: &Text) -> Option<BlobIx> {
        let content = self.content(path, file.span)?;
        Some(self.files.intern(path, &content))
    }

    /// The content of the file at `path`, which the source names at `span`.
    pub(crate) fn content(&mut self, path: &str, span: Span) -> Option<Vec<u8>> {
        let wrong = if path.is_empty() {
            Some("no file is named here")
        } else if path.starts_with('/') || path.starts_with('~') {
            Some("it does not lie beside the source")
        } else if path.contains(['\0', '\\', '\n']) {
            Some("no file is named like this")
        } else if is_folder(path) {
            Some("this is a folder")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let help = "Write the path from the folder of the source, with `/` between its parts: \
                        `\"./probe.sh\"`.";
            self.report(Code::P0803, span, wrong, help);
            return None;
        }
        let folder = self.hir.files.get(self.hir.file_of(span));
        let Some(folder) = folder.and_then(|file| file.folder) else {
            let help = "Write what it holds into the module.";
            self.report(
                Code::P0803,
                span,
                "a module of `dva` has no files beside it",
                help,
            );
            return None;
        };
        let inside = match folder {
            "" => None,
            folder => joined(folder, path),
        };
        let path = inside.as_deref().unwrap_or(path);
        let content = match self.files.loader.read(path) {
            Ok(content) => content,
            Err(problem) => {
                let help = match &problem {
                    ReadProblem::Missing => {
                        "A path begins at the folder of the file that names it."
                    }
                    ReadProblem::NotAFile => "Only single files can be read.",
                    ReadProblem::NoFiles => "The source was compiled where it has no folder.",
                    ReadProblem::Other(_) => "Whoever compiles the source must be able to read it.",
                };
                self.report(Code::P0801, span, problem.to_string(), help);
                return None;
            }
        };
        if content.len() > MAX_FILE_BYTES {
            let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
            let text = format!("it is larger than {}", display_size(limit));
            let help =
                "The plan carries the content. Let a command of the test fetch what is larger.";
            self.report(Code::P0802, span, text, help);
            return None;
        }
        Some(content)
    }

    /// The path of a file on the machine.
    fn path_there(&mut self, path: &Text, verb: &str) -> Option<Template> {
        let text = path.text.as_deref()?;
        let (label, help) = if text.contains("${") {
            (
                "a text in quotes takes no values",
                "Values stand in commands. Choose a fixed path, and move the file with a command.",
            )
        } else if text.contains(['\0', '\n']) {
            ("no file is named like this", "Write the path of a file.")
        } else if text.starts_with('~') {
            (
                "no shell reads it, so `~` is no folder",
                "Write the whole path, for example `/root/probe`.",
            )
        } else if text.is_empty() || is_folder(text) {
            (
                "this names no file",
                "Write the whole path, with the name of the file at its end.",
            )
        } else if verb == "collect" && text.contains(['*', '?', '[']) {
            (
                "one file is fetched, by its path",
                "Pack several into one first: ``run `tar -cf logs.tar /var/log/*.log` `` and \
                 `collect \"logs.tar\"`.",
            )
        } else {
            return Some(Template(vec![Piece::Lit(text.to_owned())]));
        };
        self.report(Code::P0804, path.span, label, help);
        None
    }
}

/// Whether `path` can only be that of a folder.
fn is_folder(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("" | "." | ".."))
}
