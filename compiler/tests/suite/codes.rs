//! Each code has a page that says what it promises, and a case in the specification.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dva_compiler::diagnostic::Code;
use dva_compiler::types::fact::FACTS;
use dva_compiler::{Options, compile_with_files};

use crate::beside::Beside;
use crate::spec::expected_codes;

/// Codes whose mistake cannot be written down in a page: bytes that are no text, a very large file, a
/// letter that nobody sees, thousands of tests or files, an option of the command.
const WITHOUT_EXAMPLE: [Code; 8] = [
    Code::P0102,
    Code::P0103,
    Code::P0109,
    Code::P0323,
    Code::P0324,
    Code::P0526,
    Code::P0703,
    Code::P0805,
];

#[test]
fn every_code_has_a_case_in_the_specification() {
    let expected: BTreeSet<_> = expected_codes().into_iter().collect();
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|code| !expected.contains(code))
        .collect();
    assert!(
        missing.is_empty(),
        "codes without a case in tests/spec: {missing:?}"
    );
}

#[test]
fn every_page_has_its_form() {
    for code in Code::ALL {
        let page = code.page();
        let heading = format!("# {code}: {}\n", code.summary());
        assert!(
            page.starts_with(&heading),
            "the page of {code} begins with another line than {heading:?}"
        );
        assert!(
            page.contains("\n## What to do\n"),
            "the page of {code} does not say what to do"
        );
        assert!(
            !code.summary().ends_with('.'),
            "{code}: a summary is no sentence"
        );
        let shows_mistake = fences(page).iter().any(|(info, _)| *info == "plan-wrong");
        assert!(
            shows_mistake || WITHOUT_EXAMPLE.contains(code),
            "the page of {code} shows no mistake"
        );
    }
}

/// A page's wrong example has the mistake, the right one has none, but that it may lack a plan.
#[test]
fn every_example_is_what_its_page_says() {
    for code in Code::ALL {
        for (info, text) in fences(code.page()) {
            let found =
                compile_with_files("page.plan", text.as_bytes(), &Options::default(), &Beside);
            let has = found
                .diagnostics
                .iter()
                .any(|finding| finding.code == *code);
            match info {
                "plan-wrong" => assert!(
                    has,
                    "an example of {code} has not the mistake:\n{text}\n{:#?}",
                    found.diagnostics
                ),
                "plan" => {
                    let others = found
                        .diagnostics
                        .iter()
                        .filter(|finding| finding.code != Code::P0701);
                    let others: Vec<_> = others.collect();
                    assert!(
                        others.is_empty(),
                        "the right example of {code} is wrong:\n{text}\n{others:#?}"
                    );
                }
                // An example that cannot be written down: bytes, or a very large file.
                _ => {}
            }
        }
    }
}

#[test]
fn every_page_has_a_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnostics");
    for entry in fs::read_dir(folder).expect("the pages are readable") {
        let name = entry.expect("an entry is readable").file_name();
        let name = name.to_string_lossy();
        let code = name.strip_suffix(".md").and_then(Code::named);
        assert!(code.is_some(), "{name} is the page of no code");
    }
}

/// The fences of a page: the word behind the marks, and the text.
fn fences(page: &str) -> Vec<(&str, String)> {
    let mut fences = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.trim(), String::new())),
            (Some(_), Some(_)) => fences.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    fences
}

#[test]
fn the_reference_has_a_line_for_each_fact_of_machines() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grammar/README.md");
    let reference = fs::read_to_string(reference).expect("the reference is readable");
    for (fact, kind, meaning) in FACTS {
        let line = format!("| `{}` | {} | {meaning} |", fact.path(), kind.word());
        assert!(reference.contains(&line), "{line}");
    }
}
