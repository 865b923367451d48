//! Mistakes without a code of their own: what was expected, what was found, and advice.

use std::collections::BTreeSet;

use dva_grammar::{Rule, rule_name};

use super::Place;
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::lex::TokenKind;

/// Words that can never be names.
const RESERVED: [&str; 6] = ["and", "false", "in", "not", "or", "true"];

/// How many alternatives a label names; with more, only that something else was found.
const MAX_EXPECTED: usize = 4;

impl Place<'_> {
    /// Whatever has no code of its own.
    pub(super) fn other(&self) -> Diagnostic {
        if let Some(character) = self.inside_word() {
            return Diagnostic::new(
                Code::P0108,
                self.span(self.at),
                format!("`{character}` does not fit into a word here"),
            )
            .help(
                "Words are of the letters `a` to `z`, digits, `_`, and `-` between two of these.",
            );
        }
        let found = self.found(self.at);
        let expected = self.alternatives();
        let label = match expected.split_last() {
            Some((last, [])) => format!("expected {last}, found {found}"),
            Some((last, others)) if others.len() < MAX_EXPECTED => {
                format!("expected {} or {last}, found {found}", others.join(", "))
            }
            _ => format!("{found} does not fit here"),
        };
        Diagnostic::new(Code::P0108, self.span(self.at), label).help(self.advice())
    }

    /// The character inside of a word where the grammar stopped.
    fn inside_word(&self) -> Option<char> {
        let token = self.tokens.get(self.at)?;
        let inside =
            matches!(token.kind, TokenKind::Word) && (token.span.start as usize) < self.offset;
        let rest = self.text.get(self.offset..)?;
        inside.then(|| rest.chars().next()).flatten()
    }

    /// What was expected, in an author's words, each once, descriptions before keywords and marks.
    fn alternatives(&self) -> Vec<&'static str> {
        let mut names: BTreeSet<&str> = self
            .expected
            .iter()
            .filter_map(|rule| rule_name(*rule))
            .collect();
        if names.contains("a value") {
            // What a value may begin with is no news.
            for part in ["a name", "a text in quotes", "a command in backticks"] {
                names.remove(part);
            }
        }
        if names.len() > 1 {
            // Nearly any value may go on as a call or with an operator.
            names.remove("`(`");
        }
        if names.contains("an operator") && self.is_foreign_operator() {
            return vec!["an operator"];
        }
        if names.len() > 1 {
            names.remove("an operator");
        }
        let (marks, descriptions): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.starts_with('`'));
        descriptions.into_iter().chain(marks).collect()
    }

    /// Whether what was found is an operator, only not one of this language or not in this place.
    fn is_foreign_operator(&self) -> bool {
        let is_mark = matches!(self.kind(self.at), Some(TokenKind::Mark));
        let word = self.word(self.at);
        word == "not" || (is_mark && ![";", "#", "/*", "*/", ",", "'"].contains(&word))
    }

    /// What to do about the mistakes that have no code of their own; may be empty.
    fn advice(&self) -> &'static str {
        self.advice_for_found()
            .or_else(|| self.advice_for_expected())
            .unwrap_or_default()
    }

    /// Advice that what was found calls for.
    fn advice_for_found(&self) -> Option<&'static str> {
        let found = self.word(self.at);
        let assigns = self.expected.contains(&Rule::assign);
        let wants_name = self.wants("a name");
        Some(match found {
            "#" | "/*" | "*/" => "A comment begins with `//` and goes to the end of its line.",
            "'" | "‘" | "’" | "“" | "”" => {
                "Text stands in straight double quotes, a command in backticks."
            }
            ";" => "Take it away: a clause ends where the next one begins.",
            "&&" | "&" => "Write `and`.",
            "||" | "|" => "Write `or`.",
            "!" => "Write `not`.",
            "not" if self.word(self.at + 1) == "in" => "Write `not (x in y)`.",
            "-" | "/" if self.wants("an operator") => {
                "There is no such operator; a hyphen belongs to a word. A part of something is \
                 written as a share: `50% of x`."
            }
            "-" if self.wants("a value") => "There are no negative numbers.",
            ">" | "<" | ">=" | "<=" | "==" if assigns => "A field gets one value, with `=`.",
            "," if assigns || wants_name => {
                "Fields and clauses stand one behind the other, without commas."
            }
            "." if self.wants("`{`") || self.wants("`=`") || self.wants("`:`") => {
                "A name that you give has no dots: it is of letters, digits and `_`."
            }
            "by" | "every" | "expect" | "find" | "retry" | "with" if self.wants("a clause") => {
                "It stands behind the command that it is about, in the same step."
            }
            _ if RESERVED.contains(&found) && wants_name => {
                "The words `and`, `or`, `not`, `in`, `true` and `false` cannot be names."
            }
            _ if found.starts_with('_') && wants_name => "A name begins with a letter.",
            _ if matches!(self.kind(self.at), Some(TokenKind::Number)) && self.wants("a value") => {
                "A number is written as `10`, `9.4`, `10GiB`, `5min`, `90%` or `$5.00`."
            }
            _ => return None,
        })
    }

    /// Advice that what was expected calls for.
    fn advice_for_expected(&self) -> Option<&'static str> {
        let expects = |rule| self.expected.contains(&rule);
        let advice = if expects(Rule::kw_each) {
            "Write `each` before the values: all of them are under test."
        } else if expects(Rule::assign) {
            "`=` stands between a name and what it is given."
        } else if expects(Rule::colon) {
            "A result and an input have a type: `let name: string = run …`, `input name: secret`."
        } else if expects(Rule::type_expr) {
            "A type is `string`, `int`, `size in KiB`, or a list such as `[string]`."
        } else if expects(Rule::command) {
            "A command stands in backticks."
        } else if expects(Rule::plan_clause) {
            "A plan has the clauses `matrix` and `tests`; names in a list have commas between them."
        } else if expects(Rule::modifier) {
            "Behind a command stand `within`, `expect`, `find`, `by`, `retry` and `with`."
        } else if expects(Rule::clause) {
            "A test has the clauses `reads`, `writes`, `needs`, `within`, `takes` and `finally`, and \
             steps such as `run`, `let` and `check`."
        } else if expects(Rule::step) {
            "In `finally` stand steps alone, such as `run`, `let` and `check`."
        } else if expects(Rule::brace_open) {
            "What belongs to it stands in braces, even where there is nothing."
        } else if expects(Rule::comma) {
            "What stands in a list has commas between."
        } else if expects(Rule::name) && self.at == 1 {
            "An item has a name: `test mount { … }`."
        } else {
            return None;
        };
        Some(advice)
    }

    fn wants(&self, name: &str) -> bool {
        self.expected
            .iter()
            .any(|rule| rule_name(*rule) == Some(name))
    }
}
