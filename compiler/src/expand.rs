//! Matrices to cells: the product of the axes, less what is excluded and what cannot boot.
//!
//! A combination that cannot boot is no mistake, since `each` on two axes gives all pairs; it is
//! left out and counted by reason. A value whose combinations are all left out is one, unless a
//! condition chose it. An axis of `any` has no part in the product: each of its values that serves makes
//! machines for the same cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use dva_plan::eval::{Facts, eval};
use dva_plan::expr::{CellFact, MachineFact};
use dva_plan::features::BootMode;
use dva_plan::id::CellId;
use dva_plan::plan::{Image, ImageIx, Machine, MachineIx, Network};
use dva_plan::quote::OsClass;
use dva_plan::table::Table;
use dva_plan::value::Value;
use dva_stdlib::{Catalog, Ena, MachineType, Region};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{AxisValue, Hir, Matrix, MatrixIx};
use crate::span::Span;
use crate::suggest::listed;
use crate::syntax::ast::Every;
use crate::types::fact;
use crate::types::image::Launch;
use crate::types::{Exclude, Typed, Uses};

/// The most combinations that a matrix may have, excluded ones among them.
pub const MAX_COMBINATIONS: usize = 100_000;
/// The most machines that are looked at for them all.
pub const MAX_PAIRS: usize = 5_000_000;

/// Why a combination is no cell. Where several machines could serve it, the last of the reasons counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The image has no source for the region.
    NoSource,
    /// The type has not the image's architecture.
    Architecture,
    /// The region does not offer the type.
    NotOffered,
    /// The type does not boot as the image does.
    BootMode,
    /// The type asks for a network driver that the image has not.
    Driver,
    /// The matrix excludes it.
    Excluded,
    /// None of the tests runs there.
    NoTest,
}

/// As in "4 are no cells: …".
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Architecture => "the type has another architecture than the image",
            Self::NoSource => "the image has no source for the region",
            Self::BootMode => "the type does not boot the way the image does",
            Self::Driver => "the type needs a network driver that the image has not",
            Self::NotOffered => "the region does not offer the type",
            Self::Excluded => "the matrix excludes them",
            Self::NoTest => "no test runs there",
        })
    }
}

/// The cells of a matrix.
#[derive(Debug, Default)]
pub struct Cells {
    /// The cells in the order of the product, the last axis varying fastest.
    pub cells: Vec<Cell>,
    /// The machines that serve them, without prices.
    pub machines: Table<MachineIx, Machine>,
    /// By which rules the operating system on each of them is billed.
    pub classes: Table<MachineIx, OsClass>,
    /// How many combinations there were.
    pub combinations: usize,
    /// How many of them are no cells, by reason.
    pub dropped: BTreeMap<Reason, usize>,
}

/// A combination that can be tested.
#[derive(Debug)]
pub struct Cell {
    /// Its id.
    pub id: CellId,
    /// The value of each axis of `each`.
    pub axes: BTreeMap<String, String>,
    /// Its image, as a row of the source.
    pub image: ImageIx,
    /// The machines that serve it, in the order of the regions and types; never empty.
    pub candidates: Vec<MachineIx>,
    /// What their network must be.
    pub network: Network,
}

impl Cells {
    /// What conditions on `cell` can ask of it, for each machine that may serve it. `None` where its
    /// image was reported.
    pub(crate) fn facts<'e>(
        &'e self,
        cell: &'e Cell,
        typed: &'e Typed,
    ) -> Option<impl Iterator<Item = CellFacts<'e>> + use<'e>> {
        let image = typed.images[cell.image].as_ref()?;
        Some(cell.candidates.iter().map(move |machine| CellFacts {
            axes: &cell.axes,
            image,
            machine: &self.machines[*machine],
        }))
    }
}

/// What is known of a cell and a machine that may serve it.
pub(crate) struct CellFacts<'e> {
    axes: &'e BTreeMap<String, String>,
    image: &'e Image,
    machine: &'e Machine,
}

impl Facts for CellFacts<'_> {
    fn cell(&self, fact: &CellFact) -> Option<Value> {
        match fact {
            CellFact::Axis(axis) => self.axes.get(axis).cloned().map(Value::Name),
            other => self.image.fact(other),
        }
    }
    fn machine(&self, fact: MachineFact) -> Option<Value> {
        self.machine.fact(fact)
    }
}

