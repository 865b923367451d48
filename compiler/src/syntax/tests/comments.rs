//! Comments and documentation.

use super::*;

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
