//! Axes and matrices: which axes a matrix has, and which values each of them.

use super::{Given, Resolution, check_kind, check_name, dotted};
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{Axis, AxisValue, Choice, Chosen, ItemRef, Matrix, MatrixAxis};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;

/// The axes that every matrix has.
pub const REQUIRED_AXES: [&str; 3] = ["image", "region", "instance"];

/// What the value of an axis may say of a machine's network.
const NETWORK_FIELDS: [(&str, Given); 2] =
    [("ipv6", Given::Sometimes), ("egress", Given::Sometimes)];

impl<'a> Resolution<'a, '_> {
    pub(super) fn axis(&mut self, axis: &'a ast::Axis) -> Axis<'a> {
        check_kind(&axis.name, self.bag);
        let mut values: Vec<&ast::Name> = Vec::new();
        let mut all_fields = Vec::new();
        for value in &axis.values {
            check_name(&value.name, self.catalog, self.bag);
            let noun = "the value of an axis";
            let fields = self.fields(&value.name, &value.fields, &NETWORK_FIELDS, noun);
            self.plain_fields(&fields);
            match values.iter().find(|known| known.text == value.name.text) {
                Some(first) => {
                    let what = format!("`{}`", value.name.text);
                    self.said_twice(value.name.span, first.span, &what);
                }
                None => {
                    values.push(&value.name);
                    all_fields.push(fields);
                }
            }
        }
        if values.is_empty() {
            let text = format!("`{}` has no values", axis.name.text);
            self.bag
                .push(Diagnostic::new(Code::P0401, axis.name.span, text).help(
                    "An axis lists its values in braces: `axis filesystem { xfs { } ext4 { } }`.",
                ));
        }
        Axis {
            name: &axis.name,
            values,
            fields: all_fields,
        }
    }

    pub(super) fn matrix(&mut self, matrix: &'a ast::Matrix) -> Matrix<'a> {
        let mut intact = true;
        let mut axes: Vec<MatrixAxis<'a>> = Vec::new();
        let mut named = Vec::new();
        for line in &matrix.axes {
            named.push(line.axis.text.as_str());
            if let Some(first) = axes.iter().find(|known| known.name.text == line.axis.text) {
                let what = format!("the axis `{}`", line.axis.text);
                self.said_twice(line.axis.span, first.name.span, &what);
                intact = false;
                continue;
            }
            let (values, chosen) = match self.chosen(line) {
                Some(chosen) => (chosen.is_some().then(Vec::new), chosen),
                None => (self.axis_values(line), None),
            };
            let listed = match &line.values {
                ast::AxisValues::Listed(listed) if chosen.is_none() => listed.len(),
                ast::AxisValues::Listed(_) | ast::AxisValues::Where { .. } => 0,
            };
            intact &= values.as_ref().is_some_and(|values| values.len() == listed);
            intact &= self.may_be_any(line);
            axes.push(MatrixAxis {
                name: &line.axis,
                how: line.how,
                values: values.unwrap_or_default(),
                chosen,
            });
        }
        for required in REQUIRED_AXES {
            if !named.contains(&required) {
                intact = false;
                // A misspelt axis was reported as an unknown name with this one offered.
                if named
                    .iter()
                    .any(|name| did_you_mean(name, [required]).is_some())
                {
                    continue;
                }
                let text = format!("`{}` has no axis `{required}`", matrix.name.text);
                let example = match required {
                    "image" => "image = each host",
                    "region" => "region = each local",
                    _ => "instance = each local.small",
                };
                self.bag.push(
                    Diagnostic::new(Code::P0402, matrix.name.span, text).help(format!(
                        "A machine is started from an image, in a region, as an instance of a type: \
                         every matrix has these three axes. Add for example `{example}`."
                    )),
                );
            }
        }
        Matrix {
            name: &matrix.name,
            axes,
            excludes: matrix.excludes.iter().collect(),
            intact,
        }
    }

    /// How the values of an axis are chosen; `None` where they are listed. Inside is nothing where it was
    /// reported.
    fn chosen(&mut self, line: &'a ast::MatrixAxis) -> Option<Option<Chosen<'a>>> {
        const SOURCES: [(&str, &str, Choice); 2] = [
            ("regions", "region", Choice::Regions),
            ("types", "instance", Choice::Types),
        ];
        let (source, condition) = match &line.values {
            ast::AxisValues::Listed(listed) => match listed.as_slice() {
                [only] => (only, None),
                _ => return None,
            },
            ast::AxisValues::Where { source, condition } => (source, Some(condition)),
        };
        let word = dotted(source);
        let known = SOURCES.iter().find(|(name, _, _)| *name == word);
        if let Some((_, axis, from)) = known
            && *axis == line.axis.text
        {
            return Some(Some(Chosen {
                from: *from,
                span: source.span,
                condition,
            }));
        }
        // The name of a value, or of an axis of the author's own that has such a value.
        if condition.is_none()
            && !(known.is_some() && REQUIRED_AXES[1..].contains(&line.axis.text.as_str()))
        {
            return None;
        }
        let own = SOURCES.iter().find(|(_, axis, _)| *axis == line.axis.text);
        let (text, help) = match own {
            Some((name, axis, _)) => (
                format!("values of `{axis}` are not chosen from `{word}`"),
                format!("Write `{axis} = each {name}`, with a condition behind `where`."),
            ),
            None => (
                format!("values of `{}` are not chosen by a condition", line.axis.text),
                "List them: `each a, b`. Conditions choose regions, `region = each regions where …`, and \
                 machine types, `instance = each types where …`."
                    .to_owned(),
            ),
        };
        self.bag
            .push(Diagnostic::new(Code::P0304, source.span, text).help(help));
        Some(None)
    }

    /// Reports `any` on an axis whose values do not stand for machines.
    fn may_be_any(&mut self, line: &ast::MatrixAxis) -> bool {
        let is_machine = ["region", "instance"].contains(&line.axis.text.as_str());
        // A misspelt axis was reported.
        let is_unknown = line.axis.text != "image"
            && !matches!(
                self.find(&line.axis.text, line.axis.span),
                Some((ItemRef::Axis(_), _))
            );
        if line.how == ast::Every::Each || is_machine || is_unknown {
            return true;
        }
        let text = format!("all values of `{}` are under test", line.axis.text);
        self.bag.push(Diagnostic::new(Code::P0413, line.axis.span, text).help(
            "`any` takes the cheapest machine that serves, so it is for `region` and `instance`. Write `each`.",
        ));
        false
    }

    /// The values of a matrix's axis that exist, each once; `None` where the axis itself does not.
    fn axis_values(&mut self, line: &ast::MatrixAxis) -> Option<Vec<AxisValue>> {
        let known: Vec<String> = match line.axis.text.as_str() {
            "image" => self
                .hir
                .images
                .iter()
                .map(|image| image.name.text.clone())
                .collect(),
            "region" => self
                .catalog
                .regions()
                .map(|region| region.name.clone())
                .collect(),
            "instance" => self
                .catalog
                .machine_types()
                .map(|machine| machine.name.clone())
                .collect(),
            author => {
                let to = match self.find(author, line.axis.span) {
                    Some((ItemRef::Axis(axis), _)) => axis,
                    None if self.offer_required_axis(&line.axis) => return None,
                    found => {
                        self.unknown(&line.axis.text, line.axis.span, found, "an axis", |to| {
                            matches!(to, ItemRef::Axis(_))
                        });
                        return None;
                    }
                };
                self.hir.axes[to]
                    .values
                    .iter()
                    .map(|value| value.text.clone())
                    .collect()
            }
        };
        let mut values: Vec<AxisValue> = Vec::new();
        let ast::AxisValues::Listed(listed) = &line.values else {
            return None;
        };
        for path in listed {
            let name = dotted(path);
            if !known.contains(&name) {
                self.unknown_value(line, &name, path.span, &known);
            } else if let Some(first) = values.iter().find(|value| value.name == name) {
                self.said_twice(path.span, first.span, &format!("`{name}`"));
            } else {
                values.push(AxisValue {
                    name,
                    span: path.span,
                });
            }
        }
        Some(values)
    }

    /// Whether `axes` are such as a matrix may have.
    pub(super) fn axes_exist(&mut self, axes: &[&ast::Name]) -> bool {
        let mut all = true;
        for axis in axes {
            let found = self.find(&axis.text, axis.span);
            let is_own = matches!(found, Some((ItemRef::Axis(_), _)));
            if is_own || REQUIRED_AXES.contains(&axis.text.as_str()) {
                continue;
            }
            all = false;
            if found.is_some() || !self.offer_required_axis(axis) {
                self.unknown(&axis.text, axis.span, found, "an axis", |to| {
                    matches!(to, ItemRef::Axis(_))
                });
            }
        }
        all
    }

    /// Reports an unknown axis that is spelt like one that every matrix has; false where it is not.
    fn offer_required_axis(&mut self, axis: &ast::Name) -> bool {
        let Some(help) = did_you_mean(&axis.text, REQUIRED_AXES) else {
            return false;
        };
        let text = format!("no axis is named `{}`", axis.text);
        self.bag
            .push(Diagnostic::new(Code::P0204, axis.span, text).help(help));
        true
    }

    fn unknown_value(&mut self, line: &ast::MatrixAxis, name: &str, span: Span, known: &[String]) {
        let axis = line.axis.text.as_str();
        let found = self.find(name, span).map(|(to, _)| to);
        let may_be_unread = self.hir.has_unread || found == Some(ItemRef::Unread);
        if axis == "image" && may_be_unread {
            return;
        }
        let known = || known.iter().map(String::as_str);
        let help = did_you_mean(name, known())
            .unwrap_or_else(|| format!("The values of `{axis}` are {}.", listed(known())));
        let text = format!("`{name}` is not a value of `{axis}`");
        self.bag
            .push(Diagnostic::new(Code::P0304, span, text).help(help));
    }
}
