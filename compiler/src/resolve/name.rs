//! Names as authors write them: which may be declared.

use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::syntax::ast;

/// The words that no author may declare: the language's own values, and those that operators are
/// made of.
pub const RESERVED: [&str; 21] = [
    "all", "and", "any", "each", "exit", "false", "has", "image", "in", "instance", "machine",
    "matches", "not", "of", "or", "raw", "region", "stderr", "stdout", "true", "without",
];

/// Kinds of names that facts of machines and images have.
const KINDS: [&str; 6] = ["arch", "family", "hypervisor", "medium", "os", "partition"];

/// Reports the name of an axis or of an author's fact that is that of another kind of names: the words of
/// both would be taken for each other. False where it is one.
pub(crate) fn check_kind(name: &ast::Name, bag: &mut Bag) -> bool {
    let is_kind = KINDS.contains(&name.text.as_str());
    if is_kind {
        let label = format!("`{}` is a kind of names of the catalog", name.text);
        let help = format!(
            "Its words are known in every file. Choose another name, for example `own_{}`.",
            name.text
        );
        bag.push(Diagnostic::new(Code::P0203, name.span, label).help(help));
    }
    !is_kind
}

/// Reports a name that no author may declare.
pub(crate) fn check_name(name: &ast::Name, catalog: &Catalog, bag: &mut Bag) {
    let text = name.text.as_str();
    let well_formed = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !well_formed {
        let better: String = text
            .chars()
            .map(|c| match c {
                'A'..='Z' => c.to_ascii_lowercase(),
                'a'..='z' | '0'..='9' => c,
                _ => '_',
            })
            .collect();
        let better = better.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        let mut help =
            "A name that is declared has lower-case letters, digits and `_`, and begins \
                        with a letter. Hyphens and dots belong to the names of the catalog."
                .to_owned();
        if !better.is_empty() {
            help.push_str(&format!(" `{better}` would do."));
        }
        let label = format!("`{text}` is not a name of this form");
        bag.push(Diagnostic::new(Code::P0202, name.span, label).help(help));
    } else if RESERVED.contains(&text) {
        let label = format!("`{text}` is a word of the language");
        bag.push(Diagnostic::new(Code::P0203, name.span, label).help("Choose another name."));
    } else if catalog.holds(text) {
        let label = format!("`{text}` is in the catalog of regions, types and architectures");
        bag.push(Diagnostic::new(Code::P0203, name.span, label).help(
            "A word of the catalog means the same in every file, so it cannot be declared. Choose \
             another name.",
        ));
    }
}

/// The words of `path` with their dots.
pub(crate) fn dotted(path: &ast::Path) -> String {
    dotted_words(&path.segments)
}

/// `words` with dots between them.
pub(crate) fn dotted_words(words: &[ast::Name]) -> String {
    let words: Vec<_> = words.iter().map(|name| name.text.as_str()).collect();
    words.join(".")
}
