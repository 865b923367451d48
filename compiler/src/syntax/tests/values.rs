//! Words, literals and expressions.

use super::*;

#[test]
fn hyphens_and_dots_belong_to_words() {
    for (written, read) in [
        ("us-gov-west-1", "us-gov-west-1"),
        ("m7i-flex.large", "m7i-flex|large"),
        ("m7i.metal-48xl", "m7i|metal-48xl"),
        ("u-6tb1.112xlarge", "u-6tb1|112xlarge"),
        ("local.small", "local|small"),
        ("m5.2xlarge", "m5|2xlarge"),
        ("p6-b200.48xlarge", "p6-b200|48xlarge"),
    ] {
        assert_eq!(levels(&check(written)), read);
    }
}

#[test]
fn a_keyword_is_one_only_where_its_word_ends() {
    for word in [
        "instance",
        "include",
        "on_demand",
        "origin",
        "note",
        "android",
        "tests",
        "expected",
        "user",
        "running",
        "trueish",
        "in-place",
        "not_yet",
    ] {
        assert_eq!(levels(&check(word)), word);
    }
}

#[test]
fn keywords_that_are_not_reserved_are_names_too() {
    let module = good("test test after after, run { let check: string = run `x` check check }");
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    assert_eq!(test.name.text, "test");
    assert_eq!(test.after.len(), 2);
    assert_eq!(test.body.len(), 2);
}

#[test]
fn reserved_words_are_no_names() {
    for word in ["and", "or", "not", "in", "true", "false"] {
        assert_only(&format!("test {word} {{ }}"), Code::P0108, word);
    }
}

// Literals.

#[test]
fn literals_keep_their_text() {
    for literal in [
        "1", "9.4", "9.4.1", "6.10", "10GiB", "5min", "1.5h", "90%", "$5.00", "$5", "0", "007",
    ] {
        assert_eq!(levels(&check(literal)), literal);
    }
    assert!(matches!(check("6.10").kind, ExprKind::Number(_)));
    assert!(matches!(check("90%").kind, ExprKind::Quantity(_)));
    assert!(matches!(check("$5.00").kind, ExprKind::Quantity(_)));
}

#[test]
fn a_range_is_no_part_of_its_numbers() {
    assert_eq!(levels(&check("x in 4..16")), "(x In (4 Range 16))");
    assert_eq!(
        levels(&check("x in 4GiB..16GiB")),
        "(x In (4GiB Range 16GiB))"
    );
    assert_eq!(
        levels(&check("x in 7.0..7.4.1")),
        "(x In (7.0 Range 7.4.1))"
    );
    assert_eq!(levels(&check("x in a.b..c")), "(x In (a|b Range c))");
}

#[test]
fn escapes_are_replaced() {
    let value = check(r#""a \"b\" \\ \n\t \u{1F600} `$${x}` $y // c""#);
    assert_eq!(
        value.kind,
        ExprKind::Text("a \"b\" \\ \n\t \u{1F600} `${x}` $y // c".to_owned())
    );
}

#[test]
fn each_unknown_escape_is_reported_at_its_place() {
    for (text, escape) in [
        (r#""a\qb""#, r"\q"),
        (r#""a\ü""#, r"\ü"),
        (r#""\u41""#, r"\u"),
        (r#""\u{}""#, r"\u{}"),
        (r#""\u{D800}""#, r"\u{D800}"),
        (r#""\u{110000000000}""#, r"\u{110000000000}"),
        (r#""\u{+41}""#, r"\u{+41}"),
    ] {
        assert_only(&format!("disk a {{ x = {text} }}"), Code::P0118, escape);
    }
    assert_eq!(found(r#"disk a { x = "\a\b" y = "\c" }"#).len(), 3);
}

// Expressions.

#[test]
fn operators_bind_from_or_to_of() {
    for (written, read) in [
        ("a or b and c", "(a Or (b And c))"),
        ("a and b or c", "((a And b) Or c)"),
        ("not a and b", "((not a) And b)"),
        ("not a == b", "(not (a Equal b))"),
        ("not not a", "(not (not a))"),
        ("a == not b", "(a Equal (not b))"),
        ("a and not b in c", "(a And (not (b In c)))"),
        ("a in b..c + d", "(a In (b Range (c Add d)))"),
        ("a + b * c", "(a Add (b Multiply c))"),
        ("a > 90% of b.c", "(a Greater (90% Of b|c))"),
        ("a has all b without c", "(a HasAll (b Without c))"),
        ("a has b", "(a Has b)"),
        ("a matches `x` and b", "((a Matches `x`) And b)"),
        ("a + b + c", "((a Add b) Add c)"),
        ("(a or b) and c", "([(a Or b)] And c)"),
        (
            "a <= b or a >= c or a != d",
            "(((a AtMost b) Or (a AtLeast c)) Or (a NotEqual d))",
        ),
        ("f(a, [b, c,],) < g", "(f(a, list(b, c)) Less g)"),
        ("f () == []", "(f() Equal list())"),
        ("true and false", "(true And false)"),
    ] {
        assert_eq!(levels(&check(written)), read, "{written}");
    }
}

#[test]
fn a_chain_of_comparisons_is_kept_for_the_next_stage() {
    assert_eq!(levels(&check("a < b < c")), "((a Less b) Less c)");
    assert_eq!(levels(&check("a == b in c")), "((a Equal b) In c)");
    assert_eq!(levels(&check("(a < b) == c")), "([(a Less b)] Equal c)");
}

#[test]
fn each_operator_is_read_as_what_it_is() {
    for (written, operator) in [
        ("or", BinaryOperator::Or),
        ("and", BinaryOperator::And),
        ("==", BinaryOperator::Equal),
        ("!=", BinaryOperator::NotEqual),
        ("<", BinaryOperator::Less),
        ("<=", BinaryOperator::AtMost),
        (">", BinaryOperator::Greater),
        (">=", BinaryOperator::AtLeast),
        ("in", BinaryOperator::In),
        ("has", BinaryOperator::Has),
        ("has\n  all", BinaryOperator::HasAll),
        ("matches", BinaryOperator::Matches),
        ("..", BinaryOperator::Range),
        ("+", BinaryOperator::Add),
        ("without", BinaryOperator::Without),
        ("*", BinaryOperator::Multiply),
        ("of", BinaryOperator::Of),
    ] {
        let value = check(&format!("a {written} b"));
        let ExprKind::Binary {
            operator: read,
            operator_span,
            ..
        } = value.kind
        else {
            panic!("{written} is no operator");
        };
        assert_eq!(read, operator);
        assert_eq!(operator_span.range(), 17..17 + written.len());
    }
}
