//! The file form that all documents share: a header line, then the body on one line.
//!
//! The header is checked before the body is looked at, and its digest is over the body's bytes as
//! they stand (without the line end), so a changed byte anywhere is refused. Both lines are JSON, so
//! `jq` reads the file.

use std::io::{self, BufRead, BufReader, Read, Write};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::history::Observations;
use crate::id::hex;
use crate::plan::ExecutionPlan;
use crate::report::RunReport;
use crate::schedule::Schedule;
use crate::validate::{Fault, validate};
use crate::version::{FormatVersion, Unreadable};

/// What this build writes into the documents it makes: all crates of dva have one version.
pub const PRODUCER: &str = concat!("dva ", env!("CARGO_PKG_VERSION"));
/// The largest body that is read, in bytes.
pub const MAX_BODY_BYTES: u64 = 64 << 20;
/// The deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 64;
/// The longest header line that is read, in bytes.
const MAX_HEADER_BYTES: u64 = 4 << 10;
/// The largest document there can be, in bytes.
pub const MAX_DOCUMENT_BYTES: u64 = MAX_HEADER_BYTES + MAX_BODY_BYTES + 1;

/// Which of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// [`ExecutionPlan`].
    Plan,
    /// [`Schedule`].
    Schedule,
    /// [`RunReport`].
    Report,
    /// [`Observations`].
    History,
}

impl DocumentKind {
    /// The header's `format`.
    #[must_use]
    pub fn format(self) -> &'static str {
        match self {
            Self::Plan => "dva-plan",
            Self::Schedule => "dva-schedule",
            Self::Report => "dva-report",
            Self::History => "dva-history",
        }
    }

    /// The command that writes one.
    fn writer(self) -> &'static str {
        match self {
            Self::Plan => "dva plan FILE -o plan.json",
            Self::Schedule => "dva estimate FILE -o schedule.json",
            Self::Report => "dva run FILE --json report.json",
            Self::History => "dva history export",
        }
    }

    /// What is done instead of editing one.
    fn remedy(self) -> &'static str {
        match self {
            Self::Plan => "Compile its source again",
            Self::Schedule => "Make it again with `dva estimate`",
            Self::Report => "Run the plan again",
            Self::History => "Export it again",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Plan => "an execution plan",
            Self::Schedule => "a schedule",
            Self::Report => "a run report",
            Self::History => "a history of runs",
        }
    }
}

/// A type that is the body of a document.
pub trait Document: Serialize + DeserializeOwned {
    /// Which document.
    const KIND: DocumentKind;

    /// What made it. It stands in the header and, under the digest's protection, in the body.
    fn producer(&self) -> &str;

    /// What is wrong with a body that decoded; empty where nothing is.
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }
}

impl Document for ExecutionPlan {
    const KIND: DocumentKind = DocumentKind::Plan;
    fn producer(&self) -> &str {
        &self.producer
    }
    fn faults(&self) -> Vec<Fault> {
        validate(self)
    }
}

impl Document for Schedule {
    const KIND: DocumentKind = DocumentKind::Schedule;
    fn producer(&self) -> &str {
        &self.producer
    }
}

impl Document for RunReport {
    const KIND: DocumentKind = DocumentKind::Report;
    fn producer(&self) -> &str {
        &self.producer
    }
}

impl Document for Observations {
    const KIND: DocumentKind = DocumentKind::History;
    fn producer(&self) -> &str {
        &self.producer
    }
    fn faults(&self) -> Vec<Fault> {
        self.faults()
    }
}

/// The first line of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// `dva-plan`, `dva-schedule`, `dva-report` or `dva-history`.
    pub format: String,
    /// The version of the format.
    pub version: FormatVersion,
    /// Cosmetic: what wrote it, for example `dva 0.1.0`.
    pub producer: String,
    /// `sha256:` and the hexadecimal digest of the second line, without its line end.
    pub digest: String,
}

/// A document read from bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: T,
}

