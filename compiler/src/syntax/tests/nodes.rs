//! What each construct is read as; where its parts stand is the business of `places`.

use super::*;

/// The tree of the one item of a text, without its places.
fn tree(text: &str) -> String {
    let module = good(text);
    let [item] = module.items.as_slice() else {
        panic!("not one item: {text}");
    };
    let places =
        Regex::new(r"(, )?\w*span: Span \{[^}]*\}(, )?|Span \{[^}]*\}").expect("a pattern");
    let names = Regex::new(r#"Name \{ text: ("[^"]*") \}"#).expect("a pattern");
    let dump = format!("{item:?}");
    let dump = places.replace_all(&dump, "").into_owned();
    names.replace_all(&dump, "$1").into_owned()
}

#[track_caller]
fn assert_holds(text: &str, parts: &[&str]) {
    let tree = tree(text);
    for part in parts {
        assert!(tree.contains(part), "{text}\n{part}\n{tree}");
    }
}

#[test]
fn items() {
    for (text, parts) in [
        (
            "use std.services { a, b as c }",
            &["from: Module(", "alias: None", "alias: Some(\"c\")"][..],
        ),
        ("use \"./b.plan\"", &["from: File(", "names: None"]),
        (
            "let a: size = 4GiB",
            &["type: Some(", "Quantity(\"4GiB\")", "public: None"],
        ),
        ("pub let a = b", &["type: None", "public: Some("]),
        ("input a: secret", &["default: None", "at_run: None"]),
        (
            "input a: string = \"b\"",
            &["default: Some(", "at_run: None"],
        ),
        (
            "input a: string at run",
            &["default: None", "at_run: Some("],
        ),
        (
            "table a: image -> [string] = \"./${b}.json\"",
            &["key: \"image\"", "List(", "Text(\"./\"), Hole("],
        ),
        (
            "fact a: b | c = c",
            &["choices: [\"b\", \"c\"]", "default: Expr"],
        ),
        ("image a like b.c { }", &["like: Some(", "fields: []"]),
        ("image a { }", &["like: None"]),
        (
            "disk a { b >= 1 c = 2 }",
            &["at_least: Some(", "at_least: None"],
        ),
        ("boot a { b = uefi }", &["Boot(Block", "name: \"b\""]),
        ("state a", &["account: None", "fields: []"]),
        (
            "state a per account { b = c }",
            &["limit: None", "name: \"b\""],
        ),
        ("state a per account limit 4", &["limit: Some("]),
        (
            "axis a { b { c = d } e { } }",
            &["name: \"b\", fields: [Field", "name: \"e\", fields: []"],
        ),
        (
            "matrix a { b = each c, d  e = any f where g  exclude h }",
            &[
                "axis: \"b\", how: Each, values: Listed(",
                "axis: \"e\", how: Any, values: Where {",
                "excludes: [Expr",
            ],
        ),
    ] {
        assert_holds(text, parts);
    }
}

#[test]
fn plans() {
    for (clause, parts) in [
        ("matrix a, b", &["Matrix([Path"][..]),
        (
            "tests all, a, b.*, all_of",
            &[
                "All(",
                "Test(TestRef",
                "Module(Path",
                "\"all_of\"",
                "condition: None, except: []",
            ],
        ),
        (
            "tests all.a, all(b)",
            &["segments: [\"all\", \"a\"]", "arguments: Some("],
        ),
        (
            "tests a where b except c.*",
            &["condition: Some(", "except: [Module("],
        ),
        ("again a after b(c)", &["Again(Again {", "arguments: Some("]),
        (
            "on a { tests b again c after d }",
            &["On(Path", "Tests(Selection", "Again(Again {"],
        ),
        (
            "limit a <= $5.00, b <= 1h",
            &["Limit(", "name: \"a\"", "name: \"b\""],
        ),
        ("market a else b", &["Market(", "[\"a\", \"b\"]"]),
        ("waive a because \"b\"", &["condition: None", "until: None"]),
        (
            "waive a where b because \"c\" until 2027-01-31",
            &["condition: Some(", "until: Some(", "Date(\"2027-01-31\")"],
        ),
        ("gate a before b", &["Gate("]),
        ("setup { stop }", &["Setup(", "kind: Stop"]),
    ] {
        assert_holds(&format!("plan p {{ {clause} }}"), parts);
    }
}

#[test]
fn tests() {
    assert_holds(
        "test a { }",
        &["parameters: None, after: [], per: [], body: []"],
    );
    assert_holds("test a() { }", &["parameters: Some([])"]);
    for head in [
        "after b regardless, c(d) per e, f",
        "per e, f after b regardless, c(d)",
    ] {
        let parts = [
            "regardless: Some(",
            "regardless: None",
            "per: [\"e\", \"f\"]",
            "arguments: Some(",
        ];
        assert_holds(&format!("test a {head} {{ }}"), &parts);
    }
    for (clause, parts) in [
        ("borrows a, b", &["Borrows([Path"][..]),
        ("needs boot a, b", &["Boot(Path", "Holds(Expr"]),
        ("needs boot == a", &["Holds(Expr"]),
        ("tags a, b", &["Tags([\"a\", \"b\"])"]),
        ("retry 2", &["Retry("]),
        ("when a stop", &["When(", "kind: Stop"]),
        ("last once", &["Last(", "Once("]),
        ("note \"a\" retry 2", &["Note(Prose", "Retry("]),
    ] {
        assert_holds(&format!("test t {{ {clause} }}"), parts);
    }
}

#[test]
fn steps() {
    for (step, parts) in [
        (
            "let a = b",
            &["type: None, value: Value", "otherwise: None"][..],
        ),
        (
            "let a = b[c] else skip \"d\"",
            &["Index {", "how: Skip", "Text(\"d\")"],
        ),
        ("let a = b[c] else fail \"d ${e}\"", &["how: Fail", "Hole("]),
        ("let a = run", &["value: Value", "\"run\""]),
        (
            "let a: { b: size in KiB, c: [int] } = run `d` json",
            &["Record([Parameter", "In((\"size\", \"KiB\"))", "kind: Json"],
        ),
        (
            "let a = script \"b\" expect any",
            &["Output(Script(", "kind: ExpectAny"],
        ),
        ("assume a because \"b\"", &["Assume {"]),
        (
            "when a { stop } else { start }",
            &["When {", "then: [Step", "otherwise: [Step"],
        ),
        ("when a { }", &["then: [], otherwise: []"]),
        (
            "for a in [b] { stop }",
            &["For { name: \"a\"", "steps: [Step"],
        ),
        ("console contains `a`", &["Console(Command"]),
        (
            "wait until run `a` every 2s",
            &["Succeeds(Command", "kind: Every("],
        ),
        ("wait until a", &["Holds(Expr"]),
    ] {
        assert_holds(&format!("test t {{ {step} }}"), parts);
    }
}

#[test]
fn what_begins_with_a_digit_is_what_it_looks_like() {
    for (written, kind) in [
        ("12", "Number"),
        ("6.10", "Number"),
        ("10GiB", "Quantity"),
        ("1.5h", "Quantity"),
        ("90%", "Quantity"),
        ("$5", "Quantity"),
        ("$5.00", "Quantity"),
        ("$5x-1", "Quantity"),
        ("5parsecs", "Quantity"),
        ("2027-01-31", "Date"),
        ("2027-1-31", "Version"),
        ("15-SP6", "Version"),
        ("8.*", "Version"),
        ("7.4beta-2", "Version"),
    ] {
        let found = format!("{:?}", check(written).kind);
        assert_eq!(found, format!("{kind}({written:?})"));
    }
}

#[test]
fn values_are_lists_calls_and_look_ups() {
    for (written, read) in [
        ("[a: 1, b-c: [d],]", "entries(a: 1, b-c: list(d))"),
        ("[]", "list()"),
        ("a[\"b c\"]", "a[\"b c\"]"),
        ("a.b [ c.d ] has x", "(a|b[c|d] Has x)"),
        ("a has none b without c", "(a HasNone (b Without c))"),
        ("a in 8.*", "(a In 8.*)"),
        ("\"a ${b} c\"", "prose"),
        ("\"a $${b} c\"", "\"a ${b} c\""),
    ] {
        assert_eq!(levels(&check(written)), read, "{written}");
    }
    let named = format!("{:?}", check("a(b, c = d)"));
    assert!(
        named.contains("name: None") && named.contains("name: Some("),
        "{named}"
    );
}

/// What the grammar lets pass so that it has a message of its own.
#[test]
fn what_a_list_or_a_test_cannot_hold_is_reported_and_the_item_is_read() {
    for (text, place) in [
        ("let a = [b: 1, 2]", "2"),
        ("test a after b(c = d) { }", "c"),
        ("test a after b[c] { }", "c"),
        ("plan p { tests b[c] }", "c"),
    ] {
        assert_only(text, Code::P0108, place);
        let module = parse(text, &mut Bag::default());
        assert!(
            !matches!(module.items[0].kind, ItemKind::Error(_)),
            "{text}"
        );
    }
}
