//! Estimates of what nothing was seen of: a family in a further region, and a family that is younger
//! than the prices.
//!
//! Pure functions on unit prices. What comes out of here is called estimated, always.

use std::collections::{BTreeMap, BTreeSet};

/// A ratio is counted in parts of this.
const PARTS: i128 = 1_000_000_000;

/// What is known of a family beside its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Who makes its processors.
    pub maker: String,
    /// Whether it has GPUs.
    pub gpu: bool,
    /// Whether it has disks of its own.
    pub disks: bool,
    /// Memory by vCPU, in MiB.
    pub memory: u64,
}

/// The parts of a family's name: `m`, 8, `gd` of `m8gd`; `flex` with it where it is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub line: String,
    pub generation: u32,
    pub options: String,
    pub flex: bool,
}

impl Name {
    /// The parts of `family`, where it is named like that.
    pub fn of(family: &str) -> Option<Self> {
        let (plain, flex) = match family.strip_suffix("-flex") {
            Some(plain) => (plain, true),
            None => (family, false),
        };
        let digit = plain.find(|letter: char| letter.is_ascii_digit())?;
        let (line, rest) = plain.split_at(digit);
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(rest.len());
        let (generation, options) = rest.split_at(end);
        Some(Self {
            line: line.to_owned(),
            generation: generation.parse().ok()?,
            options: options.to_owned(),
            flex,
        })
    }

    /// The name that these parts make.
    pub fn family(&self) -> String {
        let flex = if self.flex { "-flex" } else { "" };
        format!("{}{}{}{flex}", self.line, self.generation, self.options)
    }

    fn without(&self, option: char) -> Option<Self> {
        self.options.contains(option).then(|| Self {
            options: self.options.replacen(option, "", 1),
            ..self.clone()
        })
    }

    /// The general lines, whose generations are dearer by like steps.
    fn is_general(&self) -> bool {
        matches!(self.line.as_str(), "c" | "m" | "r")
    }
}

/// Unit prices by family and region.
#[derive(Default)]
pub struct Units {
    by_family: BTreeMap<String, BTreeMap<String, i128>>,
}

impl Units {
    pub fn insert(&mut self, family: &str, region: &str, nano: i128) {
        self.by_family
            .entry(family.to_owned())
            .or_default()
            .insert(region.to_owned(), nano);
    }

    pub fn get(&self, family: &str, region: &str) -> Option<i128> {
        self.by_family.get(family)?.get(region).copied()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, i128)> {
        self.by_family.iter().flat_map(|(family, regions)| {
            let rows = regions.iter();
            rows.map(move |(region, nano)| (family.as_str(), region.as_str(), *nano))
        })
    }

    /// The unit price of `family` in `region`, from another family there: the one that has kept the
    /// steadiest proportion to it over the regions that have both, a like family before an unlike one.
    ///
    /// The cell itself is never looked at, so that the same function predicts what is known.
    pub fn by_region(
        &self,
        family: &str,
        region: &str,
        kinds: &BTreeMap<String, Kind>,
    ) -> Option<i128> {
        let own = self.by_family.get(family)?;
        let mut best: Option<(i128, i128)> = None;
        for (other, prices) in &self.by_family {
            let Some(there) = prices.get(region).filter(|_| other != family) else {
                continue;
            };
            let mut ratios: Vec<i128> = own
                .iter()
                .filter(|(at, _)| at.as_str() != region)
                .filter_map(|(at, nano)| Some(nano * PARTS / prices.get(at)?))
                .collect();
            if ratios.len() < 2 {
                continue;
            }
            ratios.sort_unstable();
            let middle = ratios[(ratios.len() - 1) / 2];
            let count = ratios.len() as i128;
            let spread: i128 = ratios
                .iter()
                .map(|ratio| (ratio - middle).abs() * PARTS / middle)
                .sum();
            let cost = spread / count + PARTS / 50 / count + unlikeness(family, other, kinds);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, middle * there / PARTS));
            }
        }
        best.map(|(_, nano)| nano)
            .or_else(|| self.by_median(family, region))
    }

    /// The same from the median of all families, for a family that has too few regions to compare.
    fn by_median(&self, family: &str, region: &str) -> Option<i128> {
        let own = self.by_family.get(family)?;
        let (from, nano) = own.iter().find(|(at, _)| at.as_str() != region)?;
        let mut factors: Vec<i128> = self
            .by_family
            .iter()
            .filter(|(other, _)| other.as_str() != family)
            .filter_map(|(_, prices)| Some(prices.get(region)? * PARTS / prices.get(from)?))
            .collect();
        factors.sort_unstable();
        let middle = factors.get(factors.len().checked_sub(1)? / 2)?;
        Some(nano * middle / PARTS)
    }

    /// The median over the families of what they cost in `region` against `base`, in parts of 10⁹.
    pub fn level(&self, region: &str, base: &str) -> Option<i128> {
        let mut factors: Vec<i128> = self
            .by_family
            .values()
            .filter_map(|prices| Some(prices.get(region)? * PARTS / prices.get(base)?))
            .collect();
        factors.sort_unstable();
        factors.get(factors.len().checked_sub(1)? / 2).copied()
    }
}

