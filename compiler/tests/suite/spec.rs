//! The literate specification: every Markdown file of `tests/spec/` is a list of tests.
//!
//! A heading is a test's name and a fence ```` ```plan ```` a source. A comment at the end of one of
//! its lines expects a finding whose primary label starts on that line:
//!
//! ```text
//! check total > 4   // error: [P0302] "a size and an int"
//! ```
//!
//! The text in quotes is part of the label and may be left out; `at "dta"` behind it says what text the
//! label stands at. Every finding must be expected, and
//! every expectation met. Fences behind a source are about it:
//!
//! - ```` ```expect ````: each line is one of the lines that [`crate::describe`] makes of the plan,
//!   or `error P0101` for a finding that belongs to no line.
//! - ```` ```snapshot ````: all findings as people see them. `DVA_BLESS=1` writes it anew.
//!
//! The words behind `plan` in a fence choose: `plan gate` compiles the plan `gate`; `plan set a=b c=d`
//! gives inputs values; `plan as latin1`
//! gives the compiler bytes that are not UTF-8; `plan padded` makes the source too large; `plan crowded`
//! puts 1,500 tests `t0`, `t1`, … behind it that write `crowd`; `plan using` a use of 300 files. A fence
//! ```` ```base ```` is put behind each later source of its file. A fence ```` ```file lib/a.plan ````
//! before a source is a file beside it, with expectations of its own; the other files that a source may
//! name are those of [`Beside`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use dva_compiler::diagnostic::report::Report;
use dva_compiler::diagnostic::{Code, Diagnostic, Severity};
use dva_compiler::source::MAX_SOURCE_BYTES;
use dva_compiler::{Compilation, Options, compile_with_files};
use dva_plan::document::to_bytes;
use dva_plan::validate::validate;

use crate::beside::With;
use crate::describe::describe;