/// Why a document was refused.
#[derive(Debug, Error)]
#[error("{}", self.explain())]
pub struct LoadError {
    /// What was to be read.
    pub expected: DocumentKind,
    /// What is wrong.
    pub kind: LoadErrorKind,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadErrorKind {
    /// Reading failed; the text is the system's.
    Read(String),
    /// There are no bytes at all.
    Empty,
    /// The first line is no header of ours.
    NoHeader,
    /// The header names another format.
    OtherFormat(String),
    /// The header names a version this build cannot read.
    Version {
        /// The version.
        found: FormatVersion,
        /// How it differs.
        how: Unreadable,
        /// What wrote it.
        producer: String,
    },
    /// There is no complete second line.
    CutShort,
    /// There are bytes after the second line.
    Trailing,
    /// The body is larger than [`MAX_BODY_BYTES`].
    TooLarge,
    /// The body's digest is not the header's.
    Digest {
        /// The header's.
        expected: String,
        /// The body's.
        found: String,
    },
    /// Header and body name different producers.
    Producer,
    /// The body nests deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The body is not what its format says; the text is the decoder's.
    Body(String),
    /// The body decodes and makes no sense.
    Invalid(Vec<Fault>),
}

impl LoadError {
    /// What, why and what to do, in sentences.
    fn explain(&self) -> String {
        let noun = self.expected.noun();
        let (writer, remedy) = (self.expected.writer(), self.expected.remedy());
        match &self.kind {
            LoadErrorKind::Read(why) => format!("It could not be read: {why}."),
            LoadErrorKind::Empty => {
                format!("The file is empty. Write {noun} with `{writer}`.")
            }
            LoadErrorKind::NoHeader => format!(
                "The file is not {noun}: its first line is not a dva header. \
                 `{writer}` writes one; a source file's name ends in `.plan`."
            ),
            LoadErrorKind::OtherFormat(format) => format!(
                "The file is not {noun}: its header says `{}`.",
                format.escape_debug()
            ),
            LoadErrorKind::Version {
                found,
                how,
                producer,
            } => {
                let (relation, advice) = match how {
                    Unreadable::TooNew => ("newer", "Read it with that version, or a later one"),
                    Unreadable::TooOld => ("older", remedy),
                };
                format!(
                    "Its format version {found} is {relation} than {}, which is what this dva reads. \
                     It was written by {}. {advice}.",
                    FormatVersion::CURRENT,
                    producer.escape_debug()
                )
            }
            LoadErrorKind::CutShort => format!(
                "The file is cut short: {noun} is two lines, and the second one is missing or has no end. \
                 Copy it again. {remedy} where that does not help."
            ),
            LoadErrorKind::Trailing => format!(
                "There is text after the second line, where {noun} ends. Copy it again. {remedy} where that does not help."
            ),
            LoadErrorKind::TooLarge => format!(
                "The file is larger than {} MiB, the most that is read.",
                MAX_BODY_BYTES >> 20
            ),
            LoadErrorKind::Digest { expected, found } => format!(
                "The file was changed after it was written: its digest is {found}, its header says {}. \
                 {remedy} instead of editing it.",
                expected.escape_debug()
            ),
            LoadErrorKind::Producer => format!(
                "The file was changed after it was written: its two lines name different producers. {remedy} \
                 instead of editing it."
            ),
            LoadErrorKind::TooDeep => {
                format!("The file nests deeper than {MAX_DEPTH} levels, which dva never writes.")
            }
            LoadErrorKind::Body(why) => {
                format!("The second line is not {noun}: {why}. {remedy}, with this version of dva.")
            }
            LoadErrorKind::Invalid(faults) => {
                let listed: String = faults
                    .iter()
                    .take(5)
                    .map(|fault| format!("\n  {fault}"))
                    .collect();
                format!(
                    "The file does not hold together, so something other than dva has written it. \
                     {} found, first of them:{listed}",
                    match faults.len() {
                        1 => "1 fault was".to_owned(),
                        n => format!("{n} faults were"),
                    }
                )
            }
        }
    }
}

/// The bytes of a document: header, line end, body, line end. Same document, same bytes.
///
/// # Panics
/// If it does not serialize: none of our documents can do that.
#[must_use]
pub fn to_bytes<T: Document>(document: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    #[expect(clippy::expect_used, reason = "memory takes all that is written to it")]
    write(document, &mut bytes).expect("nothing refuses it");
    bytes
}

/// The same into a file, which takes half the memory.
///
/// # Errors
/// What the operating system said.
///
/// # Panics
/// As [`to_bytes`].
pub fn write<T: Document>(document: &T, to: &mut impl Write) -> io::Result<()> {
    #[expect(
        clippy::expect_used,
        reason = "documents have text keys and no failing serializers"
    )]
    let body = serde_json::to_vec(document).expect("a document serializes");
    let header = Header {
        format: T::KIND.format().to_owned(),
        version: FormatVersion::CURRENT,
        producer: document.producer().to_owned(),
        digest: digest(&body),
    };
    #[expect(clippy::expect_used, reason = "as above")]
    let header = serde_json::to_vec(&header).expect("a header serializes");
    for part in [&header, &b"\n"[..], &body, b"\n"] {
        to.write_all(part)?;
    }
    Ok(())
}

