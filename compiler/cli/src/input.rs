//! From a file name to an execution plan: compiles a source, or loads a plan.
//!
//! A source is compiled to bytes and those bytes go through the loader, as a file's would: nothing
//! but the bytes crosses from the compiler to the runtime.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write, stderr};
use std::path::Path;

use dva_compiler::diagnostic::Severity;
use dva_compiler::files::{MAX_FILE_BYTES, ReadProblem, SourceLoader};
use dva_compiler::source::MAX_SOURCE_BYTES;
use dva_compiler::suppose::Supposed;
use dva_compiler::{Compilation, Options};
use dva_plan::document::{Loaded, MAX_DOCUMENT_BYTES, read, to_bytes};
use dva_plan::{ExecutionPlan, ExitCode};

use crate::args::{Format, InputArguments, SourceArguments};
use crate::failure::Failure;
use crate::render::{self, Stream};

/// Compiles a source and shows what was found in it; nothing of it is an error. Findings for programs go to
/// `stream`.
pub fn compile(arguments: &SourceArguments, stream: Stream) -> Result<Compilation, Failure> {
    compile_supposed(arguments, Supposed::default(), stream)
}

/// As [`compile`], as if something of the source were otherwise.
fn compile_supposed(
    arguments: &SourceArguments,
    supposed: Supposed,
    stream: Stream,
) -> Result<Compilation, Failure> {
    let bytes = read_file(&arguments.file, MAX_SOURCE_BYTES as u64 + 1)?;
    if bytes.starts_with(br#"{"format":"dva-"#) {
        return Err(Failure::new(
            ExitCode::Invocation,
            format!(
                "{} is no source but what dva has written. An execution plan is estimated and run as it is.",
                arguments.file.display()
            ),
        ));
    }
    let name = arguments.file.display().to_string();
    let options = Options {
        plan: arguments.plan.clone(),
        settings: settings(&arguments.set)?,
        supposed,
    };
    let folder = arguments.file.parent().unwrap_or(Path::new(""));
    let compilation =
        dva_compiler::compile_with_files(&name, &bytes, &options, &BesideSource(folder));
    render::diagnostics(&name, &compilation, arguments.format, stream);
    let mut found = compilation.diagnostics.iter();
    match found.any(|finding| finding.code.severity() == Severity::Error) {
        true => Err(Failure::silent(ExitCode::Source)),
        false => Ok(compilation),
    }
}

/// The bytes of the execution plan that a source has become.
pub fn plan_bytes(path: &Path, compilation: &Compilation) -> Result<Vec<u8>, Failure> {
    let plan = compilation.plan.as_ref().map(to_bytes);
    plan.ok_or_else(|| {
        let text =
            "has no plan: what stands in it is for other files. Name a source with a `plan`.";
        Failure::new(ExitCode::Source, format!("{} {text}", path.display()))
    })
}

/// What each input is given, once.
fn settings(given: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut settings = BTreeMap::new();
    for (name, value) in given {
        if settings.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::new(
                ExitCode::Invocation,
                format!("The input `{name}` is set twice."),
            ));
        }
    }
    Ok(settings)
}

/// The files beside a source, by its folder.
struct BesideSource<'a>(&'a Path);

impl SourceLoader for BesideSource<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadProblem> {
        let path = self.0.join(path);
        let problem = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => ReadProblem::Missing,
            _ => ReadProblem::Other(error.to_string()),
        };
        // A named pipe would be waited for.
        if !fs::metadata(&path).map_err(problem)?.is_file() {
            return Err(ReadProblem::NotAFile);
        }
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(problem)?;
        Ok(bytes)
    }
}

/// An execution plan and the bytes it was read from.
pub struct Input {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub plan: Loaded<ExecutionPlan>,
    /// Where they were compiled here, how many combinations of the matrices are no cells, by reason.
    pub dropped: BTreeMap<String, usize>,
}

/// The execution plan of a source or of a plan file.
pub fn plan(arguments: &InputArguments) -> Result<Input, Failure> {
    plan_supposed(arguments, Supposed::default())
}

/// As [`plan`], as if something of the source were otherwise.
pub fn plan_supposed(arguments: &InputArguments, supposed: Supposed) -> Result<Input, Failure> {
    let is_plan = arguments
        .file
        .extension()
        .is_some_and(|extension| extension == "json");
    if is_plan && arguments.plan.is_some() {
        return Err(Failure::new(
            ExitCode::Invocation,
            "An execution plan holds one plan. Give `--plan` where its source is compiled.",
        ));
    }
    if is_plan && !arguments.set.is_empty() {
        return Err(Failure::new(
            ExitCode::Invocation,
            "The inputs of an execution plan are part of it. Give `--set` where its source is compiled.",
        ));
    }
    if is_plan && supposed != Supposed::default() {
        return Err(Failure::new(
            ExitCode::Invocation,
            "The machines of an execution plan and their prices are part of it. Give `--what-if` and `--market` \
             with its source.",
        ));
    }
    let mut dropped = BTreeMap::new();
    let bytes = if is_plan {
        read_file(&arguments.file, MAX_DOCUMENT_BYTES + 1)?
    } else {
        let source = SourceArguments {
            file: arguments.file.clone(),
            plan: arguments.plan.clone(),
            set: arguments.set.clone(),
            format: arguments.format,
        };
        let compilation = compile_supposed(&source, supposed, Stream::Error)?;
        let bytes = plan_bytes(&arguments.file, &compilation)?;
        if arguments.format != Format::Json {
            let _ = write!(stderr(), "{}", render::left_out(&compilation));
        }
        let reasons = compilation.outcome.dropped.iter();
        dropped.extend(reasons.map(|(reason, count)| (reason.to_string(), *count)));
        bytes
    };
    let plan =
        read(bytes.as_slice()).map_err(|error| Failure::document(&arguments.file, &error))?;
    Ok(Input {
        bytes,
        plan,
        dropped,
    })
}

/// The bytes of a file, at most `limit` of them. Whoever reads them says what is wrong with a file
/// that is larger than it may be.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| Failure::file("read", path, &error))?;
    Ok(bytes)
}
