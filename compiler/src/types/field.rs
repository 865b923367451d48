//! Fields of images and disks, limits, and the conditions of a matrix.

use dva_plan::expr::{Comparison, MachineFact, Node, Operator};
use dva_plan::plan::{self, DiskIx, DiskOrigin};
use dva_plan::unit::display_size;
use dva_plan::value::{Type, Value};

use crate::diagnostic::Code;
use crate::hir::{Disk, Image, Matrix, State};
use crate::resolve::dotted;
use crate::span::Span;
use crate::suggest::did_you_mean;
use crate::syntax::ast;
use crate::types::choice::Required;
use crate::types::image::Launch;
use crate::types::scope::Scope;
use crate::types::step::source_text;
use crate::types::{Checker, Exclude, Operand, Uses, a_type};

/// The largest disk, in bytes.
const MAX_DISK_BYTES: u64 = 1 << 40;
/// Disks come in whole sectors of this many bytes.
const SECTOR_BYTES: u64 = 512;
const LOCAL_HELP: &str = "There are `host`, the file system of the host that runs `dva`, and \
                          `rootfs(\"PATH\")`, a folder or a tar file on it.";

impl Checker<'_, '_> {
    /// An image, and what decides where it can start.
    pub(crate) fn image(&mut self, image: &Image<'_>) -> Option<(plan::Image, Launch)> {
        self.scope = Scope::Constant;
        let os = image.fields.get("os").map(|field| self.os(&field.value));
        let arch = image
            .fields
            .get("arch")
            .map(|field| self.arch(&field.value));
        let mut sources = Some(Vec::new());
        if let Some(local) = image.fields.get("local") {
            sources = self.local(&local.value).map(|source| vec![source]);
        }
        if let Some(ec2) = image.fields.get("ec2") {
            let source = self.ec2(&ec2.value);
            sources = sources.zip(source).map(|(mut sources, source)| {
                sources.push(source);
                sources
            });
        }
        let logins = self.logins(image);
        let facts = self.facts(image);
        let (os, version) = os??;
        let launch = self.launch(image, &os);
        let made = plan::Image {
            name: image.name.text.clone(),
            os,
            version,
            arch: arch??,
            sources: sources?,
            logins: logins?,
            facts: facts?,
        };
        Some((made, launch?))
    }

    /// `rhel` or `rhel(9.4)`.
    pub(crate) fn os(&mut self, value: &ast::Expr) -> Option<(String, Option<String>)> {
        let refuse = |checker: &mut Self, span: Span, text: &str| {
            let help = "Write the bare name, with its version where it matters: `os = linux` or `os = rhel(9.4)`.";
            checker.report(Code::P0301, span, text, help);
            None
        };
        match &value.kind {
            ast::ExprKind::Error => None,
            ast::ExprKind::Path(path) if path.segments.len() == 1 => {
                Some((self.os_name(path)?, None))
            }
            ast::ExprKind::Call { callee, arguments } if callee.segments.len() == 1 => {
                let [version] = arguments.as_slice() else {
                    return refuse(self, value.span, "an operating system has one version");
                };
                let name = self.os_name(callee);
                let version = &version.value;
                let operand = self.expression(version, Some(&Type::Version))?;
                match self.nodes.node(operand.expr) {
                    Node::Const(Value::Version(text)) => Some((name?, Some(text.clone()))),
                    _ => refuse(self, version.span, "this is no version"),
                }
            }
            _ => refuse(self, value.span, "this is no operating system"),
        }
    }

    /// The name of an operating system. Any may be, but for one that is much like one of the catalog: it
    /// would be billed as something else.
    fn os_name(&mut self, path: &ast::Path) -> Option<String> {
        let name = dotted(path);
        let known = || self.catalog.operating_systems();
        if known().any(|known| known == name) {
            return Some(name);
        }
        let lower = name.to_ascii_lowercase();
        let ours = self.catalog.our_name_for(&lower);
        let help = match ours.filter(|ours| known().any(|known| known == *ours)) {
            Some(ours) => format!("It is called `{ours}` here."),
            None => match did_you_mean(&lower, known()) {
                Some(help) => help,
                None => return Some(name),
            },
        };
        let text = format!("`{name}` is much like an operating system that is known");
        self.report(Code::P0304, path.span, text, help);
        None
    }

