//! The modules of the standard library: they compile, and every public item says what it is for with an
//! example that compiles.

use dva_compiler::diagnostic::{Bag, Diagnostic};
use dva_compiler::syntax::ast::{Item, ItemKind};
use dva_compiler::syntax::parse;
use dva_compiler::{Compilation, Options, compile};
use dva_stdlib::modules::{STD, names, text};

/// What an example stands before.
const BASE: &str = "
image base_image { os = linux  arch = x86_64  local = host }
matrix base_matrix { image = each base_image  region = each local  instance = each local.large }
plan base_plan { matrix base_matrix  tests all }
";

#[test]
fn modules_compile() {
    for name in names() {
        let module = text(name).expect("a module has its text");
        let found = compile(name, module.as_bytes(), &Options::default());
        assert!(
            found.diagnostics.is_empty(),
            "{name}: {:#?}",
            found.diagnostics
        );
    }
}

#[test]
fn every_public_item_has_an_example() {
    for name in names() {
        let module = text(name).expect("a module has its text");
        let mut bag = Bag::default();
        let module = parse(module, &mut bag);
        assert!(!module.docs.is_empty(), "{name} does not say what it is");
        for item in module.items.iter().filter(|item| item.public.is_some()) {
            let own = name_of(item);
            let docs: Vec<_> = item.docs.iter().map(|doc| doc.text.as_str()).collect();
            let docs = docs.join("\n");
            let example = docs
                .split_once("```plan\n")
                .and_then(|(_, rest)| rest.split_once("\n```"));
            let (example, _) = example.unwrap_or_else(|| panic!("{name}.{own} has no example"));
            assert!(
                example.contains(&format!("{STD}.{name}")) && example.contains(own),
                "the example of {name}.{own} is about something else"
            );
            let Compilation {
                plan, diagnostics, ..
            } = compile(
                own,
                format!("{example}{BASE}").as_bytes(),
                &Options::default(),
            );
            let found: Vec<&Diagnostic> = diagnostics.iter().collect();
            assert!(
                plan.is_some() && found.is_empty(),
                "the example of {name}.{own} is wrong:\n{example}\n{found:#?}"
            );
        }
    }
}

fn name_of(item: &Item) -> &str {
    match &item.kind {
        ItemKind::Test(test) => &test.name.text,
        ItemKind::State(state) => &state.name.text,
        ItemKind::Disk(block) | ItemKind::Boot(block) => &block.name.text,
        ItemKind::Let(constant) => &constant.name.text,
        other => panic!("no example is looked for of {other:?}"),
    }
}
