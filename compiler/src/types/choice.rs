//! The values of the axes of a matrix, those among them that a condition chooses.

use std::collections::BTreeSet;

use dva_plan::eval::{Facts, eval};
use dva_plan::expr::{ExprIx, Expressions, MachineFact, Node};
use dva_plan::plan::Machine;
use dva_plan::step::SourceText;
use dva_plan::value::Value;
use dva_stdlib::{Catalog, Region};

use crate::constraint::binding;
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{AxisValue, Choice, Chosen, Matrix};
use crate::span::Span;
use crate::suggest::listed;
use crate::syntax::ast::{BinaryOperator, Expr, ExprKind};
use crate::types::fact::machine;
use crate::types::scope::Scope;
use crate::types::step::source_text;
use crate::types::{Checker, Uses};

/// A condition that must hold, and its place.
#[derive(Clone, Debug)]
pub struct Required {
    /// Its place.
    pub span: Span,
    /// Its text and line.
    pub source: SourceText,
    /// The condition.
    pub condition: ExprIx,
}

impl Checker<'_, '_> {
    /// The values of each axis of `matrix`; `None` where one was reported.
    pub(crate) fn axes(&mut self, matrix: &Matrix<'_>) -> Option<Vec<Vec<AxisValue>>> {
        let mut all = Some(Vec::new());
        for axis in &matrix.axes {
            let values = match &axis.chosen {
                None => Some(axis.values.clone()),
                Some(chosen) => self.chosen(chosen),
            };
            match (&mut all, values) {
                (Some(all), Some(values)) => all.push(values),
                _ => all = None,
            }
        }
        all
    }

    fn chosen(&mut self, chosen: &Chosen<'_>) -> Option<Vec<AxisValue>> {
        let conditions = match chosen.condition {
            None => Vec::new(),
            Some(condition) => self.conditions_on(chosen.from, condition)?,
        };
        let names = self.that_meet(chosen.from, &conditions)?;
        let values = names.into_iter().map(|name| AxisValue {
            name,
            span: chosen.span,
        });
        Some(values.collect())
    }

    /// The parts of `condition` that `and` joins, as conditions on what is chosen.
    pub(crate) fn conditions_on(
        &mut self,
        from: Choice,
        condition: &Expr,
    ) -> Option<Vec<Required>> {
        let scope = std::mem::replace(&mut self.scope, Scope::Filter(from));
        let conditions = self.parts(condition, "`where`");
        self.scope = scope;
        self.uses = Uses::default();
        conditions
    }

    /// The parts of `condition` that `and` joins, each a condition of its own; `None` where one was
    /// reported.
    pub(crate) fn parts(&mut self, condition: &Expr, user: &str) -> Option<Vec<Required>> {
        let mut parts = Some(Vec::new());
        for part in flatten(condition) {
            let made = self.condition_in(part, user);
            let made = made.filter(|made| self.says_something(*made, part.span, user));
            match (&mut parts, made) {
                (Some(parts), Some(condition)) => parts.push(Required {
                    span: part.span,
                    source: source_text(self.sources, part.span),
                    condition,
                }),
                _ => parts = None,
            }
        }
        parts
    }

    /// Reports a condition that is decided already; false where nothing can meet it.
    fn says_something(&mut self, condition: ExprIx, span: Span, user: &str) -> bool {
        let Node::Const(Value::Bool(truth)) = self.nodes.node(condition) else {
            return true;
        };
        let truth = *truth;
        let help = format!("{user} compares something that differs between machines.");
        if truth {
            self.report(Code::P0314, span, "this is always true", help);
        } else {
            self.report(Code::P0315, span, "this is never true", help);
        }
        truth
    }

    /// The names of what meets all `conditions`, in order; `None` where nothing does, which is reported
    /// with the condition that binds.
    pub(crate) fn that_meet(
        &mut self,
        from: Choice,
        conditions: &[Required],
    ) -> Option<Vec<String>> {
        let things = things(self.catalog, from);
        let nodes = self.nodes.expressions();
        let holds: Vec<Vec<bool>> = things
            .iter()
            .map(|(_, kinds)| {
                // A type of several architectures serves where one of them does.
                let rows = kinds.iter().map(|kind| {
                    let facts = MachineFacts(kind);
                    let row = conditions.iter();
                    row.map(|of| eval(nodes, of.condition, &facts) == Ok(Value::Bool(true)))
                        .collect::<Vec<_>>()
                });
                rows.max_by_key(|row| row.iter().filter(|holds| **holds).count())
                    .unwrap_or_default()
            })
            .collect();
        if let Some(binding) = binding(&holds) {
            let name = |thing: &usize| things[*thing].0.as_str();
            let mut examples = listed(binding.without.iter().map(name));
            if let [only] = binding.conditions.as_slice() {
                let without = binding.without.iter();
                let machines = without.flat_map(|thing| &things[*thing].1);
                examples.push_str(&range(nodes, conditions[*only].condition, machines));
            }
            self.report_binding(from.word(), conditions, &binding.conditions, &examples);
            return None;
        }
        let chosen = things.into_iter().zip(&holds);
        let chosen = chosen.filter(|(_, row)| row.iter().all(|holds| *holds));
        Some(chosen.map(|((name, _), _)| name).collect())
    }

