//! What the syntax stage reads, and what it says about what it cannot read.

use std::fmt::Write as _;

use proptest::prelude::*;
use regex::Regex;

use super::ast::{
    BinaryOperator, Clause, Command, CommandPiece, Expr, ExprKind, ItemKind, ModifierKind, Run,
    StepKind, TypeExprKind,
};
use super::*;

const STORAGE: &str = include_str!("../../../grammar/corpus/ok/storage.plan");

/// A text without mistakes.
fn good(text: &str) -> Module {
    let mut bag = Bag::default();
    let module = parse(text, &mut bag);
    assert_eq!(bag.into_sorted(), [], "{text}");
    module
}

/// The mistakes of a text: code, the text at the primary place, the label.
fn found(text: &str) -> Vec<(Code, String, String)> {
    let mut bag = Bag::default();
    let _ = parse(text, &mut bag);
    let source = Source::new("a.plan", text);
    bag.into_sorted()
        .into_iter()
        .map(|diagnostic| {
            let place = source.slice(diagnostic.primary.span).to_owned();
            (diagnostic.code, place, diagnostic.primary.text)
        })
        .collect()
}

/// The one mistake of a text: code and the text at the primary place.
#[track_caller]
fn only(text: &str) -> (Code, String) {
    match found(text).as_slice() {
        [(code, place, _)] => (*code, place.clone()),
        other => panic!("{text}\nnot one mistake: {other:#?}"),
    }
}

#[track_caller]
fn assert_only(text: &str, code: Code, place: &str) {
    assert_eq!(only(text), (code, place.to_owned()), "{text}");
}

/// The value of the first `check` in a text.
fn check(condition: &str) -> Expr {
    let module = good(&format!("test a {{ check {condition} }}"));
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let [Clause::Step(step)] = test.body.as_slice() else {
        panic!("not one step: {:?}", test.body);
    };
    let StepKind::Check(value) = &step.kind else {
        panic!("no check");
    };
    value.clone()
}

/// The command of a test that runs it.
fn run(command: &str) -> Command {
    let module = good(&format!("test a {{ run {command} }}"));
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let [Clause::Step(step)] = test.body.as_slice() else {
        panic!("not one step: {:?}", test.body);
    };
    let StepKind::Run(run) = &step.kind else {
        panic!("no run");
    };
    let Run::Command(command) = run else {
        panic!("no command");
    };
    command.clone()
}

/// An expression with every level in parentheses; those of the author are square.
fn levels(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Quantity(text) | ExprKind::Number(text) => text.clone(),
        ExprKind::Text(text) => format!("{text:?}"),
        ExprKind::Command(command) => format!("`{}`", pieces(command)),
        ExprKind::Path(path) => words(path),
        ExprKind::Call { callee, arguments } => format!("{}({})", words(callee), list(arguments)),
        ExprKind::List(values) => format!("list({})", list(values)),
        ExprKind::Group(value) => format!("[{}]", levels(value)),
        ExprKind::Not(value) => format!("(not {})", levels(value)),
        ExprKind::Binary {
            operator,
            left,
            right,
            ..
        } => format!("({} {operator:?} {})", levels(left), levels(right)),
        ExprKind::Error => "error".to_owned(),
    }
}

fn words(path: &ast::Path) -> String {
    let words: Vec<_> = path
        .segments
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    words.join("|")
}

fn list(values: &[Expr]) -> String {
    values.iter().map(levels).collect::<Vec<_>>().join(", ")
}

/// The pieces of a command, holes in angle brackets.
fn pieces(command: &Command) -> String {
    let mut shown = String::new();
    for piece in &command.pieces {
        match piece {
            CommandPiece::Text { text, .. } => shown.push_str(text),
            CommandPiece::Hole { raw, value, .. } => {
                let raw = if *raw { "raw " } else { "" };
                write!(shown, "<{raw}{}>", levels(value)).expect("a string takes any text");
            }
        }
    }
    shown
}

// A whole file.

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
            ItemKind::Plan(plan) => format!("plan {} of {}", plan.name.text, plan.tests.len()),
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

