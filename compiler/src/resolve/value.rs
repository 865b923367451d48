//! Values with a name: `let`, `input` and `table`. What they are is read in [`crate::types`].

use super::Resolution;
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{Constant, Input, ItemRef, Origin, RunInput};
use crate::syntax::ast;

impl<'a> Resolution<'a, '_> {
    pub(super) fn constant(&mut self, constant: &'a ast::Constant) -> ItemRef {
        ItemRef::Let(self.hir.constants.push(Constant {
            name: &constant.name,
            r#type: constant.r#type.as_ref(),
            from: Origin::Written(&constant.value),
            given: None,
        }))
    }

    pub(super) fn input(&mut self, input: &'a ast::Input) -> ItemRef {
        let is_secret = matches!(
            &input.r#type.kind,
            ast::TypeExprKind::Named(name) if name.text == "secret"
        );
        if is_secret {
            if let Some(default) = &input.default {
                let help =
                    "A secret never stands in a source. Say in the configuration where it is.";
                let text = "a secret that everybody can read";
                let finding = Diagnostic::new(Code::P0325, default.span, text);
                self.bag.push(finding.help(help));
            }
            let name = &input.name;
            return ItemRef::Input(self.hir.inputs.push(Input { name }));
        }
        if input.at_run.is_some() {
            return ItemRef::RunInput(self.hir.run_inputs.push(RunInput {
                name: &input.name,
                r#type: &input.r#type,
            }));
        }
        ItemRef::Setting(self.hir.constants.push(Constant {
            name: &input.name,
            r#type: Some(&input.r#type),
            from: Origin::Given(input.default.as_ref()),
            given: None,
        }))
    }

    pub(super) fn lookup_table(&mut self, table: &'a ast::LookupTable) -> ItemRef {
        ItemRef::Table(self.hir.tables.push(table))
    }
}
