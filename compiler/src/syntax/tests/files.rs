//! Whole files, and where one item ends and the next begins.

use dva_grammar::{PlanParser, Rule};
use pest::Parser as _;

use super::*;

#[test]
fn a_whole_file_is_read() {
    let module = good(STORAGE);
    let kinds: Vec<_> = module
        .items
        .iter()
        .map(|item| match &item.kind {
            ItemKind::Image(block) => format!("image {}", block.name.text),
            ItemKind::Disk(block) => format!("disk {}", block.name.text),
            ItemKind::Axis(axis) => format!("axis {} of {}", axis.name.text, axis.values.len()),
            ItemKind::Matrix(matrix) => format!(
                "matrix {} of {}, {}",
                matrix.name.text,
                matrix.axes.len(),
                matrix.excludes.len()
            ),
            ItemKind::Test(test) => format!("test {} of {}", test.name.text, test.body.len()),
            ItemKind::Use(_) => "use".to_owned(),
            ItemKind::Let(item) => format!("let {}", item.name.text),
            ItemKind::Table(item) => format!("table {}", item.name.text),
            ItemKind::Fact(item) => format!("fact {}", item.name.text),
            ItemKind::State(item) => format!("state {}", item.name.text),
            ItemKind::Boot(item) => format!("boot {}", item.name.text),
            ItemKind::Plan(plan) => {
                let tests = plan.clauses.iter().map(|clause| match clause {
                    crate::syntax::ast::PlanClause::Tests(selection) => selection.tests.len(),
                    _ => 0,
                });
                format!("plan {} of {}", plan.name.text, tests.sum::<usize>())
            }
            ItemKind::Input(input) => format!("input {}", input.name.text),
            ItemKind::Error(_) => "error".to_owned(),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "image host",
            "axis filesystem of 2",
            "matrix sizes of 4, 1",
            "disk data",
            "test partition of 3",
            "test format of 2",
            "test mount of 5",
            "test memory of 3",
            "plan storage of 4",
        ]
    );
    assert_eq!(module.docs[0].text, "Partition, format, mount.");
    assert_eq!(
        module.items[4].docs[0].text,
        "One GPT partition that fills the disk."
    );
}

/// The files of a folder of the grammar's corpus, with their names.
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads its data, of which there are many files"
)]
fn corpus(folder: &str) -> Vec<(String, String)> {
    let folder = format!("{}/../grammar/corpus/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&folder).expect("the corpus is there");
    let mut files: Vec<_> = files
        .map(|file| file.expect("the corpus can be read").path())
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a file of the corpus is text");
            (path.display().to_string(), text)
        })
        .collect();
    files.sort();
    assert!(files.len() > 10, "{folder}");
    files
}

#[test]
fn every_file_of_the_corpus_is_read_as_the_grammar_reads_it() {
    for (name, text) in corpus("ok") {
        assert_eq!(found(&text), [], "{name}");
    }
    // One reason, one message.
    for (name, text) in corpus("bad") {
        assert_eq!(found(&text).len(), 1, "{name}: {:#?}", found(&text));
    }
}

/// A mistake is one wherever its line breaks are, and hides none of the lines around it.
#[test]
fn a_mistake_on_a_line_of_its_own_is_one_mistake() {
    for (name, text) in corpus("bad") {
        let Some((head, body)) = text.trim_end().split_once("{ ") else {
            continue;
        };
        let Some(body) = body.strip_suffix(" }") else {
            continue;
        };
        let spread = format!("{head}{{\n  {body}\n}}\ndisk behind {{ }}\n");
        assert_eq!(found(&spread).len(), 1, "{name}: {:#?}", found(&spread));
        let (before, behind) = match head.split(' ').next() {
            Some("test") => ("reads y", "reads y\n  wrtes z"),
            Some("plan") => ("limit y <= 1", "limit y <= 1\n  limt z <= 2"),
            _ => continue,
        };
        let around = format!("{head}{{\n  {before}\n  {body}\n  {behind}\n}}\n");
        // Holes are looked at where the rest of the item can be read, and brackets before it is.
        let alone = matches!(found(&spread)[0].0, Code::P0104 | Code::P0105 | Code::P0110);
        let expected = if alone || name.contains("_in_head") {
            1
        } else {
            2
        };
        let mistakes = found(&around);
        assert_eq!(mistakes.len(), expected, "{name}: {mistakes:#?}");
    }
}