/// Lays out `matrix`; `None` where something of it was reported.
#[must_use]
pub fn expand(
    hir: &Hir<'_>,
    typed: &Typed,
    catalog: &Catalog,
    matrix: MatrixIx,
    bag: &mut Bag,
) -> Option<Cells> {
    let row = &hir.matrices[matrix];
    let excludes = &typed.excludes[matrix];
    // A condition that was reported might have excluded anything.
    if !row.intact || excludes.len() != row.excludes.len() {
        return None;
    }
    let values = typed.axes[matrix].as_deref()?;
    let mut may_be_judged = true;
    for exclude in excludes {
        may_be_judged &= axes_are_there(row, &exclude.uses, bag);
        may_be_judged &= versions_are_there(hir, typed, row, &exclude.uses, bag);
    }
    if !may_be_judged {
        return None;
    }
    let product = |how: Every| {
        let axes = row.axes.iter().zip(values);
        let mut axes = axes.filter(|(axis, _)| axis.how == how);
        axes.try_fold(1_usize, |product, (_, values)| {
            product.checked_mul(values.len())
        })
    };
    let combinations = product(Every::Each).filter(|product| *product <= MAX_COMBINATIONS);
    let pairs = combinations.zip(product(Every::Any));
    let pairs = pairs.and_then(|(each, any)| each.checked_mul(any));
    let (Some(combinations), Some(_)) = (combinations, pairs.filter(|pairs| *pairs <= MAX_PAIRS))
    else {
        let (text, help) = match combinations {
            None => (
                format!(
                    "`{}` has more than {MAX_COMBINATIONS} combinations",
                    row.name.text
                ),
                "Cut the axes down, or write several matrices.",
            ),
            Some(_) => (
                format!(
                    "`{}` has more than {MAX_PAIRS} machines to choose from",
                    row.name.text
                ),
                "Cut down what `any` chooses from, or write several matrices.",
            ),
        };
        bag.push(Diagnostic::new(Code::P0406, row.name.span, text).help(help));
        return None;
    };
    let mut expansion = Expansion {
        hir,
        typed,
        row,
        values,
        excludes,
        regions: Vec::new(),
        types: Vec::new(),
        offered: Vec::new(),
        applied: vec![false; excludes.len()],
        lost: BTreeMap::new(),
        kept: BTreeSet::new(),
        kinds: Vec::new(),
        known: BTreeMap::new(),
        cells: Cells {
            combinations,
            ..Cells::default()
        },
    };
    expansion.look_up(catalog)?;
    expansion.run(bag)
}

/// Whether `row` has the author's axes that are named.
pub(crate) fn axes_are_there(row: &Matrix<'_>, uses: &Uses, bag: &mut Bag) -> bool {
    let mut all = true;
    for (axis, span) in &uses.axes {
        if row.axis(axis).is_none() {
            all = false;
            let text = format!("`{}` has no axis `{axis}`", row.name.text);
            bag.push(
                Diagnostic::new(Code::P0408, *span, text)
                    .and(row.name.span, "this matrix")
                    .help(format!("Give the matrix the axis: `{axis} = each …`.")),
            );
        }
    }
    all
}

/// Whether the images of `row` have a version, where it is named.
pub(crate) fn versions_are_there(
    hir: &Hir<'_>,
    typed: &Typed,
    row: &Matrix<'_>,
    uses: &Uses,
    bag: &mut Bag,
) -> bool {
    let (Some(span), Some(axis)) = (uses.image_version, row.axis("image")) else {
        return true;
    };
    let mut all = true;
    for value in &axis.values {
        let Some(image) = hir.image(&value.name) else {
            continue;
        };
        if typed.images[image]
            .as_ref()
            .is_some_and(|image| image.version.is_none())
        {
            all = false;
            report_version(hir, image, span, bag);
        }
    }
    all
}

/// Reports an image without a version, which is named at `span`.
pub(crate) fn report_version(hir: &Hir<'_>, image: ImageIx, span: Span, bag: &mut Bag) {
    let name = hir.images[image].name;
    let text = format!("the image `{}` has no version", name.text);
    bag.push(
        Diagnostic::new(Code::P0409, span, text)
            .and(name.span, "this image")
            .help("Say it with the operating system: `os = rhel(9.4)`."),
    );
}

