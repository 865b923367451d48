//! Values in commands, held to a real shell: whatever a value is, a command gets it unchanged, and
//! never more than it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use dva_compiler::shell::{Element, Standing, scan};
use dva_plan::eval::NoFacts;
use dva_plan::expr::{ExpressionBuilder, Node};
use dva_plan::template::{Piece, Place, Template};
use dva_plan::value::Value;
use proptest::prelude::*;

/// Commands that print their values between brackets, where their values stand, and what they must
/// print; `@` stands for a value.
const COMMANDS: [(&str, &[Place], &str); 10] = [
    ("printf '[%s]' @", &[Place::Bare], "[@]"),
    ("printf '[%s]' a@b", &[Place::Bare], "[a@b]"),
    ("printf '[%s]' \"@\"", &[Place::Double], "[@]"),
    (
        "printf '[%s]' \"it's @ \\\" here\" # it's",
        &[Place::Double],
        "[it's @ \" here]",
    ),
    ("printf '[%s]' '@'", &[Place::Single], "[@]"),
    (
        "printf '[%s]' 'a\"'@'\"' \"@'\"",
        &[Place::Bare, Place::Double],
        "[a\"@\"][@']",
    ),
    ("sh -c 'printf \"[%s]\" \"$1\"' sh @", &[Place::Bare], "[@]"),
    (
        "printf '[%s]' \\$@ \"\\$@\"",
        &[Place::Bare, Place::Double],
        "[$@][$@]",
    ),
    ("v=@; printf '[%s]' \"$v\"", &[Place::Bare], "[@]"),
    (
        "printf '[%s]' \"$(printf '%s' a; echo \"b c\")\" '@' $((1 + 2)) @",
        &[Place::Single, Place::Bare],
        "[ab c][@][3][@]",
    ),
];

/// The places of the values of `text`, in which `@` stands for one; `None` where the compiler would
/// refuse the command.
fn places(text: &str) -> Option<Vec<Place>> {
    let scan = scan(&elements(text));
    if scan.unclosed.is_some() {
        return None;
    }
    let places = scan.values.iter().map(|standing| match standing {
        Standing::At(place) => Some(*place),
        // One value that is no list.
        Standing::Joined => Some(Place::Bare),
        Standing::Refused(_) => None,
    });
    places.collect()
}

fn elements(text: &str) -> Vec<Element<'_>> {
    let mut elements = Vec::new();
    for (number, part) in text.split('@').enumerate() {
        if number > 0 {
            elements.push(Element::Value);
        }
        elements.push(Element::Text(part));
    }
    elements
}

/// The command with `value` in each of its places, as the runtime makes it.
fn rendered(text: &str, places: &[Place], value: &str) -> String {
    let mut nodes = ExpressionBuilder::default();
    let expr = nodes.add(Node::Const(Value::String(value.to_owned())));
    let mut places = places.iter();
    let pieces = elements(text)
        .into_iter()
        .filter_map(|element| match element {
            Element::Text(text) => Some(Piece::Lit(text.to_owned())),
            Element::Value => places.next().map(|place| Piece::Arg {
                expr,
                place: *place,
            }),
            Element::Raw => None,
        });
    let template = Template(pieces.collect());
    template
        .render(nodes.expressions(), &NoFacts)
        .expect("a text renders")
}

/// The shells that are here: what `/bin/sh` is, and bash, which is `/bin/sh` of many images.
fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["/bin/sh", "-c"]];
    if Path::new("/bin/bash").exists() {
        shells.push(vec!["/bin/bash", "--posix", "-c"]);
    }
    shells
}

fn run(shell: &[&str], command: &str) -> Output {
    Command::new(shell[0])
        .args(&shell[1..])
        .arg(command)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell")
}

/// Runs one of [`COMMANDS`] with `value` in every shell.
fn check(command: usize, value: &str) {
    let (text, expected_places, prints) = COMMANDS[command];
    assert_eq!(places(text).as_deref(), Some(expected_places), "{text}");
    let command = rendered(text, expected_places, value);
    for shell in shells() {
        let output = run(&shell, &command);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{shell:?} {command:?}: {output:?}");
        assert_eq!(printed, prints.replace('@', value), "{shell:?} {command:?}");
    }
}

#[test]
fn values_that_would_break_out_stay_values() {
    for value in [
        "",
        " ",
        "a b",
        "'",
        "\"",
        "''",
        "\\",
        "\\'",
        "$(exit 3)",
        "`id`",
        "$HOME",
        "${HOME}",
        "a\nb",
        "\n",
        "*",
        "~",
        "-n",
        "; exit 3",
        "a' ; exit 3 '",
        "\" ; exit 3 \"",
        "!!",
        "#",
        "\\n",
        "é☃",
        "%s",
    ] {
        for command in 0..COMMANDS.len() {
            check(command, value);
        }
    }
}

/// What random commands are made of. None of it writes, waits or reads.
const PARTS: [&str; 14] = [
    "@", "@", "@", "a", " ", "\\", "$", "\\a", "\\'", "\\\"", "$$", "; p ", "\n p ", "#",
];

/// What parts of a command may stand in.
const AROUND: [(&str, &str); 12] = [
    ("", ""),
    (" ", " "),
    ("'", "'"),
    ("\"", "\""),
    ("\"", "\""),
    ("$(p ", ")"),
    ("`p ", "`"),
    ("${V:-", "}"),
    ("$((1+", "))"),
    (" # ", "\n p "),
    ("\n p <<E\n", "\nE\n p "),
    ("$'", "'"),
];

fn command_text() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(&PARTS[..]).prop_map(str::to_owned);
    part.prop_recursive(4, 24, 4, |inner| {
        let around = proptest::sample::select(&AROUND[..]);
        (around, proptest::collection::vec(inner, 1..5))
            .prop_map(|((open, close), parts)| format!("{open}{}{close}", parts.concat()))
    })
}

/// What random values are made of; if `printf` is ever run, it prints `BROKEN`.
const HOSTILE: [&str; 16] = [
    "'",
    "\"",
    "\\",
    "$",
    "`",
    "(",
    ")",
    "{",
    "}",
    ";",
    "\n",
    "#",
    "$(printf BRO%s KEN)",
    "printf BRO%s KEN",
    "`printf BRO%s KEN`",
    "E\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn no_value_leaves_its_place(value in "([a-c '\"\\\\$`;&|<>(){}*?#~!\n=-]|\\$\\(|\\$\\{){0,12}", command in 0..COMMANDS.len()) {
        check(command, &value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Whatever a command looks like: where the compiler takes it, no value in it is run.
    #[test]
    fn no_value_is_run(
        text in command_text(),
        value in proptest::collection::vec(proptest::sample::select(&HOSTILE[..]), 1..6),
    ) {
        let text = format!("p() {{ printf '[%s]' \"$*\"; }}; p {text}");
        if let Some(places) = places(&text) {
            let command = rendered(&text, &places, &value.concat());
            for shell in shells() {
                let printed = run(&shell, &command).stdout;
                let printed = String::from_utf8_lossy(&printed);
                prop_assert!(!printed.contains("BROKEN"), "{:?} ran the value of {:?}", shell, command);
            }
        }
    }
}
