//! The modules of the standard library, written in the language: `use std.storage`.
//!
//! They are sources like any other and lie beside this crate's manifest; the compiler reads them as it
//! reads those of an author.

/// The first word of their names.
pub const STD: &str = "std";

/// Their names behind `std.`, ascending, and their texts.
const MODULES: [(&str, &str); 3] = [
    ("boot", include_str!("../boot.plan")),
    ("services", include_str!("../services.plan")),
    ("storage", include_str!("../storage.plan")),
];

/// The text of the module `std.NAME`.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    let mut modules = MODULES.iter();
    modules.find(|(own, _)| *own == name).map(|(_, text)| *text)
}

/// What modules are called behind `std.`, ascending.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}
