//! Finds the price of shared tenancy among rows of which some are of another tenancy.
//!
//! Pure functions on observations; nothing here knows of a package or of a right answer. They rest on
//! three regularities of the price list:
//!
//! 1. The sizes of a family cost the same per unit of size in a region, or, as with GPUs, keep the
//!    same proportion to each other in every region.
//! 2. A dedicated instance costs more than a shared one, by a markup that a family has (6 or 10 % as a
//!    rule) and that is far larger than any rounding.
//! 3. Which tenancy a cell shows is independent from cell to cell.
//!
//! So among all that a family shows in a region, brought to one unit, the lowest value on which two
//! sizes agree, or three tables for one size, is the price of shared tenancy. A lone value below it is
//! not believed.

use std::collections::{BTreeMap, BTreeSet};

/// A weight of a size is counted in millionths of a vCPU of the family's plain sizes.
pub const WEIGHT: i128 = 1_000_000;

/// A price seen for a size in a region, brought to Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The size.
    pub name: &'a str,
    /// Nano-dollars an hour.
    pub nano: i128,
    /// How far it may lie from the true price by its rounding alone, in nano-dollars.
    pub rounding: i128,
    /// Whether it may found an agreement; the others only add to one.
    pub founds: bool,
}

/// The unit price of a family in a region, with what supports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Nano-dollars an hour for [`WEIGHT`].
    pub nano: i128,
    /// How many sizes agree on it.
    pub sizes: usize,
    /// How many observations agree on it.
    pub seen: usize,
    /// How many of those can found an agreement.
    pub founding: usize,
}

impl Unit {
    /// The price of a size of `weight`, rounded to a hundred-thousandth of a dollar.
    pub fn price(self, weight: i128) -> i128 {
        const STEP: i128 = 10_000;
        let exact = self.nano * weight / WEIGHT;
        (exact + STEP / 2) / STEP * STEP
    }
}

struct Point<'a> {
    unit: i128,
    slack: i128,
    name: &'a str,
    founds: bool,
}

/// The weights of a family's sizes. `plain` are those in proportion to vCPUs (or, for burstable types,
/// to the size's name); a size keeps its plain weight unless the regions agree on another proportion.
pub fn weights(plain: &BTreeMap<&str, i128>, regions: &[Vec<Seen<'_>>]) -> BTreeMap<String, i128> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in regions.iter().flatten().filter(|seen| seen.founds) {
        *counts.entry(seen.name).or_default() += 1;
    }
    let heaviest = |(name, count): &(&&str, &usize)| (**count, plain.get(**name).copied());
    let Some((&reference, _)) = counts.iter().max_by_key(heaviest) else {
        return BTreeMap::new();
    };
    let mut weights = BTreeMap::new();
    for (&name, &own) in plain {
        if !counts.contains_key(name) {
            continue;
        }
        let ratios = proportions(name, own, reference, plain[reference], regions);
        let weight = own * agreed_proportion(&ratios) / PARTS;
        weights.insert(name.to_owned(), weight);
    }
    weights
}

/// A proportion is counted in parts of this.
const PARTS: i128 = 1_000_000_000;
/// What a proportion may differ by and still be the same, in such parts: a thousandth.
const BIN: i128 = PARTS / 1000;

/// What `name` costs against `reference`, each brought to its plain weight, wherever both are seen.
fn proportions(
    name: &str,
    own: i128,
    reference: &str,
    other: i128,
    regions: &[Vec<Seen<'_>>],
) -> Vec<i128> {
    let mut ratios = Vec::new();
    for region in regions {
        let of = |wanted: &'_ str| {
            let wanted = wanted.to_owned();
            region
                .iter()
                .filter(move |seen| seen.founds && seen.name == wanted)
        };
        for mine in of(name) {
            for its in of(reference) {
                ratios.push(mine.nano * PARTS * other / (its.nano * own));
            }
        }
    }
    ratios.sort_unstable();
    ratios
}

