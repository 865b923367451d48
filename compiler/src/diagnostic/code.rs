//! The registry of codes: one row a mistake. Each has a page in `docs/diagnostics/` and at least one
//! case in `tests/spec/`; a test refuses a code without them.

use std::fmt;

use super::Severity;

/// Declares the registry.
macro_rules! define_codes {
    ($($name:ident $severity:ident $summary:literal;)*) => {
        /// The code of a mistake. It never changes its meaning and is never used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $name,)*
        }

        impl Code {
            /// All codes, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is written: `P0101`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// The mistake in a few words, without any name of the user's.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$name => $summary,)* }
            }

            /// The page that `dva explain` shows, in Markdown.
            #[must_use]
            pub fn page(self) -> &'static str {
                match self {
                    $(Self::$name => include_str!(concat!(
                        "../../docs/diagnostics/", stringify!($name), ".md"
                    )),)*
                }
            }
        }
    };
}

// P01: the text. P02: names. P03: types and values. P04: images, axes, matrices, cells.
// P05: tests, edges, effects. P06: commands. P07: plans. P08: files.
define_codes! {
    P0101 Error "the file is empty";
    P0102 Error "the file is not UTF-8 text";
    P0103 Error "the file is too large";
    P0104 Error "a text has no end";
    P0105 Error "brackets do not match";
    P0106 Error "this nests too deep";
    P0107 Error "this is no item";
    P0108 Error "syntax error";
    P0109 Error "a control character stands in the text";
    P0110 Error "what stands in `${…}` is no value";
    P0111 Error "a list ends with a comma";
    P0112 Error "a number and its unit stand apart";
    P0113 Error "one `=` where two are meant";
    P0114 Error "a command lacks `run`";
    P0115 Error "a command stands in no backticks";
    P0116 Error "unknown keyword";
    P0117 Error "a second `after`";
    P0118 Error "unknown escape";
    P0119 Error "documentation documents nothing";
    P0120 Error "a `retry` behind a step lacks `every`";

    P0201 Error "a name is declared twice";
    P0202 Error "a name is not well formed";
    P0203 Error "a name is taken by the language or the catalog";
    P0204 Error "unknown name";
    P0205 Error "the name is one of another kind of thing";
    P0206 Error "there is no such field";
    P0207 Error "a field is missing";
    P0208 Error "the same thing is said twice";
    P0209 Error "a word could mean two things";
    P0210 Error "the name has no meaning in this place";
    P0211 Error "an item of another file is private";
    P0212 Error "files use each other in a circle";
    P0213 Error "there is no such module";
    P0214 Error "this has one name in all files";
    P0215 Error "two files would have one name in reports";

    P0301 Error "the value has the wrong type";
    P0302 Error "these two do not compare";
    P0303 Error "this is no quantity";
    P0304 Error "this is not one of the values";
    P0305 Error "a number is out of range";
    P0306 Error "`and` and `or` are mixed without parentheses";
    P0307 Error "comparisons do not chain";
    P0308 Error "the operator does not apply";
    P0309 Error "this is no regular expression";
    P0310 Error "the pattern does not have exactly one group";
    P0311 Error "there is no such type here";
    P0312 Error "the size needs a unit";
    P0313 Error "the calculation has no value";
    P0314 Warning "the check cannot fail";
    P0315 Error "the check cannot hold";
    P0316 Error "the value must be known when the plan is made";
    P0317 Error "a secret stands where it would be seen";
    P0320 Error "a pattern of versions stands where a version is wanted";
    P0321 Error "a value is needed to know itself";
    P0322 Error "an input has no value";
    P0323 Error "no input has this name";
    P0324 Error "what an input is given is not of its type";
    P0325 Error "a secret stands in the source";
    P0326 Error "the file is no table";
    P0327 Error "a value of a table is not of its type";
    P0328 Error "a key of a table is none";
    P0329 Error "two keys of a table fit alike";
    P0330 Error "a table has no entry";
    P0331 Error "a branch is chosen by what is not known yet";
    P0332 Error "this is no key of the table";
    P0333 Error "nothing can be missing";
    P0334 Error "a test is judged behind its verdict";
    P0335 Error "there is no such day";

    P0401 Error "an axis has no values";
    P0402 Error "the matrix lacks an axis that every matrix has";
    P0403 Warning "the exclusion never applies";
    P0404 Error "a value has no cell left";
    P0405 Error "the matrix has no cell left";
    P0406 Error "the matrix is too large";
    P0407 Error "the size of a disk is out of bounds";
    P0408 Error "the axis is not one of this matrix";
    P0409 Error "the image has no version";
    P0410 Error "an image changes its operating system and keeps the rest";
    P0411 Error "images are like each other in a circle";
    P0412 Error "the operating system has no such licence";
    P0413 Error "`any` has no meaning for this axis";
    P0414 Error "no machine meets what a test needs";
    P0415 Error "the conditions choose nothing";
    P0416 Error "this names nothing of EC2";

    P0501 Error "tests wait for each other";
    P0502 Error "two tests write the same thing without an order";
    P0503 Error "the order that effects ask for is a cycle";
    P0504 Error "the test uses a disk without saying what it does to it";
    P0505 Warning "nothing in the test can fail";
    P0506 Error "the test is expected to take longer than it may";
    P0507 Error "a value of a test is used by one that is not after it";
    P0508 Warning "no plan uses the test";
    P0509 Error "a duration of nothing";
    P0510 Error "the disk is not attached";
    P0511 Error "the disk is attached already";
    P0512 Error "the machine is not started again";
    P0513 Error "what is waited for never changes";
    P0514 Error "the machine runs already";
    P0520 Error "a test comes after one that is last";
    P0521 Error "the tests of an edge are never in one cell";
    P0522 Error "a value is used of a test that does not apply";
    P0523 Error "nothing of the plan applies to its cells";
    P0524 Error "a state of the account is used like one of a machine";
    P0525 Error "a condition on cells asks for what is known at run time";
    P0526 Error "too many tests touch one thing without an order";
    P0527 Error "a test that is last wants a fresh machine";
    P0528 Error "a test is given other arguments than it takes";
    P0529 Error "an argument is not written down";
    P0530 Error "a value may be of one of several tests";

    P0601 Error "what opens in the command has no end";
    P0602 Error "a value cannot stand in this place of a command";
    P0603 Error "a variable of the shell has the name of a value";
    P0604 Error "the value has no text";
    P0605 Error "this cannot be said of this step";
    P0606 Error "the command is nothing that a shell can be given";
    P0607 Error "a variable cannot have this name";
    P0608 Error "this is no name of a user";

    P0701 Error "there is no plan";
    P0702 Error "there are several plans";
    P0703 Error "there is no plan of that name";
    P0704 Error "a plan is incomplete";
    P0705 Error "a plan has several matrices";
    P0720 Error "no test has the tag";
    P0721 Error "tests are not chosen by this";
    P0722 Warning "a test is excepted and runs all the same";
    P0723 Warning "the exception takes nothing away";
    P0724 Error "the selection selects nothing";
    P0730 Error "nothing of this name can be limited";
    P0731 Error "a life would have two boots";
    P0732 Error "a waiver is for a test that the plan does not run";
    P0733 Error "a gate is for a matrix that the plan does not run";
    P0734 Error "gates wait for each other";
    P0735 Error "a boot says nothing";
    P0736 Error "the user data is too large";
    P0737 Error "this is no day";
    P0738 Error "a setup cannot do this";
    P0740 Error "a waiver gives no reason";
    P0741 Error "a limit can never be kept";

    P0801 Error "the file cannot be read";
    P0802 Error "the file is too large for a plan";
    P0803 Error "the path is none of a file beside the source";
    P0804 Error "the path is none of a file on a machine";
    P0805 Error "too many files are used";
}

impl Code {
    /// The code written `name`, in either case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
