//! Calls in expressions: a partition of a disk is the only one.

use dva_plan::expr::{DiskFact, Node};
use dva_plan::value::{Type, Value};

use crate::diagnostic::Code;
use crate::hir::ItemRef;
use crate::resolve::dotted;
use crate::span::Span;
use crate::suggest::did_you_mean;
use crate::syntax::ast::{Argument, Path};
use crate::types::{Checker, Operand, a_type};

/// The largest number of a partition.
const MAX_PARTITION: i64 = 128;

impl Checker<'_, '_> {
    /// `DISK.part(N)`, the only call in an expression.
    pub(crate) fn call(
        &mut self,
        callee: &Path,
        arguments: &[Argument],
        span: Span,
    ) -> Option<Operand> {
        // `data.part`, `storage.data.part`
        let whole = dotted(callee);
        let (name, last) = whole.rsplit_once('.').unwrap_or(("", &whole));
        let first = if name.is_empty() { last } else { name };
        let disk = self.find(first, callee.span).map(|(item, _)| item);
        if last != "part" || name.is_empty() {
            if disk != Some(ItemRef::Unread) && !self.hir.has_unread {
                let text = format!("nothing named `{}` can be called", dotted(callee));
                let help = "The one call there is gives a partition of a disk: `data.part(1)`.";
                self.report(Code::P0204, callee.span, text, help);
            }
            return None;
        }
        let disk = match disk {
            Some(ItemRef::Disk(disk)) => disk,
            Some(ItemRef::Unread) => return None,
            Some(_) | None => {
                if self.hir.has_unread {
                    return None;
                }
                let text = format!("no disk is named `{name}`");
                let disks = self.hir.disks.iter().map(|disk| disk.name.text.as_str());
                let help = did_you_mean(name, disks)
                    .unwrap_or_else(|| "Only disks have partitions.".to_owned());
                self.report(Code::P0204, callee.segments[0].span, text, help);
                return None;
            }
        };
        let [number] = arguments else {
            let text = format!("`part` takes one number, {} are given", arguments.len());
            self.report(
                Code::P0301,
                span,
                text,
                format!("Write for example `{name}.part(1)`."),
            );
            return None;
        };
        let number = &number.value;
        let operand = self.expression(number, Some(&Type::Int))?;
        if operand.r#type != Type::Int {
            let text = format!(
                "this is {}, a partition has a number",
                a_type(&operand.r#type)
            );
            self.report(
                Code::P0301,
                number.span,
                text,
                format!("Write for example `{name}.part(1)`."),
            );
            return None;
        }
        match self.nodes.node(operand.expr) {
            Node::Const(Value::Int(n)) if (1..=MAX_PARTITION).contains(n) => {
                let n = u32::try_from(*n).unwrap_or_default();
                self.on_disk(disk, DiskFact::Part(n), span)
            }
            Node::Const(_) => {
                let help = format!("Partitions are numbered from 1 to {MAX_PARTITION}.");
                self.report(
                    Code::P0305,
                    number.span,
                    "no partition has this number",
                    help,
                );
                None
            }
            _ => {
                let help = "Write the number down: `data.part(1)`.";
                self.report(
                    Code::P0316,
                    number.span,
                    "this is known only when the test runs",
                    help,
                );
                None
            }
        }
    }
}