/// How much a proportion between two unlike families is to be distrusted.
fn unlikeness(one: &str, other: &str, kinds: &BTreeMap<String, Kind>) -> i128 {
    const UNIT: i128 = PARTS / 2000; // a tenth of a half percent
    let (Some(a), Some(b)) = (kinds.get(one), kinds.get(other)) else {
        return 0;
    };
    let mut sum = 0;
    if a.maker != b.maker {
        sum += 10;
    }
    if a.gpu != b.gpu {
        sum += 5;
    }
    if a.disks != b.disks {
        sum += 5;
    }
    if let (Some(a), Some(b)) = (Name::of(one), Name::of(other)) {
        sum += 2 * i128::from(a.generation.abs_diff(b.generation));
        if a.line != b.line {
            sum += 3;
        }
    }
    sum * UNIT
}

/// Unit prices of families that are younger than the prices, from those of older ones.
pub struct Younger<'u> {
    units: &'u Units,
    kinds: &'u BTreeMap<String, Kind>,
    names: BTreeMap<Name, String>,
    /// What a generation of the general lines costs against the one before: the lower median of the two
    /// latest steps of each line and maker.
    general: i128,
    /// What a successor in each other line costs against what it follows.
    lines: BTreeMap<String, i128>,
    /// What a flex family costs against its plain one.
    flex: i128,
}

impl<'u> Younger<'u> {
    /// Learns the steps between generations from the families that `base` has.
    pub fn learn(units: &'u Units, kinds: &'u BTreeMap<String, Kind>, base: &str) -> Self {
        let names: BTreeMap<Name, String> = units
            .by_family
            .keys()
            .filter_map(|family| Some((Name::of(family)?, family.clone())))
            .collect();
        let mut general: BTreeMap<(String, String), Vec<i128>> = BTreeMap::new();
        let mut flex = Vec::new();
        let mut lines: BTreeMap<String, Vec<i128>> = BTreeMap::new();
        for (name, family) in &names {
            let Some(own) = units.get(family, base) else {
                continue;
            };
            let plain = Name {
                flex: false,
                ..name.clone()
            };
            if name.flex
                && let Some(without) = units.get(&plain.family(), base)
            {
                flex.push(own * PARTS / without);
                continue;
            }
            let Some((generations, before)) = before(name, &names, units, base) else {
                continue;
            };
            let step = own * PARTS / before;
            if !name.is_general() {
                lines.entry(name.line.clone()).or_default().push(step);
            } else if generations == 1 && matches!(name.options.as_str(), "i" | "a" | "g") {
                let line = (name.line.clone(), name.options.clone());
                general.entry(line).or_default().push(step);
            }
        }
        // How prices rose long ago says little of how they do now.
        let latest = general.into_values();
        let general = latest
            .flat_map(|steps| steps.into_iter().rev().take(2))
            .collect();
        let middle = |mut steps: Vec<i128>| {
            steps.sort_unstable();
            steps.get(steps.len().saturating_sub(1) / 2).copied()
        };
        Self {
            units,
            kinds,
            names,
            general: middle(general).unwrap_or(PARTS),
            flex: middle(flex).unwrap_or(PARTS),
            lines: lines
                .into_iter()
                .filter(|(_, steps)| steps.len() >= 2)
                .filter_map(|(line, steps)| Some((line, middle(steps)?)))
                .collect(),
        }
    }