#[test]
fn the_specification_holds() {
    let mut failures = String::new();
    for path in files() {
        let text = fs::read_to_string(&path).expect("a spec file is readable");
        let mut checked = text.clone();
        // From the last to the first, so that rewriting a fence moves none that is still to come.
        for case in cases(&text).iter().rev() {
            check(&path, case, &mut checked, &mut failures);
        }
        if checked != text {
            fs::write(&path, checked).expect("a spec file is writable");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// The codes that some case of the specification expects.
pub fn expected_codes() -> Vec<Code> {
    let mut codes = Vec::new();
    for path in files() {
        let text = fs::read_to_string(&path).expect("a spec file is readable");
        for case in cases(&text) {
            codes.extend(case.expectations().iter().map(|expected| expected.code));
            codes.extend(case.unplaced().iter().map(|(_, code)| *code));
        }
    }
    codes
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/spec")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the spec folder is readable") {
            let path = entry.expect("a folder's entry is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "there is no specification");
    files
}

/// A source with what is said about it.
#[derive(Debug, Default)]
struct Case {
    /// The heading it stands under.
    name: String,
    /// The line of its fence, from 1.
    line: usize,
    /// The words behind `plan`.
    options: Vec<String>,
    /// Its text, without the base.
    text: String,
    base: String,
    /// The files beside it, by their paths.
    files: BTreeMap<String, String>,
    expect: Vec<String>,
    /// The range of bytes of the snapshot's text in the file.
    snapshot: Option<std::ops::Range<usize>>,
}

struct Expectation {
    /// The file, where it is not the source itself.
    file: Option<String>,
    line: u32,
    code: Code,
    severity: Severity,
    part: String,
    at: Option<String>,
}

impl Case {
    fn expectations(&self) -> Vec<Expectation> {
        let beside = self.files.iter().map(|(name, text)| (Some(name), text));
        let texts = std::iter::once((None, &self.text)).chain(beside);
        let lines = texts.flat_map(|(file, text)| {
            let lines = (1_u32..).zip(text.lines());
            lines.map(move |(number, line)| (file, number, line))
        });
        let mut expectations = Vec::new();
        for (file, number, line) in lines {
            for (word, severity) in [
                ("error: [", Severity::Error),
                ("warning: [", Severity::Warning),
            ] {
                let comment = line.rfind("// ").map_or("", |at| &line[at..]);
                let mut rest = if comment.contains(word) { comment } else { "" };
                while let Some(at) = rest.find(word) {
                    rest = &rest[at + word.len()..];
                    let (code, behind) = rest
                        .split_once(']')
                        .expect("an expected code is in brackets");
                    let behind = behind.trim_start();
                    let quoted = behind
                        .strip_prefix('"')
                        .and_then(|text| text.split_once('"'));
                    let (part, behind) = quoted.unwrap_or(("", behind));
                    let at = behind.trim_start().strip_prefix("at \"");
                    let at = at.and_then(|text| text.split_once('"')).map(|(at, _)| at);
                    expectations.push(Expectation {
                        file: file.cloned(),
                        line: number,
                        code: Code::named(code)
                            .unwrap_or_else(|| panic!("no code is named {code}")),
                        severity,
                        part: part.to_owned(),
                        at: at.map(str::to_owned),
                    });
                }
            }
        }
        expectations
    }

    /// Expected findings that belong to no line.
    fn unplaced(&self) -> Vec<(&String, Code)> {
        let lines = self.expect.iter();
        lines
            .filter_map(|line| Some((line, Code::named(line.strip_prefix("error ")?)?)))
            .collect()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = self.text.clone();
        text.push_str(&self.base);
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        match options.as_slice() {
            ["as", "latin1"] => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).expect("a letter of Latin-1"))
                .collect(),
            ["padded"] => {
                text.push_str(&"\n".repeat(MAX_SOURCE_BYTES));
                text.into_bytes()
            }
            ["crowded"] => {
                for number in 0..1_500 {
                    text.push_str(&format!("test t{number} {{ writes crowd  run `true` }}\n"));
                }
                text.into_bytes()
            }
            ["using"] => {
                for number in 0..300 {
                    text.push_str(&format!("use \"./many/m{number}.plan\"\n"));
                }
                text.into_bytes()
            }
            _ => text.into_bytes(),
        }
    }

    fn compile(&self) -> Compilation {
        let plan = match self.options.as_slice() {
            [plan] if !["padded", "crowded", "using", "set"].contains(&plan.as_str()) => {
                Some(plan.clone())
            }
            _ => None,
        };
        let settings = match self.options.as_slice() {
            [set, pairs @ ..] if set == "set" => pairs
                .iter()
                .map(|pair| pair.split_once('=').expect("an input and its value"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            _ => BTreeMap::new(),
        };
        let options = Options {
            plan,
            settings,
            ..Options::default()
        };
        compile_with_files("spec.plan", &self.bytes(), &options, &With(&self.files))
    }
}

/// The cases of a file, in order.
fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let (mut name, mut base) = (String::new(), String::new());
    let mut files = BTreeMap::new();
    let mut fence: Option<(String, usize, usize)> = None;
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let begin = offset;
        offset += line.len();
        let trimmed = line.trim_end();
        match (&fence, trimmed.strip_prefix("```")) {
            (None, Some(info)) => fence = Some((info.to_owned(), number, offset)),
            (None, None) => {
                if let Some(heading) = trimmed.strip_prefix('#') {
                    heading.trim_start_matches('#').trim().clone_into(&mut name);
                }
            }
            (Some(_), Some(_)) => {
                let Some((info, line, start)) = fence.take() else {
                    continue;
                };
                let content = &text[start..begin];
                let mut words = info.split_whitespace().map(str::to_owned);
                match words.next().as_deref() {
                    Some("plan") => cases.push(Case {
                        name: name.clone(),
                        line,
                        options: words.collect(),
                        text: content.to_owned(),
                        base: base.clone(),
                        files: std::mem::take(&mut files),
                        ..Case::default()
                    }),
                    Some("base") => content.clone_into(&mut base),
                    Some("file") => {
                        let path = words.next().expect("a file has a path");
                        files.insert(path, content.to_owned());
                    }
                    Some("expect") => {
                        let case = cases.last_mut().expect("`expect` stands behind a source");
                        let lines = content
                            .lines()
                            .map(str::trim)
                            .filter(|line| !line.is_empty());
                        case.expect.extend(lines.map(str::to_owned));
                    }
                    Some("snapshot") => {
                        let case = cases.last_mut().expect("`snapshot` stands behind a source");
                        case.snapshot = Some(start..begin);
                    }
                    _ => {}
                }
            }
            (Some(_), None) => {}
        }
    }
    assert!(fence.is_none(), "a fence has no end");
    cases
}

fn check(path: &Path, case: &Case, checked: &mut String, failures: &mut String) {
    let compilation = case.compile();
    let again = case.compile();
    let mut wrong = Vec::new();
    let mut found = compilation.diagnostics.clone();
    let place_of = |finding: &Diagnostic| {
        let source = compilation.sources.file(finding.primary.span);
        let is_own = compilation.sources.row(finding.primary.span) == 0;
        let file = (!is_own).then(|| source.name().to_owned());
        (file, source.position(finding.primary.span.start).0)
    };
    for expected in case.expectations() {
        let place = found.iter().position(|finding| {
            finding.code == expected.code
                && place_of(finding) == (expected.file.clone(), expected.line)
                && finding.code.severity() == expected.severity
                && finding.primary.text.contains(&expected.part)
                && expected
                    .at
                    .as_ref()
                    .is_none_or(|at| compilation.sources.slice(finding.primary.span) == at)
        });
        match place {
            Some(place) => {
                found.remove(place);
            }
            None => wrong.push(format!(
                "line {}: {} {:?} {} was not found",
                expected.line,
                expected.code,
                expected.part,
                expected.at.unwrap_or_default()
            )),
        }
    }
    for (line, code) in case.unplaced() {
        match found.iter().position(|finding| finding.code == code) {
            Some(place) => {
                found.remove(place);
            }
            None => wrong.push(format!("`{line}` was not found")),
        }
    }
    for finding in &found {
        let (file, line) = place_of(finding);
        wrong.push(format!(
            "{}line {line}: {} was not expected: {} ({})",
            file.map(|file| format!("{file} ")).unwrap_or_default(),
            finding.code,
            finding.primary.text,
            finding.help
        ));
    }
    let has_errors = compilation
        .diagnostics
        .iter()
        .any(|finding| finding.code.severity() == Severity::Error);
    match &compilation.plan {
        Some(plan) => {
            wrong.extend(validate(plan).iter().map(ToString::to_string));
            let same = again.plan.as_ref().map(to_bytes);
            if same != Some(to_bytes(plan)) {
                wrong.push("a second compilation gives other bytes".to_owned());
            }
            if has_errors {
                wrong.push("there is a plan in spite of errors".to_owned());
            }
        }
        // A file for others has none.
        None if !has_errors && !case.text.contains("pub ") => {
            wrong.push("there is neither a plan nor an error".to_owned());
        }
        None => {}
    }
    let described = describe(&compilation);
    for line in &case.expect {
        if line.starts_with("error ") || described.contains(line) {
            continue;
        }
        let first = line.split_whitespace().next().unwrap_or_default();
        let near: Vec<_> = described
            .iter()
            .filter(|line| line.starts_with(first))
            .collect();
        wrong.push(format!("`{line}` does not hold; what does: {near:#?}"));
    }
    if let Some(range) = &case.snapshot {
        let rendered = render(&compilation);
        if checked[range.clone()] != rendered {
            if env::var_os("DVA_BLESS").is_some() {
                checked.replace_range(range.clone(), &rendered);
            } else {
                wrong.push(format!(
                    "the snapshot is another one (DVA_BLESS=1 takes it):\n{rendered}"
                ));
            }
        }
    }
    for wrong in wrong {
        let _ = writeln!(
            failures,
            "{}:{} {}: {wrong}",
            path.display(),
            case.line,
            case.name
        );
    }
}

/// All findings as people see them, without colours.
pub fn render(compilation: &Compilation) -> String {
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let handler = miette::GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .with_links(false);
    let mut text = String::new();
    for finding in &compilation.diagnostics {
        let report = Report::new(finding, &compilation.sources);
        handler
            .render_report(&mut text, &report)
            .expect("a report can be shown");
    }
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned() + "\n"
}
