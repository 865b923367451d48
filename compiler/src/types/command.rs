//! Commands: text with values, each quoted for the place where the shell will find it.

use std::collections::BTreeSet;

use dva_plan::template::{Piece, Place, Template};
use dva_plan::value::Type;

use crate::diagnostic::{Code, Diagnostic};
use crate::resolve::dotted;
use crate::shell::{Element, Offset, Refusal, Scan, Standing, scan};
use crate::span::Span;
use crate::syntax::ast::{Command, CommandPiece, Expr, ExprKind, With};
use crate::types::{Checker, Operand, a_type};

impl Checker<'_, '_> {
    /// The template of `command`, which gets the variables `with` in its environment.
    pub(crate) fn command(&mut self, command: &Command, with: &[With]) -> Option<Template> {
        let elements: Vec<_> = command
            .pieces
            .iter()
            .map(|piece| match piece {
                CommandPiece::Text { text, .. } => Element::Text(text),
                CommandPiece::Hole { raw: false, .. } => Element::Value,
                CommandPiece::Hole { raw: true, .. } => Element::Raw,
            })
            .collect();
        let scan = scan(&elements);
        let mut sound = self.text_is_sound(command, &scan);
        let clashes = self.clashes(command, with, &scan);
        let mut standing = scan.values.iter();
        let mut pieces = Vec::new();
        for piece in &command.pieces {
            match piece {
                CommandPiece::Text { text, .. } => pieces.push(Piece::Lit(text.clone())),
                CommandPiece::Hole { span, raw, value } => {
                    // The scan has a standing for each value; behind a refused text it may not matter.
                    let standing = standing.next().copied().unwrap_or(Standing::Joined);
                    if clashes.contains(span) {
                        sound = false;
                        continue;
                    }
                    match self.hole(*span, *raw, value, standing) {
                        Some(piece) => pieces.push(piece),
                        None => sound = false,
                    }
                }
            }
        }
        sound.then_some(Template(pieces))
    }

    /// The text of a command that has no values, such as a regular expression.
    pub(crate) fn plain_text(&mut self, command: &Command) -> Option<String> {
        let mut whole = String::new();
        for piece in &command.pieces {
            match piece {
                CommandPiece::Text { text, .. } => whole.push_str(text),
                CommandPiece::Hole { span, .. } => {
                    let help = "Write the text out. For a `${` of the text itself, write `$${`.";
                    self.report(Code::P0602, *span, "this text takes no values", help);
                    return None;
                }
            }
        }
        Some(whole)
    }

    /// Whether the text can be given to a shell, the values apart.
    fn text_is_sound(&mut self, command: &Command, scan: &Scan) -> bool {
        let mut sound = true;
        let text_of = |piece: &CommandPiece| match piece {
            CommandPiece::Text { text, .. } => text.clone(),
            CommandPiece::Hole { .. } => "\u{1}".to_owned(),
        };
        let whole: String = command.pieces.iter().map(text_of).collect();
        if whole.trim().is_empty() {
            let help = "A command is text for `/bin/sh`, for example ``run `true` ``.";
            self.report(Code::P0606, command.span, "there is no command", help);
            return false;
        }
        if whole.contains('\0') {
            let help = "No shell takes that character. Let the command make it: `printf '\\\\0'`.";
            self.report(Code::P0606, command.span, "the command holds a NUL", help);
            return false;
        }
        if let Some(unclosed) = scan.unclosed {
            let span = place_of(command, unclosed.at, unclosed.opening.len());
            let text = match unclosed.opening {
                "<<" => "the text of this here-document is missing".to_owned(),
                opening => format!("`{opening}` opens here and is never closed"),
            };
            let help = match unclosed.opening {
                "<<" => {
                    "A command stands on one line, so no text follows. Give it as a variable, \
                     ``run `echo \"$text\" | …` with text = …``, or write a script beside the \
                     source."
                }
                "'" | "\"" => {
                    "The shell would wait for the other quote. Close it, or write it as `\\'` or `\\\"`."
                }
                _ => "The shell would wait for its end. Close it.",
            };
            self.report(Code::P0601, span, text, help);
            sound = false;
        }
        sound
    }

    /// The holes with the name of a variable of the shell, which are reported.
    fn clashes(&mut self, command: &Command, with: &[With], scan: &Scan) -> BTreeSet<Span> {
        let mut clashes = BTreeSet::new();
        for piece in &command.pieces {
            let CommandPiece::Hole { span, value, .. } = piece else {
                continue;
            };
            let ExprKind::Path(path) = &value.kind else {
                continue;
            };
            let name = dotted(path);
            let given = with.iter().find(|with| with.name.text == name);
            let assigned = scan.assigned.iter().find(|own| own.name == name);
            let finding = match (given, assigned) {
                (Some(with), _) => {
                    let text = "this is filled in before the shell sees the text";
                    Diagnostic::new(Code::P0603, *span, text)
                        .and(with.name.span, "a variable of the shell")
                }
                (None, Some(assigned)) => {
                    let place = place_of(command, assigned.at, name.len());
                    let text = format!("the shell's own `{name}` is set here");
                    Diagnostic::new(Code::P0603, place, text)
                        .and(*span, "this is filled in before the shell sees the text")
                }
                (None, None) => continue,
            };
            self.bag.push(finding.help(format!(
                "For the variable of the shell write `${name}` or `$${{{name}}}`; otherwise give one \
                 of them another name."
            )));
            clashes.insert(*span);
        }
        clashes
    }

