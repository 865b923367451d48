//! What the grammar accepts and refuses, file by file.

use std::path::Path;

use dva_grammar::{PlanParser, Rule, rule_name};
use pest::Parser;
use pest::iterators::Pair;

/// Why a text is refused, or nothing. A hole is parsed on its own, as the compiler does.
fn refusal(text: &str) -> Option<String> {
    let pairs = match PlanParser::parse(Rule::file, text) {
        Ok(pairs) => pairs,
        Err(error) => return Some(error.to_string()),
    };
    pairs
        .flatten()
        .filter(|pair| pair.as_rule() == Rule::hole)
        .find_map(refusal_of_hole)
}

fn refusal_of_hole(hole: Pair<'_, Rule>) -> Option<String> {
    let parts: Vec<_> = hole.into_inner().collect();
    let [body, _close] = parts.as_slice() else {
        return Some("a hole has no end".to_owned());
    };
    PlanParser::parse(Rule::one_hole, body.as_str())
        .err()
        .map(|error| error.to_string())
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

/// A file cut off anywhere is refused or accepted, and nothing else happens.
#[test]
fn a_file_cut_off_anywhere_is_parsed_without_a_panic() {
    for (_, text) in corpus("ok") {
        for (end, _) in text.char_indices() {
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
