//! Reads the text of a command as a shell does, as far as it takes to know where each value stands.
//!
//! A value is quoted for its place: bare, in `"…"` or in `'…'`. Where no quoting is sure to keep it
//! one value, it is refused. This is no parser of the shell's language: it follows quotes, nested
//! substitutions, comments and here-documents, and knows nothing of what commands mean.
//! [`dva_plan::template`] does the quoting; a property test holds both to a real `sh`.

mod scanner;

use dva_plan::template::Place;

use scanner::Scanner;

/// A piece of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// Text of the author's.
    Text(&'a str),
    /// A value that is quoted.
    Value,
    /// A value that is not quoted: the author's word that it fits.
    Raw,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// For each value in order, `raw` ones among them, where it stands.
    pub values: Vec<Standing>,
    /// A quote without an end.
    pub unclosed: Option<Unclosed>,
    /// Variables that the text sets.
    pub assigned: Vec<Assigned>,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In a place for which it can be quoted.
    At(Place),
    /// Bare, with more text at its side, so that it must be one word.
    Joined,
    /// Where it cannot stand.
    Refused(Refusal),
}

/// Why a value cannot stand somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Behind a `#`.
    Comment,
    /// In a here-document or its delimiter.
    HereDocument,
    /// In `$(…)` inside double quotes.
    SubstitutionInQuotes,
    /// In backticks.
    Backticks,
    /// In `$((…))`.
    Arithmetic,
    /// In the shell's own `${…}`.
    Expansion,
    /// In `$'…'`, or behind one with a backslash, which ends elsewhere for a shell that does not know it.
    AnsiQuotes,
    /// Behind a backslash or a `$`, which would take its first letter.
    Escaped,
    /// In a script for another shell, `sh -c '…'` or `eval`, which would read it as its own text.
    Script,
    /// In a substitution with a `case`, whose parentheses do not tell where it ends.
    Case,
}

/// A quote, bracket or here-document that is opened and not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclosed {
    /// How it opens: `'`, `"`, `` ` ``, `$(`, `$((`, `${`, `$'` or `<<`.
    pub opening: &'static str,
    /// Where it opens.
    pub at: Offset,
}

/// A variable that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub at: Offset,
}

/// A byte of a [`Element::Text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The number of the element.
    pub element: usize,
    /// The byte in it.
    pub byte: usize,
}

