//! What a mistake costs.

use super::*;

#[test]
fn a_lost_quote_costs_one_item() {
    for (quote, code) in [("\"", Code::P0104), ("`", Code::P0104)] {
        let text = format!(
            "disk a {{ size = {quote}1GiB }}\ndisk b {{ size = 1 }}\n/// Doc.\ntest c {{ }}\n"
        );
        assert_only(&text, code, quote);
        let module = parse(&text, &mut Bag::default());
        assert_eq!(module.items.len(), 3);
        let ItemKind::Error(Some(name)) = &module.items[0].kind else {
            panic!("{:?}", module.items[0]);
        };
        assert_eq!(name.text, "a");
        assert!(matches!(module.items[1].kind, ItemKind::Disk(_)));
        assert_eq!(module.items[2].docs.len(), 1);
    }
}

#[test]
fn three_broken_items_give_three_messages_and_the_others_are_read() {
    let text = "disk a { size = 1 }\ntest b { run }\ndisk c { size = 1 }\ntest d {\n  check (e\n}\n\
                disk f { size = \"x }\ndisk g { size = 1 }\n";
    let codes: Vec<_> = found(text).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, [Code::P0108, Code::P0105, Code::P0104]);
    let module = parse(text, &mut Bag::default());
    let names: Vec<_> = module
        .items
        .iter()
        .map(|item| match &item.kind {
            ItemKind::Disk(disk) => disk.name.text.clone(),
            ItemKind::Error(Some(name)) => format!("error {}", name.text),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["a", "error b", "c", "error d", "error f", "g"]);
}

#[test]
fn each_broken_line_of_an_item_gives_its_message() {
    let text = "test a {\n  writs x\n  run mkfs\n  check a = b\n  run `x` again 3\n  check (a b)\n  \
                reads a, b,\n  run `y`\n}\nmatrix m {\n  image = host\n  region = each a,\n  \
                exclude a == b\n  instance = each x\n}\n";
    let codes: Vec<_> = found(text).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(
        codes,
        [
            Code::P0116,
            Code::P0115,
            Code::P0113,
            Code::P0108,
            Code::P0108,
            Code::P0111,
            Code::P0108,
            Code::P0111,
        ]
    );
}

#[test]
fn a_bracket_that_is_not_closed_costs_one_item() {
    for (text, place) in [
        (
            "test a {\n  finally {\n    run `x`\n  }\ntest b { }\n",
            7..8,
        ),
        // By its column the last bracket closes the outer brace.
        (
            "test a {\n  finally {\n    run `x`\n}\ntest b { }\n",
            19..20,
        ),
        ("test a { check (b }\ntest b { }\n", 15..16),
        ("test a { check [b, f(c] }\ntest b { }\n", 20..21),
        ("image a { os = rhel(9.4 }\ntest b { }\n", 19..20),
        ("axis a {\n  b { c = d\n}\n/// Doc.\ntest b { }\n", 13..14),
        ("plan a {\n  tests c\nmatrix b { }\n", 7..8),
    ] {
        let mut bag = Bag::default();
        let module = parse(text, &mut bag);
        let [diagnostic] = bag.into_sorted().try_into().expect(text);
        assert_eq!(diagnostic.code, Code::P0105, "{text}");
        assert_eq!(diagnostic.primary.span.range(), place, "{text}");
        assert_eq!(diagnostic.secondary.len(), 1, "{text}");
        assert_eq!(module.items.len(), 2, "{text}");
        assert!(matches!(&module.items[0].kind, ItemKind::Error(Some(name)) if name.text == "a"));
        assert!(
            !matches!(module.items[1].kind, ItemKind::Error(_)),
            "{text}"
        );
    }
}