/// Reads a document, header first, never more than its limits allow.
///
/// # Errors
/// [`LoadError`] says what is wrong and what to do.
pub fn read<T: Document>(source: impl Read) -> Result<Loaded<T>, LoadError> {
    read_lines(source).map_err(|kind| LoadError {
        expected: T::KIND,
        kind,
    })
}

fn read_lines<T: Document>(source: impl Read) -> Result<Loaded<T>, LoadErrorKind> {
    let mut source = BufReader::new(source);
    let header = read_header(&mut source, T::KIND)?;
    let body = read_body(&mut source)?;
    let found = digest(&body);
    if found != header.digest {
        return Err(LoadErrorKind::Digest {
            expected: header.digest,
            found,
        });
    }
    if depth(&body) > MAX_DEPTH {
        return Err(LoadErrorKind::TooDeep);
    }
    let body: T =
        serde_json::from_slice(&body).map_err(|error| LoadErrorKind::Body(error.to_string()))?;
    if body.producer() != header.producer {
        return Err(LoadErrorKind::Producer);
    }
    let faults = body.faults();
    if faults.is_empty() {
        Ok(Loaded { header, body })
    } else {
        Err(LoadErrorKind::Invalid(faults))
    }
}

fn read_header(source: &mut impl BufRead, kind: DocumentKind) -> Result<Header, LoadErrorKind> {
    let mut line = Vec::new();
    source
        .take(MAX_HEADER_BYTES)
        .read_until(b'\n', &mut line)
        .map_err(|error| LoadErrorKind::Read(error.to_string()))?;
    if line.is_empty() {
        return Err(LoadErrorKind::Empty);
    }
    let header: Header = match serde_json::from_slice(&line) {
        Ok(header) => header,
        // A header that begins like ours and stops is a copy that was cut.
        Err(error) if error.is_eof() && line.starts_with(b"{\"format\":\"dva-") => {
            return Err(LoadErrorKind::CutShort);
        }
        Err(_) => return Err(LoadErrorKind::NoHeader),
    };
    if header.format != kind.format() {
        return Err(LoadErrorKind::OtherFormat(header.format));
    }
    header
        .version
        .check_readable()
        .map_err(|how| LoadErrorKind::Version {
            found: header.version,
            how,
            producer: header.producer.clone(),
        })?;
    Ok(header)
}

fn read_body(source: &mut impl BufRead) -> Result<Vec<u8>, LoadErrorKind> {
    let mut body = Vec::new();
    source
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut body)
        .map_err(|error| LoadErrorKind::Read(error.to_string()))?;
    if body.len() as u64 > MAX_BODY_BYTES {
        return Err(LoadErrorKind::TooLarge);
    }
    match body.iter().position(|byte| *byte == b'\n') {
        None => Err(LoadErrorKind::CutShort),
        Some(end) if end + 1 < body.len() => Err(LoadErrorKind::Trailing),
        Some(_) => {
            body.pop();
            Ok(body)
        }
    }
}

/// `sha256:` and the hexadecimal digest of `bytes`.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// How deep arrays and objects nest, without decoding them.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