/// What an item is cut out as is what the grammar reads as an item.
#[test]
fn every_file_of_the_corpus_is_cut_where_the_grammar_cuts_it() {
    for (name, text) in corpus("ok") {
        let file = PlanParser::parse(Rule::file, &text).expect("a good file");
        let is_item = |rule: Rule| format!("{rule:?}").ends_with("_item");
        let parts = file.flat_map(pest::iterators::Pair::into_inner);
        let items = parts.filter(|part| is_item(part.as_rule()));
        let starts: Vec<_> = items.map(|item| item.as_span().start()).collect();
        let cut: Vec<_> = good(&text)
            .items
            .iter()
            .map(|item| match item.public {
                None => item.span.range().start,
                // The grammar has the item behind its `pub`.
                Some(public) => {
                    let behind = public.range().end;
                    behind + text[behind..].len() - text[behind..].trim_start().len()
                }
            })
            .collect();
        assert_eq!(cut, starts, "{name}");
    }
}

#[test]
fn items_may_share_a_line_and_need_not_begin_it() {
    let module = good("disk a { size = 1 } disk b { size = 2 }\n  test c after d { }");
    assert_eq!(module.items.len(), 3);
    assert_eq!(module.items[1].span, Span::new(20, 39));
}

/// An item without braces ends where the next one begins, wherever that is.
#[test]
fn an_input_ends_where_the_next_item_begins() {
    let text = "input a: secret input b: [x]\n  /// Doc.\n  disk c { }  input test: secret // x\n//y\n\
                test d { }\ninput e: secret\n";
    let module = good(text);
    let source = Source::new("a.plan", text);
    let items: Vec<_> = module
        .items
        .iter()
        .map(|item| source.slice(item.span))
        .collect();
    assert_eq!(
        items,
        [
            "input a: secret",
            "input b: [x]",
            "disk c { }",
            "input test: secret",
            "test d { }",
            "input e: secret"
        ]
    );
    assert_eq!(module.items[2].docs.len(), 1);
    for (text, code, place) in [
        ("input a: secret b\ndisk d { }", Code::P0108, "b"),
        ("input a: secret }\ndisk d { }", Code::P0105, "}"),
        ("input a: [secret\ndisk d { }", Code::P0105, "["),
        ("input a\ndisk d { }", Code::P0108, ""),
        ("input a = secret\ndisk d { }", Code::P0108, "="),
        ("input a: secret = \"x\" b\ndisk d { }", Code::P0108, "b"),
        ("use 5\ndisk d { }", Code::P0108, "5"),
        ("use a.b }\ndisk d { }", Code::P0105, "}"),
        ("let a = 3 }\ndisk d { }", Code::P0105, "}"),
        ("let a: { b: int } 3\ndisk d { }", Code::P0108, "3"),
        ("table a: b -> \"c\"\ndisk d { }", Code::P0108, "\"c\""),
        ("fact a: b |\ndisk d { }", Code::P0108, ""),
        ("state a per\ndisk d { }", Code::P0108, ""),
        ("input a { }\ndisk d { }", Code::P0108, "{"),
        ("inptu a: secret\ndisk d { }", Code::P0107, "inptu"),
    ] {
        assert_only(text, code, place);
        let module = parse(text, &mut Bag::default());
        assert!(
            matches!(module.items[1].kind, ItemKind::Disk(_)),
            "{text}: {:?}",
            module.items
        );
    }
}
