//! Mistakes without a code of their own: what was expected, what was found, and advice.

use std::collections::BTreeSet;

use dva_grammar::{Rule, rule_name};

use super::Place;
use super::keyword::{CLAUSES, PLAN_CLAUSES, RESERVED, STEPS};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::lex::{Bracket, TokenKind};

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
        if self.expected.contains(&Rule::op_at_most) && names.len() == 1 {
            return vec!["`<=`"];
        }
        if names.len() > 1 {
            // Nearly any value may go on as a call, as a look-up or with an operator.
            names.remove("`(`");
            names.remove("`[`");
        }
        // Nor is it that a name may stand before a value in brackets.
        for (bracket, mark) in [("`]`", "`:`"), ("`)`", "`=`")] {
            if names.contains(bracket) {
                names.remove(mark);
            }
        }
        if self.expected.contains(&Rule::assign) {
            // Fields apart, whose `>=` is said in the advice.
            names.remove("an operator");
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
        let expects = |rule| self.expected.contains(&rule);
        let in_head = self.is_item("test") && expects(Rule::brace_open) && self.is_before_brace();
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
            ">" | "<" | ">=" | "<=" | "==" if assigns => {
                "A field gets one value, with `=`, or the least that it may be, with `>=`."
            }
            "," if expects(Rule::bar) => "The words of a fact have `|` between them.",
            "," | "or" if expects(Rule::kw_else) => {
                "Write `else` between them: the second is for where the first cannot be had."
            }
            "," if assigns || wants_name => {
                "Fields and clauses stand one behind the other, without commas."
            }
            "." if self.word(self.at + 1) == "*" => {
                "`.*` is written without blanks: behind a number, as in `8.*`, or in a plan behind a \
                 module, all of whose tests are meant."
            }
            "." if self.wants("`{`") || self.wants("`=`") || self.wants("`:`") => {
                "A name that you give has no dots: it is of letters, digits and `_`."
            }
            "by" | "every" | "expect" | "find" | "json" | "with" if self.wants("a clause") => {
                "It stands behind the command that it is about, in the same step."
            }
            "pub" if self.behind("pub") => "One `pub` is enough.",
            "at" if self.is_item("input") => {
                "A value is given here or when the tests run, not both."
            }
            "else" if self.wants("a clause") || self.wants("a step") => {
                "`else` stands behind the braces of a `when`, or behind a value that a `let` looks up."
            }
            "where" if expects(Rule::kw_until) => "`where` stands before `because`.",
            "=" if expects(Rule::op_equal) => "`==` compares.",
            "=" | "==" | "<" if expects(Rule::op_at_most) && !expects(Rule::op_equal) => {
                "A limit is the most that may be: `limit cost <= $5.00`."
            }
            "when" if self.behind("else") => "Write `else { when … { … } }`.",
            word if self.behind("exit")
                && word.starts_with(|digit: char| digit.is_ascii_digit()) =>
            {
                "Compare it: `expect exit == 1`."
            }
            word if PLAN_CLAUSES.contains(&word)
                && self.wants("`tests`")
                && !expects(Rule::plan_clause) =>
            {
                "In the braces of `on` stand `tests` and `again` alone."
            }
            word if in_head && (CLAUSES.contains(&word) || STEPS.contains(&word)) => {
                "Before the braces stand parameters, `after` and `per` alone; every other clause \
                 stands in them."
            }
            word if expects(Rule::step) && !expects(Rule::clause) && CLAUSES.contains(&word) => {
                "In `finally`, `when`, `for` and `setup` stand steps alone; a clause of the test \
                 stands beside them."
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
            "Write `each` before the values if all of them are under test, and `any` if one that \
             serves is enough."
        } else if expects(Rule::because) || expects(Rule::kw_because) {
            "Say why, for the report: `because \"…\"`."
        } else if expects(Rule::kw_skip) {
            "Say what is done where there is no entry: `else skip \"…\"`, or `else fail \"…\"`."
        } else if expects(Rule::kw_before) {
            "The cells of the second matrix wait for those of the first: `gate smoke before \
             release`."
        } else if self.is_item("use") {
            "`use` takes from a module, `use std.services { running }`, or from a file, \
             `use \"./base.plan\" { memory }`; without braces the module itself gets a name."
        } else if expects(Rule::kw_after) && self.is_item("plan") {
            "`again` says what the second time comes after: `again memory after rebooted`."
        } else if expects(Rule::arrow) {
            "A table has the type of its keys and of its values: `table amis: region -> string = \
             \"./amis.json\"`."
        } else if expects(Rule::kw_account) {
            "A state is one of the guest's, or `per account`."
        } else if expects(Rule::kw_contains) {
            "Write `console contains` and a pattern in backticks."
        } else if expects(Rule::kw_run) && self.behind("at") {
            "A value that the configuration gives when the tests run is `at run`."
        } else if expects(Rule::string) && !self.wants("a value") {
            "A text stands in double quotes."
        } else if expects(Rule::assign) && !self.wants("a value") {
            "`=` stands between a name and what it is given."
        } else if expects(Rule::colon) {
            "A type stands behind `:`, as in `input build: string` and `test up(service: string)`."
        } else if expects(Rule::type_expr) {
            "A type is `string`, `int`, `size in KiB`, or a list such as `[string]`."
        } else if expects(Rule::command) {
            "A command stands in backticks."
        } else if expects(Rule::plan_clause) {
            "A plan has the clauses `matrix`, `tests`, `again`, `on`, `limit`, `market`, `waive`, \
             `gate` and `setup`; names in a list have commas between them."
        } else if expects(Rule::modifier) {
            "Behind a command stand `within`, `expect`, `find`, `json`, `by`, `retry` and `with`."
        } else if expects(Rule::clause) {
            "A test has clauses such as `reads`, `writes`, `needs` and `within`, and steps such as \
             `run`, `let` and `check`."
        } else if expects(Rule::step) {
            "In these braces stand steps alone, such as `run`, `let` and `check`."
        } else if expects(Rule::brace_open) {
            "What belongs to it stands in braces, even where there is nothing."
        } else if expects(Rule::comma) {
            "What stands in a list has commas between."
        } else if expects(Rule::name) && self.at == self.head() + 1 {
            "An item has a name: `test mount { … }`."
        } else {
            return None;
        };
        Some(advice)
    }

    /// Whether `word` stands right before the place.
    fn behind(&self, word: &str) -> bool {
        let before = self.at.checked_sub(1);
        before.is_some_and(|before| self.word(before) == word)
    }

    /// Whether no brace stands before the place.
    fn is_before_brace(&self) -> bool {
        let is_brace = |at: usize| matches!(self.kind(at), Some(TokenKind::Open(Bracket::Brace)));
        !(0..self.at).any(is_brace)
    }

    fn wants(&self, name: &str) -> bool {
        self.expected
            .iter()
            .any(|rule| rule_name(*rule) == Some(name))
    }
}
