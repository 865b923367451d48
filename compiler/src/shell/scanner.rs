//! The state machine behind [`super::scan`]: one letter after the other, with a stack of what it is
//! inside of.

use dva_plan::template::Place;

use super::{Assigned, Element, Offset, Refusal, Scan, Standing, Unclosed};

/// Programs that read a script behind `-c`.
const SHELLS: [&str; 7] = ["ash", "bash", "dash", "ksh", "sh", "su", "zsh"];

/// A letter with its place, or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Letter(char, Offset),
    Value { raw: bool },
}

/// What the reader is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Single,
    Double,
    AnsiQuotes,
    /// `$(…)`, with the number of open parentheses inside.
    Substitution(u32),
    Backticks,
    /// `$((…))`, with the number of open parentheses inside.
    Arithmetic(u32),
    /// `${…}`.
    Expansion,
    Comment,
}

impl Inside {
    fn opening(self) -> &'static str {
        match self {
            Self::Single => "'",
            Self::Double => "\"",
            Self::AnsiQuotes => "$'",
            Self::Substitution(_) => "$(",
            Self::Backticks => "`",
            Self::Arithmetic(_) => "$((",
            Self::Expansion => "${",
            Self::Comment => "#",
        }
    }
}

/// What the next word is to the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    /// The first of a command, where an assignment may stand.
    #[default]
    Command,
    /// Behind `for`: the name of a variable.
    LoopVariable,
    /// Anything else.
    Argument,
}

pub(super) struct Scanner {
    tokens: Vec<Token>,
    at: usize,
    stack: Vec<(Inside, Offset)>,
    now: Reading,
    /// What was read around the substitutions that are open, the innermost last.
    outer: Vec<Reading>,
    /// Delimiters of here-documents whose text begins behind the next line end.
    here: Vec<HereDocument>,
    has_case: bool,
    /// Whether a `\` stood in `$'…'`. The shells that know these quotes take it for an escape, the others see
    /// plain quotes, which may end elsewhere: what is quoted behind it depends on which one `/bin/sh` is.
    has_ansi_escape: bool,
    /// The token whose first letter a `\` or `$` before it would take.
    taken: Option<usize>,
    scan: Scan,
}

/// How far a simple command has been read.
#[derive(Debug, Default)]
struct Reading {
    /// The bare word that is being read, with where it began.
    word: String,
    word_start: Option<Offset>,
    position: Position,
    program: Program,
}

/// What a simple command does with its words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Program {
    /// Takes them as they are.
    #[default]
    Plain,
    /// A shell, whose `-c` takes a script.
    Shell,
    /// A shell behind its `-c`: the next word is a script.
    Script,
    /// `eval`, which reads all of its words as a script.
    Eval,
}

#[derive(Clone, Debug)]
struct HereDocument {
    at: Offset,
    delimiter: String,
    strips_tabs: bool,
}