/// The proportion that most agree on; 1 where at least half as many as that agree on 1.
fn agreed_proportion(ratios: &[i128]) -> i128 {
    let near = |middle: i128, slack: i128| -> Vec<i128> {
        let is_near = |ratio: &&i128| (**ratio - middle).abs() <= slack;
        ratios.iter().filter(is_near).copied().collect()
    };
    let mut best: Vec<i128> = Vec::new();
    for ratio in ratios {
        let agreeing = near(*ratio, BIN * 3 / 2);
        if agreeing.len() > best.len() {
            best = agreeing;
        }
    }
    let plain = near(PARTS, 3 * BIN);
    if plain.len() * 2 >= best.len() {
        PARTS
    } else {
        best[best.len() / 2]
    }
}

/// The unit price of a family in a region; `None` where nothing agrees with anything.
///
/// Where only one size is seen, two tables that agree on it must do, and `sizes` is 1.
pub fn unit(seen: &[Seen<'_>], weights: &BTreeMap<String, i128>) -> Option<Unit> {
    let mut points: Vec<Point<'_>> = seen
        .iter()
        .filter_map(|seen| {
            let weight = *weights.get(seen.name)?;
            let slack = seen.rounding + seen.nano / 5000;
            Some(Point {
                unit: seen.nano * WEIGHT / weight,
                slack: slack * WEIGHT / weight,
                name: seen.name,
                founds: seen.founds,
            })
        })
        .collect();
    points.sort_by_key(|point| (point.unit, point.slack));
    let groups = groups(&points);
    let sized = groups
        .iter()
        .find(|unit| unit.sizes >= 2 || unit.founding >= 3);
    sized
        .or_else(|| groups.iter().find(|unit| unit.seen >= 2))
        .copied()
}

/// What the founding points agree on, from the lowest: points within 2 % of the lowest one are of one
/// tenancy. Points too coarse to tell tenancies apart found nothing.
fn groups(points: &[Point<'_>]) -> Vec<Unit> {
    let founding: Vec<&Point<'_>> = points
        .iter()
        .filter(|point| point.founds && point.slack * 1000 < point.unit * 6)
        .collect();
    let mut groups = Vec::new();
    let mut rest = founding.as_slice();
    while let Some(lowest) = rest.first() {
        let end = rest.partition_point(|point| point.unit * 100 <= lowest.unit * 102);
        let (group, above) = rest.split_at(end);
        rest = above;
        let sizes: BTreeSet<&str> = group.iter().map(|point| point.name).collect();
        let agreeing = |with: &Point<'_>, among: &mut dyn Iterator<Item = &Point<'_>>| {
            among
                .filter(|point| (point.unit - with.unit).abs() <= point.slack + with.slack)
                .count()
        };
        let middle = group.iter().max_by_key(|point| {
            let support = agreeing(point, &mut group.iter().copied());
            let fineness = -(point.slack * PARTS / point.unit);
            (support, fineness, -point.unit)
        });
        if let Some(middle) = middle {
            groups.push(Unit {
                nano: middle.unit,
                sizes: sizes.len(),
                seen: agreeing(middle, &mut points.iter()),
                founding: agreeing(middle, &mut group.iter().copied()),
            });
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENT: i128 = 10_000_000;

    fn linux(name: &str, nano: i128) -> Seen<'_> {
        Seen {
            name,
            nano,
            rounding: 60_000,
            founds: true,
        }
    }

    fn plain() -> BTreeMap<String, i128> {
        [("f.large", 2), ("f.xlarge", 4), ("f.2xlarge", 8)]
            .map(|(name, vcpus)| (name.to_owned(), vcpus * WEIGHT))
            .into()
    }

    #[test]
    fn the_lowest_value_that_two_sizes_agree_on_is_taken() {
        // One size shows the dedicated price, 6 % above.
        let seen = [
            linux("f.large", 10 * CENT),
            linux("f.xlarge", 20 * CENT),
            linux("f.2xlarge", 40 * CENT * 106 / 100),
        ];
        let unit = unit(&seen, &plain()).expect("two agree");
        assert_eq!(
            unit,
            Unit {
                nano: 5 * CENT,
                sizes: 2,
                seen: 2,
                founding: 2
            }
        );
        assert_eq!(unit.price(8 * WEIGHT), 40 * CENT);
    }

    #[test]
    fn most_rows_may_be_dedicated() {
        let dedicated = |name, cents: i128| linux(name, cents * CENT * 110 / 100);
        let seen = [
            dedicated("f.large", 10),
            dedicated("f.xlarge", 20),
            dedicated("f.2xlarge", 40),
            linux("f.large", 10 * CENT),
            linux("f.2xlarge", 40 * CENT),
        ];
        assert_eq!(unit(&seen, &plain()).map(|unit| unit.nano), Some(5 * CENT));
    }

    #[test]
    fn a_lone_low_value_is_not_believed() {
        let seen = [
            linux("f.large", 9 * CENT),
            linux("f.xlarge", 20 * CENT),
            linux("f.2xlarge", 40 * CENT),
        ];
        assert_eq!(unit(&seen, &plain()).map(|unit| unit.nano), Some(5 * CENT));
    }

    #[test]
    fn three_tables_for_one_size_are_as_good_as_two_sizes() {
        let mut seen = vec![linux("f.xlarge", 22 * CENT), linux("f.2xlarge", 44 * CENT)];
        seen.extend([(); 2].map(|()| linux("f.large", 10 * CENT)));
        assert_eq!(
            unit(&seen, &plain()).map(|unit| unit.nano),
            Some(5 * CENT * 11 / 10)
        );
        seen.push(linux("f.large", 10 * CENT));
        assert_eq!(unit(&seen, &plain()).map(|unit| unit.nano), Some(5 * CENT));
    }

    #[test]
    fn one_size_needs_two_tables() {
        let alone = [linux("f.large", 10 * CENT)];
        assert_eq!(unit(&alone, &plain()), None);
        let twice = [linux("f.large", 10 * CENT), linux("f.large", 10 * CENT)];
        let found = unit(&twice, &plain());
        assert_eq!(
            found,
            Some(Unit {
                nano: 5 * CENT,
                sizes: 1,
                seen: 2,
                founding: 2
            })
        );
    }

    #[test]
    fn a_coarse_value_adds_and_never_founds() {
        let coarse = Seen {
            rounding: CENT,
            ..linux("f.large", 9 * CENT)
        };
        let adding = Seen {
            founds: false,
            ..linux("f.xlarge", 20 * CENT)
        };
        let seen = [
            coarse,
            adding,
            linux("f.xlarge", 20 * CENT),
            linux("f.2xlarge", 40 * CENT),
        ];
        let unit = unit(&seen, &plain()).expect("two agree");
        assert_eq!((unit.nano, unit.sizes, unit.seen), (5 * CENT, 2, 4));
    }

    #[test]
    fn a_size_out_of_proportion_is_weighed_by_what_regions_agree_on() {
        let plain: BTreeMap<&str, i128> = [
            ("g.large", 2 * WEIGHT),
            ("g.xlarge", 4 * WEIGHT),
            ("g.2xlarge", 8 * WEIGHT),
        ]
        .into();
        // `g.2xlarge` costs half again as much as its vCPUs say, in every region.
        let region = |cents: i128| {
            vec![
                linux("g.large", cents * CENT),
                linux("g.xlarge", 2 * cents * CENT),
                linux("g.2xlarge", 6 * cents * CENT),
            ]
        };
        let mut regions = vec![region(10), region(11), region(13)];
        // One dedicated row changes nothing.
        regions[0][1].nano = regions[0][1].nano * 106 / 100;
        let weights = weights(&plain, &regions);
        assert!((weights["g.xlarge"] - 2 * weights["g.large"]).abs() < 10);
        // Up to the rounding of the proportions.
        assert!((weights["g.2xlarge"] - 6 * weights["g.large"]).abs() < 10);
    }

    #[test]
    fn nothing_seen_is_no_price() {
        assert_eq!(unit(&[], &plain()), None);
        assert!(weights(&BTreeMap::new(), &[]).is_empty());
    }
}
