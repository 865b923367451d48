//! Makes the table of prices: for every type and region that offers it a price with how it was found.

use std::collections::{BTreeMap, BTreeSet};

use crate::estimate::{Kind, Units, Younger};
use crate::facts;
use crate::libcloud::{Os, Prices};
use crate::moto::Type;
use crate::repair::{self, Seen, Unit, WEIGHT};

/// The region that has most families, where steps between generations are learned.
const BASE: &str = "us-east-1";

/// How a price was found, by the letter behind it in the table; `dva_stdlib` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The row as it stands, which its family confirms.
    Row,
    /// The family's unit price.
    Family,
    /// Two tables agree on the only size there is.
    Tables,
    /// One row that nothing confirms.
    Alone,
    /// Another family's proportion between regions.
    Region,
    /// An older family.
    Older,
    /// The share that a bare-metal machine has of its family.
    Metal,
    /// A price list in yuan.
    Yuan,
}

impl Way {
    fn letter(self) -> &'static str {
        match self {
            Self::Row => "",
            Self::Family => "f",
            Self::Tables => "t",
            Self::Alone => "a",
            Self::Region => "r",
            Self::Older => "o",
            Self::Metal => "m",
            Self::Yuan => "y",
        }
    }
}

/// A price that was found.
#[derive(Clone, Copy)]
pub struct Found {
    pub nano: i128,
    pub way: Way,
}

impl Found {
    /// Its cell: dollars and the letter.
    pub fn cell(&self) -> String {
        format!("{}{}", dollars(self.nano), self.way.letter())
    }
}

/// Nano-dollars as dollars, without zeros at the end.
pub fn dollars(nano: i128) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// All that is known of families in regions.
pub struct Book<'a> {
    types: &'a BTreeMap<String, Type>,
    prices: &'a Prices,
    yuan: &'a BTreeMap<String, i128>,
    families: BTreeMap<&'a str, Vec<&'a str>>,
    weights: BTreeMap<String, i128>,
    found: BTreeMap<(&'a str, &'a str), Unit>,
    pub units: Units,
    kinds: BTreeMap<String, Kind>,
}

/// What comes before the dot.
fn family_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(family, _)| family)
}

/// A size's weight by its vCPUs, or by its name where it is burstable.
fn plain_weight(name: &str, of: &Type) -> i128 {
    if !of.is_burstable() {
        return i128::from(of.vcpus()) * WEIGHT;
    }
    let size = name.split_once('.').map_or("", |(_, size)| size);
    let eighths = match size {
        "nano" => 1,
        "micro" => 2,
        "small" => 4,
        "medium" => 8,
        "large" => 16,
        "xlarge" => 32,
        larger => 32 * larger.trim_end_matches("xlarge").parse().unwrap_or(1),
    };
    eighths * WEIGHT / 8
}

/// What rows of an operating system are above the price of Linux, by most of them: the first of `rules`
/// on which half as many agree as on anything else, or which fewer than three contradict. A row at the
/// price of Linux is one that brings its own licence, where there are such.
fn agreed_surcharge(differences: &[i128], rules: &[i128], may_bring_own: bool) -> (i128, bool) {
    const SLACK: i128 = 1_000_000; // a tenth of a cent, which many rows are rounded to
    let near = |middle: i128| {
        let is_near = |difference: &&i128| (**difference - middle).abs() <= SLACK;
        differences.iter().filter(is_near).count()
    };
    let best = differences
        .iter()
        .filter(|difference| !may_bring_own || **difference > SLACK)
        .map(|difference| (near(*difference), -difference))
        .max();
    let most = best.map_or(0, |(count, _)| count);
    let is_agreed = |rule: &&i128| near(**rule) >= 3 && near(**rule) * 2 >= most;
    match (rules.iter().find(is_agreed), best) {
        (Some(rule), _) => (*rule, false),
        (None, Some((count, difference))) if count >= 3 => {
            const STEP: i128 = 100_000;
            let own = (-difference + STEP / 2).max(0) / STEP * STEP;
            (own, false)
        }
        (None, _) => (rules.first().copied().unwrap_or(0), true),
    }
}