struct Expansion<'e, 'a> {
    hir: &'e Hir<'a>,
    typed: &'e Typed,
    row: &'e Matrix<'a>,
    values: &'e [Vec<AxisValue>],
    excludes: &'e [Exclude],
    /// The regions of the axis `region`.
    regions: Vec<&'e Region>,
    /// The machine types of the axis `instance`.
    types: Vec<&'e MachineType>,
    /// For each of these types whether each of these regions offers it.
    offered: Vec<Vec<bool>>,
    /// Whether each exclusion met anything.
    applied: Vec<bool>,
    /// Why combinations with the value of an axis were left out.
    lost: BTreeMap<(usize, usize), BTreeSet<Reason>>,
    /// The values that have a cell.
    kept: BTreeSet<(usize, usize)>,
    /// What tells the machines of images apart: architecture and billing.
    kinds: Vec<(&'e str, OsClass)>,
    /// The machine of a region, a type and a kind, by their numbers.
    known: BTreeMap<[usize; 3], MachineIx>,
    cells: Cells,
}

impl<'e> Expansion<'e, '_> {
    /// Finds the regions and types of the axes, once for all combinations.
    fn look_up(&mut self, catalog: &'e Catalog) -> Option<()> {
        let regions = self.values_of("region")?.iter();
        let regions = regions.map(|value| catalog.region(&value.name));
        self.regions = regions.collect::<Option<_>>()?;
        let types = self.values_of("instance")?.iter();
        let types = types.map(|value| catalog.machine_type(&value.name));
        self.types = types.collect::<Option<_>>()?;
        let offered = self.types.iter().map(|machine| {
            let regions = self.regions.iter();
            regions
                .map(|region| machine.is_offered_in(&region.name))
                .collect()
        });
        self.offered = offered.collect();
        Some(())
    }

