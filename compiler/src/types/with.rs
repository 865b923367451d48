//! Variables of a command's environment, and the secrets that can stand there alone.

use dva_plan::plan::SecretIx;
use dva_plan::step;
use dva_plan::step::WithValue;

use crate::diagnostic::{Code, Diagnostic};
use crate::hir::ItemRef;
use crate::resolve::dotted;
use crate::span::Span;
use crate::syntax::ast::{Expr, ExprKind, Name, With};
use crate::types::command::no_text;
use crate::types::{Checker, a_type};

/// Variables with a meaning for the shell, the loader or the environment of a step.
const TAKEN: [&str; 19] = [
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "EUID",
    "HOME",
    "IFS",
    "LC_ALL",
    "LOGNAME",
    "OLDPWD",
    "PATH",
    "PPID",
    "PWD",
    "SHELL",
    "SHELLOPTS",
    "TERM",
    "UID",
    "USER",
    "_",
];
/// How variables begin that have a meaning for `dva` or the loader.
const TAKEN_PREFIXES: [&str; 2] = ["DVA_", "LD_"];

impl Checker<'_, '_> {
    /// The variables behind `with`.
    pub(crate) fn with(&mut self, variables: &[With]) -> Option<Vec<step::With>> {
        let mut made: Vec<step::With> = Vec::new();
        for (place, with) in variables.iter().enumerate() {
            let earlier = &variables[..place];
            let first = earlier.iter().find(|own| own.name.text == with.name.text);
            let named = match first {
                Some(first) => {
                    let text = format!("`{}` a second time", with.name.text);
                    self.bag.push(
                        Diagnostic::new(Code::P0208, with.name.span, text)
                            .and(first.name.span, "the first time")
                            .help("Remove one of them."),
                    );
                    false
                }
                None => self.may_be_a_variable(&with.name),
            };
            let value = self.with_value(&with.value);
            if let (true, Some(value)) = (named, value) {
                let name = with.name.text.clone();
                made.push(step::With { name, value });
            }
        }
        (made.len() == variables.len()).then_some(made)
    }

    fn may_be_a_variable(&mut self, name: &Name) -> bool {
        let text = name.text.as_str();
        let (label, help) = if text.contains('-') {
            (
                "a variable of the shell has no hyphens",
                format!("Write `{}`.", text.replace('-', "_")),
            )
        } else if TAKEN.contains(&text)
            || TAKEN_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        {
            (
                "this variable has a meaning of its own",
                "Choose another name. To set it, do so in the command: `NAME=\"$value\" command`."
                    .to_owned(),
            )
        } else {
            return true;
        };
        self.report(Code::P0607, name.span, label, help);
        false
    }

    fn with_value(&mut self, value: &Expr) -> Option<WithValue> {
        if let Some(secret) = self.secret(value) {
            return Some(WithValue::Secret(secret));
        }
        let operand = self.expression(value, None)?;
        if let Some(help) = no_text(&operand.r#type, self.sources.slice(value.span)) {
            let text = format!(
                "this is {}, which has no text of its own",
                a_type(&operand.r#type)
            );
            self.report(Code::P0604, value.span, text, help);
            return None;
        }
        Some(WithValue::Expr(operand.expr))
    }

    /// The secret that `value` names, if that is all it does.
    fn secret(&self, value: &Expr) -> Option<SecretIx> {
        match &value.kind {
            ExprKind::Group(inner) => self.secret(inner),
            ExprKind::Path(path) => match self.find(&dotted(path), path.span) {
                Some((ItemRef::Input(secret), _)) => Some(secret),
                _ => None,
            },
            _ => None,
        }
    }

    /// Reports a secret that stands where it would be seen.
    pub(crate) fn secret_is_seen(&mut self, secret: SecretIx, span: Span) {
        let input = &self.hir.inputs[secret];
        let name = &input.name.text;
        self.bag.push(
            Diagnostic::new(Code::P0317, span, format!("`{name}` is a secret"))
                .and(input.name.span, "declared here")
                .help(format!(
                    "It reaches a command as a variable of the shell, and in no other way: \
                     ``run `… \"$value\" …` with value = {name}``."
                )),
        );
    }
}
