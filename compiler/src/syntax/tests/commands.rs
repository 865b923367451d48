//! Text in backticks and its holes.

use super::*;

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