    fn values_of(&self, axis: &str) -> Option<&'e [AxisValue]> {
        self.place(axis).map(|place| self.values[place].as_slice())
    }

    fn place(&self, axis: &str) -> Option<usize> {
        self.row.axes.iter().position(|own| own.name.text == axis)
    }

    fn run(mut self, bag: &mut Bag) -> Option<Cells> {
        let mut choice = vec![0; self.row.axes.len()];
        for number in 0..self.cells.combinations {
            self.choose(number, &mut choice);
            self.combination(&choice)?;
        }
        for (exclude, applied) in self.excludes.iter().zip(&self.applied) {
            if !applied {
                bag.push(
                    Diagnostic::new(
                        Code::P0403,
                        exclude.span,
                        "no combination of this matrix is like that",
                    )
                    .help("Remove it, or check the values against those of the axes."),
                );
            }
        }
        if self.cells.cells.is_empty() {
            self.report_empty(bag);
            return None;
        }
        self.report_lost(bag).then_some(self.cells)
    }

    /// The values of combination `number`, the last axis of `each` varying fastest.
    fn choose(&self, mut number: usize, choice: &mut [usize]) {
        let axes = self.row.axes.iter().zip(self.values).enumerate().rev();
        for (place, (axis, values)) in axes {
            if axis.how == Every::Each {
                choice[place] = number % values.len();
                number /= values.len();
            }
        }
    }

    /// The numbers of the values that `axis` has in a combination: one, or all of `any`.
    fn values_in(&self, axis: &str, choice: &[usize]) -> Option<Range<usize>> {
        let place = self.place(axis)?;
        Some(match self.row.axes[place].how {
            Every::Any => 0..self.values[place].len(),
            Every::Each => choice[place]..choice[place] + 1,
        })
    }

    fn combination(&mut self, choice: &[usize]) -> Option<()> {
        let image = self.values_in("image", choice)?.start;
        let image = &self.values_of("image")?.get(image)?.name;
        let image_ix = self.hir.image(image)?;
        // An image with a fault was reported.
        let image = self.typed.images[image_ix].as_ref()?;
        let launch = self.typed.launches[image_ix].as_ref()?;
        let kind = self.kind(image, launch);
        let mut candidates = Vec::new();
        let mut reasons = BTreeSet::new();
        let types = self.values_in("instance", choice)?;
        for region in self.values_in("region", choice)? {
            for of in types.clone() {
                let reason = self.cannot_boot(image, launch, region, of);
                // What cannot boot may be excluded too, and then that was said of it.
                if reason.is_some() && (self.excludes.is_empty() || self.is_any()) {
                    reasons.extend(reason);
                    continue;
                }
                let candidate = self.machine(image, region, of, kind);
                if self.is_excluded(choice, image, candidate) {
                    reasons.insert(Reason::Excluded);
                } else if reason.is_some() {
                    reasons.extend(reason);
                } else {
                    candidates.push(candidate);
                }
            }
        }
        let each = || {
            let axes = self.row.axes.iter().enumerate();
            axes.filter(|(_, axis)| axis.how == Every::Each)
                .map(|(place, _)| (place, choice[place]))
        };
        if candidates.is_empty() {
            let reason = reasons.last().copied().unwrap_or(Reason::NotOffered);
            *self.cells.dropped.entry(reason).or_default() += 1;
            for value in each().collect::<Vec<_>>() {
                self.lost.entry(value).or_default().insert(reason);
            }
            return Some(());
        }
        let each: Vec<(usize, usize)> = each().collect();
        let axes: BTreeMap<String, String> = each
            .iter()
            .map(|(place, value)| {
                let name = self.values[*place][*value].name.clone();
                (self.row.axes[*place].name.text.clone(), name)
            })
            .collect();
        self.kept.extend(each);
        let pairs = axes
            .iter()
            .map(|(axis, value)| (axis.as_str(), value.as_str()));
        self.cells.cells.push(Cell {
            id: CellId::of(&self.row.name.text, pairs),
            image: image_ix,
            candidates,
            network: self.network(&axes),
            axes,
        });
        Some(())
    }

    fn is_any(&self) -> bool {
        self.row.axes.iter().any(|axis| axis.how == Every::Any)
    }

    /// The number of what tells machines of this image from those of others.
    fn kind(&mut self, image: &'e Image, launch: &Launch) -> usize {
        let kind = (image.arch.as_str(), launch.class);
        let known = self.kinds.iter().position(|own| *own == kind);
        known.unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        })
    }

    /// The machine in the table of machines.
    fn machine(&mut self, image: &Image, region: usize, of: usize, kind: usize) -> MachineIx {
        let cells = &mut self.cells;
        *self.known.entry([region, of, kind]).or_insert_with(|| {
            cells.classes.push(self.kinds[kind].1);
            let machine = fact::machine(self.types[of], self.regions[region], &image.arch);
            cells.machines.push(machine)
        })
    }

    /// Why `image` cannot boot on a type in a region, both by their numbers.
    fn cannot_boot(
        &self,
        image: &Image,
        launch: &Launch,
        region: usize,
        of: usize,
    ) -> Option<Reason> {
        let machine = self.types[of];
        let place = self.regions[region];
        let mut sources = image.sources.iter();
        if !sources.any(|source| source.serves(&place.name, &place.partition)) {
            return Some(Reason::NoSource);
        }
        if !machine.runs(&image.arch) {
            return Some(Reason::Architecture);
        }
        if !self.offered[of][region] {
            return Some(Reason::NotOffered);
        }
        // Of a type whose ways to boot are not known, nothing is left out.
        let boots = |mode: BootMode| {
            let mut modes = machine.boot_modes.iter().copied().map(fact::boot_mode);
            machine.boot_modes.is_empty() || modes.any(|own| own == mode)
        };
        if !launch.boot_mode.is_none_or(boots) {
            return Some(Reason::BootMode);
        }
        let needs_driver = machine.ena == Ena::Required;
        (needs_driver && !launch.has_ena).then_some(Reason::Driver)
    }

    fn is_excluded(&mut self, choice: &[usize], image: &Image, machine: MachineIx) -> bool {
        let facts = Combination {
            row: self.row,
            values: self.values,
            choice,
            image,
            machine: &self.cells.machines[machine],
        };
        let mut is_excluded = false;
        for (exclude, applied) in self.excludes.iter().zip(&mut self.applied) {
            let nodes = self.typed.expressions.expressions();
            // What has no value, such as an order of `rawhide` and `40`, does not hold.
            if eval(nodes, exclude.condition, &facts) == Ok(Value::Bool(true)) {
                *applied = true;
                is_excluded = true;
            }
        }
        is_excluded
    }

    /// What the values of the author's axes say of the network, all together.
    fn network(&self, axes: &BTreeMap<String, String>) -> Network {
        let mut network = Network::default();
        for (axis, value) in axes {
            let Some(axis) = self.hir.axis(axis) else {
                continue;
            };
            let values = self.hir.axes[axis].values.iter();
            let mut own = values.zip(&self.typed.networks[axis]);
            if let Some((_, says)) = own.find(|(own, _)| own.text == *value) {
                network.ipv6 |= says.ipv6;
                network.closed |= says.closed;
            }
        }
        network
    }

    fn report_empty(&self, bag: &mut Bag) {
        let reasons: Vec<_> = self
            .cells
            .dropped
            .iter()
            .map(|(reason, count)| format!("{count} because {reason}"))
            .collect();
        let text = match self.cells.combinations {
            1 => "its one combination is left out".to_owned(),
            n => format!("all of its {n} combinations are left out"),
        };
        let mut finding = Diagnostic::new(Code::P0405, self.row.name.span, text);
        if self.cells.dropped.contains_key(&Reason::NoSource) {
            for value in self.row.axis("image").iter().flat_map(|axis| &axis.values) {
                finding = finding.and(value.span, "where does this image come from?");
            }
        }
        bag.push(finding.help(format!(
            "Left out: {}.{}",
            reasons.join("; "),
            self.advice(&self.cells.dropped)
        )));
    }

    fn advice<T>(&self, reasons: &BTreeMap<Reason, T>) -> &'static str {
        let has_local = |(axis, values): (&crate::hir::MatrixAxis<'_>, &Vec<AxisValue>)| {
            axis.name.text == "region" && values.iter().any(|value| value.name == "local")
        };
        if !reasons.contains_key(&Reason::NoSource) {
            ""
        } else if self.row.axes.iter().zip(self.values).any(has_local) {
            " An image for region `local` says `local = host`."
        } else {
            " An image for regions of EC2 says `ec2 = ami(…)`, with an id for each region or an owner for \
             each partition; an owner without a partition is one of `aws`."
        }
    }

    /// Reports values without a cell; true where there are none. What a condition chose may have none,
    /// unless it lacks a source of the image, which the author can give.
    fn report_lost(&self, bag: &mut Bag) -> bool {
        let mut none = true;
        // By axis that a condition chose: the values and why they are lost.
        let mut chosen: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for ((axis, value), reasons) in &self.lost {
            if self.kept.contains(&(*axis, *value)) {
                continue;
            }
            let name = &self.values[*axis][*value];
            if self.row.axes[*axis].chosen.is_some() {
                if reasons.contains(&Reason::NoSource) && reasons.len() == 1 {
                    chosen.entry(*axis).or_default().push(&name.name);
                }
                continue;
            }
            none = false;
            let words: Vec<_> = reasons.iter().map(Reason::to_string).collect();
            let reasons: BTreeMap<_, ()> = reasons.iter().map(|reason| (*reason, ())).collect();
            bag.push(
                Diagnostic::new(Code::P0404, name.span, format!("no cell has `{}`", name.name)).help(format!(
                    "All combinations with it are left out: {}.{} Remove the value, or make room for it.",
                    words.join("; "),
                    self.advice(&reasons)
                )),
            );
        }
        for (axis, names) in chosen {
            none = false;
            let span = self.row.axes[axis]
                .chosen
                .map_or(self.row.name.span, |of| of.span);
            let text = format!("no cell has {}", listed(names.iter().copied()));
            let reasons = BTreeMap::from([(Reason::NoSource, ())]);
            bag.push(Diagnostic::new(Code::P0404, span, text).help(format!(
                "No image has a source there.{} Leave them out by the condition, or give a source.",
                self.advice(&reasons)
            )));
        }
        none
    }
}

/// What is known of a combination before there are machines: all of its axes.
struct Combination<'e, 'a> {
    row: &'e Matrix<'a>,
    values: &'e [Vec<AxisValue>],
    choice: &'e [usize],
    image: &'e Image,
    machine: &'e Machine,
}

impl Facts for Combination<'_, '_> {
    fn cell(&self, fact: &CellFact) -> Option<Value> {
        let CellFact::Axis(axis) = fact else {
            return self.image.fact(fact);
        };
        let place = self
            .row
            .axes
            .iter()
            .position(|own| own.name.text == *axis)?;
        let value = self.values[place].get(self.choice[place])?;
        Some(Value::Name(value.name.clone()))
    }
    fn machine(&self, fact: MachineFact) -> Option<Value> {
        self.machine.fact(fact)
    }
}