/// Reads `elements` from left to right.
#[must_use]
pub fn scan(elements: &[Element<'_>]) -> Scan {
    Scanner::new(elements).run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{At, Joined, Refused};

    /// Scans `text`, in which `@` stands for a value.
    fn scanned(text: &str) -> Scan {
        let mut elements = Vec::new();
        for (place, part) in text.split('@').enumerate() {
            if place > 0 {
                elements.push(Element::Value);
            }
            if !part.is_empty() {
                elements.push(Element::Text(part));
            }
        }
        scan(&elements)
    }

    #[track_caller]
    fn stands(text: &str, standing: &[Standing]) {
        let scan = scanned(text);
        assert_eq!(scan.values, standing, "{text}");
        assert_eq!(scan.unclosed, None, "{text}");
    }

    #[test]
    fn quotes_decide_the_place() {
        stands("mkfs @", &[At(Place::Bare)]);
        stands("echo \"a @ b\" @", &[At(Place::Double), At(Place::Bare)]);
        stands(
            "echo '@' \"it's @\"",
            &[At(Place::Single), At(Place::Double)],
        );
        stands(r#"echo \" @ \' @"#, &[At(Place::Bare), At(Place::Bare)]);
        stands(r#"echo "\"@""#, &[At(Place::Double)]);
        stands("dd if=@ of=/dev/null", &[Joined]);
        stands("mount @/a;@", &[Joined, At(Place::Bare)]);
        stands("a@ @@", &[Joined, Joined, Joined]);
    }

    #[test]
    fn substitutions_are_bare_unless_quoted() {
        stands("x=$(cat @) @", &[At(Place::Bare), At(Place::Bare)]);
        stands("x=$(cat \"@\")", &[At(Place::Double)]);
        stands("x=$( (cat @) )@", &[At(Place::Bare), Joined]);
        stands(
            "echo \"$(cat @)\"",
            &[Refused(Refusal::SubstitutionInQuotes)],
        );
        stands(
            "echo \"$(cat x)\" @ \"@\"",
            &[At(Place::Bare), At(Place::Double)],
        );
        stands("echo \"$(cat \"x y\")\" '@'", &[At(Place::Single)]);
        stands("echo `cat @`", &[Refused(Refusal::Backticks)]);
        // The parenthesis of the pattern seems to end the substitution; bare is right all the same.
        stands("x=$(case a in a) echo @;; esac)", &[At(Place::Bare)]);
        stands(
            "\"$(case a in a) echo @;; esac)\"",
            &[Refused(Refusal::Case)],
        );
    }

    #[test]
    fn what_the_shell_calculates_takes_no_values() {
        stands("echo $((@ + 1))", &[Refused(Refusal::Arithmetic)]);
        stands("echo $(( (1 + 2) * 3 )) @", &[At(Place::Bare)]);
        stands("echo ${V:-@}", &[Refused(Refusal::Expansion)]);
        stands("echo ${V:-'}'} @", &[At(Place::Bare)]);
        stands("echo \"${V:-it's}\" @", &[At(Place::Bare)]);
        stands("echo $'a\\'@'", &[Refused(Refusal::AnsiQuotes)]);
        // Where no backslash is in it, all shells see the same end.
        stands("echo $'a' @", &[At(Place::Bare)]);
        stands("echo $'a\\'b' @", &[Refused(Refusal::AnsiQuotes)]);
        stands("echo \\@", &[Refused(Refusal::Escaped)]);
        stands("echo \\\\@", &[Joined]);
        stands("echo \"$@\"", &[Refused(Refusal::Escaped)]);
        stands("echo '\\@'", &[At(Place::Single)]);
        stands("echo \\$@ $$@", &[Joined, Joined]);
        stands("echo \\\\$@", &[Refused(Refusal::Escaped)]);
        stands("echo $$$@", &[Refused(Refusal::Escaped)]);
        stands("echo \"$$@ \\$@\"", &[At(Place::Double), At(Place::Double)]);
    }

    #[test]
    fn scripts_for_another_shell_take_no_values() {
        stands("sh -c 'ls @'", &[Refused(Refusal::Script)]);
        stands("sudo /bin/bash -ec \"ls @\"", &[Refused(Refusal::Script)]);
        stands(
            "su - user -c 'ls @' @",
            &[Refused(Refusal::Script), At(Place::Bare)],
        );
        stands("eval ls @", &[Refused(Refusal::Script)]);
        stands("sh -c 'ls \"$1\"' sh @", &[At(Place::Bare)]);
        stands("sh -e @; ls -c @", &[At(Place::Bare), At(Place::Bare)]);
        stands("x=$(sh -c 'ls') @", &[At(Place::Bare)]);
    }

    #[test]
    fn comments_and_here_documents_take_no_values() {
        stands("true # @", &[Refused(Refusal::Comment)]);
        stands("echo a#@", &[Joined]);
        stands("true # it's\necho @", &[At(Place::Bare)]);
        stands(
            "cat <<EOF\nit's @\nEOF\necho @",
            &[Refused(Refusal::HereDocument), At(Place::Bare)],
        );
        stands("cat <<-'E F'\n\t@\n", &[Refused(Refusal::HereDocument)]);
    }

    #[test]
    fn what_is_not_closed_is_found() {
        let opening = |text: &str| scanned(text).unclosed.map(|unclosed| unclosed.opening);
        assert_eq!(opening("echo 'a"), Some("'"));
        assert_eq!(opening("echo \"a"), Some("\""));
        assert_eq!(opening("echo $(a"), Some("$("));
        assert_eq!(opening("echo \"$(a\""), Some("\""));
        assert_eq!(opening("awk '{print $1}' # it's"), None);
    }

    #[test]
    fn assignments_are_found_where_the_shell_sees_them() {
        let names = |text: &str| -> Vec<String> {
            scanned(text)
                .assigned
                .into_iter()
                .map(|assigned| assigned.name)
                .collect()
        };
        assert_eq!(names("a=1 b=2 make c=3"), ["a", "b"]);
        assert_eq!(names("for fs in x y; do mkfs $fs; done"), ["fs"]);
        assert_eq!(names("true && x=1; (y=2)"), ["x", "y"]);
        assert_eq!(names("export z=1; dd if=x"), ["z"]);
        assert_eq!(names("echo $(w=1; echo $w) v=1"), ["w"]);
        assert_eq!(names("mount -o size=@ x"), Vec::<String>::new());
        assert_eq!(names("while read line; do a; done"), ["line"]);
    }
}
