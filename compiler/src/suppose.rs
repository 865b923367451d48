//! What if a plan were run otherwise: replaces what its matrices and its market say, so that an estimate can
//! be compared with that of the source as it stands.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::quote::Market;
use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{AxisValue, Hir, MatrixIx};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};

/// The axes whose values can be supposed to be others.
pub const AXES: [&str; 2] = ["instance", "region"];

/// What is supposed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supposed {
    /// How machines are bought.
    pub market: Option<Market>,
    /// The values of axes of the plan's matrices, by the name of the axis: one of [`AXES`].
    pub values: BTreeMap<String, Vec<String>>,
}

/// Puts what is supposed in the place of what was written for `plan`, or for all plans where none is named.
pub(crate) fn suppose(
    hir: &mut Hir<'_>,
    plan: Option<&str>,
    supposed: &Supposed,
    catalog: &Catalog,
    bag: &mut Bag,
) {
    let plans = hir.plans.iter();
    let plans = plans.filter(|own| plan.is_none_or(|plan| own.name.text == plan));
    let parts = plans.flat_map(|plan| &plan.parts);
    let matrices: BTreeSet<MatrixIx> = parts
        .filter_map(|part| part.matrix.map(|mention| mention.to))
        .collect();
    if let Some(market) = supposed.market {
        for plan in hir.plans.iter_mut() {
            let span = plan.policy.market.as_ref().map(|(span, _)| *span);
            let span = span.unwrap_or(plan.name.span);
            plan.policy.market = Some((span, vec![market]));
        }
    }
    for (axis, values) in &supposed.values {
        let is_known = |name: &String| match axis.as_str() {
            "instance" => catalog.machine_type(name).is_some(),
            _ => catalog.region(name).is_some(),
        };
        let unknown: Vec<_> = values.iter().filter(|name| !is_known(name)).collect();
        for name in &unknown {
            bag.push(unknown_value(axis, name, catalog));
        }
        if !unknown.is_empty() {
            continue;
        }
        for matrix in &matrices {
            let axes = hir.matrices[*matrix].axes.iter_mut();
            let own = axes.filter(|own| own.name.text == *axis);
            for own in own {
                let span = own.name.span;
                let values = values.iter().map(|name| AxisValue {
                    name: name.clone(),
                    span,
                });
                own.values = values.collect();
                own.chosen = None;
            }
        }
    }
}

fn unknown_value(axis: &str, name: &str, catalog: &Catalog) -> Diagnostic {
    let known: Vec<&str> = match axis {
        "instance" => catalog
            .machine_types()
            .map(|known| known.name.as_str())
            .collect(),
        _ => catalog
            .regions()
            .map(|region| region.name.as_str())
            .collect(),
    };
    let help = did_you_mean(name, known.iter().copied())
        .unwrap_or_else(|| format!("There are {}.", listed(known.iter().copied())));
    let text = format!("`{name}`, which `--what-if` supposes, is not a value of `{axis}`");
    Diagnostic::new(Code::P0304, Span::default(), text).help(help)
}