impl<'a> Book<'a> {
    /// Repairs the prices of all families in all regions but [`facts::IN_YUAN`], whose are `yuan`.
    pub fn open(
        types: &'a BTreeMap<String, Type>,
        prices: &'a Prices,
        yuan: &'a BTreeMap<String, i128>,
    ) -> Self {
        let mut families: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for name in types.keys() {
            families.entry(family_of(name)).or_default().push(name);
        }
        let kinds = families
            .iter()
            .filter_map(|(family, sizes)| {
                let of = types.get(*sizes.first()?)?;
                Some(((*family).to_owned(), of.kind()))
            })
            .collect();
        let mut book = Self {
            types,
            prices,
            yuan,
            families,
            weights: BTreeMap::new(),
            found: BTreeMap::new(),
            units: Units::default(),
            kinds,
        };
        book.find_units();
        book
    }

    fn regions(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let regions = self.prices.listed.keys().map(String::as_str);
        regions.filter(|region| !facts::NO_REGION.contains(region))
    }

    fn find_units(&mut self) {
        for (family, sizes) in self.families.clone() {
            let plain: BTreeMap<&str, i128> = sizes
                .iter()
                .filter_map(|name| Some((*name, plain_weight(name, self.types.get(*name)?))))
                .collect();
            let seen: BTreeMap<&str, Vec<Seen<'a>>> = self
                .regions()
                .map(|region| (region, self.seen_in(&sizes, region)))
                .collect();
            let columns: Vec<Vec<Seen<'a>>> = seen.values().cloned().collect();
            let mut weights = repair::weights(&plain, &columns);
            // A size that was never seen is in proportion where all others are.
            let is_plain =
                |(name, weight): (&String, &i128)| plain.get(name.as_str()) == Some(weight);
            if weights.is_empty() || weights.iter().all(is_plain) {
                weights = plain
                    .iter()
                    .map(|(name, weight)| ((*name).to_owned(), *weight))
                    .collect();
            }
            for (region, seen) in seen {
                let virtual_only: Vec<Seen<'_>> = seen
                    .into_iter()
                    .filter(|seen| !self.types.get(seen.name).is_none_or(|of| of.bare_metal))
                    .collect();
                if let Some(unit) = repair::unit(&virtual_only, &weights) {
                    self.units.insert(family, region, unit.nano);
                    self.found.insert((family, region), unit);
                }
            }
            self.weights.extend(weights);
        }
    }