/// The items of a text, by name.
fn names(text: &str) -> Vec<String> {
    let module = parse(text, &mut Bag::default());
    let names = module.items.iter().map(|item| match &item.kind {
        ItemKind::Use(_) => "use".to_owned(),
        ItemKind::Let(item) => item.name.text.clone(),
        ItemKind::Input(item) => item.name.text.clone(),
        ItemKind::Table(item) => item.name.text.clone(),
        ItemKind::Fact(item) => item.name.text.clone(),
        ItemKind::Image(item) => item.name.text.clone(),
        ItemKind::Axis(item) => item.name.text.clone(),
        ItemKind::Matrix(item) => item.name.text.clone(),
        ItemKind::Disk(item) | ItemKind::Boot(item) => item.name.text.clone(),
        ItemKind::State(item) => item.name.text.clone(),
        ItemKind::Test(item) => item.name.text.clone(),
        ItemKind::Plan(item) => item.name.text.clone(),
        ItemKind::Error(Some(name)) => format!("error {}", name.text),
        ItemKind::Error(None) => "error".to_owned(),
    });
    names.collect()
}

/// Items of every kind, each with the code of a mistake put into the one before it.
#[test]
fn a_mistake_in_an_item_costs_no_item_behind_it() {
    let behind = [
        "use std.storage",
        "use \"./b.plan\" { c }",
        "let b = 1",
        "pub let b = 1",
        "input b: string",
        "table b: image -> string = \"./t.json\"",
        "fact b: c | d = c",
        "image b like c { }",
        "axis b { c { } }",
        "matrix b { }",
        "disk b { }",
        "state b",
        "pub state b per account",
        "boot b { }",
        "test b { }",
        "pub test b(c: disk) after d { }",
        "plan b { }",
    ];
    for broken in [
        "disk a { size = \"1GiB }",
        "disk a { size = 1GiB",
        "test a {\n  run `x\n}",
        "test a {\n  finally { run `x`\n}",
        "test a {\n  when b { run `x`",
        "test a",
        "input a: string = \"x",
        "input a: [string",
        "let a = f(1",
        "let a: { b: int = 1",
        "table a: b -> string = \"./x",
        "fact a: b |",
        "state a {",
        "plan a {\n  setup { run `x`\n}",
        "plan a {\n  tests b(\"c)\n}",
    ] {
        for item in behind {
            let text = format!("{broken}\n{item}\ndisk z {{ }}\n");
            let named = if item.starts_with("use") { "use" } else { "b" };
            assert_eq!(names(&text), ["error a", named, "z"], "{text}");
            assert_eq!(found(&text).len(), 1, "{text}");
        }
    }
}

/// A `let` at the start of a line is a step where the test around it goes on, and an item where it has
/// no end.
#[test]
fn a_let_at_the_start_of_a_line_is_a_step_or_an_item() {
    let text = "test a {\nlet x = 1\nlet y: int = run `z`\n}\nlet b = 2\nplan c {\nsetup {\n\
                let x = 1\n}\n}\n";
    let module = good(text);
    assert_eq!(names(text), ["a", "b", "c"]);
    assert!(matches!(&module.items[0].kind, ItemKind::Test(test) if test.body.len() == 2));
    for text in [
        "test a {\n  run `x`\nlet b = 1\nlet c = 2\ntest d { }",
        "test a\nlet b = 1 // x\nlet c = 2\ntest d { }",
        "test a {\n  run `x\n}\nlet b = 1\nlet c = 2\ntest d { }",
        "plan a {\n  setup {\n}\n// x\nlet b = 1\n// y\nlet c = 2\ntest d { }",
    ] {
        assert_eq!(names(text), ["error a", "b", "c", "d"], "{text}");
        assert_eq!(found(text).len(), 1, "{text}");
        let comments = parse(text, &mut Bag::default()).comments;
        assert_eq!(comments.len(), text.matches("//").count(), "{text}");
    }
    let both = "test a {\n  run `x`\nlet b = 1\ntest c {\n  run `x`\nlet d = f(1\nlet e = 2\n";
    assert_eq!(names(both), ["error a", "b", "error c", "error d", "e"]);
    assert_eq!(found(both).len(), 3);
}

#[test]
fn documentation_belongs_to_items_without_braces_too() {
    let text = "/// A.\nuse std.x\n/// B.\nlet b = 1 /// C.\npub input c: string\n  /// D.\nstate d\n\
                /// E.\nlet e: { f: int } = 1\n";
    let module = good(text);
    let docs: Vec<_> = module
        .items
        .iter()
        .flat_map(|item| &item.docs)
        .map(|doc| doc.text.as_str())
        .collect();
    assert_eq!(docs, ["A.", "B.", "C.", "D.", "E."]);
    for text in [
        "let b =\n/// No.\n1\ntest c { }",
        "use std.x {\n/// No.\ny }\ntest c { }",
        "pub\n/// No.\nlet b = 1\ntest c { }",
    ] {
        assert_eq!(only(text), (Code::P0119, "/// No.".to_owned()), "{text}");
        assert_eq!(names(text).len(), 2, "{text}");
    }
}

