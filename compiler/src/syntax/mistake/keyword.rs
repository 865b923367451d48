//! The keywords by what they begin, for telling what an author meant.

/// Words that begin a clause of a test that is no step.
pub(super) const CLAUSES: [&str; 12] = [
    "borrows", "finally", "last", "needs", "once", "reads", "retry", "tags", "takes", "when",
    "within", "writes",
];

/// Words that begin a step.
pub(super) const STEPS: [&str; 17] = [
    "assume", "attach", "check", "collect", "console", "detach", "for", "let", "note", "reboot",
    "run", "script", "start", "stop", "upload", "wait", "when",
];

/// Words that begin a modifier of a step.
pub(super) const MODIFIERS: [&str; 8] = [
    "by", "every", "expect", "find", "json", "retry", "with", "within",
];

/// Words that begin a clause of a plan.
pub(super) const PLAN_CLAUSES: [&str; 9] = [
    "again", "gate", "limit", "market", "matrix", "on", "setup", "tests", "waive",
];

/// Words that go on with a clause, and begin none.
pub(super) const CONTINUATIONS: [&str; 9] = [
    "after", "because", "before", "else", "except", "exclude", "per", "until", "where",
];

/// Of the words that begin something, those that stand alone: behind a comma they may be names.
pub(super) const PLAIN_WORDS: [&str; 4] = ["last", "once", "start", "stop"];

/// Words with a condition behind them.
pub(super) const CONDITIONS: [&str; 8] = [
    "assume", "check", "exclude", "expect", "needs", "until", "when", "where",
];

/// Words that can never be names.
pub(super) const RESERVED: [&str; 6] = ["and", "false", "in", "not", "or", "true"];

/// Whether a word begins a part of any block, so that a name in a list is not meant where it stands.
pub(super) fn begins_anything(word: &str) -> bool {
    CLAUSES.contains(&word)
        || STEPS.contains(&word)
        || MODIFIERS.contains(&word)
        || PLAN_CLAUSES.contains(&word)
        || CONTINUATIONS.contains(&word)
}