    /// What the tables say of sizes in a region, brought to Linux.
    fn seen_in(&self, sizes: &[&'a str], region: &str) -> Vec<Seen<'a>> {
        let mut all = Vec::new();
        for name in sizes {
            let Some(of) = self.types.get(*name) else {
                continue;
            };
            for os in [Os::Linux, Os::Rhel, Os::RhelHa, Os::Suse] {
                let Some(nano) = self.prices.get(os, name, region) else {
                    continue;
                };
                let nano = i128::from(nano);
                // Rows with a licence in them are often rounded to a tenth of a cent.
                let is_coarse = os != Os::Linux && nano % 1_000_000 == 0;
                let linux = nano - facts::surcharge(os, of.vcpus());
                if linux > 0 {
                    all.push(Seen {
                        name,
                        nano: linux,
                        rounding: if is_coarse { 600_000 } else { 60_000 },
                        // What SUSE adds differs between families.
                        founds: os != Os::Suse,
                    });
                }
            }
        }
        all
    }

    /// The price of `name` in `region`, if there is any basis for one.
    pub fn price(&self, name: &str, region: &str, younger: &Younger<'_>) -> Option<Found> {
        if region == facts::IN_YUAN {
            let nano = self.yuan.get(name).copied()?;
            let way = Way::Yuan;
            return Some(Found { nano, way });
        }
        let family = family_of(name);
        let of = self.types.get(name)?;
        let Some(weight) = self.weights.get(name).copied() else {
            return self.alone(name, region);
        };
        let estimated = |nano: i128, way: Way| {
            let unit = Unit {
                nano,
                sizes: 0,
                seen: 0,
                founding: 0,
            };
            let way = if of.bare_metal { Way::Metal } else { way };
            Some(Found {
                nano: unit.price(weight),
                way,
            })
        };
        let Some(unit) = self.found.get(&(family, region)) else {
            if let Some(alone) = self.alone(name, region) {
                return Some(alone);
            }
            let elsewhere = self.units.by_region(family, region, &self.kinds);
            return match elsewhere {
                Some(nano) => estimated(nano, Way::Region),
                None => estimated(younger.price(family, region)?, Way::Older),
            };
        };
        if of.bare_metal || facts::is_repriced(family) {
            return estimated(unit.nano, Way::Alone);
        }
        let price = unit.price(weight);
        let row = self.prices.get(Os::Linux, name, region).map(i128::from);
        let confirmed = row.filter(|row| (row - price).abs() * 100 <= price);
        Some(match confirmed {
            Some(nano) if self.is_trusted(family, region, *unit) => Found {
                nano,
                way: Way::Row,
            },
            Some(nano) if unit.sizes < 2 => Found {
                nano,
                way: Way::Tables,
            },
            Some(nano) => Found {
                nano,
                way: Way::Family,
            },
            None if unit.sizes < 2 => Found {
                nano: price,
                way: Way::Tables,
            },
            None => Found {
                nano: price,
                way: Way::Family,
            },
        })
    }

    /// Whether a unit price can be no dedicated one: two sizes and four observations agree on it, and it
    /// does not stand out from what other families say of the region by as much as a markup.
    fn is_trusted(&self, family: &str, region: &str, unit: Unit) -> bool {
        let expected = self.units.by_region(family, region, &self.kinds);
        let is_dear = expected.is_some_and(|expected| unit.nano * 1000 > expected * 1035);
        unit.sizes >= 2 && unit.seen >= 4 && (!is_dear || unit.seen >= 8)
    }

    /// A row that nothing confirms.
    fn alone(&self, name: &str, region: &str) -> Option<Found> {
        let nano = i128::from(self.prices.get(Os::Linux, name, region)?);
        Some(Found {
            nano,
            way: Way::Alone,
        })
    }

    /// What a GiB of gp3 costs in a month, and whether that is a guess: it goes with the level of what
    /// machines cost in the region, to a tenth of a cent.
    pub fn ebs(&self, region: &str) -> (i128, bool) {
        const STEP: i128 = 1_000_000;
        let level = if region == facts::IN_YUAN {
            self.level_in_yuan()
        } else {
            self.units.level(region, BASE)
        };
        let level = level.unwrap_or(1_000_000_000);
        let nano = facts::GP3_MONTH * level / 1_000_000_000;
        ((nano + STEP / 2) / STEP * STEP, region != BASE)
    }

    /// The level of [`facts::IN_YUAN`], whose unit prices stand apart: nothing else is learned from them.
    fn level_in_yuan(&self) -> Option<i128> {
        let mut units = Units::default();
        for (family, sizes) in &self.families {
            let seen = sizes.iter().filter_map(|name| {
                let nano = *self.yuan.get(*name)?;
                let seen = Seen {
                    name,
                    nano,
                    // Half a thousandth of a yuan.
                    rounding: 75_000,
                    founds: true,
                };
                (!self.types.get(*name)?.bare_metal).then_some(seen)
            });
            let unit = repair::unit(&seen.collect::<Vec<_>>(), &self.weights);
            if let (Some(unit), Some(base)) = (unit, self.units.get(family, BASE)) {
                units.insert(family, facts::IN_YUAN, unit.nano);
                units.insert(family, BASE, base);
            }
        }
        units.level(facts::IN_YUAN, BASE)
    }

    /// What a class of operating systems adds to `name`, and whether that is a rule nothing showed of it;
    /// `None` where it is not sold with the type.
    ///
    /// It is a rule of `facts`, unless the regions agree on something else.
    pub fn surcharge(&self, os: Os, name: &str) -> Option<(i128, bool)> {
        let of = self.types.get(name)?;
        let rule = facts::surcharge(os, of.vcpus());
        let rows = self
            .prices
            .tables
            .get(&os)
            .and_then(|table| table.get(name));
        let Some(rows) = rows else {
            let is_new = !self.prices.tables.get(&Os::Linux)?.contains_key(name);
            let runs = of.runs("x86_64") || (of.runs("arm64") && os != Os::Windows);
            return (is_new && runs).then_some((rule, true));
        };
        let weight = self.weights.get(name).copied();
        let differences: Vec<i128> = rows
            .iter()
            .filter_map(|(region, nano)| {
                let unit = self.found.get(&(family_of(name), region.as_str()))?;
                Some(i128::from(*nano) - unit.price(weight?))
            })
            .collect();
        let rules = match os {
            Os::Suse => vec![rule, facts::OLD_SUSE],
            _ => vec![rule],
        };
        Some(agreed_surcharge(&differences, &rules, os == Os::Windows))
    }

    /// The estimator of families that no table has.
    pub fn younger(&self) -> Younger<'_> {
        Younger::learn(&self.units, &self.kinds, BASE)
    }

    /// How far a family's unit price in a region lies from what the others predict of it, in parts of
    /// a million, for every one that was found: the hold-out of the regional estimate.
    pub fn hold_out(&self) -> Vec<i128> {
        let mut errors: Vec<i128> = self
            .units
            .iter()
            .filter_map(|(family, region, nano)| {
                let predicted = self.units.by_region(family, region, &self.kinds)?;
                Some((predicted - nano).abs() * 1_000_000 / nano)
            })
            .collect();
        errors.sort_unstable();
        errors
    }

    /// How far a size's confirmed row lies from what the rest of its family says of it when all rows
    /// of the size are hidden, in parts of a million: the hold-out of the repair.
    pub fn hold_out_sizes(&self) -> Vec<i128> {
        let mut errors = Vec::new();
        for (family, sizes) in &self.families {
            for region in self.regions() {
                let Some(unit) = self.found.get(&(*family, region)) else {
                    continue;
                };
                let seen = self.seen_in(sizes, region);
                let names: BTreeSet<&str> = seen.iter().map(|seen| seen.name).collect();
                for name in names {
                    let (Some(weight), Some(of)) = (self.weights.get(name), self.types.get(name))
                    else {
                        continue;
                    };
                    let row = self.prices.get(Os::Linux, name, region).map(i128::from);
                    let whole = unit.price(*weight);
                    let Some(row) = row.filter(|row| (row - whole).abs() * 100 <= whole) else {
                        continue;
                    };
                    let others: Vec<Seen<'_>> = seen
                        .iter()
                        .filter(|seen| seen.name != name)
                        .filter(|seen| !self.types.get(seen.name).is_none_or(|of| of.bare_metal))
                        .cloned()
                        .collect();
                    let Some(rest) =
                        repair::unit(&others, &self.weights).filter(|_| !of.bare_metal)
                    else {
                        continue;
                    };
                    errors.push((rest.price(*weight) - row).abs() * 1_000_000 / row);
                }
            }
        }
        errors.sort_unstable();
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: i128 = 92_000_000;

    #[test]
    fn most_rows_say_what_an_operating_system_adds() {
        // Three rows of the rule, one dedicated.
        let rows = [RULE, RULE + 200_000, RULE, 98_000_000];
        assert_eq!(agreed_surcharge(&rows, &[RULE], true), (RULE, false));
        // A burstable type has a smaller surcharge of its own.
        let rows = [4_600_000, 4_600_000, 4_600_000, RULE];
        assert_eq!(agreed_surcharge(&rows, &[RULE], true), (4_600_000, false));
        // Rows that bring their own licence are no surcharge of 0.
        let rows = [0, 0, 0, 0, RULE, RULE, RULE];
        assert_eq!(agreed_surcharge(&rows, &[RULE], true), (RULE, false));
        assert_eq!(agreed_surcharge(&[RULE], &[RULE], true), (RULE, true));
        assert_eq!(agreed_surcharge(&[], &[RULE], true), (RULE, true));
    }

    #[test]
    fn dollars_are_written_exactly() {
        assert_eq!(dollars(76_800_000), "0.0768");
        assert_eq!(dollars(7_000_000_000), "7");
        assert_eq!(dollars(1), "0.000000001");
    }
}
