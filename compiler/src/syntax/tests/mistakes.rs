//! What is said about what cannot be read.

use super::*;

#[test]
fn a_mistake_has_its_code_and_the_smallest_place() {
    use Code::*;
    for (text, code, place) in [
        // A comma at the end of a list, and what stands behind it.
        ("test a { reads x, }", P0111, ","),
        ("test a { reads x,\n run `y` }", P0111, ","),
        ("test a { reads x,\n check y == z }", P0111, ","),
        ("test a { reads x,\n writes y }", P0111, ","),
        ("test a { reads x,\n within 5s }", P0111, ","),
        ("test a { reads x,\n finally { } }", P0111, ","),
        ("test a after b, { }", P0111, ","),
        ("matrix m { i = each a, b,\n r = each c }", P0111, ","),
        ("matrix m { i = each a, b,\n exclude c == d }", P0111, ","),
        ("plan p { tests a, b,\n matrix m }", P0111, ","),
        ("plan p { tests a,\n again b after c }", P0111, ","),
        ("plan p { tests a,\n limit cost <= $5 }", P0111, ","),
        ("plan p { tests a, where b }", P0111, ","),
        ("plan p { tests all, except b }", P0111, ","),
        ("plan p { waive a, because \"b\" }", P0111, ","),
        ("plan p { again a, after b }", P0111, ","),
        ("test a after b, per image { }", P0111, ","),
        ("test a { tags x,\n when y }", P0111, ","),
        ("test a { tags x,\n borrows y }", P0111, ","),
        ("test a { needs x,\n note \"y\" }", P0111, ","),
        ("test a { reads x,\n assume y because \"z\" }", P0111, ","),
        ("test a { reads x,\n for y in z { } }", P0111, ","),
        // A retry of a step that would be one of the test.
        ("test a { run `x` retry 3 }", P0120, "retry 3"),
        (
            "test a { run `x` within 1s retry 1 + 2\n reboot }",
            P0120,
            "retry 1 + 2",
        ),
        (
            "test a { let x = run `x` retry 3 run `y` }",
            P0120,
            "retry 3",
        ),
        ("test a { finally { run `x` retry 3 } }", P0120, "retry 3"),
        // A unit apart from its number.
        ("disk d { size = 10 GiB }", P0112, "10 GiB"),
        ("disk d { size = 10  GiB  x = y }", P0112, "10  GiB"),
        ("test a { within 30 s run `x` }", P0112, "30 s"),
        ("test a { check x > 90 % of y }", P0112, "90 %"),
        // One `=`.
        ("test a { check a = b }", P0113, "="),
        ("matrix m { exclude a = b }", P0113, "="),
        ("test a { run `x` expect exit = 0 }", P0113, "="),
        ("test a { when a = b { run `x` } }", P0113, "="),
        ("test a { when a = b }", P0113, "="),
        ("test a { assume a = b because \"c\" }", P0113, "="),
        ("test a { needs a.b = c }", P0113, "="),
        ("test a { wait until a = b }", P0113, "="),
        ("matrix m { i = each types where a = b }", P0113, "="),
        ("plan p { tests all where tag = b }", P0113, "="),
        ("plan p { waive a where b = c because \"d\" }", P0113, "="),
        // Commands.
        ("test a { `x` }", P0114, "`x`"),
        ("test a { run `x` `y` }", P0114, "`y`"),
        ("test a { finally { `x` } }", P0114, "`x`"),
        ("test a { let x: string = `y` }", P0114, "`y`"),
        ("test a { let x = `y` within 5s }", P0114, "`y`"),
        ("test a { for x in y { `z` } }", P0114, "`z`"),
        ("plan p { setup { `z` } }", P0114, "`z`"),
        ("test a { run \"x\" }", P0115, "\"x\""),
        ("test a { run x -t y }", P0115, "x"),
        ("test a { run 'x' }", P0115, "'"),
        ("test a { run /bin/x }", P0115, "/"),
        ("test a { run `x` find \"y\" }", P0115, "\"y\""),
        ("test a { console contains \"y\" }", P0115, "\"y\""),
        ("test a { when b { run x } }", P0115, "x"),
        // Keywords.
        ("test a { writs x }", P0116, "writs"),
        ("test a { borows x }", P0116, "borows"),
        ("test a { tag x }", P0116, "tag"),
        ("test a { asume x because \"y\" }", P0116, "asume"),
        ("test a { assume x becuase \"y\" }", P0116, "becuase"),
        ("test a { run `x` jsn }", P0116, "jsn"),
        ("test a { run `x` retry 3 evry 2s }", P0116, "evry"),
        ("test a { let x = y[z] esle skip \"a\" }", P0116, "esle"),
        ("test a { let x = y[z] else skp \"a\" }", P0116, "skp"),
        ("test a after b regardles { }", P0116, "regardles"),
        ("test a { when b { run `x` } els { } }", P0116, "els"),
        ("plan p { tets a }", P0116, "tets"),
        ("plan p { agian a after b }", P0116, "agian"),
        ("plan p { waive a becaus \"b\" }", P0116, "becaus"),
        ("plan p { tests all excpt b }", P0116, "excpt"),
        ("plan p { tests all were a }", P0116, "were"),
        ("plan p { gate a befor b }", P0116, "befor"),
        ("matrix m { i = ech b }", P0116, "ech"),
        ("image a liek b { }", P0116, "liek"),
        ("state a per acount", P0116, "acount"),
        ("test a { rebot }", P0116, "rebot"),
        ("test a { attch d }", P0116, "attch"),
        ("test a { detach d nowiat }", P0116, "nowiat"),
        ("test a { run `x` retyr 3 every 1s }", P0116, "retyr"),
        ("test a { upload \"x\" too \"y\" }", P0116, "too"),
        ("test a { run `x` with a = b, }", P0111, ","),
        ("test a { run `x` with a = b,\n reboot }", P0111, ","),
        ("test a { needs b,\n wait 5s }", P0111, ","),
        ("test a { wait until run x }", P0115, "x"),
        ("test a { run `x` expct exit == 0 }", P0116, "expct"),
        ("test a { finaly { run `x` } }", P0116, "finaly"),
        ("matrix m { exlude a == b }", P0116, "exlude"),
        ("matrix m { a = eahc b }", P0116, "eahc"),
        ("test a afer b { }", P0116, "afer"),
        ("plan p { matrx m }", P0116, "matrx"),
        ("test a { Run `x` }", P0116, "Run"),
        ("test a after b after c { }", P0117, "after"),
        ("tset a { }", P0107, "tset"),
        ("Test a { }", P0107, "Test"),
        ("secret x", P0107, "secret"),
        ("pub tset a { }", P0107, "tset"),
        ("pub pub test a { }", P0108, "pub"),
        ("{ \"a\": [1, \"2] }", P0107, "{"),
        // Everything else.
        ("test a { check a b }", P0108, "b"),
        ("test a { check f(a b) }", P0108, "b"),
        ("test a { check a && b }", P0108, "&&"),
        ("test a { check a not in b }", P0108, "not"),
        ("test a { check a - b }", P0108, "-"),
        ("test a { check b not in c }", P0108, "not"),
        ("test a { check }", P0108, "}"),
        ("test a.b { }", P0108, "."),
        ("test größe { }", P0108, "größe"),
        ("test a- { }", P0108, "a-"),
        ("test a", P0108, ""),
        ("test { }", P0108, "{"),
        ("image a { os linux }", P0108, "linux"),
        ("image a { os = b, c = d }", P0108, ","),
        ("matrix m { image = host }", P0108, "host"),
        ("test a { run `x`; run `y` }", P0108, ";"),
        ("test a { # x\n run `y` }", P0108, "#"),
    ] {
        assert_only(text, code, place);
    }
}

