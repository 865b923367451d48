//! Texts that nobody would write.

use std::sync::LazyLock;

use super::*;

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

/// Marks, words and pieces of them, as an author's fingers mix them up.
const MARKS: &[&str] = &[
    "in",
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
    "->",
    "|",
    ">=",
    ".*",
    "8.*",
    "2027-01-31",
    "15-SP6",
    "\"${a}\"",
    "\"${\"",
    "a[b]",
    "\nlet x = ",
    "\nlet x: int = run `y`",
    "else skip",
    "boot b",
    "has none",
];

/// These, and every keyword of the grammar.
static DICTIONARY: LazyLock<Vec<String>> = LazyLock::new(|| {
    let keywords = dva_grammar::Rule::all_rules()
        .iter()
        .filter_map(|rule| format!("{rule:?}").strip_prefix("kw_").map(str::to_owned));
    let marks = MARKS.iter().map(|mark| (*mark).to_owned());
    keywords.chain(marks).collect()
});

/// Files without mistakes that together hold everything.
const FILES: [&str; 7] = [
    STORAGE,
    include_str!("../../../../grammar/corpus/ok/modules.plan"),
    include_str!("../../../../grammar/corpus/ok/matrices.plan"),
    include_str!("../../../../grammar/corpus/ok/effects.plan"),
    include_str!("../../../../grammar/corpus/ok/steps.plan"),
    include_str!("../../../../grammar/corpus/ok/plans.plan"),
    include_str!("../../../../grammar/corpus/ok/literals.plan"),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_soup_of_words_makes_it_panic(
        words in prop::collection::vec((prop::sample::select(DICTIONARY.as_slice()), any::<bool>()), 0..80),
    ) {
        let mut text = String::new();
        for (word, blank) in words {
            text.push_str(&word);
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
        file in prop::sample::select(&FILES[..]),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(DICTIONARY.as_slice()), 0..12_usize),
            0..6,
        ),
    ) {
        survives(&file.as_bytes()[..cut.index(file.len())]);
        let mut bytes = file.as_bytes().to_vec();
        for (at, word, length) in changes {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, word.bytes());
        }
        survives(&bytes);
    }
}
