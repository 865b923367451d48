//! The README keeps its word.

use std::fs;

use crate::console::{check, root};

#[test]
fn its_console_blocks_show_what_is_printed() {
    check(&root().join("README.md"));
}

#[test]
fn its_plan_blocks_compile() {
    let text = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let blocks = plan_blocks(&text);
    assert!(!blocks.is_empty());
    for block in blocks {
        assert_compiles("README.md", &block);
    }
}

#[test]
fn the_language_reference_compiles() {
    let text = fs::read_to_string(root().join("grammar/README.md")).expect("there is a reference");
    let blocks = plan_blocks(&text);
    assert!(!blocks.is_empty());
    for block in blocks {
        assert_compiles("grammar/README.md", &block);
    }
}

fn assert_compiles(name: &str, text: &str) {
    let found = dva_compiler::compile(name, text.as_bytes(), &dva_compiler::Options::default());
    assert!(
        found.plan.is_some(),
        "{name}:\n{text}\n{:#?}",
        found.diagnostics
    );
}

/// The texts of the `plan` fences.
fn plan_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in markdown.lines() {
        match (&mut block, line) {
            (None, "```plan") => block = Some(String::new()),
            (Some(text), "```") => {
                blocks.push(std::mem::take(text));
                block = None;
            }
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}
