//! What an image says beside its operating system, its architecture and where it comes from: whose
//! account logs in, how it is licensed and boots, and the author's own facts of it.

use std::collections::BTreeMap;

use dva_plan::features::BootMode;
use dva_plan::plan::Network;
use dva_plan::quote::OsClass;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{Axis, Fact, Image};
use crate::resolve::dotted;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{self, Expr, ExprKind};
use crate::types::Checker;
use crate::types::scope::Scope;

/// What of an image decides where it can start and what that costs, and no run needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// By which rules its operating system is billed.
    pub class: OsClass,
    /// The one way it boots; any where it does not say.
    pub boot_mode: Option<BootMode>,
    /// Whether it has the driver of the Elastic Network Adapter.
    pub has_ena: bool,
}

impl Checker<'_, '_> {
    /// The accounts behind `login`, in their order; none where the image does not say.
    pub(crate) fn logins(&mut self, image: &Image<'_>) -> Option<Vec<String>> {
        let Some(field) = image.fields.get("login") else {
            return Some(Vec::new());
        };
        let accounts = match &field.value.kind {
            ExprKind::List(accounts) => accounts.as_slice(),
            _ => std::slice::from_ref(&field.value),
        };
        if accounts.is_empty() {
            let help =
                "Name one at least, or leave `login` out: then it is the provider's usual one.";
            self.report(Code::P0301, field.value.span, "this is nobody", help);
            return None;
        }
        let mut logins = Some(Vec::new());
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        for account in accounts {
            let login = self.login(account);
            if let Some(login) = &login
                && let Some(first) = places.insert(login.clone(), account.span)
            {
                let text = format!("`{login}` a second time");
                let finding = Diagnostic::new(Code::P0208, account.span, text);
                let finding = finding.and(first, "the first time");
                self.bag.push(finding.help("Remove one of them."));
                logins = None;
            }
            match (&mut logins, login) {
                (Some(logins), Some(login)) => logins.push(login),
                _ => logins = None,
            }
        }
        logins
    }

    fn login(&mut self, account: &Expr) -> Option<String> {
        let text = match &account.kind {
            ExprKind::Text(text) => Some(text.clone()),
            ExprKind::Error => return None,
            _ => {
                let help = "Write it in quotes: `login = \"ec2-user\"`; several, which are tried in their \
                            order, in brackets: `login = [\"ec2-user\", \"root\"]`.";
                let text = "`login` is the name of an account, a text";
                self.report(Code::P0301, account.span, text, help);
                return None;
            }
        };
        let span = account.span;
        self.user(&ast::Text { text, span })
    }

    /// What an image that is billed as `os` says of its licence, and of how it starts.
    pub(crate) fn launch(&mut self, image: &Image<'_>, os: &str) -> Option<Launch> {
        self.scope = Scope::Constant;
        let class = self.class(image, os);
        let boot_mode = match image.fields.get("boot_mode") {
            None => Some(None),
            Some(field) => self
                .one_word(&field.value, &["bios", "uefi"], "a way to boot")
                .map(|word| {
                    Some(match word {
                        "bios" => BootMode::Bios,
                        _ => BootMode::Uefi,
                    })
                }),
        };
        let has_ena = match image.fields.get("ena") {
            None => Some(true),
            Some(field) => {
                let help =
                    "an image without the driver of the Elastic Network Adapter says `ena = false`";
                self.constant(&field.value, &Type::Bool, help)
                    .map(|value| value == Value::Bool(true))
            }
        };
        Some(Launch {
            class: class?,
            boot_mode: boot_mode?,
            has_ena: has_ena?,
        })
    }