/// Words that begin items begin none where they can mean something else, even at the start of a line.
#[test]
fn an_item_keyword_in_the_middle_of_an_item_is_a_word() {
    for text in [
        "use std.x {\nimage\nas disk, test\n}",
        "use std.x {\ndisk as test\n}",
        "test a {\nneeds\nboot marker\n}",
        "let a = image of\nstate has test",
        "let a =\ndisk in table",
        "input a: state\n",
        "table a: image -> disk = \"b\"",
        "fact a: use | let | test = use",
        "test a {\ncheck b and\nimage has c\n}",
        "matrix a {\nimage = each b\nboot = each c, d\n}",
    ] {
        assert_eq!(good(text).items.len(), 1, "{text}");
    }
}

#[test]
fn a_bracket_that_closes_nothing_is_one_mistake() {
    for text in [
        "test a { } }\ntest b { }",
        "test a { } }}}\ntest b { }",
        "test a { run `x` } check y }\ntest b { }",
        "}\ntest a { }\ntest b { }",
        "test a ) { }\ntest b { }",
        "test a { check b) }\ntest b { }",
    ] {
        let (code, _) = only(text);
        assert_eq!(code, Code::P0105, "{text}");
        let module = parse(text, &mut Bag::default());
        let last = module.items.last().expect("an item");
        assert!(matches!(&last.kind, ItemKind::Test(test) if test.name.text == "b"));
    }
}

#[test]
fn an_item_keyword_at_the_start_of_a_line_is_no_item_where_a_clause_can_be_meant() {
    let module =
        good("plan p {\nmatrix m\ntests a\n}\nmatrix m {\nimage = each a\ntest = each b\n}\n");
    assert_eq!(module.items.len(), 2);
}

#[test]
fn text_between_items_is_reported_once() {
    let text =
        "module marker { mode = uefi }\ntest a { }\nlorem ipsum (dolor\nsit amet\ntest b { }\n";
    let codes: Vec<_> = found(text)
        .into_iter()
        .map(|(code, place, _)| (code, place))
        .collect();
    assert_eq!(
        codes,
        [
            (Code::P0107, "module".to_owned()),
            (Code::P0107, "lorem".to_owned())
        ]
    );
    let module = parse(text, &mut Bag::default());
    assert!(matches!(&module.items[0].kind, ItemKind::Error(Some(name)) if name.text == "marker"));
    assert_eq!(module.items.len(), 4);
}

#[test]
fn each_broken_clause_of_a_plan_and_each_broken_step_gives_its_message() {
    let text = "plan p {\n  matirx m\n  tests a, b,\n  limit cost = $5\n  market spot, on_demand\n  \
                waive a where b = c because \"d\"\n  gate x y\n  again a\n  on m { limit a <= 1 }\n  \
                tests a\n}\ntest t {\n  tgas a\n  assume a == b\n  when a = b { stop }\n  \
                for x in y stop\n  let z = t[u] else \"v\"\n  run `x` retry 3\n  note total\n  \
                let n = `id`\n  console \"x\"\n  stop\n}\n";
    let mistakes = found(text);
    let places: Vec<_> = mistakes
        .iter()
        .map(|(code, place, _)| (*code, place.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (Code::P0116, "matirx"),
            (Code::P0111, ","),
            (Code::P0108, "="),
            (Code::P0108, ","),
            (Code::P0113, "="),
            (Code::P0108, "y"),
            (Code::P0108, "on"),
            (Code::P0108, "limit"),
            (Code::P0116, "tgas"),
            (Code::P0108, "when"),
            (Code::P0113, "="),
            (Code::P0108, "stop"),
            (Code::P0108, "\"v\""),
            (Code::P0120, "retry 3"),
            (Code::P0108, "total"),
            (Code::P0114, "`id`"),
            (Code::P0108, "\"x\""),
        ]
    );
}