    /// The unit price of `family` in `region`; `None` where no older family is like it.
    pub fn price(&self, family: &str, region: &str) -> Option<i128> {
        // The price of another GPU says nothing.
        if self.kinds.get(family).is_none_or(|kind| kind.gpu) {
            return None;
        }
        self.of(&Name::of(family)?, region, 3)
    }

    fn of(&self, name: &Name, region: &str, depth: u8) -> Option<i128> {
        let depth = depth.checked_sub(1)?;
        if name.flex {
            let plain = Name {
                flex: false,
                ..name.clone()
            };
            let plain = self
                .known(&plain, region)
                .or_else(|| self.of(&plain, region, depth))?;
            return Some(plain * self.flex / PARTS);
        }
        self.with_disks(name, region)
            .or_else(|| self.successor(name, region))
            .or_else(|| self.like_a_sister(name, region, depth))
            .or_else(|| self.nearest(name, region))
    }

    fn known(&self, name: &Name, region: &str) -> Option<i128> {
        let family = self.names.get(name)?;
        self.units
            .get(family, region)
            .or_else(|| self.units.by_region(family, region, self.kinds))
    }

    /// A family with disks, whose plain one is known: the disks cost what they did a generation ago.
    fn with_disks(&self, name: &Name, region: &str) -> Option<i128> {
        let plain = self.known(&name.without('d')?, region)?;
        let older = |name: &Name| {
            (1..name.generation).rev().find_map(|generation| {
                let with = Name {
                    generation,
                    ..name.clone()
                };
                Some(self.known(&with, region)? - self.known(&with.without('d')?, region)?)
            })
        };
        Some(plain + older(name)?)
    }

    /// A family that follows one of the same options: dearer by the step of its line.
    fn successor(&self, name: &Name, region: &str) -> Option<i128> {
        let (generations, older) = (1..name.generation).rev().find_map(|generation| {
            let older = Name {
                generation,
                ..name.clone()
            };
            Some((name.generation - generation, self.known(&older, region)?))
        })?;
        Some(self.step(name, older, generations))
    }

    fn step(&self, name: &Name, older: i128, generations: u32) -> i128 {
        match self.lines.get(&name.line) {
            Some(step) if !name.is_general() => older * step / PARTS,
            None if !name.is_general() => older * self.general / PARTS,
            _ => (0..generations).fold(older, |price, _| price * self.general / PARTS),
        }
    }

    /// A family whose options the line has not had: `b` is taken as `n`, and what the options cost in a
    /// sister line is added to the plain family.
    fn like_a_sister(&self, name: &Name, region: &str, depth: u8) -> Option<i128> {
        if !name.is_general() {
            return None;
        }
        if name.options.contains('b') {
            let other = Name {
                options: name.options.replace('b', "n"),
                ..name.clone()
            };
            return self
                .known(&other, region)
                .or_else(|| self.of(&other, region, depth));
        }
        let maker = name.options.get(..1)?;
        let plain = Name {
            options: maker.to_owned(),
            ..name.clone()
        };
        let base = self
            .known(&plain, region)
            .or_else(|| self.of(&plain, region, depth))?;
        ["c", "m", "r"].into_iter().find_map(|line| {
            (1..=name.generation).rev().find_map(|generation| {
                let sister = Name {
                    line: line.to_owned(),
                    generation,
                    ..name.clone()
                };
                let its_plain = Name {
                    options: maker.to_owned(),
                    ..sister.clone()
                };
                Some(base + self.known(&sister, region)? - self.known(&its_plain, region)?)
            })
        })
    }

