//! What an image says beside its operating system and architecture: where EC2 has it, whose account
//! logs in, how it is licensed and boots, and the author's own facts of it.

use std::collections::BTreeMap;

use dva_plan::expr::CellFact;
use dva_plan::features::BootMode;
use dva_plan::plan::{self, Network};
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
use crate::types::table::KeyOf;

/// The partition of accounts that are named without one.
const USUAL_PARTITION: &str = "aws";
/// Owners that are the same in every partition.
const OWNERS: [&str; 3] = ["amazon", "aws-marketplace", "self"];
/// The digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;
/// The hexadecimal digits of a machine image's id, old and new.
const ID_DIGITS: [usize; 2] = [8, 17];
const EC2_HELP: &str = "Write `ami(ids = [eu-west-1: \"ami-…\"])`, or `ami(name = \"RHEL-9.4*\", owner = \
                        [aws: \"309956199498\"])`.";

const ID_HELP: &str = "It is a text such as `\"ami-0123456789abcdef0\"`: `ami-` and 8 or 17 digits of \
                       hexadecimal.";

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
    /// The account behind `login`.
    pub(crate) fn login(&mut self, image: &Image<'_>) -> Option<Option<String>> {
        let Some(field) = image.fields.get("login") else {
            return Some(None);
        };
        let text = match &field.value.kind {
            ExprKind::Text(text) => Some(text.clone()),
            ExprKind::Error => return None,
            _ => {
                let help = "Write it in quotes: `login = \"ec2-user\"`.";
                let text = "`login` is the name of an account, a text";
                self.report(Code::P0301, field.value.span, text, help);
                return None;
            }
        };
        let text = ast::Text {
            text,
            span: field.value.span,
        };
        self.user(&text).map(Some)
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

    /// `ami(ids = …)` or `ami(name = …, owner = …)`.
    pub(crate) fn ec2(&mut self, value: &Expr) -> Option<plan::ImageSource> {
        let arguments = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Call { callee, arguments } if dotted(callee) == "ami" => arguments,
            _ => {
                self.report(Code::P0304, value.span, "this is no image of EC2", EC2_HELP);
                return None;
            }
        };
        let mut given: BTreeMap<&str, &Expr> = BTreeMap::new();
        for argument in arguments {
            let Some(name) = &argument.name else {
                let text = "nothing says what this is";
                self.report(Code::P0301, argument.value.span, text, EC2_HELP);
                return None;
            };
            if given.insert(&name.text, &argument.value).is_some() {
                let text = format!("`{}` a second time", name.text);
                self.report(Code::P0208, name.span, text, "Remove one of them.");
                return None;
            }
            if !["ids", "name", "owner"].contains(&name.text.as_str()) {
                let help = did_you_mean(&name.text, ["ids", "name", "owner"])
                    .unwrap_or_else(|| EC2_HELP.to_owned());
                let text = format!("`ami` takes no `{}`", name.text);
                self.report(Code::P0206, name.span, text, help);
                return None;
            }
        }
        match (given.get("ids"), given.get("name"), given.get("owner")) {
            (Some(ids), None, None) => {
                let ids = self.ids(ids)?;
                Some(plan::ImageSource::Ec2Ami { ids })
            }
            (None, Some(name), Some(owner)) => {
                let name = self.name_pattern(name);
                let owners = self.owners(owner);
                Some(plan::ImageSource::Ec2AmiNamed {
                    name: name?,
                    owners: owners?,
                })
            }
            _ => {
                let text = "`ami` takes ids, or a name and its owner";
                self.report(Code::P0301, value.span, text, EC2_HELP);
                None
            }
        }
    }

    /// Ids by region: a list of entries, or a table of the file.
    fn ids(&mut self, value: &Expr) -> Option<BTreeMap<String, String>> {
        let entries = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Path(path) => return self.ids_of_table(path),
            ExprKind::Entries(entries) => entries,
            _ => {
                let text = "ids are given by region";
                let help = "Write `ids = [eu-west-1: \"ami-0123456789abcdef0\"]`, or name a table.";
                self.report(Code::P0301, value.span, text, help);
                return None;
            }
        };
        let mut ids = Some(BTreeMap::new());
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        for entry in entries {
            let region = entry.name.text.as_str();
            let is_of_ec2 = self.is_region_of_ec2(&entry.name);
            let id = self.id_of_ami(&entry.value);
            if let Some(first) = places.insert(region, entry.name.span) {
                self.again(&entry.name, first);
                ids = None;
            }
            match (&mut ids, id) {
                (Some(ids), Some(id)) if is_of_ec2 => {
                    ids.insert(region.to_owned(), id);
                }
                _ => ids = None,
            }
        }
        ids
    }

    /// The ids of a table by region: those of its regions that are of EC2.
    fn ids_of_table(&mut self, path: &ast::Path) -> Option<BTreeMap<String, String>> {
        let table = self.named_table(path)?;
        let read = self.table(table, path.span)?;
        let by_region =
            matches!(&read.key, KeyOf::Fact(CellFact::Axis(axis), _) if axis == "region");
        if !by_region || read.of != Type::String {
            let text = format!("`{}` is no table of texts by region", read.name);
            let help = format!(
                "Ids are given by region: `table {}: region -> string = \"…\"`.",
                read.name
            );
            let finding = Diagnostic::new(Code::P0301, path.span, text);
            let place = self.hir.tables[table].name.span;
            self.bag.push(finding.and(place, "this table").help(help));
            return None;
        }
        let regions = self.catalog.regions();
        let regions = regions.filter(|region| region.partition != "local");
        let mut ids = BTreeMap::new();
        for region in regions {
            let Some(Value::String(id)) = read.value(&region.name) else {
                continue;
            };
            if !is_id(id) {
                let text = format!("`{}` says `{id}` for `{}`", read.name, region.name);
                self.report(Code::P0416, path.span, text, ID_HELP);
                return None;
            }
            ids.insert(region.name.clone(), id.clone());
        }
        Some(ids)
    }

    fn is_region_of_ec2(&mut self, name: &ast::Name) -> bool {
        let regions = self.catalog.regions();
        let regions = regions.filter(|region| region.partition != "local");
        let known: Vec<&str> = regions.map(|region| region.name.as_str()).collect();
        if known.contains(&name.text.as_str()) {
            return true;
        }
        let help = did_you_mean(&name.text, known.iter().copied())
            .unwrap_or_else(|| format!("There are {}.", listed(known.iter().copied())));
        let text = format!("`{}` is no region of EC2", name.text);
        self.report(Code::P0304, name.span, text, help);
        false
    }

    /// The id of a machine image: `ami-` and 8 or 17 hexadecimal digits.
    pub(crate) fn id_of_ami(&mut self, value: &Expr) -> Option<String> {
        let id = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Text(id) => id.as_str(),
            _ => "",
        };
        if !is_id(id) {
            let text = "this is no id of a machine image";
            self.report(Code::P0416, value.span, text, ID_HELP);
            return None;
        }
        Some(id.to_owned())
    }

    fn name_pattern(&mut self, value: &Expr) -> Option<String> {
        match &value.kind {
            ExprKind::Error => None,
            ExprKind::Text(name) if !name.is_empty() => Some(name.clone()),
            _ => {
                let text = "the name of a machine image is a text";
                let help = "`*` in it stands for any letters: `name = \"RHEL-9.4*\"`. The newest is taken.";
                self.report(Code::P0301, value.span, text, help);
                None
            }
        }
    }

    /// Owners by partition. An account exists in one partition; without one it is that of `aws`.
    fn owners(&mut self, value: &Expr) -> Option<BTreeMap<String, String>> {
        let mut partitions = self.values_of("partition");
        partitions.retain(|partition| partition != "local");
        let entries = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Entries(entries) => entries,
            _ => {
                let owner = self.owner(value)?;
                let is_everywhere = OWNERS.contains(&owner.as_str());
                if !is_everywhere {
                    partitions = vec![USUAL_PARTITION.to_owned()];
                }
                let owners = partitions.into_iter();
                return Some(owners.map(|of| (of, owner.clone())).collect());
            }
        };
        let mut owners = Some(BTreeMap::new());
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        for entry in entries {
            let partition = &entry.name;
            let is_known = partitions.contains(&partition.text);
            if !is_known {
                let known = || partitions.iter().map(String::as_str);
                let help = did_you_mean(&partition.text, known())
                    .unwrap_or_else(|| format!("There are {}.", listed(known())));
                let text = format!("`{}` is no partition of EC2", partition.text);
                self.report(Code::P0304, partition.span, text, help);
            }
            let owner = self.owner(&entry.value);
            if let Some(first) = places.insert(&partition.text, partition.span) {
                self.again(partition, first);
                owners = None;
            }
            match (&mut owners, owner) {
                (Some(owners), Some(owner)) if is_known => {
                    owners.insert(partition.text.clone(), owner);
                }
                _ => owners = None,
            }
        }
        owners
    }

    fn owner(&mut self, value: &Expr) -> Option<String> {
        let owner = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Text(owner) => owner.as_str(),
            _ => "",
        };
        let is_account =
            owner.len() == ACCOUNT_DIGITS && owner.bytes().all(|digit| digit.is_ascii_digit());
        if !is_account && !OWNERS.contains(&owner) {
            let help = "It is the number of an account in quotes, of 12 digits, or `\"amazon\"`, \
                        `\"aws-marketplace\"` or `\"self\"`.";
            self.report(Code::P0416, value.span, "nobody on EC2 is called so", help);
            return None;
        }
        Some(owner.to_owned())
    }

    fn again(&mut self, name: &ast::Name, first: Span) {
        let text = format!("`{}` a second time", name.text);
        let finding = Diagnostic::new(Code::P0208, name.span, text);
        self.bag.push(
            finding
                .and(first, "the first time")
                .help("Remove one of them."),
        );
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

/// Whether `id` looks like the id of a machine image.
fn is_id(id: &str) -> bool {
    let digits = id.strip_prefix("ami-").unwrap_or_default();
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    ID_DIGITS.contains(&digits.len()) && digits.chars().all(is_hex)
}