impl Scanner {
    pub(super) fn new(elements: &[Element<'_>]) -> Self {
        let mut tokens = Vec::new();
        for (element, piece) in elements.iter().enumerate() {
            match piece {
                Element::Text(text) => {
                    let letters = text.char_indices();
                    tokens.extend(
                        letters.map(|(byte, c)| Token::Letter(c, Offset { element, byte })),
                    );
                }
                Element::Value => tokens.push(Token::Value { raw: false }),
                Element::Raw => tokens.push(Token::Value { raw: true }),
            }
        }
        Self {
            tokens,
            at: 0,
            stack: Vec::new(),
            now: Reading::default(),
            outer: Vec::new(),
            here: Vec::new(),
            has_case: false,
            has_ansi_escape: false,
            taken: None,
            scan: Scan::default(),
        }
    }

    /// Reads all of the text.
    pub(super) fn run(mut self) -> Scan {
        while let Some(token) = self.next() {
            self.step(token);
        }
        self.finish()
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    /// The letter `ahead` of the one that comes next.
    fn peek(&self, ahead: usize) -> Option<char> {
        match self.tokens.get(self.at + ahead) {
            Some(Token::Letter(c, _)) => Some(*c),
            Some(Token::Value { .. }) | None => None,
        }
    }

    fn inside(&self) -> Option<Inside> {
        self.stack.last().map(|(inside, _)| *inside)
    }

    fn push(&mut self, inside: Inside, at: Offset) {
        self.stack.push((inside, at));
    }

    fn step(&mut self, token: Token) {
        match token {
            Token::Value { raw } => self.value(raw),
            Token::Letter(c, at) => match self.inside() {
                None | Some(Inside::Substitution(_)) => self.bare(c, at),
                Some(Inside::Single) => {
                    if c == '\'' {
                        self.stack.pop();
                    }
                }
                Some(Inside::Double) => self.double(c, at),
                Some(Inside::AnsiQuotes) => match c {
                    '\\' => {
                        self.has_ansi_escape = true;
                        self.skip_escaped();
                    }
                    '\'' => {
                        self.stack.pop();
                    }
                    _ => {}
                },
                Some(Inside::Backticks) => match c {
                    '\\' => self.skip_escaped(),
                    '`' => {
                        self.stack.pop();
                    }
                    _ => {}
                },
                Some(Inside::Arithmetic(depth)) => self.arithmetic(c, at, depth),
                Some(Inside::Expansion) => self.expansion(c, at),
                Some(Inside::Comment) => {
                    if c == '\n' {
                        self.stack.pop();
                        self.at -= 1;
                    }
                }
            },
        }
    }

    /// Notes where a value stands.
    fn value(&mut self, raw: bool) {
        let behind_escape = self.taken == Some(self.at - 1);
        let refusal = self.refusal();
        let standing = match (refusal, self.inside()) {
            (Some(refusal), _) => Standing::Refused(refusal),
            (None, Some(Inside::Single)) => Standing::At(Place::Single),
            _ if behind_escape => Standing::Refused(Refusal::Escaped),
            (None, Some(Inside::Double)) => Standing::At(Place::Double),
            (None, _) if self.stands_alone() => Standing::At(Place::Bare),
            (None, _) => Standing::Joined,
        };
        if matches!(self.inside(), None | Some(Inside::Substitution(_))) {
            self.now.word_start.get_or_insert(Offset {
                element: 0,
                byte: 0,
            });
            // Not a letter of any name, so the word is none.
            self.now.word.push('\u{0}');
        }
        // The author has answered for a raw value, a comment apart, where it would be lost.
        let standing = match standing {
            Standing::Refused(Refusal::Comment) => standing,
            _ if raw => Standing::At(Place::Bare),
            _ => standing,
        };
        self.scan.values.push(standing);
    }

    fn refusal(&self) -> Option<Refusal> {
        if matches!(self.now.program, Program::Script | Program::Eval) {
            return Some(Refusal::Script);
        }
        if self.has_ansi_escape {
            return Some(Refusal::AnsiQuotes);
        }
        let mut in_double = false;
        for (inside, _) in &self.stack {
            match inside {
                Inside::Double => in_double = true,
                Inside::Substitution(_) if in_double => {
                    return Some(Refusal::SubstitutionInQuotes);
                }
                Inside::Substitution(_) if self.has_case => return Some(Refusal::Case),
                Inside::Comment => return Some(Refusal::Comment),
                Inside::Backticks => return Some(Refusal::Backticks),
                Inside::Arithmetic(_) => return Some(Refusal::Arithmetic),
                Inside::Expansion => return Some(Refusal::Expansion),
                Inside::AnsiQuotes => return Some(Refusal::AnsiQuotes),
                Inside::Single | Inside::Substitution(_) => {}
            }
        }
        // A substitution that was left may have ended early, see `Refusal::Case`.
        (self.has_case && !self.stack.is_empty()).then_some(Refusal::Case)
    }

    /// Whether the value is a word of its own.
    fn stands_alone(&self) -> bool {
        let parts = |token: Option<&Token>| match token {
            None => true,
            Some(Token::Letter(c, _)) => c.is_whitespace() || is_operator(*c),
            Some(Token::Value { .. }) => false,
        };
        self.now.word_start.is_none() && parts(self.tokens.get(self.at))
    }

    /// Skips the letter behind a backslash; a value there is refused where it comes.
    fn skip_escaped(&mut self) {
        if self.peek(0).is_some() {
            self.at += 1;
        } else {
            self.taken = Some(self.at);
        }
    }

    fn double(&mut self, c: char, at: Offset) {
        match c {
            '\\' => self.skip_escaped(),
            '"' => {
                self.stack.pop();
            }
            '`' => self.push(Inside::Backticks, at),
            '$' => self.dollar(at),
            _ => {}
        }
    }

    /// What a `$` begins, outside single quotes.
    fn dollar(&mut self, at: Offset) {
        match (self.peek(0), self.peek(1)) {
            (Some('('), Some('(')) => {
                self.at += 2;
                self.push(Inside::Arithmetic(0), at);
            }
            (Some('('), _) => {
                self.at += 1;
                self.push(Inside::Substitution(0), at);
                self.outer.push(std::mem::take(&mut self.now));
            }
            (Some('{'), _) => {
                self.at += 1;
                self.push(Inside::Expansion, at);
            }
            // `$$`, so that the second one begins nothing.
            (Some('$'), _) => self.at += 1,
            (None, _) => self.taken = Some(self.at),
            _ => {}
        }
    }

    fn arithmetic(&mut self, c: char, at: Offset, depth: u32) {
        let set = |scanner: &mut Self, depth| {
            if let Some((inside, _)) = scanner.stack.last_mut() {
                *inside = Inside::Arithmetic(depth);
            }
        };
        match c {
            '(' => set(self, depth + 1),
            ')' if depth > 0 => set(self, depth - 1),
            ')' => {
                if self.peek(0) == Some(')') {
                    self.at += 1;
                }
                self.stack.pop();
            }
            '$' => self.dollar(at),
            _ => {}
        }
    }

    fn expansion(&mut self, c: char, at: Offset) {
        let in_double = self
            .stack
            .iter()
            .any(|(inside, _)| *inside == Inside::Double);
        match c {
            '\\' => self.skip_escaped(),
            '}' => {
                self.stack.pop();
            }
            '"' => self.push(Inside::Double, at),
            '\'' if !in_double => self.push(Inside::Single, at),
            '`' => self.push(Inside::Backticks, at),
            '$' => self.dollar(at),
            _ => {}
        }
    }

    fn bare(&mut self, c: char, at: Offset) {
        let at_word_start = self.now.word_start.is_none();
        match c {
            '#' if at_word_start => self.push(Inside::Comment, at),
            '\n' => {
                self.end_word();
                self.begin_command();
                self.here_documents();
            }
            _ if c.is_whitespace() => self.end_word(),
            '<' if self.peek(0) == Some('<') => {
                self.end_word();
                self.at += 1;
                if self.peek(0) == Some('<') {
                    self.at += 1;
                } else {
                    self.here_delimiter(at);
                }
            }
            '<' | '>' => {
                self.end_word();
                // `>&2`, `>|f`: the letter behind belongs to the redirection.
                if matches!(self.peek(0), Some('&' | '|' | '>')) {
                    self.at += 1;
                }
                self.now.position = Position::Argument;
            }
            '(' => {
                self.end_word();
                self.begin_command();
                if let Some((Inside::Substitution(depth), _)) = self.stack.last_mut() {
                    *depth += 1;
                }
            }
            ')' => {
                self.end_word();
                self.begin_command();
                self.close_parenthesis();
            }
            ';' | '&' | '|' => {
                self.end_word();
                self.begin_command();
            }
            '\\' => {
                self.begin_word(at);
                self.now.word.push('\\');
                self.skip_escaped();
            }
            '\'' | '"' | '`' | '$' => {
                self.begin_word(at);
                self.now.word.push(c);
                match c {
                    '\'' => self.push(Inside::Single, at),
                    '"' => self.push(Inside::Double, at),
                    '`' => self.push(Inside::Backticks, at),
                    _ if self.peek(0) == Some('\'') => {
                        self.at += 1;
                        self.push(Inside::AnsiQuotes, at);
                    }
                    _ => self.dollar(at),
                }
            }
            _ => {
                self.begin_word(at);
                if c == '=' && self.now.position == Position::Command && is_name(&self.now.word) {
                    self.assign();
                }
                self.now.word.push(c);
            }
        }
    }

    fn begin_word(&mut self, at: Offset) {
        if self.now.word_start.is_none() {
            self.now.word_start = Some(at);
            self.now.word.clear();
        }
    }

    /// Decides what the word just read was, and so what the next one is.
    fn end_word(&mut self) {
        if self.now.word_start.is_none() {
            return;
        }
        if self.now.position == Position::LoopVariable && is_name(&self.now.word) {
            self.assign();
        }
        self.now.program = self.now.program.behind(&self.now.word);
        let is_assignment = self.now.position == Position::Command
            && self
                .now
                .word
                .split_once('=')
                .is_some_and(|(name, _)| is_name(name));
        self.now.position = match (self.now.position, self.now.word.as_str()) {
            (Position::Command, "for" | "select") | (Position::Argument, "read") => {
                Position::LoopVariable
            }
            (Position::Command, "read") => Position::LoopVariable,
            (
                Position::Command,
                "do" | "then" | "else" | "elif" | "if" | "while" | "until" | "{" | "!" | "time"
                | "export" | "local" | "readonly" | "declare",
            ) => Position::Command,
            (Position::Command, "case") => {
                self.has_case |= !self.stack.is_empty();
                Position::Argument
            }
            (Position::Command, _) if is_assignment => Position::Command,
            _ => Position::Argument,
        };
        self.now.word_start = None;
        self.now.word.clear();
    }

    fn begin_command(&mut self) {
        self.now = Reading::default();
    }

    fn assign(&mut self) {
        if let Some(at) = self.now.word_start {
            let name = self.now.word.clone();
            self.scan.assigned.push(Assigned { name, at });
        }
    }

    /// A `)`, which may end the substitution it stands in.
    fn close_parenthesis(&mut self) {
        let Some((Inside::Substitution(depth), _)) = self.stack.last_mut() else {
            return;
        };
        if *depth > 0 {
            *depth -= 1;
            return;
        }
        self.stack.pop();
        // The word that the substitution is part of goes on.
        if let Some(reading) = self.outer.pop() {
            self.now = reading;
        }
    }

    /// The word behind the `<<` at `at`.
    fn here_delimiter(&mut self, at: Offset) {
        let strips_tabs = self.peek(0) == Some('-');
        if strips_tabs {
            self.at += 1;
        }
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.at += 1;
        }
        let mut delimiter = String::new();
        let mut quote = None;
        while let Some(c) = self.peek(0) {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some(_), '\n') => break,
                (Some(_), c) => delimiter.push(c),
                (None, '\'' | '"') => quote = Some(c),
                (None, '\\') => {}
                (None, c) if c.is_whitespace() || is_operator(c) => break,
                (None, c) => delimiter.push(c),
            }
            self.at += 1;
        }
        self.here.push(HereDocument {
            at,
            delimiter,
            strips_tabs,
        });
    }

    /// Passes over the texts of the here-documents that begin behind this line end.
    fn here_documents(&mut self) {
        for document in std::mem::take(&mut self.here) {
            let mut line = String::new();
            while let Some(token) = self.next() {
                match token {
                    Token::Value { .. } => {
                        self.scan
                            .values
                            .push(Standing::Refused(Refusal::HereDocument));
                        line.push('\u{0}');
                    }
                    Token::Letter('\n', _) => {
                        if document.ends_at(&line) {
                            break;
                        }
                        line.clear();
                    }
                    Token::Letter(c, _) => line.push(c),
                }
            }
        }
    }

    fn finish(mut self) -> Scan {
        if matches!(self.inside(), None | Some(Inside::Substitution(_))) {
            self.end_word();
        }
        let open = self
            .stack
            .iter()
            .find(|(inside, _)| *inside != Inside::Comment);
        let open = open.map(|(inside, at)| (inside.opening(), *at));
        // No line follows that its text could begin with.
        let here = self.here.first().map(|document| ("<<", document.at));
        let open = open.or(here);
        self.scan.unclosed = open.map(|(opening, at)| Unclosed { opening, at });
        self.scan
    }
}

impl Program {
    /// What the command is behind `word`, wherever that stands: `sudo sh -c` is a shell as well.
    fn behind(self, word: &str) -> Self {
        let program = word.rsplit('/').next().unwrap_or_default();
        let is_option = word.starts_with('-') && !word.starts_with("--");
        match self {
            Self::Eval => Self::Eval,
            _ if program == "eval" => Self::Eval,
            _ if SHELLS.contains(&program) => Self::Shell,
            Self::Shell if is_option && word.ends_with('c') => Self::Script,
            Self::Shell => Self::Shell,
            // Words behind the script are its arguments.
            Self::Script | Self::Plain => Self::Plain,
        }
    }
}

impl HereDocument {
    fn ends_at(&self, line: &str) -> bool {
        let line = if self.strips_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.delimiter
    }
}

/// Whether `c` parts words as a blank does.
fn is_operator(c: char) -> bool {
    matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>')
}

/// Whether `word` can be the name of a variable.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
