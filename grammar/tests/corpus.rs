//! What the grammar accepts and refuses, file by file.

use std::collections::BTreeSet;
use std::path::Path;

use dva_grammar::{PlanParser, Rule, rule_name};
use pest::Parser;
use pest::iterators::Pair;

/// The rules that match no text of their own, so that no pair shows them.
const SILENT: [Rule; 13] = [
    Rule::item,
    Rule::test_head,
    Rule::modifiers,
    Rule::modifier_start,
    Rule::operand,
    Rule::infix,
    Rule::infix_start,
    Rule::segment_start,
    Rule::word_rest,
    Rule::word_char,
    Rule::reserved,
    Rule::rest_of_line,
    Rule::WHITESPACE,
];

/// The rules that a text uses, or why it is refused. Holes are parsed on their own, as the compiler
/// does, and the values in texts too.
fn read(text: &str) -> Result<Vec<Rule>, String> {
    let mut used = Vec::new();
    for pair in parse(Rule::file, text)? {
        used.push(pair.as_rule());
        match pair.as_rule() {
            Rule::hole => used.extend(read_hole(pair)?),
            Rule::string => used.extend(read_values(pair.as_str())?),
            _ => {}
        }
    }
    Ok(used)
}

fn read_hole(hole: Pair<'_, Rule>) -> Result<Vec<Rule>, String> {
    let parts: Vec<_> = hole.into_inner().collect();
    let [body, _close] = parts.as_slice() else {
        return Err("a hole has no end".to_owned());
    };
    rules(Rule::one_hole, body.as_str())
}

fn read_values(string: &str) -> Result<Vec<Rule>, String> {
    let mut used = Vec::new();
    let string = string.replace("$${", "");
    for value in string.split("${").skip(1) {
        let (value, _) = value.split_once('}').ok_or("a value has no end")?;
        used.extend(rules(Rule::one_value, value)?);
    }
    Ok(used)
}

fn rules(rule: Rule, text: &str) -> Result<Vec<Rule>, String> {
    Ok(parse(rule, text)?.map(|pair| pair.as_rule()).collect())
}

/// All pairs that `text` is read as, each before its parts.
fn parse(rule: Rule, text: &str) -> Result<impl Iterator<Item = Pair<'_, Rule>>, String> {
    match PlanParser::parse(rule, text) {
        Ok(pairs) => Ok(pairs.flatten()),
        Err(error) => Err(error.to_string()),
    }
}

fn refusal(text: &str) -> Option<String> {
    read(text).err()
}

/// The files of a folder of the corpus with their texts, in order.
fn corpus(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("the corpus can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "plan")
        })
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a file of the corpus is text");
            (path.display().to_string(), text)
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

#[test]
fn what_is_ok_is_accepted() {
    for (name, text) in corpus("ok") {
        assert_eq!(refusal(&text), None, "{name}");
    }
}

#[test]
fn what_is_bad_is_refused() {
    for (name, text) in corpus("bad") {
        assert!(refusal(&text).is_some(), "{name} is accepted");
    }
}

/// What no accepted file shows is either forgotten or not needed.
#[test]
fn every_rule_is_used_by_a_file_that_is_ok() {
    let mut used = BTreeSet::new();
    for (name, text) in corpus("ok") {
        used.extend(read(&text).unwrap_or_else(|why| panic!("{name}: {why}")));
    }
    // An item by itself is parsed as a file of one is.
    used.insert(Rule::one_item);
    let unused: Vec<_> = Rule::all_rules()
        .iter()
        .filter(|rule| !used.contains(rule))
        .filter(|rule| !SILENT.contains(rule))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
    let shown: Vec<_> = SILENT.iter().filter(|rule| used.contains(rule)).collect();
    assert!(shown.is_empty(), "not silent: {shown:?}");
}

/// A file cut off anywhere is refused or accepted, and nothing else happens. Long files are cut less
/// often, since each cut reads the file again.
#[test]
fn a_file_cut_off_anywhere_is_parsed_without_a_panic() {
    for (_, text) in corpus("ok") {
        let step = 1 + text.len() / 100;
        for (end, _) in text.char_indices().step_by(step) {
            let _ = refusal(&text[..end]);
        }
    }
}

#[test]
fn a_name_is_a_keyword_in_backticks_or_a_description() {
    for rule in Rule::all_rules() {
        let Some(name) = rule_name(*rule) else {
            continue;
        };
        let quoted = name.len() > 2 && name.starts_with('`') && name.ends_with('`');
        let described = ["a ", "an ", "the "]
            .iter()
            .any(|article| name.starts_with(article));
        assert!(quoted || described, "{rule:?} is called {name}");
    }
}

/// A clause ends where the next one begins, and nothing stands between: so none begins with what a value
/// could go on with, or with what begins a value.
#[test]
fn no_clause_begins_with_a_bracket_an_operator_or_a_literal() {
    let rules = [
        Rule::clause,
        Rule::step,
        Rule::modifier,
        Rule::plan_clause,
        Rule::exclude,
    ];
    for start in [
        "(a)",
        "[a]",
        "{ }",
        "\"a\"",
        "`a`",
        "12",
        "$5",
        "2027-01-31",
        "8.*",
        "true",
        ".a",
        ", a",
        "and a",
        "or a",
        "not a",
        "in a",
        "has a",
        "has all a",
        "has none a",
        "matches a",
        "of a",
        "without a",
        "== a",
        "!= a",
        "< a",
        "<= a",
        "> a",
        ">= a",
        ".. a",
        "+ a",
        "* a",
        "= a",
    ] {
        for rule in rules {
            assert!(PlanParser::parse(rule, start).is_err(), "{rule:?} {start}");
        }
    }
}

/// Small is a feature: a keyword that no piece needs has no place.
#[test]
fn the_reference_says_what_each_keyword_is_for() {
    let reference = include_str!("../README.md");
    let (_, table) = reference
        .split_once("## What earns its place")
        .expect("the section is there");
    let words: BTreeSet<_> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(str::split_whitespace)
        .collect();
    for rule in Rule::all_rules() {
        let rule = format!("{rule:?}");
        if let Some(keyword) = rule.strip_prefix("kw_") {
            assert!(words.contains(keyword), "{keyword} is not in the table");
        }
    }
}

/// Each keyword is guarded: a longer word that begins with it is another word.
#[test]
fn a_keyword_ends_where_the_word_ends() {
    for rule in Rule::all_rules() {
        let Some(keyword) = format!("{rule:?}").strip_prefix("kw_").map(str::to_owned) else {
            continue;
        };
        assert!(PlanParser::parse(*rule, &keyword).is_ok(), "{keyword}");
        for longer in ["s", "_", "-1", "9"] {
            let word = format!("{keyword}{longer}");
            assert!(PlanParser::parse(*rule, &word).is_err(), "{word}");
        }
    }
}
