//! Boots: what a life needs at its launch.

use dva_plan::plan::{Boot, BootMode, Capability};
use dva_plan::policy::MAX_USER_DATA_BYTES;
use dva_plan::unit::display_size;
use dva_plan::value::{Type, Value};

use crate::diagnostic::Code;
use crate::hir;
use crate::resolve::dotted;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{self, ExprKind};
use crate::types::Checker;
use crate::types::scope::Scope;

/// The largest root disk, in bytes.
const MAX_ROOT_BYTES: u64 = 1 << 44;
/// Root disks come in whole multiples of this many bytes.
const ROOT_UNIT_BYTES: u64 = 1 << 30;

const MODES: [(&str, BootMode); 2] = [("bios", BootMode::Bios), ("uefi", BootMode::Uefi)];

impl Checker<'_, '_> {
    pub(crate) fn boot(&mut self, boot: &hir::Boot<'_>) -> Option<Boot> {
        self.scope = Scope::Constant;
        let field = |name| boot.fields.get(name).map(|field| &field.value);
        let (user_data, mode, root) = (field("user_data"), field("mode"), field("root"));
        let user_data = user_data.map(|value| self.user_data(boot.name, value));
        let mode = mode.map(|value| self.boot_mode(value));
        let root = root.map(|value| self.root_size(value));
        Some(Boot {
            name: self.hir.qualified(boot.name),
            user_data: said(user_data)?,
            mode: said(mode)?,
            root_bytes: said(root)?,
        })
    }

    /// `"TEXT"` or `file("PATH")`
    fn user_data(&mut self, boot: &ast::Name, value: &ast::Expr) -> Option<dva_plan::plan::BlobIx> {
        let blob = match &value.kind {
            ExprKind::Call { callee, arguments } if dotted(callee) == "file" => {
                let kinds: Vec<_> = arguments
                    .iter()
                    .map(|argument| (argument.value.span, &argument.value.kind))
                    .collect();
                match *kinds {
                    [(_, ExprKind::Error)] => return None,
                    [(span, ExprKind::Text(path))] => {
                        let text = Some(path.clone());
                        self.blob(&ast::Text { span, text })?
                    }
                    _ => {
                        let text = "`file` takes one path, a text";
                        let help = "Write for example `user_data = file(\"./marker.yaml\")`.";
                        self.report(Code::P0301, value.span, text, help);
                        return None;
                    }
                }
            }
            _ => {
                let help = "user data is a text, or what a file beside the source has: \
                            `file(\"./marker.yaml\")`";
                let Value::String(text) = self.constant(value, &Type::String, help)? else {
                    return None;
                };
                let name = format!("user data of {}", boot.text);
                self.files.intern(&name, text.as_bytes())
            }
        };
        if self.files.size_of(blob) > MAX_USER_DATA_BYTES {
            let limit = u64::try_from(MAX_USER_DATA_BYTES).unwrap_or(u64::MAX);
            let text = format!("it is larger than {}", display_size(limit));
            let help = "No provider takes more. Let it fetch the rest itself, or upload a file in \
                        the test.";
            self.report(Code::P0736, value.span, text, help);
            return None;
        }
        Some(blob)
    }

    fn boot_mode(&mut self, value: &ast::Expr) -> Option<BootMode> {
        let known = || MODES.iter().map(|(name, _)| *name);
        let word = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Path(path) => dotted(path),
            _ => String::new(),
        };
        let found = MODES.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let text = match word.as_str() {
                "" => "this is no boot mode".to_owned(),
                word => format!("`{word}` is no boot mode"),
            };
            let help = did_you_mean(&word, known())
                .unwrap_or_else(|| format!("There are {}.", listed(known())));
            self.report(Code::P0304, value.span, text, help);
        }
        found.map(|(_, mode)| *mode)
    }

    fn root_size(&mut self, value: &ast::Expr) -> Option<u64> {
        let help = "the root disk has a size, for example `15GiB`";
        let Value::Bytes(bytes) = self.constant(value, &Type::Bytes, help)? else {
            return None;
        };
        if bytes > 0 && bytes <= MAX_ROOT_BYTES && bytes.is_multiple_of(ROOT_UNIT_BYTES) {
            return Some(bytes);
        }
        let help = format!(
            "A root disk has a whole number of GiB, at least 1 and at most {}.",
            display_size(MAX_ROOT_BYTES)
        );
        let text = format!("no root disk has {}", display_size(bytes));
        self.report(Code::P0407, value.span, text, help);
        None
    }
}

/// What `boot` needs of who launches a life with it.
pub(crate) fn needs(boot: &Boot) -> impl Iterator<Item = Capability> {
    let user_data = boot.user_data.map(|_| Capability::UserData);
    let mode = boot.mode.map(|_| Capability::BootMode);
    let root = boot.root_bytes.map(|_| Capability::RootSize);
    user_data.into_iter().chain(mode).chain(root)
}

/// What was said, or that nothing was; `None` where what was said is wrong.
fn said<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| value.map(Some))
}