    /// By which rules an image is billed: its operating system's, unless `license` says otherwise.
    ///
    /// Source: EC2 user guide, *AMI billing information fields*: the platform details `Linux/UNIX`, `Red
    /// Hat Enterprise Linux`, `Red Hat Enterprise Linux with HA`, `SUSE Linux` and `Windows`, and the same
    /// as Linux for a subscription of one's own.
    fn class(&mut self, image: &Image<'_>, os: &str) -> Option<OsClass> {
        let (usual, licenses): (OsClass, &[&str]) = match os {
            "rhel" => (OsClass::Rhel, &["byol", "ha"]),
            "sles" => (OsClass::Suse, &["byol"]),
            "windows" => (OsClass::Windows, &["byol"]),
            _ => (OsClass::Linux, &[]),
        };
        let Some(field) = image.fields.get("license") else {
            return Some(usual);
        };
        if licenses.is_empty() && !matches!(field.value.kind, ExprKind::Error) {
            let text = format!("`{os}` is billed like any Linux, without a licence");
            let help = "Remove `license`.";
            self.report(Code::P0412, field.name.span, text, help);
            return None;
        }
        match self.one_word(&field.value, licenses, &format!("a licence of `{os}`"))? {
            "ha" => Some(OsClass::RhelHa),
            _ => Some(OsClass::Linux),
        }
    }

    /// A bare word, one of `known`. `noun` says what: `a way to boot`.
    fn one_word<'k>(&mut self, value: &Expr, known: &[&'k str], noun: &str) -> Option<&'k str> {
        let word = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Path(path) => dotted(path),
            _ => self.sources.slice(value.span).to_owned(),
        };
        let found = known.iter().find(|known| **known == word).copied();
        if found.is_none() || !matches!(value.kind, ExprKind::Path(_)) {
            let help = did_you_mean(&word, known.iter().copied()).unwrap_or_else(|| match known {
                [only] => format!("The only one is `{only}`."),
                _ => format!("There are {}.", listed(known.iter().copied())),
            });
            self.report(
                Code::P0304,
                value.span,
                format!("`{word}` is not {noun}"),
                help,
            );
            return None;
        }
        found
    }

    /// The author's facts of an image: what it says, or what holds where it does not.
    pub(crate) fn facts(&mut self, image: &Image<'_>) -> Option<BTreeMap<String, Value>> {
        self.scope = Scope::Constant;
        let hir = self.hir;
        let mut facts = Some(BTreeMap::new());
        for fact in &hir.facts {
            let name = fact.name.text.as_str();
            let value = match image.fields.get(name) {
                Some(field) => self.value_of_fact(fact, &field.value),
                None => self.default_of_fact(fact),
            };
            match (&mut facts, value) {
                (Some(facts), Some(value)) => {
                    facts.insert(name.to_owned(), value);
                }
                _ => facts = None,
            }
        }
        facts
    }

    /// What a fact is where an image does not say.
    pub(crate) fn default_of_fact(&mut self, fact: &Fact<'_>) -> Option<Value> {
        self.scope = Scope::Constant;
        self.value_of_fact(fact, fact.default)
    }

    fn value_of_fact(&mut self, fact: &Fact<'_>, value: &Expr) -> Option<Value> {
        let r#type = self.type_of_fact(fact)?;
        let help = format!(
            "the fact `{}` is {}",
            fact.name.text,
            crate::types::a_type(&r#type)
        );
        self.constant(value, &r#type, &help)
    }

    /// What each value of an axis says of a machine's network; nothing of it where that was reported.
    pub(crate) fn networks(&mut self, axis: &Axis<'_>) -> Vec<Network> {
        self.scope = Scope::Constant;
        let networks = axis.fields.iter().map(|fields| {
            let mut is = |field: &str, usual: bool| {
                let Some(field) = fields.get(field) else {
                    return usual;
                };
                let help = "it is `true` or `false`";
                let value = self.constant(&field.value, &Type::Bool, help);
                value.map_or(usual, |value| value == Value::Bool(true))
            };
            Network {
                ipv6: is("ipv6", false),
                closed: !is("egress", true),
            }
        });
        networks.collect()
    }
}