    fn hole(&mut self, span: Span, raw: bool, value: &Expr, standing: Standing) -> Option<Piece> {
        let operand = self.expression(value, None)?;
        let words = self.sources.slice(value.span).to_owned();
        if let Some(help) = no_text(&operand.r#type, &words) {
            let text = format!(
                "this is {}, which has no text of its own",
                a_type(&operand.r#type)
            );
            self.report(Code::P0604, span, text, help);
            return None;
        }
        let Operand { expr, r#type } = operand;
        let place = match standing {
            Standing::At(place) => place,
            Standing::Joined if matches!(r#type, Type::List(_)) && !raw => {
                let help = "A list becomes several words, so it stands between blanks. Inside quotes it is \
                            one text, with blanks between its values.";
                self.report(Code::P0602, span, "a list beside other text", help);
                return None;
            }
            Standing::Joined => Place::Bare,
            Standing::Refused(refusal) => {
                let (text, help) = why(refusal, &words);
                self.report(Code::P0602, span, text, help);
                return None;
            }
        };
        Some(if raw {
            Piece::Raw(expr)
        } else {
            Piece::Arg { expr, place }
        })
    }
}

/// What to do about a type that has no text; nothing where it has one.
pub(crate) fn no_text(of: &Type, words: &str) -> Option<String> {
    match of {
        Type::Bytes | Type::Ms => {
            let unit = if *of == Type::Bytes { "MiB" } else { "s" };
            Some(format!(
                "A command must be told in which unit. A text says it, and gives the number alone: \
                 `let number = \"${{{words} in {unit}}}\"`, and then `${{number}}`."
            ))
        }
        Type::NanoUsd | Type::Ratio => Some(format!(
            "Which form a command wants is its own affair. A text has the usual one: \
             `let text = \"${{{words}}}\"`, and then `${{text}}`."
        )),
        Type::Record(_) => Some("Name one of its fields.".to_owned()),
        Type::List(of) => no_text(of, words),
        Type::Bool
        | Type::Int
        | Type::String
        | Type::Name(_)
        | Type::Version
        | Type::Date
        | Type::Regex => None,
    }
}

/// Why a value cannot stand somewhere, and what to do.
fn why(refusal: Refusal, words: &str) -> (String, String) {
    let variable = "value";
    let before = format!(
        "Give it to a variable of the shell first: `{variable}=${{{words}}}; … \"${variable}\" …`."
    );
    let text = match refusal {
        Refusal::Comment => "behind `#` it is a comment",
        Refusal::HereDocument => "in a here-document no quoting protects it",
        Refusal::SubstitutionInQuotes => {
            "in `$(…)` inside double quotes it would be quoted for the wrong place"
        }
        Refusal::Backticks => "in backticks it would be quoted for the wrong place",
        Refusal::Arithmetic => "in `$((…))` a quoted value is no number",
        Refusal::Expansion => "in the shell's `${…}` it would be quoted for the wrong place",
        Refusal::AnsiQuotes => {
            "`$'…'` ends elsewhere for some shells, so it would be quoted for the wrong place"
        }
        Refusal::Escaped => "the `\\` or `$` before it would take its first letter",
        Refusal::Script => "the shell that gets this script would read it as its own text",
        Refusal::Case => "a `case` in `$(…)` hides where it stands",
    };
    let help = match refusal {
        Refusal::Comment => "Remove it, or the `#`.".to_owned(),
        Refusal::Escaped => {
            "Put a blank between them, or put the `\\` or `$` in single quotes.".to_owned()
        }
        Refusal::Script => {
            format!("Hand it over as an argument: `sh -c '… \"$1\" …' sh ${{{words}}}`.")
        }
        Refusal::Arithmetic => format!(
            "Give it to a variable of the shell first: `{variable}=${{{words}}}; … $(({variable} + 1)) …`."
        ),
        Refusal::HereDocument
        | Refusal::SubstitutionInQuotes
        | Refusal::Backticks
        | Refusal::Expansion
        | Refusal::AnsiQuotes
        | Refusal::Case => before,
    };
    (text.to_owned(), help)
}

/// The place in the source of `length` bytes of a command's text.
fn place_of(command: &Command, at: Offset, length: usize) -> Span {
    match command.pieces.get(at.element) {
        Some(CommandPiece::Text { span, text }) => {
            let before = text.get(..at.byte).unwrap_or_default();
            // The source has a `$` more for each `${` of the text.
            let start = span.start as usize + at.byte + before.matches("${").count();
            Span::new(start, start + length)
        }
        Some(CommandPiece::Hole { span, .. }) => *span,
        None => command.span,
    }
}