    /// For a plain family, that of the same line and maker with the nearest memory by vCPU, the latest of several.
    fn nearest(&self, name: &Name, region: &str) -> Option<i128> {
        // Other options can make a family half as dear again, so they are no basis.
        if name.options.len() > 1 {
            return None;
        }
        let own = self.kinds.get(&name.family())?;
        let (older, family) = self
            .names
            .iter()
            .filter(|(other, family)| {
                other.line == name.line
                    && other.generation < name.generation
                    && self
                        .kinds
                        .get(*family)
                        .is_some_and(|kind| kind.maker == own.maker)
            })
            .min_by_key(|(other, family)| {
                let memory = self.kinds.get(*family).map_or(0, |kind| kind.memory);
                (
                    memory.abs_diff(own.memory),
                    name.generation - other.generation,
                )
            })?;
        let price = self
            .units
            .get(family, region)
            .or_else(|| self.units.by_region(family, region, self.kinds))?;
        Some(self.step(older, price, 1))
    }
}

/// The family that `name` follows, by options, and how many generations ago it was.
fn before(
    name: &Name,
    names: &BTreeMap<Name, String>,
    units: &Units,
    base: &str,
) -> Option<(u32, i128)> {
    let maker_less = |options: &str| match options {
        // Before the sixth generation Intel's families had no letter for the maker.
        "i" => vec!["i".to_owned(), String::new()],
        options => vec![options.to_owned()],
    };
    let found: BTreeSet<(u32, i128)> = maker_less(&name.options)
        .into_iter()
        .flat_map(|options| {
            (1..name.generation).filter_map(move |generation| {
                let older = Name {
                    line: name.line.clone(),
                    generation,
                    options: options.clone(),
                    flex: false,
                };
                let family = names.get(&older)?;
                Some((name.generation - generation, units.get(family, base)?))
            })
        })
        .collect();
    found.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(families: &[&str]) -> BTreeMap<String, Kind> {
        let kind = Kind {
            maker: "Intel".to_owned(),
            gpu: false,
            disks: false,
            memory: 4096,
        };
        families
            .iter()
            .map(|family| ((*family).to_owned(), kind.clone()))
            .collect()
    }

    fn units(rows: &[(&str, &str, i128)]) -> Units {
        let mut units = Units::default();
        for (family, region, nano) in rows {
            units.insert(family, region, *nano);
        }
        units
    }

    #[test]
    fn a_name_falls_into_parts_and_back() {
        for family in ["m8gd", "c8i-flex", "i7ie", "t4g", "trn1n", "r3"] {
            assert_eq!(
                Name::of(family).map(|name| name.family()).as_deref(),
                Some(family)
            );
        }
        assert_eq!(Name::of("hpc"), None);
    }

    #[test]
    fn a_region_is_predicted_by_the_steadiest_family() {
        let units = units(&[
            ("m5", "a", 100),
            ("m5", "b", 110),
            ("m5", "c", 130),
            ("m6i", "a", 100),
            ("m6i", "b", 110),
            ("g5", "a", 100),
            ("g5", "b", 150),
            ("g5", "c", 300),
        ]);
        let kinds = kinds(&["m5", "m6i", "g5"]);
        assert_eq!(units.by_region("m6i", "c", &kinds), Some(130));
        assert_eq!(units.by_region("m9", "c", &kinds), None);
    }

    #[test]
    fn a_generation_is_dearer_by_the_step_of_the_others() {
        let units = units(&[
            ("c6i", "a", 10_000),
            ("c7i", "a", 10_500),
            ("m6i", "a", 20_000),
            ("m7i", "a", 21_000),
            ("m7i-flex", "a", 19_950),
            ("m7id", "a", 22_000),
        ]);
        let kinds = kinds(&["m8i", "m8id", "m8i-flex", "m9i"]);
        let younger = Younger::learn(&units, &kinds, "a");
        assert_eq!(younger.price("m8i", "a"), Some(22_050));
        assert_eq!(younger.price("m9i", "a"), Some(23_152));
        assert_eq!(younger.price("m8i-flex", "a"), Some(20_947));
        assert_eq!(younger.price("m8id", "a"), Some(23_100));
        assert_eq!(younger.price("p9", "a"), None);
    }

    #[test]
    fn disks_cost_what_they_did() {
        let units = units(&[
            ("c7g", "a", 3_600),
            ("c7gd", "a", 4_500),
            ("c8g", "a", 4_000),
        ]);
        let kinds = kinds(&["c8gd"]);
        assert_eq!(
            Younger::learn(&units, &kinds, "a").price("c8gd", "a"),
            Some(4_900)
        );
    }
}
