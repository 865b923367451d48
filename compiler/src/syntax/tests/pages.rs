//! The pages of the codes.

use super::*;

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
