//! What the console of a machine says about it: named patterns, and which class they stand for.
//!
//! Pure: whoever has read a console asks here what is in it. Patterns are narrow, since a console also shows what
//! tests and services print, and a false alarm charges the wrong party. Its main type is [`ConsolePatterns`].

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use dva_plan::FailureClass;
use regex::{Regex, RegexSet};
use thiserror::Error;

/// The most lines of one console that are worth a warning.
const MOST_LINES: usize = 20;
/// The most characters of a line.
const LONGEST_LINE: usize = 300;

/// What lines of consoles are looked for, and which of them mean nothing here.
#[derive(Clone, Debug)]
pub struct ConsolePatterns {
    ignored: RegexSet,
}

/// A pattern of lines to ignore that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{pattern}` is no regular expression: {why}")]
pub struct IgnoreError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// What is wrong with a machine that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    /// The kernel has given up: such a machine does not come back as it was. The class says why it did.
    Final(FailureClass),
    /// Something that may keep a machine from answering, and so explains it where it does not.
    Grave(FailureClass),
    /// Something of the kernel that should be looked at.
    Warning,
    /// Where the kernel was. Says nothing beside a line that says what was wrong.
    Trace,
    /// Something of the services that should be looked at.
    Service,
    /// Any of these that means nothing here.
    Ignored,
}

/// The patterns, the more telling ones first: a line is what the first one says that it matches.
const PATTERNS: &[(&str, Sign)] = &[
    (
        r"Kernel panic - not syncing: (?:Out of memory|System is deadlocked on memory)",
        Sign::Final(FailureClass::GuestOom),
    ),
    (
        r"Kernel panic - not syncing: (?:softlockup|hung_task|hard lockup|Hard LOCKUP)",
        Sign::Final(FailureClass::GuestLockup),
    ),
    // Not its repetition at the end of the trace.
    (
        r"^Kernel panic - not syncing\b",
        Sign::Final(FailureClass::GuestPanic),
    ),
    (
        r"BUG: soft lockup - CPU#\d+ stuck for",
        Sign::Grave(FailureClass::GuestLockup),
    ),
    (
        r"Watchdog detected hard LOCKUP on cpu",
        Sign::Grave(FailureClass::GuestLockup),
    ),
    (
        r"rcu\S* (?:self-)?detected (?:expedited )?stalls? on CPU",
        Sign::Grave(FailureClass::GuestLockup),
    ),
    (
        r"^INFO: task \S+ blocked for more than \d+ seconds",
        Sign::Grave(FailureClass::GuestLockup),
    ),
    // Not that of a control group, which is the business of whoever has set its limit.
    (
        r"^Out of memory: Kill(?:ed)? process \d+",
        Sign::Grave(FailureClass::GuestOom),
    ),
    (r"^BUG: ", Sign::Warning),
    (r"kernel BUG at \S+:\d+!", Sign::Warning),
    (r"^(?:Internal error: )?Oops(?:: |\s-\s)", Sign::Warning),
    (r"^Unable to handle kernel ", Sign::Warning),
    (r"^general protection fault\b", Sign::Warning),
    (r"^WARNING: CPU: \d+ PID: \d+ at ", Sign::Warning),
    (r"^Call [Tt]race:", Sign::Trace),
    // As systemd writes them while it boots, and as its journal has them.
    (r"^\[\s*FAILED\s*\] Failed to start ", Sign::Service),
    (r"systemd\[1\]: Failed to start ", Sign::Service),
    (r"systemd\[1\]: Freezing execution", Sign::Service),
    (
        r"^(?:Entering|You are in) (?:emergency|rescue) mode",
        Sign::Service,
    ),
];

#[expect(clippy::expect_used, reason = "a test compiles them")]
static KNOWN: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(PATTERNS.iter().map(|(pattern, _)| pattern)).expect("they are ours")
});

/// Words of which each line has one that a pattern matches: most lines have none, and need no closer look.
const WORDS: &[&str] = &[
    "Kernel panic - ",
    "BUG",
    "hard LOCKUP",
    "detected ",
    "blocked for more than",
    "Out of memory: ",
    "Oops",
    "Unable to handle kernel",
    "general protection fault",
    "WARNING: CPU: ",
    "Call ",
    "Failed to start ",
    "Freezing execution",
    " mode",
];

#[expect(clippy::expect_used, reason = "a test compiles them")]
static HINTS: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::new(WORDS).expect("they are few"));

