//! Where EC2 has an image from: `ec2 = ami(…)`, by ids, by name and owner, or by a parameter that holds
//! the id.

use std::collections::BTreeMap;

use dva_plan::expr::CellFact;
use dva_plan::plan;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::resolve::dotted;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{self, Expr, ExprKind};
use crate::types::Checker;
use crate::types::table::KeyOf;

/// The partition of accounts that are named without one.
const USUAL_PARTITION: &str = "aws";
/// Owners that are the same in every partition.
const OWNERS: [&str; 3] = ["amazon", "aws-marketplace", "self"];
/// The digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;
/// The hexadecimal digits of a machine image's id, old and new.
const ID_DIGITS: [usize; 2] = [8, 17];
/// What `ami` may be given.
const ARGUMENTS: [&str; 4] = ["ids", "name", "owner", "parameter"];
const EC2_HELP: &str = "Write `ami(ids = [eu-west-1: \"ami-…\"])`, `ami(name = \"RHEL-9.4*\", owner = \
                        [aws: \"309956199498\"])` or `ami(parameter = \"/aws/service/…\")`.";

const PARAMETER_HELP: &str = "It is a text such as `\"/aws/service/debian/release/12/latest/arm64\"`, of \
                              letters, digits, `.`, `-`, `_` and `/`; where partitions differ, \
                              `[aws: \"/…\", aws-cn: \"/…\"]`.";
const ID_HELP: &str = "It is a text such as `\"ami-0123456789abcdef0\"`: `ami-` and 8 or 17 digits of \
                       hexadecimal.";

impl Checker<'_, '_> {
    /// `ami(ids = …)`, `ami(name = …, owner = …)` or `ami(parameter = …)`.
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
            if !ARGUMENTS.contains(&name.text.as_str()) {
                let help =
                    did_you_mean(&name.text, ARGUMENTS).unwrap_or_else(|| EC2_HELP.to_owned());
                let text = format!("`ami` takes no `{}`", name.text);
                self.report(Code::P0206, name.span, text, help);
                return None;
            }
        }
        let argument = |name: &str| given.get(name).copied();
        let (ids, parameter) = (argument("ids"), argument("parameter"));
        match (ids, argument("name"), argument("owner"), parameter) {
            (Some(ids), None, None, None) => {
                let ids = self.ids(ids)?;
                Some(plan::ImageSource::Ec2Ami { ids })
            }
            (None, Some(name), Some(owner), None) => {
                let name = self.name_pattern(name);
                let owners = self.by_partition(owner, owner_holds_in, Self::owner);
                Some(plan::ImageSource::Ec2AmiNamed {
                    name: name?,
                    owners: owners?,
                })
            }
            (None, None, None, Some(parameter)) => {
                let parameters = self.by_partition(parameter, |_, _| true, Self::parameter)?;
                Some(plan::ImageSource::Ec2AmiParameter { parameters })
            }
            _ => {
                let text = "`ami` takes ids, or a name and its owner, or a parameter";
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
    fn id_of_ami(&mut self, value: &Expr) -> Option<String> {
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

    /// Texts by partition. One that is given without stands for all partitions in which it `holds`.
    fn by_partition(
        &mut self,
        value: &Expr,
        holds: fn(&str, &str) -> bool,
        read: fn(&mut Self, &Expr) -> Option<String>,
    ) -> Option<BTreeMap<String, String>> {
        let mut partitions = self.values_of("partition");
        partitions.retain(|partition| partition != "local");
        let entries = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Entries(entries) => entries,
            _ => {
                let text = read(self, value)?;
                partitions.retain(|partition| holds(&text, partition));
                let texts = partitions.into_iter();
                return Some(texts.map(|of| (of, text.clone())).collect());
            }
        };
        let mut texts = Some(BTreeMap::new());
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
            let text = read(self, &entry.value);
            if let Some(first) = places.insert(&partition.text, partition.span) {
                self.again(partition, first);
                texts = None;
            }
            match (&mut texts, text) {
                (Some(texts), Some(text)) if is_known => {
                    texts.insert(partition.text.clone(), text);
                }
                _ => texts = None,
            }
        }
        texts
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

    /// The name of a public parameter that holds the id of a machine image.
    ///
    /// Source: AWS Systems Manager, *PutParameter*: names are of these letters, and those of a hierarchy,
    /// which all public ones are, begin with a slash.
    fn parameter(&mut self, value: &Expr) -> Option<String> {
        let name = match &value.kind {
            ExprKind::Error => return None,
            ExprKind::Text(name) => name.as_str(),
            _ => {
                let text = "the name of a parameter is a text";
                self.report(Code::P0301, value.span, text, PARAMETER_HELP);
                return None;
            }
        };
        let is_of_name = |letter: char| {
            letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | '/')
        };
        let wrong = name.chars().find(|letter| !is_of_name(*letter));
        let text = match wrong {
            Some(letter) => format!("no parameter has `{}` in its name", letter.escape_debug()),
            None if !name.starts_with('/') => {
                "the name of a public parameter begins with `/`".to_owned()
            }
            None if name.len() == 1 => "this names no parameter".to_owned(),
            None => return Some(name.to_owned()),
        };
        self.report(Code::P0416, value.span, text, PARAMETER_HELP);
        None
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
}

/// Whether `id` looks like the id of a machine image.
fn is_id(id: &str) -> bool {
    let digits = id.strip_prefix("ami-").unwrap_or_default();
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    ID_DIGITS.contains(&digits.len()) && digits.chars().all(is_hex)
}

/// Whether an owner that is given without a partition is one of `partition`: an account exists in one
/// alone, the words stand for one in each.
fn owner_holds_in(owner: &str, partition: &str) -> bool {
    OWNERS.contains(&owner) || partition == USUAL_PARTITION
}