#[test]
fn every_file_of_the_corpus_is_read_as_the_grammar_reads_it() {
    for text in [
        STORAGE,
        include_str!("../../../grammar/corpus/ok/words.plan"),
        include_str!("../../../grammar/corpus/ok/expressions.plan"),
        include_str!("../../../grammar/corpus/ok/commands.plan"),
        include_str!("../../../grammar/corpus/ok/machine.plan"),
        include_str!("../../../grammar/corpus/ok/comments.plan"),
        include_str!("../../../grammar/corpus/ok/crlf.plan"),
        include_str!("../../../grammar/corpus/ok/empty.plan"),
    ] {
        let _ = good(text);
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
        ("input a: secret = \"x\"\ndisk d { }", Code::P0108, "="),
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

#[test]
fn steps_have_exact_places() {
    let steps = [
        "reboot within 5min",
        "stop",
        "start",
        "attach late",
        "detach late",
        "detach late nowait",
        "detach late force within 1s",
        "wait 20s",
        "wait until not late.attached",
        "wait until run `true` every 1s within 5s",
        "upload \"a\" to \"b\"",
        "upload \"a\" to \"b\" executable within 1s",
        "collect \"b\"",
        "script \"./a.sh\" by \"x\"",
        "let n: int = script \"./a.sh\" find `x`",
        "run `a` retry 3 every 2s with _a = 1, B = c.d expect any",
    ];
    let text = format!(
        "test t {{ needs capability(kernel), x\n  {}\n }}",
        steps.join("  \n")
    );
    let module = good(&text);
    let source = Source::new("a.plan", text.as_str());
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let found: Vec<_> = test
        .body
        .iter()
        .filter_map(|clause| match clause {
            Clause::Step(step) => Some(source.slice(step.span)),
            _ => None,
        })
        .collect();
    assert_eq!(found, steps);
    assert!(matches!(&test.body[0], Clause::Needs(needs) if needs.len() == 2));
}

#[test]
fn clauses_and_modifiers_come_in_any_order() {
    let module = good(
        "test a { finally { run `c` } run `a` expect any within 5s run `b` find `x` within 1s \
         expect exit == 0 reads x, y writes z takes 1s within 2s }",
    );
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let modifiers: Vec<_> = test
        .body
        .iter()
        .filter_map(|clause| match clause {
            Clause::Step(step) => Some(step),
            _ => None,
        })
        .filter_map(|step| match &step.kind {
            StepKind::Run(_) => Some(step.modifiers.iter().map(|modifier| &modifier.kind)),
            _ => None,
        })
        .flatten()
        .map(|kind| match kind {
            ModifierKind::Within(_) => "within",
            ModifierKind::ExpectAny => "expect any",
            ModifierKind::Expect(_) => "expect",
            ModifierKind::Find(_) => "find",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        modifiers,
        ["expect any", "within", "find", "within", "expect"]
    );
    assert_eq!(test.body.len(), 7);
}

#[test]
fn a_result_has_a_type() {
    let text =
        "test a { let a: string = run `x` let b: size in KiB = run `x` let c: [[int]] = run `x` }";
    let module = good(text);
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let types: Vec<_> = test
        .body
        .iter()
        .map(|clause| match clause {
            Clause::Step(ast::Step {
                kind: StepKind::Let { r#type, .. },
                ..
            }) => match &r#type.kind {
                TypeExprKind::Named(name) => name.text.clone(),
                TypeExprKind::In(name, unit) => format!("{} in {}", name.text, unit.text),
                TypeExprKind::List(_) => text[r#type.span.range()].to_owned(),
            },
            other => panic!("no let: {other:?}"),
        })
        .collect();
    assert_eq!(types, ["string", "size in KiB", "[[int]]"]);
}

// Words.

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
    let value = check(r#""a \"b\" \\ \n\t \u{1F600} `${x}` // c""#);
    assert_eq!(
        value.kind,
        ExprKind::Text("a \"b\" \\ \n\t \u{1F600} `${x}` // c".to_owned())
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

// Commands.

#[test]
fn a_command_is_raw_text_with_holes() {
    for (written, read) in [
        ("``", ""),
        (r"`a \n 'b' ${c} $d $$`", r"a \n 'b' <c> $d $$"),
        ("`${data.part(1)}x${e}`", "<data|part(1)>x<e>"),
        ("`${raw a.b} ${raw} ${ raw  c }`", "<raw a|b> <raw> <raw c>"),
        ("`$${V:-d} {a,b} %{NAME} }`", "${V:-d} {a,b} %{NAME} }"),
        ("`curl https://a//b`", "curl https://a//b"),
        (r#"`${f("}")}`"#, r#"<f("}")>"#),
        ("`${f(a, [b])}`", "<f(a, list(b))>"),
    ] {
        assert_eq!(pieces(&run(written)), read, "{written}");
    }
}

#[test]
fn the_pieces_of_a_command_have_exact_places() {
    let text = "test a { run `x $${y} ${z}` }";
    let command = run("`x $${y} ${z}`");
    let source = Source::new("a.plan", text);
    let [
        CommandPiece::Text { span, text },
        CommandPiece::Hole {
            span: hole, value, ..
        },
    ] = command.pieces.as_slice()
    else {
        panic!("{:?}", command.pieces);
    };
    assert_eq!(text, "x ${y} ");
    assert_eq!(source.slice(*span), "x $${y} ");
    assert_eq!(source.slice(*hole), "${z}");
    assert_eq!(source.slice(value.span), "z");
    assert_eq!(source.slice(command.span), "`x $${y} ${z}`");
}

#[test]
fn holes_that_only_a_shell_understands_are_refused() {
    for hole in [
        "${V:-d}",
        "${x%.rpm}",
        "${x##*/}",
        "${#a[@]}",
        "${a[0]}",
        "${!x}",
        "${1}",
        "${@}",
        "${x/a/b}",
        "${x^^}",
        "${_x}",
        "${}",
        "${a b}",
        "${a + b}",
        "${raw a b}",
        "${\"a\"}",
    ] {
        let text = format!("test a {{ run `echo {hole} end` }}");
        assert_only(&text, Code::P0110, hole);
        let mut bag = Bag::default();
        let module = parse(&text, &mut bag);
        assert!(matches!(module.items[0].kind, ItemKind::Test(_)), "{hole}");
        let [diagnostic] = bag.into_sorted().try_into().expect("one mistake");
        assert!(
            diagnostic
                .help
                .contains("`$VAR`, or `$${…}` for the shell's own")
        );
    }
}

#[test]
fn each_wrong_hole_is_reported() {
    let mistakes = found("test a { run `${a:-b} ${c} ${d%e}` run `${f` }");
    let places: Vec<_> = mistakes
        .iter()
        .map(|(_, place, _)| place.as_str())
        .collect();
    assert_eq!(places, ["${a:-b}", "${d%e}", "${"]);
}

#[test]
fn the_holes_of_a_pattern_are_left_for_the_next_stage_to_refuse() {
    for text in [
        "test a { run `x` find `a${b}` }",
        "test a { run `x` find `a${b:-c}` }",
        "test a { check x matches `a${b` }",
    ] {
        let debug = format!("{:?}", good(text));
        assert!(debug.contains("Hole {"), "{debug}");
    }
    let module = good(r"test a { run `x` find `^a{2}$` }");
    let debug = format!("{module:?}");
    assert!(debug.contains(r#"text: "^a{2}$""#), "{debug}");
}

// Comments and documentation.

#[test]
fn comments_are_kept_and_documentation_is_told_from_them() {
    let text = "//! File.\n//!More.\n// plain\n//// plain\n/// Doc.\n///\n// between\n///  Two.\n\
                test a { // in\n run `a // no` // behind\n}\n// end";
    let module = good(text);
    let source = Source::new("a.plan", text);
    let comments: Vec<_> = module
        .comments
        .iter()
        .map(|comment| source.slice(comment.span))
        .collect();
    assert_eq!(
        comments,
        [
            "// plain",
            "//// plain",
            "// between",
            "// in",
            "// behind",
            "// end"
        ]
    );
    let docs: Vec<_> = module.docs.iter().map(|doc| doc.text.as_str()).collect();
    assert_eq!(docs, ["File.", "More."]);
    let docs: Vec<_> = module.items[0]
        .docs
        .iter()
        .map(|doc| doc.text.as_str())
        .collect();
    assert_eq!(docs, ["Doc.", "", " Two."]);
    assert_eq!(source.slice(module.items[0].docs[0].span), "/// Doc.");
    assert!(source.slice(module.items[0].span).starts_with("test a"));
}

#[test]
fn documentation_of_nothing_is_reported_and_the_item_is_read() {
    let text = "test a {\n  /// no\n  run `x`\n}\n//! late\ndisk b { size = 1 }\n/// end";
    let mistakes = found(text);
    let places: Vec<_> = mistakes
        .iter()
        .map(|(code, place, _)| (*code, place.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (Code::P0119, "/// no"),
            (Code::P0119, "//! late"),
            (Code::P0119, "/// end")
        ]
    );
    let module = parse(text, &mut Bag::default());
    assert!(matches!(module.items[0].kind, ItemKind::Test(_)));
    assert!(matches!(module.items[1].kind, ItemKind::Disk(_)));
    assert_eq!(module.comments.len(), 3);
}

// Places.

#[test]
fn places_are_exact() {
    let text = "// ü\ntest a after b.c , d {\n  within 1min  // x\n  run `y` within 2s  expect exit == 0 \n  \
                let t : size in KiB = run `z`  \n  check ( a ) + f ( b , c )  \n}\n\
                matrix m { image = each a , b.c  exclude  x == y  }\n";
    let module = good(text);
    let source = Source::new("a.plan", text);
    let slice = |span| source.slice(span);
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    assert_eq!(slice(test.name.span), "a");
    assert_eq!(slice(test.after[0].span), "b.c");
    assert_eq!(slice(test.after[0].segments[1].span), "c");
    let mut places = Vec::new();
    for clause in &test.body {
        match clause {
            Clause::Within(keyword, limit) => {
                places.extend([slice(*keyword), slice(limit.span)]);
            }
            Clause::Step(step) => {
                places.push(slice(step.span));
                places.extend(step.modifiers.iter().map(|modifier| slice(modifier.span)));
                if let StepKind::Let { r#type, .. } = &step.kind {
                    places.push(slice(r#type.span));
                }
                if let StepKind::Check(value) = &step.kind {
                    places.push(slice(value.span));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        places,
        [
            "within",
            "1min",
            "run `y` within 2s  expect exit == 0",
            "within 2s",
            "expect exit == 0",
            "let t : size in KiB = run `z`",
            "size in KiB",
            "check ( a ) + f ( b , c )",
            "( a ) + f ( b , c )",
        ]
    );
    let ItemKind::Matrix(matrix) = &module.items[1].kind else {
        panic!("no matrix");
    };
    assert_eq!(slice(matrix.axes[0].span), "image = each a , b.c");
    assert_eq!(slice(matrix.excludes[0].span), "x == y");
}

// Mistakes.

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
        // A unit apart from its number.
        ("disk d { size = 10 GiB }", P0112, "10 GiB"),
        ("disk d { size = 10  GiB  x = y }", P0112, "10  GiB"),
        ("test a { within 30 s run `x` }", P0112, "30 s"),
        ("test a { check x > 90 % of y }", P0112, "90 %"),
        // One `=`.
        ("test a { check a = b }", P0113, "="),
        ("matrix m { exclude a = b }", P0113, "="),
        ("test a { run `x` expect exit = 0 }", P0113, "="),
        // Commands.
        ("test a { `x` }", P0114, "`x`"),
        ("test a { run `x` `y` }", P0114, "`y`"),
        ("test a { finally { `x` } }", P0114, "`x`"),
        ("test a { let x: string = `y` }", P0114, "`y`"),
        ("test a { run \"x\" }", P0115, "\"x\""),
        ("test a { run x -t y }", P0115, "x"),
        ("test a { run 'x' }", P0115, "'"),
        ("test a { run /bin/x }", P0115, "/"),
        ("test a { run `x` find \"y\" }", P0115, "\"y\""),
        // Keywords.
        ("test a { writs x }", P0116, "writs"),
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
        ("let x = 3", P0107, "let"),
        ("{ \"a\": [1, \"2] }", P0107, "{"),
        // Everything else.
        ("test a { check a b }", P0108, "b"),
        ("test a { check f(a b) }", P0108, "b"),
        ("test a { check a && b }", P0108, "&&"),
        ("test a { check a not in b }", P0108, "not"),
        ("test a { check a - b }", P0108, "-"),
        ("test a { check 2027-01-31 == a }", P0108, "2027-01-31"),
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
        ("test a run `b`", "expected `after` or `{`, found `run`"),
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
            "expected `after` or `{`, found the end of the item",
        ),
        ("image a { os linux }", "expected `=`, found `linux`"),
        ("test a { let b = run `c` }", "expected `:`, found `=`"),
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

// Recovery.

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
        "boot marker { mode = uefi }\ntest a { }\nlorem ipsum (dolor\nsit amet\ntest b { }\n";
    let codes: Vec<_> = found(text)
        .into_iter()
        .map(|(code, place, _)| (code, place))
        .collect();
    assert_eq!(
        codes,
        [
            (Code::P0107, "boot".to_owned()),
            (Code::P0107, "lorem".to_owned())
        ]
    );
    let module = parse(text, &mut Bag::default());
    assert!(matches!(&module.items[0].kind, ItemKind::Error(Some(name)) if name.text == "marker"));
    assert_eq!(module.items.len(), 4);
}

// Depth.

#[test]
fn brackets_nest_to_a_limit() {
    let nested = |depth: usize| {
        format!(
            "test a {{ check {}b{} }}",
            "(".repeat(depth),
            ")".repeat(depth)
        )
    };
    let _ = good(&nested(63));
    assert_only(&nested(64), Code::P0106, "(");
    assert_only(&nested(100_000), Code::P0106, "(");
    let calls = format!(
        "test a {{ run `${{{}{}}}` }}",
        "f(".repeat(60),
        ")".repeat(60)
    );
    let _ = good(&calls);
    let calls = format!(
        "test a {{ run `${{{}{}}}` }}",
        "f(".repeat(9999),
        ")".repeat(9999)
    );
    assert_eq!(only(&calls).0, Code::P0110);
}

#[test]
fn what_nests_as_deep_as_it_may_fits_a_small_stack() {
    let text = format!(
        "test a {{ check {}b{} run `${{{}{}}}` let x: {}string{} = run `y` }}",
        "f([(".repeat(20),
        ")])".repeat(20),
        "f(".repeat(64),
        ")".repeat(64),
        "[".repeat(60),
        "]".repeat(60),
    );
    let reader = std::thread::Builder::new().stack_size(1 << 20);
    let module = reader.spawn(move || good(&text)).expect("a thread starts");
    assert_eq!(module.join().expect("it is read").items.len(), 1);
}

#[test]
fn operators_nest_to_a_limit() {
    let chain = |operators: usize| format!("test a {{ check b{} }}", " + b".repeat(operators));
    let _ = good(&chain(256));
    assert_eq!(only(&chain(257)).0, Code::P0106);
    let negated = format!("test a {{ check {} b }}", "not ".repeat(200_000));
    assert_eq!(only(&negated).0, Code::P0106);
    let wide = format!("test a {{ check b in [{}c] }}", "c + c, ".repeat(1000));
    let _ = good(&wide);
}

#[test]
fn a_long_file_takes_no_more_than_its_share() {
    let docs = "/// a\n".repeat(20_000);
    let text = format!("test a {{\n{docs}");
    assert_eq!(found(&text).len(), 20_001);
    let words = "x ".repeat(100_000);
    assert_eq!(found(&words).len(), 1);
    let marks = "}".repeat(100_000);
    assert_eq!(found(&marks).len(), 1);
    for mark in ["`", "\"", "{", "/", "'"] {
        let marks = format!("test a {{ {}", mark.repeat(1_000_000));
        assert_eq!(found(&marks).len(), 1, "{mark}");
    }
    let word = "x".repeat(1_000_000);
    assert_eq!(found(&word).len(), 1);
    let items = "test a { run }\n".repeat(2_000);
    assert_eq!(found(&items).len(), 2_000);
}

// Bytes.

/// The only mistake that `bytes` are refused for.
fn refused(bytes: &[u8]) -> Diagnostic {
    let mut bag = Bag::default();
    assert!(decode("a.plan", bytes, &mut bag).is_none());
    let [diagnostic] = bag.into_sorted().try_into().expect("one mistake");
    diagnostic
}

#[test]
fn a_file_must_hold_something() {
    for text in ["", "  \r\n\t", "// a\n\n  /// b\n//! c", "\u{feff}"] {
        assert_eq!(refused(text.as_bytes()).code, Code::P0101, "{text:?}");
    }
}

#[test]
fn a_file_must_be_utf_8() {
    let diagnostic = refused(b"test a {\n  \xff }");
    assert_eq!(diagnostic.code, Code::P0102);
    assert!(diagnostic.help.contains("byte 11"), "{}", diagnostic.help);
    assert!(diagnostic.help.contains("line 2"), "{}", diagnostic.help);
    let utf16 = refused(b"\xff\xfet\0e\0");
    assert!(utf16.help.contains("UTF-16"), "{}", utf16.help);
}

#[test]
fn a_file_has_a_largest_size() {
    let mut bytes = vec![b' '; MAX_SOURCE_BYTES];
    assert_eq!(refused(&bytes).code, Code::P0101);
    bytes.push(b' ');
    assert_eq!(refused(&bytes).code, Code::P0103);
}

#[test]
fn a_byte_order_mark_is_dropped() {
    let mut bag = Bag::default();
    let source = decode("a.plan", "\u{feff}test a { }".as_bytes(), &mut bag).expect("it is text");
    assert_eq!(source.text(), "test a { }");
    assert_eq!(good(source.text()).items.len(), 1);
}

#[test]
fn control_characters_are_one_mistake_and_the_rest_is_read() {
    for control in ["\0", "\r", "\x1b", "\u{202e}", "\u{85}", "\u{feff}"] {
        let text = format!("test a {{ run `x {control} y` check {control} b }}");
        assert_only(&text, Code::P0109, control);
        let module = parse(&text, &mut Bag::default());
        assert!(matches!(module.items[0].kind, ItemKind::Test(_)));
    }
}

// Pages.

#[test]
fn the_wrong_example_of_a_page_shows_the_mistake_and_the_right_one_does_not() {
    for code in Code::ALL {
        if !code.name().starts_with("P01") {
            continue;
        }
        let page = code.page();
        let heading = format!("# {code}: {}\n", code.summary());
        assert!(page.starts_with(&heading), "{code}");
        assert!(page.contains("\n## What to do\n"), "{code}");
        // No fence can show a file that is too large, no text, or holds what shows nothing.
        let unseen = matches!(code, Code::P0102 | Code::P0103 | Code::P0109);
        assert_eq!(fences(page, "plan-wrong").is_empty(), unseen, "{code}");
        for wrong in fences(page, "plan-wrong") {
            let codes = codes_of(&wrong);
            assert!(!codes.is_empty(), "{code}: {wrong}");
            assert!(codes.iter().all(|found| found == code), "{code}: {codes:?}");
        }
        for right in fences(page, "text") {
            assert_eq!(codes_of(&right), [], "{code}: {right}");
        }
    }
}

fn codes_of(text: &str) -> Vec<Code> {
    let mut bag = Bag::default();
    if let Some(source) = decode("a.plan", text.as_bytes(), &mut bag) {
        let _ = parse(source.text(), &mut bag);
    }
    bag.into_sorted()
        .into_iter()
        .map(|diagnostic| diagnostic.code)
        .collect()
}

/// The texts of the fences of a page that are marked `kind`.
fn fences(page: &str, kind: &str) -> Vec<String> {
    page.split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|fence| fence.split_once('\n'))
        .filter(|(mark, _)| *mark == kind)
        .map(|(_, text)| text.to_owned())
        .collect()
}

// Anything at all.

/// Reads `bytes` and holds what must hold of any reading.
fn survives(bytes: &[u8]) {
    let mut bag = Bag::default();
    let Some(source) = decode("a.plan", bytes, &mut bag) else {
        assert!(bag.has_errors());
        return;
    };
    let module = parse(source.text(), &mut bag);
    let mistakes = bag.into_sorted();
    let spans = Regex::new(r"Span \{ start: (\d+), end: (\d+) \}").expect("a pattern");
    for shown in [format!("{module:?}"), format!("{mistakes:?}")] {
        for span in spans.captures_iter(&shown) {
            let place = |group: usize| span[group].parse::<usize>().expect("a number");
            let (start, end) = (place(1), place(2));
            assert!(start <= end, "{start}..{end}");
            assert!(source.text().get(start..end).is_some(), "{start}..{end}");
        }
    }
    for pair in module.items.windows(2) {
        assert!(pair[0].span.end <= pair[1].span.start, "items overlap");
    }
    for pair in module.comments.windows(2) {
        assert!(pair[0].span.end <= pair[1].span.start, "comments overlap");
    }
    let broken = module
        .items
        .iter()
        .any(|item| matches!(item.kind, ItemKind::Error(_)));
    assert!(
        !broken || !mistakes.is_empty(),
        "an error without a message"
    );
}

/// Words, marks and pieces of them, as an author's fingers mix them up.
const DICTIONARY: &[&str] = &[
    "image",
    "axis",
    "matrix",
    "disk",
    "test",
    "plan",
    "each",
    "exclude",
    "tests",
    "after",
    "reads",
    "writes",
    "within",
    "takes",
    "finally",
    "run",
    "let",
    "check",
    "expect",
    "any",
    "find",
    "in",
    "all",
    "raw",
    "and",
    "or",
    "not",
    "has",
    "matches",
    "of",
    "without",
    "true",
    "false",
    "a",
    "b.c",
    "us-gov-west-1",
    "u-6tb1.112xlarge",
    "10GiB",
    "90%",
    "$5.00",
    "9.4.1",
    "1..2",
    "10 GiB",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "=",
    "==",
    "<=",
    "+",
    "*",
    "..",
    ".",
    "-",
    "\"",
    "\"x\"",
    "\\",
    "`",
    "`x`",
    "`${a}`",
    "`${a:-b}`",
    "${",
    "$${",
    "//",
    "///",
    "//!",
    "////",
    "\n",
    "\n\n",
    "\r\n",
    "\n  ",
    " ",
    "\t",
    "\0",
    "ü",
    "\u{202e}",
    "'",
    ";",
    "#",
    "&&",
    "\n}\n",
    "\ntest x {",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_soup_of_words_makes_it_panic(
        words in prop::collection::vec((prop::sample::select(DICTIONARY), any::<bool>()), 0..80),
    ) {
        let mut text = String::new();
        for (word, blank) in words {
            text.push_str(word);
            if blank {
                text.push(' ');
            }
        }
        survives(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        survives(text.as_bytes());
    }

    #[test]
    fn no_cut_and_no_change_of_a_good_file_makes_it_panic(
        cut in 0..STORAGE.len(),
        changes in prop::collection::vec(
            (0..STORAGE.len(), prop::sample::select(DICTIONARY), 0..12_usize),
            0..6,
        ),
    ) {
        survives(&STORAGE.as_bytes()[..cut]);
        let mut bytes = STORAGE.as_bytes().to_vec();
        for (at, word, length) in changes {
            let end = (at + length).min(bytes.len());
            let start = at.min(end);
            bytes.splice(start..end, word.bytes());
        }
        survives(&bytes);
    }
}