#[test]
fn a_label_names_what_was_expected_in_the_words_of_an_author() {
    for (text, label) in [
        (
            "test a run `b`",
            "expected `after`, `per` or `{`, found `run`",
        ),
        (
            "test a { run }",
            "expected a command in backticks, found `}`",
        ),
        (
            "test a { check b c }",
            "expected a clause or `}`, found `c`",
        ),
        (
            "test a { run `b` again 3 }",
            "expected a clause, a modifier or `}`, found `again`",
        ),
        (
            "test a { check b && c }",
            "expected an operator, found `&&`",
        ),
        ("test a { check [b c] }", "expected `,` or `]`, found `c`"),
        (
            "test a { finally { reads b } }",
            "expected a step or `}`, found `reads`",
        ),
        (
            "test a",
            "expected `after`, `per` or `{`, found the end of the item",
        ),
        ("image a { os linux }", "expected `=`, found `linux`"),
        (
            "test a { let b run `c` }",
            "expected `:` or `=`, found `run`",
        ),
        (
            "matrix m { image = host }",
            "expected `any` or `each`, found `host`",
        ),
        ("plan p { limit cost < $5 }", "expected `<=`, found `<`"),
        ("disk d { size == 1GiB }", "expected `=`, found `==`"),
        ("pub", "no item begins like this"),
        (
            "test a { check b ==\u{a0}c }",
            "expected a value, found the blank U+00A0",
        ),
    ] {
        let mistakes = found(text);
        assert_eq!(mistakes.len(), 1, "{text}");
        assert_eq!(mistakes[0].2, label, "{text}");
    }
}

#[test]
fn no_message_shows_the_name_of_a_rule() {
    let rules: Vec<String> = dva_grammar::Rule::all_rules()
        .iter()
        .map(|rule| format!("{rule:?}"))
        .filter(|rule| rule.contains('_'))
        .collect();
    for cut in (0..STORAGE.len()).step_by(3) {
        for (_, _, label) in found(&STORAGE[..cut]) {
            let names = rules.iter().any(|rule| label.contains(rule.as_str()));
            assert!(!names, "{label}");
        }
    }
}
