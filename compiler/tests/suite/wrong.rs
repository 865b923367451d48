//! The catalogue of wrong files: what authors get wrong, and what they are told.
//!
//! Every `NN-name.plan` of `tests/wrong/` has a `NN-name.txt` beside it with all findings as people see
//! them, 100 columns wide and without colours. `DVA_BLESS=1` writes what was seen. The files beside the
//! sources are those of [`Beside`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use dva_compiler::{Options, compile_with_files};

use crate::beside::Beside;
use crate::spec::render;

/// How many wrong files there are at least.
const FEWEST: usize = 40;

#[test]
fn wrong_files_are_answered_as_the_catalogue_has_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let (sources, answers) = (files(&folder, "plan"), files(&folder, "txt"));
    assert!(sources.len() >= FEWEST, "only {} files", sources.len());
    let numbers: BTreeSet<_> = sources.keys().map(|name| name.split('-').next()).collect();
    assert_eq!(numbers.len(), sources.len(), "two files have one number");
    let is_blessing = env::var_os("DVA_BLESS").is_some();
    let mut failures = String::new();
    for (name, path) in &sources {
        let bytes = fs::read(path).expect("a source is readable");
        let shown = format!("{name}.plan");
        let compilation = compile_with_files(&shown, &bytes, &Options::default(), &Beside);
        if compilation.diagnostics.is_empty() {
            let _ = writeln!(failures, "{shown} has no mistake");
        }
        for finding in &compilation.diagnostics {
            if finding.primary.text.ends_with("not understood yet") {
                let _ = writeln!(failures, "{shown} is about what is not there yet");
            }
        }
        let answer = path.with_extension("txt");
        let rendered = render(&compilation);
        let written = fs::read_to_string(&answer).unwrap_or_default();
        if rendered == written {
            continue;
        }
        if is_blessing {
            fs::write(&answer, &rendered).expect("an answer is writable");
        } else {
            let _ = writeln!(
                failures,
                "{shown} is answered otherwise (DVA_BLESS=1 takes it):\n{rendered}"
            );
        }
    }
    for (name, path) in &answers {
        if !sources.contains_key(name) {
            let _ = writeln!(failures, "{} answers nothing", path.display());
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// The files of `folder` with that extension, by their names without it.
fn files(folder: &Path, extension: &str) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).expect("the catalogue is readable");
    let paths = entries.map(|entry| entry.expect("an entry is readable").path());
    let fitting = paths.filter(|path| path.extension().is_some_and(|own| own == extension));
    let named = fitting.filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((name, path))
    });
    named.collect()
}
