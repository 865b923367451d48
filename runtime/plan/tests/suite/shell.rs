//! Rendered commands against a real `sh`: a value comes out as it went in, wherever it stands.

use std::process::Command;

use dva_plan::eval::{EvalFault, NoFacts};
use dva_plan::expr::{ExpressionBuilder, Node};
use dva_plan::template::{Piece, Place, Template, quote};
use dva_plan::value::Value;
use proptest::prelude::*;

/// What `sh` prints for `printf %s` of `values`, each in its place, one after the other.
fn printed(values: &[(Place, Value)]) -> String {
    let mut nodes = ExpressionBuilder::default();
    let mut pieces = vec![Piece::Lit("printf '%s\\n'".into())];
    for (place, value) in values {
        let expr = nodes.add(Node::Const(value.clone()));
        let (before, after) = match place {
            Place::Bare => (" ", ""),
            Place::Double => (" \"<", ">\""),
            Place::Single => (" '<", ">'"),
        };
        pieces.push(Piece::Lit(before.into()));
        pieces.push(Piece::Arg {
            expr,
            place: *place,
        });
        pieces.push(Piece::Lit(after.into()));
    }
    let text = Template(pieces)
        .render(&nodes.finish(), &NoFacts)
        .expect("it renders");
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(&text)
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{text:?}: {output:?}");
    String::from_utf8(output.stdout).expect("sh prints what it was given")
}

/// Texts that shells trip over.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("'"),
        Just("\""),
        Just("`"),
        Just("$"),
        Just("$(false)"),
        Just("${x}"),
        Just("\\"),
        Just("\n"),
        Just(";"),
        Just("&"),
        Just("|"),
        Just("*"),
        Just("~"),
        Just("!"),
        Just("#"),
        Just(" "),
        Just("-n"),
        Just("a"),
        Just("ü"),
        Just("\u{1}"),
        Just("%s"),
        Just("''a; exit 1 ''"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn hostile_values_arrive_unchanged(bare in hostile(), double in hostile(), single in hostile()) {
        let out = printed(&[
            (Place::Bare, Value::String(bare.clone())),
            (Place::Double, Value::String(double.clone())),
            (Place::Single, Value::String(single.clone())),
        ]);
        prop_assert_eq!(out, format!("{bare}\n<{double}>\n<{single}>\n"));
    }
}

#[test]
fn a_list_becomes_words_where_it_stands_bare() {
    let list = Value::List(
        ["a b", "", "c'd"]
            .map(|item| Value::String(item.into()))
            .to_vec(),
    );
    assert_eq!(printed(&[(Place::Bare, list.clone())]), "a b\n\nc'd\n");
    assert_eq!(printed(&[(Place::Double, list)]), "<a b  c'd>\n");
}

#[test]
fn what_has_no_text_is_refused() {
    for value in [
        Value::Bytes(1),
        Value::Ms(1),
        Value::Ratio(1, 2),
        Value::String("a\0b".into()),
    ] {
        assert_eq!(quote(&value, Place::Bare), Err(EvalFault::Ill), "{value}");
    }
}