/// Control sequences of terminals, and the time that a kernel puts before its lines.
#[expect(clippy::expect_used, reason = "a test compiles them")]
static DRESS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    let compiled = |pattern| Regex::new(pattern).expect("it is ours");
    [
        compiled(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]"),
        compiled(r"^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? "),
    ]
});

impl Default for ConsolePatterns {
    fn default() -> Self {
        Self {
            ignored: RegexSet::empty(),
        }
    }
}

impl ConsolePatterns {
    /// The patterns, where lines that match one of `ignored` mean nothing.
    ///
    /// # Errors
    /// The first of `ignored` that is no regular expression.
    pub fn ignoring(ignored: &[String]) -> Result<Self, IgnoreError> {
        for pattern in ignored {
            if let Err(error) = Regex::new(pattern) {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why).to_owned();
                let pattern = pattern.clone();
                return Err(IgnoreError { pattern, why });
            }
        }
        let set = RegexSet::new(ignored).map_err(|error| IgnoreError {
            pattern: ignored.join("`, `"),
            why: error.to_string(),
        })?;
        Ok(Self { ignored: set })
    }

    /// The line by which the kernel gave up, and its class; of several, the last. The machine will not come back
    /// as it was.
    #[must_use]
    pub fn end(&self, console: &str) -> Option<(FailureClass, String)> {
        let ends = self.signs(console).filter_map(|(sign, line)| match sign {
            Sign::Final(class) => Some((class, line)),
            Sign::Grave(_) | Sign::Warning | Sign::Trace | Sign::Service | Sign::Ignored => None,
        });
        ends.last()
    }

    /// Why a machine does not answer, as far as its console tells: the line by which its kernel gave up, or else
    /// the last one that tells of something that may keep it from answering.
    #[must_use]
    pub fn cause(&self, console: &str) -> Option<(FailureClass, String)> {
        self.end(console).or_else(|| {
            let graves = self.signs(console).filter_map(|(sign, line)| match sign {
                Sign::Grave(class) => Some((class, line)),
                Sign::Final(_) | Sign::Warning | Sign::Trace | Sign::Service | Sign::Ignored => {
                    None
                }
            });
            graves.last()
        })
    }

    /// The lines that somebody should look at, in their order and without control sequences and times; of those
    /// that differ in numbers alone, the first; 20 at most.
    #[must_use]
    pub fn warnings(&self, console: &str) -> Vec<String> {
        let signs: Vec<(Sign, String)> = self.signs(console).collect();
        let of_kernel = |sign| !matches!(sign, Sign::Trace | Sign::Service);
        let explained = signs.iter().any(|(sign, _)| of_kernel(*sign));
        let mut seen = BTreeSet::new();
        let mut lines: Vec<String> = signs
            .into_iter()
            .filter(|(sign, _)| match sign {
                Sign::Final(_) | Sign::Grave(_) | Sign::Warning | Sign::Service => true,
                Sign::Trace => !explained,
                Sign::Ignored => false,
            })
            .map(|(_, line)| line)
            .filter(|line| seen.insert(without_numbers(line)))
            .collect();
        lines.truncate(MOST_LINES);
        lines
    }

    /// All lines that are a sign of something.
    fn signs<'a>(&'a self, console: &'a str) -> impl Iterator<Item = (Sign, String)> + 'a {
        let [sequences, time] = &*DRESS;
        let lines = console.lines().filter(|line| HINTS.is_match(line));
        lines.filter_map(move |line| {
            let line = sequences.replace_all(line, "");
            let line = time.replace(line.trim(), "");
            let matched = KNOWN.matches(&line).into_iter().next()?;
            let (_, sign) = PATTERNS.get(matched)?;
            let sign = match self.ignored.is_match(&line) {
                true => Sign::Ignored,
                false => *sign,
            };
            let line: String = line.trim().chars().take(LONGEST_LINE).collect();
            Some((sign, line))
        })
    }
}

/// A line with each of its numbers as one digit: lines that differ in processors, processes and times alone are
/// the same.
pub(crate) fn without_numbers(line: &str) -> String {
    let mut shape = String::with_capacity(line.len());
    for letter in line.chars() {
        match letter.is_ascii_digit() {
            true if shape.ends_with('0') => {}
            true => shape.push('0'),
            false => shape.push(letter),
        }
    }
    shape
}