    fn report_binding(
        &mut self,
        what: &str,
        conditions: &[Required],
        which: &[usize],
        examples: &str,
    ) {
        let (Some(first), true) = (which.first(), !conditions.is_empty()) else {
            return;
        };
        let words: Vec<_> = which
            .iter()
            .map(|one| format!("`{}`", conditions[*one].source.text))
            .collect();
        let text = if which.len() == conditions.len() && which.len() == 1 {
            format!("no {what} are like that")
        } else {
            format!("this leaves no {what} over")
        };
        let mut finding = Diagnostic::new(Code::P0415, conditions[*first].span, text);
        for other in &which[1..] {
            finding = finding.and(conditions[*other].span, "together with this");
        }
        let help = match words.as_slice() {
            [_] if conditions.len() == 1 => format!("There are {examples}."),
            _ => format!("Without {} there would be {examples}.", words.join(" and ")),
        };
        self.bag.push(finding.help(help));
    }
}

/// Where the fact that `condition` compares lies among `machines`, as the end of a sentence that lists
/// them; empty where the condition is no comparison of a fact that has an order.
pub(crate) fn range<'m>(
    nodes: &Expressions,
    condition: ExprIx,
    machines: impl IntoIterator<Item = &'m Machine>,
) -> String {
    // `a in b..c` is a comparison with either end.
    let comparison = match &nodes[condition] {
        Node::And(left, _) => &nodes[*left],
        other => other,
    };
    let Node::Compare { left, right, .. } = comparison else {
        return String::new();
    };
    let sides = (&nodes[*left], &nodes[*right]);
    let ((Node::Machine(fact), Node::Const(_)) | (Node::Const(_), Node::Machine(fact))) = sides
    else {
        return String::new();
    };
    let is_ordered = |value: &Value| matches!(value, Value::Int(_) | Value::Bytes(_));
    let values: BTreeSet<Value> = machines
        .into_iter()
        .filter_map(|machine| machine.fact(*fact))
        .filter(is_ordered)
        .collect();
    let (Some(least), Some(most)) = (values.first(), values.last()) else {
        return String::new();
    };
    let name = fact.path().rsplit('.').next().unwrap_or_default();
    if least == most {
        format!(", with a `{name}` of {least}")
    } else {
        format!(", with a `{name}` from {least} to {most}")
    }
}

/// What `and` joins.
pub(crate) fn flatten(condition: &Expr) -> Vec<&Expr> {
    match &condition.kind {
        ExprKind::Binary {
            operator: BinaryOperator::And,
            left,
            right,
            ..
        } => {
            let mut parts = flatten(left);
            parts.extend(flatten(right));
            parts
        }
        ExprKind::Group(inner) if is_and(inner) => flatten(inner),
        _ => vec![condition],
    }
}

fn is_and(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Binary { operator, .. } => *operator == BinaryOperator::And,
        ExprKind::Group(inner) => is_and(inner),
        _ => false,
    }
}

/// What there is to choose from: each name, and the machines that tell what it is like.
fn things(catalog: &Catalog, from: Choice) -> Vec<(String, Vec<Machine>)> {
    match from {
        Choice::Regions => catalog
            .regions()
            .map(|region| {
                let mut facts = nowhere();
                facts.region.clone_from(&region.name);
                facts.partition.clone_from(&region.partition);
                if let Some(features) = &mut facts.features {
                    features.opt_in = region.opt_in;
                }
                (region.name.clone(), vec![facts])
            })
            .collect(),
        Choice::Types => {
            let region = Region {
                name: String::new(),
                partition: String::new(),
                opt_in: false,
                zones: Vec::new(),
            };
            catalog
                .machine_types()
                .map(|of| {
                    let kinds = of.arch.iter().map(|arch| machine(of, &region, arch));
                    (of.name.clone(), kinds.collect())
                })
                .collect()
        }
    }
}

fn nowhere() -> Machine {
    Machine {
        region: String::new(),
        partition: String::new(),
        r#type: String::new(),
        vcpus: 0,
        memory_bytes: 0,
        arch: String::new(),
        features: Some(dva_plan::features::Features::default()),
        quote: None,
    }
}

/// Surroundings that know a machine alone.
pub(crate) struct MachineFacts<'m>(pub(crate) &'m Machine);

impl Facts for MachineFacts<'_> {
    fn machine(&self, fact: MachineFact) -> Option<Value> {
        self.0.fact(fact)
    }
}
