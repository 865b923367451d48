//! From what people type to a cell or a test of a plan: labels, ids and axis values, with a word of help where
//! that names none or several.

use std::collections::BTreeSet;

use dva_compiler::diagnostic::shown;
use dva_compiler::suggest::{did_you_mean, listed};
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::{ExecutionPlan, ExitCode};

use crate::failure::Failure;
use crate::render::counted;

/// The label of a cell as it may be shown.
pub fn label(plan: &ExecutionPlan, cell: CellIx) -> String {
    let axes = plan.shown_axes(&plan.cells[cell]);
    shown::line(&plan.cell_labels().label(&axes, &plan.name)).into_owned()
}

/// The cell that is called `given`: by its label, the first digits of its id, or words that it alone has, each
/// `AXIS=VALUE` or a value. Where the plan has but one cell, nothing need be given.
pub fn cell(plan: &ExecutionPlan, given: Option<&str>) -> Result<CellIx, Failure> {
    let labels = plan.cell_labels();
    let labels: Vec<String> = plan
        .cells
        .iter()
        .map(|cell| {
            let label = labels.label(&plan.shown_axes(cell), &plan.name);
            shown::line(&label).into_owned()
        })
        .collect();
    let all = || plan.cells.indices().zip(&labels);
    let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) else {
        return match all().next() {
            Some((only, _)) if labels.len() == 1 => Ok(only),
            _ => Err(invocation(format!(
                "The plan has {}: say which with `--cell`. There are {}.",
                counted(labels.len(), "cell"),
                listed(labels.iter().map(String::as_str))
            ))),
        };
    };
    // A whole label stands for its cell, also where it is a part of another one's.
    if let Some((cell, _)) = all().find(|(_, label)| *label == given) {
        return Ok(cell);
    }
    let words: Vec<&str> = given.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    let fitting: Vec<_> = all()
        .filter(|(cell, _)| words.iter().all(|word| is_called(plan, *cell, word)))
        .collect();
    match fitting.as_slice() {
        [(only, _)] => Ok(*only),
        [] => {
            let help = meant(plan, &words).unwrap_or_else(|| {
                format!("There are {}.", listed(labels.iter().map(String::as_str)))
            });
            let given = shown::line(given);
            Err(invocation(format!("No cell is called `{given}`. {help}")))
        }
        several => Err(invocation(format!(
            "{} are called `{}`: {}. Add what tells the one you mean from the others.",
            counted(several.len(), "cell"),
            shown::line(given),
            listed(several.iter().map(|(_, label)| label.as_str()))
        ))),
    }
}

/// Whether the cell has this `AXIS=VALUE`, this value, or an id that begins like this.
fn is_called(plan: &ExecutionPlan, cell: CellIx, word: &str) -> bool {
    let cell = &plan.cells[cell];
    let axes = plan.shown_axes(cell);
    match word.split_once('=') {
        Some((axis, value)) => axes.get(axis).is_some_and(|own| own == value),
        None => cell.id.as_str().starts_with(word) || axes.values().any(|own| own == word),
    }
}

/// What the first word that no cell has may have been meant to be.
fn meant(plan: &ExecutionPlan, words: &[&str]) -> Option<String> {
    let is_unknown = |word: &&&str| !plan.cells.indices().any(|cell| is_called(plan, cell, word));
    let word = words.iter().find(is_unknown)?;
    let mut known: BTreeSet<String> = BTreeSet::new();
    for cell in &plan.cells {
        for (axis, value) in plan.shown_axes(cell) {
            known.insert(match word.contains('=') {
                true => format!("{axis}={value}"),
                false => value,
            });
        }
    }
    let help = did_you_mean(word, known.iter().map(String::as_str))?;
    Some(shown::line(&help).into_owned())
}

/// The test of `cell` with the id `given`.
pub fn test(plan: &ExecutionPlan, cell: CellIx, given: &str) -> Result<TestIx, Failure> {
    let own = &plan.shapes[plan.cells[cell].shape].tests;
    let id = |test: TestIx| plan.tests[test].id.as_str();
    if let Some(test) = own.iter().find(|test| id(**test) == given) {
        return Ok(*test);
    }
    let name = shown::line(given);
    if plan.tests.iter().any(|test| test.id.as_str() == given) {
        let cell = label(plan, cell);
        return Err(invocation(format!(
            "`{name}` does not run in `{cell}`. {}",
            tests_are(plan, own)
        )));
    }
    let help = did_you_mean(given, own.iter().map(|test| id(*test)));
    let help = help.map_or_else(
        || tests_are(plan, own),
        |help| shown::line(&help).into_owned(),
    );
    Err(invocation(format!("No test is called `{name}`. {help}")))
}

/// What runs in a cell, in a sentence.
pub fn tests_are(plan: &ExecutionPlan, tests: &[TestIx]) -> String {
    let ids = tests.iter().map(|test| plan.tests[*test].id.as_str());
    let text = format!("Its tests are {}.", listed(ids));
    shown::line(&text).into_owned()
}

fn invocation(message: String) -> Failure {
    Failure::new(ExitCode::Invocation, message)
}
