//! Compiles `.plan` sources into execution plans.
//!
//! Pure: no input or output, no clock, no async. The same source and options give the same bytes.
//!
//! ```text
//! bytes ─► source ─► syntax ─► modules ─► resolve ─► types ─► expand ─► graph ─► emit ─► ExecutionPlan
//!                     ast       files       hir       typed    cells    shapes
//! ```
//!
//! Each stage is a total function that returns its output and adds what it found to a
//! [`diagnostic::Bag`]; parts that are broken become error nodes that later stages accept silently, so
//! one mistake gives one message. [`compile`] runs them all.

mod constraint;
pub mod diagnostic;
pub mod effects;
pub mod emit;
pub mod expand;
pub mod files;
pub mod filter;
pub mod graph;
pub mod hir;
pub mod modules;
pub mod order;
pub mod quote;
pub mod resolve;
pub mod shell;
pub mod source;
pub mod span;
pub mod suggest;
pub mod suppose;
pub mod syntax;
pub mod types;

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_stdlib::Catalog;

use diagnostic::{Bag, Diagnostic};
use expand::Reason;
use files::{NoFiles, SourceLoader};
use modules::Modules;
use source::{Source, Sources};
use suppose::{Supposed, suppose};
use types::Outside;

/// What an author may choose beside the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The `plan` item to compile; needed only where the source has several.
    pub plan: Option<String>,
    /// The values of inputs, as text, by their names.
    pub settings: BTreeMap<String, String>,
    /// What is supposed to be otherwise than it is written.
    pub supposed: Supposed,
}

/// What became of a source.
#[derive(Debug)]
pub struct Compilation {
    /// The source and the files that it uses; messages are shown in them. Where the source's bytes are no
    /// text, it stands there without any.
    pub sources: Sources,
    /// The execution plan; `None` where one of the diagnostics is an error, and where the source has no plan but
    /// items that others may use.
    pub plan: Option<ExecutionPlan>,
    /// What was found, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
    /// What the matrix of the plan came to.
    pub outcome: Outcome,
}

/// What the matrices of a plan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The products of their axes.
    pub combinations: usize,
    /// How many of those are no cells, by reason.
    pub dropped: BTreeMap<Reason, usize>,
    /// How many cells each test does not apply to, by its name.
    pub not_applicable: BTreeMap<String, usize>,
    /// In how many cells a test, named first, finds no entry in a table, and is skipped or fails for it.
    pub without_entry: BTreeMap<(String, String), usize>,
}

/// Compiles `bytes`, a source that messages call `name` and that has no files beside it.
#[must_use]
pub fn compile(name: &str, bytes: &[u8], options: &Options) -> Compilation {
    compile_with_files(name, bytes, options, &NoFiles)
}

/// As [`compile`], for a source that may name files, which `files` reads.
#[must_use]
pub fn compile_with_files(
    name: &str,
    bytes: &[u8],
    options: &Options,
    files: &dyn SourceLoader,
) -> Compilation {
    compile_with(name, bytes, options, Catalog::embedded(), files)
}

/// As [`compile_with_files`], with a catalog other than the embedded one.
#[must_use]
pub fn compile_with(
    name: &str,
    bytes: &[u8],
    options: &Options,
    catalog: &Catalog,
    files: &dyn SourceLoader,
) -> Compilation {
    let mut bag = Bag::default();
    let source = syntax::decode(name, bytes, &mut bag);
    let mut outcome = Outcome::default();
    let (sources, plan) = match source {
        Some(source) => {
            let modules = modules::load(source, files, &mut bag);
            let plan = stages(&modules, options, catalog, files, &mut outcome, &mut bag);
            (modules.sources, plan.filter(|_| !bag.has_errors()))
        }
        None => (Sources::of(Source::new(name, "")), None),
    };
    Compilation {
        sources,
        plan,
        diagnostics: bag.into_sorted(),
        outcome,
    }
}

fn stages(
    modules: &Modules,
    options: &Options,
    catalog: &Catalog,
    files: &dyn SourceLoader,
    outcome: &mut Outcome,
    bag: &mut Bag,
) -> Option<ExecutionPlan> {
    let sources = &modules.sources;
    let mut hir = resolve::resolve(modules, catalog, bag);
    suppose(
        &mut hir,
        options.plan.as_deref(),
        &options.supposed,
        catalog,
        bag,
    );
    let order = order::order(&hir, bag);
    let outside = Outside {
        settings: &options.settings,
        loader: files,
    };
    let typed = types::check(&hir, &order, sources, catalog, outside, bag);
    effects::report_undeclared(&hir, &typed, bag);
    let layouts = emit::lay_out(&hir, &order, &typed, catalog, bag);
    let chosen = emit::choose(&hir, options.plan.as_deref(), bag)?;
    let layout = layouts[chosen].as_ref()?;
    *outcome = layout.outcome(&hir);
    if bag.has_errors() {
        return None;
    }
    let plan = emit::emit(&hir, &typed, sources, chosen, layout)?;
    emit::limits::report_below_floor(&hir, chosen, &plan, bag);
    Some(plan)
}