    fn arch(&mut self, value: &ast::Expr) -> Option<String> {
        let wanted = Type::Name("arch".to_owned());
        let operand = self.expression(value, Some(&wanted))?;
        match self.nodes.node(operand.expr) {
            Node::Const(Value::Name(name)) => Some(name.clone()),
            _ => {
                let text = format!("this is {}, not an architecture", a_type(&operand.r#type));
                self.report(
                    Code::P0301,
                    value.span,
                    text,
                    "Write it without quotes: `arch = x86_64`.",
                );
                None
            }
        }
    }

    fn local(&mut self, value: &ast::Expr) -> Option<plan::ImageSource> {
        const SOURCES: [&str; 2] = ["host", "rootfs"];
        let named = match &value.kind {
            ast::ExprKind::Error => return None,
            ast::ExprKind::Path(path) => Some((path, None)),
            ast::ExprKind::Call { callee, arguments } => Some((callee, Some(arguments))),
            _ => None,
        };
        let named = named.map(|(path, arguments)| (dotted(path), arguments));
        let (text, help) = match &named {
            Some((name, None)) if name == "host" => return Some(plan::ImageSource::LocalHost),
            Some((name, Some(arguments))) if name == "rootfs" => {
                return self.root_file_system(value, arguments);
            }
            Some((name, None)) if name == "rootfs" => (
                "`rootfs` lacks its path".to_owned(),
                "Write for example `local = rootfs(\"/srv/images/rhel94\")`.".to_owned(),
            ),
            Some((name, Some(_))) if name == "host" => (
                "`host` takes nothing".to_owned(),
                "Write `local = host`.".to_owned(),
            ),
            Some((name, _)) => (
                format!("`{name}` is no source of a local image"),
                did_you_mean(name, SOURCES).unwrap_or_else(|| LOCAL_HELP.to_owned()),
            ),
            None => (
                "this is no source of a local image".to_owned(),
                LOCAL_HELP.to_owned(),
            ),
        };
        self.report(Code::P0304, value.span, text, help);
        None
    }

    /// `rootfs("PATH")`
    fn root_file_system(
        &mut self,
        value: &ast::Expr,
        arguments: &[ast::Argument],
    ) -> Option<plan::ImageSource> {
        let kinds: Vec<_> = arguments
            .iter()
            .map(|argument| &argument.value.kind)
            .collect();
        match *kinds {
            [ast::ExprKind::Error] => None,
            [ast::ExprKind::Text(path)] if !path.is_empty() && !path.contains('\0') => {
                Some(plan::ImageSource::LocalRootfs { path: path.clone() })
            }
            _ => {
                let text = "`rootfs` takes one path, a text";
                let help = "It is a folder or a tar file of the host that runs `dva`: \
                            `local = rootfs(\"/srv/images/rhel94\")`.";
                self.report(Code::P0301, value.span, text, help);
                None
            }
        }
    }

    pub(crate) fn disk(&mut self, disk: &Disk<'_>) -> Option<plan::Disk> {
        let attached = disk.fields.get("attached").map(|field| {
            self.scope = Scope::Constant;
            let help = "a disk that a test attaches itself says `attached = false`";
            self.constant(&field.value, &Type::Bool, help)
        });
        let from = match disk.fields.get("from") {
            Some(field) => self.origin(&field.value),
            None => Some(DiskOrigin::Volume),
        };
        let size = disk.fields.get("size")?;
        let size_bytes = self.size_of_disk(&size.value)?;
        let from = from?;
        self.disk_fits_its_origin(disk, size, from)?;
        Some(plan::Disk {
            name: self.hir.qualified(disk.name),
            from,
            size_bytes,
            attached: attached.map_or(Some(Value::Bool(true)), |value| value)? == Value::Bool(true),
        })
    }

    /// `ebs` or `instance_store`
    fn origin(&mut self, value: &ast::Expr) -> Option<DiskOrigin> {
        const ORIGINS: [&str; 2] = ["ebs", "instance_store"];
        let word = match &value.kind {
            ast::ExprKind::Error => return None,
            ast::ExprKind::Path(path) => dotted(path),
            _ => String::new(),
        };
        match word.as_str() {
            "ebs" => Some(DiskOrigin::Volume),
            "instance_store" => Some(DiskOrigin::InstanceStore),
            other => {
                let help = did_you_mean(other, ORIGINS).unwrap_or_else(|| {
                    "A disk is a volume of its own, `from = ebs`, or comes with the machine, \
                     `from = instance_store`."
                        .to_owned()
                });
                let text = "no disk comes from there";
                self.report(Code::P0304, value.span, text, help);
                None
            }
        }
    }

    /// A volume has the size that is asked for; what comes with the machine is as large as it is, and
    /// always there.
    fn disk_fits_its_origin(
        &mut self,
        disk: &Disk<'_>,
        size: &ast::Field,
        from: DiskOrigin,
    ) -> Option<()> {
        match (from, size.at_least) {
            (DiskOrigin::Volume, Some(span)) => {
                let help = "Write `=`. With `from = instance_store`, `>=` says the least.";
                let text = "a volume is made in one size";
                self.report(Code::P0308, span, text, help);
                return None;
            }
            (DiskOrigin::InstanceStore, None) => {
                let help = "Write `size >= …`, the least that will do.";
                let text = "what comes with a machine is as large as it is";
                self.report(Code::P0308, size.value.span, text, help);
                return None;
            }
            _ => {}
        }
        match (from, disk.fields.get("attached")) {
            (DiskOrigin::InstanceStore, Some(field)) => {
                let help = "It is there from the start, and stays. Leave `attached` out.";
                let text = "a disk that comes with the machine cannot be attached";
                self.report(Code::P0511, field.name.span, text, help);
                None
            }
            _ => Some(()),
        }
    }

    /// Whether `disk` comes with machines of a type.
    pub(crate) fn comes_with_machine(&self, disk: DiskIx) -> bool {
        let from = self.hir.disks[disk].fields.get("from");
        from.is_some_and(|field| match &field.value.kind {
            ast::ExprKind::Path(path) => dotted(path) == "instance_store",
            _ => false,
        })
    }

    /// What tests with an effect on `disk` need of their machine: of one that comes with it, that it has a
    /// disk of that size.
    pub(crate) fn storage_for(&mut self, disk: DiskIx, span: Span) -> Option<Required> {
        // A field that was reported says nothing.
        self.attached_at_start[disk]?;
        if !self.comes_with_machine(disk) {
            return None;
        }
        let row = &self.hir.disks[disk];
        let bytes = self.size_of_disk(&row.fields.get("size")?.value)?;
        let disks = self.nodes.add(Node::Machine(MachineFact::StorageDisks));
        let one = self.nodes.add(Node::Const(Value::Int(1)));
        let has_one = self.nodes.add(Node::Compare {
            how: Comparison::AtLeast,
            left: disks,
            right: one,
        });
        // They are all of one size.
        let size = self.nodes.add(Node::Const(Value::Bytes(bytes)));
        let all = self.nodes.add(Node::Arithmetic {
            how: Operator::Multiply,
            left: size,
            right: disks,
        });
        let storage = self.nodes.add(Node::Machine(MachineFact::Storage));
        let is_large = self.nodes.add(Node::Compare {
            how: Comparison::AtLeast,
            left: storage,
            right: all,
        });
        Some(Required {
            span,
            source: source_text(self.sources, row.name.span),
            condition: self.nodes.add(Node::And(has_one, is_large)),
        })
    }

    pub(crate) fn state(&mut self, state: &State<'_>) -> Option<plan::State> {
        let mut per_account = None;
        if let Some((_, limit)) = state.account {
            self.scope = Scope::Constant;
            let help = "a limit is how many machines may use it at once, for example `4`";
            let Value::Int(written) = self.constant(limit, &Type::Int, help)? else {
                return None;
            };
            per_account = u32::try_from(written).ok().filter(|limit| *limit > 0);
            if per_account.is_none() {
                let text = "nothing could ever use it";
                let help = "The limit is at least 1, and at most what 32 bits hold.";
                self.report(Code::P0305, limit.span, text, help);
                return None;
            }
        }
        Some(plan::State {
            name: self.hir.qualified(state.name),
            lost_on_reboot: state.lost.is_some(),
            per_account,
        })
    }

    /// The size of a disk in bytes.
    pub(crate) fn size_of_disk(&mut self, value: &ast::Expr) -> Option<u64> {
        let scope = std::mem::replace(&mut self.scope, Scope::Constant);
        let uses = self.uses.clone();
        let operand = self.constant(
            value,
            &Type::Bytes,
            "a disk has a size, for example `10GiB`",
        );
        self.scope = scope;
        self.uses = uses;
        let Value::Bytes(bytes) = operand? else {
            return None;
        };
        let what = if bytes == 0 {
            "a disk of nothing".to_owned()
        } else if bytes > MAX_DISK_BYTES {
            format!("{} is too large", display_size(bytes))
        } else if !bytes.is_multiple_of(SECTOR_BYTES) {
            format!("{bytes} bytes are no whole number of sectors")
        } else {
            return Some(bytes);
        };
        let help = format!(
            "A disk has at least {SECTOR_BYTES} bytes, at most {}, and a multiple of {SECTOR_BYTES} bytes.",
            display_size(MAX_DISK_BYTES)
        );
        self.report(Code::P0407, value.span, what, help);
        None
    }

    /// A limit or an expected duration, in milliseconds. `noun` says which: `a limit`.
    pub(crate) fn duration(&mut self, value: &ast::Expr, noun: &str) -> Option<u64> {
        let help = format!("{noun} is a duration, for example `4min`");
        match self.constant(value, &Type::Ms, &help)? {
            Value::Ms(0) => {
                let text = "no time at all";
                let help = match noun {
                    "a pause" => "It must be longer than that.",
                    _ => "It must be longer than that. Leave it out for the default.",
                };
                self.report(Code::P0509, value.span, text, help);
                None
            }
            Value::Ms(ms) => Some(ms),
            _ => None,
        }
    }

    /// A value of type `wanted` that is known now. `help` says what is wanted, without a full stop.
    pub(crate) fn constant(
        &mut self,
        value: &ast::Expr,
        wanted: &Type,
        help: &str,
    ) -> Option<Value> {
        let Operand { expr, r#type } = self.expression(value, Some(wanted))?;
        let mut sentence = help.to_owned();
        sentence.replace_range(..1, &help[..1].to_uppercase());
        sentence.push('.');
        if r#type != *wanted {
            self.report(
                Code::P0301,
                value.span,
                format!("this is {}", a_type(&r#type)),
                sentence,
            );
            return None;
        }
        match self.nodes.node(expr) {
            Node::Const(value) => Some(value.clone()),
            _ => {
                let text = "this is known only when the test runs";
                self.report(Code::P0316, value.span, text, sentence);
                None
            }
        }
    }

    /// The conditions behind `exclude`.
    pub(crate) fn excludes(&mut self, matrix: &Matrix<'_>) -> Vec<Exclude> {
        self.scope = Scope::Matrix;
        let mut excludes = Vec::new();
        for expr in &matrix.excludes {
            self.uses = Uses::default();
            if let Some(condition) = self.condition_in(expr, "`exclude`") {
                excludes.push(Exclude {
                    span: expr.span,
                    condition,
                    uses: std::mem::take(&mut self.uses),
                });
            }
        }
        excludes
    }
}
