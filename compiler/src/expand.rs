//! Matrices to cells: the product of the axes, less what is excluded and what cannot boot.
//!
//! A combination that cannot boot is no mistake, since `each` on two axes gives all pairs; it is
//! left out and counted by reason. A value whose combinations are all left out is one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dva_plan::eval::{Facts, eval};
use dva_plan::expr::{CellFact, MachineFact};
use dva_plan::id::CellId;
use dva_plan::plan::{Image, ImageIx, ImageSource, Machine};
use dva_plan::quote::Quote;
use dva_plan::value::Value;
use dva_stdlib::{Catalog, MachineType, Region};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{Hir, ItemRef, Matrix, MatrixIx};
use crate::types::{Exclude, Typed, Uses};

/// The most combinations that a matrix may have, excluded ones among them.
pub const MAX_COMBINATIONS: usize = 100_000;

/// Why a combination is no cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The type has not the image's architecture.
    Architecture,
    /// The image has no source for the region.
    NoSource,
    /// The region does not offer the type.
    NotOffered,
    /// The matrix excludes it.
    Excluded,
}

/// As in "4 are no cells: …".
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Architecture => "the type has another architecture than the image",
            Self::NoSource => "the image has no source for the region",
            Self::NotOffered => "the region does not offer the type",
            Self::Excluded => "the matrix excludes them",
        })
    }
}

/// The cells of a matrix.
#[derive(Debug, Default)]
pub struct Cells {
    /// The cells in the order of the product, the last axis varying fastest.
    pub cells: Vec<Cell>,
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
    /// The value of each axis.
    pub axes: BTreeMap<String, String>,
    /// Its image, as a row of the source.
    pub image: ImageIx,
    /// The machine that serves it.
    pub machine: Machine,
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
    let mut may_be_judged = true;
    for exclude in excludes {
        may_be_judged &= axes_are_there(row, &exclude.uses, bag);
        may_be_judged &= versions_are_there(hir, typed, row, &exclude.uses, bag);
    }
    if !may_be_judged {
        return None;
    }
    let combinations = row
        .axes
        .iter()
        .try_fold(1_usize, |product, axis| {
            product.checked_mul(axis.values.len())
        })
        .filter(|product| *product <= MAX_COMBINATIONS);
    let Some(combinations) = combinations else {
        let text = format!(
            "`{}` has more than {MAX_COMBINATIONS} combinations",
            row.name.text
        );
        let help = "Cut the axes down, or write several matrices.";
        bag.push(Diagnostic::new(Code::P0406, row.name.span, text).help(help));
        return None;
    };
    Expansion {
        hir,
        typed,
        catalog,
        row,
        excludes,
        applied: vec![0; excludes.len()],
        lost: BTreeMap::new(),
        kept: BTreeSet::new(),
        cells: Cells {
            combinations,
            ..Cells::default()
        },
    }
    .run(bag)
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
        let Some((ItemRef::Image(image), place)) = hir.names.get(value.name.as_str()) else {
            continue;
        };
        if typed.images[*image]
            .as_ref()
            .is_some_and(|image| image.version.is_none())
        {
            all = false;
            let text = format!("the image `{}` has no version", value.name);
            bag.push(
                Diagnostic::new(Code::P0409, span, text)
                    .and(*place, "this image")
                    .help("Say it with the operating system: `os = rhel(9.4)`."),
            );
        }
    }
    all
}

struct Expansion<'e, 'a> {
    hir: &'e Hir<'a>,
    typed: &'e Typed,
    catalog: &'e Catalog,
    row: &'e Matrix<'a>,
    excludes: &'e [Exclude],
    /// How many combinations each exclusion met.
    applied: Vec<usize>,
    /// Why combinations with the value of an axis were left out.
    lost: BTreeMap<(usize, usize), BTreeSet<Reason>>,
    /// The values that have a cell.
    kept: BTreeSet<(usize, usize)>,
    cells: Cells,
}

impl Expansion<'_, '_> {
    fn run(mut self, bag: &mut Bag) -> Option<Cells> {
        let mut choice = vec![0; self.row.axes.len()];
        for number in 0..self.cells.combinations {
            self.choose(number, &mut choice);
            self.combination(&choice)?;
        }
        for (exclude, applied) in self.excludes.iter().zip(&self.applied) {
            if *applied == 0 {
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

    /// The values of combination `number`, the last axis varying fastest.
    fn choose(&self, mut number: usize, choice: &mut [usize]) {
        for (place, axis) in self.row.axes.iter().enumerate().rev() {
            choice[place] = number % axis.values.len();
            number /= axis.values.len();
        }
    }

    fn combination(&mut self, choice: &[usize]) -> Option<()> {
        let axes: BTreeMap<String, String> = self
            .row
            .axes
            .iter()
            .zip(choice)
            .map(|(axis, value)| (axis.name.text.clone(), axis.values[*value].name.clone()))
            .collect();
        let image_ix = match self.hir.names.get(axes.get("image")?.as_str()) {
            Some((ItemRef::Image(image), _)) => *image,
            _ => return None,
        };
        // An image with a fault was reported.
        let image = self.typed.images[image_ix].as_ref()?;
        let region = self.catalog.region(axes.get("region")?)?;
        let machine = self.catalog.machine_type(axes.get("instance")?)?;
        let facts = Combination {
            axes: &axes,
            image,
            machine,
        };
        let mut reason = cannot_boot(image, region, machine);
        for (exclude, applied) in self.excludes.iter().zip(&mut self.applied) {
            let condition = eval(
                self.typed.expressions.expressions(),
                exclude.condition,
                &facts,
            );
            // What has no value, such as an order of `rawhide` and `40`, does not hold.
            if condition == Ok(Value::Bool(true)) {
                *applied += 1;
                reason = Some(Reason::Excluded);
            }
        }
        let values = || choice.iter().copied().enumerate();
        if let Some(reason) = reason {
            *self.cells.dropped.entry(reason).or_default() += 1;
            for value in values() {
                self.lost.entry(value).or_default().insert(reason);
            }
            return Some(());
        }
        self.kept.extend(values());
        let pairs = axes
            .iter()
            .map(|(axis, value)| (axis.as_str(), value.as_str()));
        self.cells.cells.push(Cell {
            id: CellId::of(&self.row.name.text, pairs),
            image: image_ix,
            machine: Machine {
                region: region.name.clone(),
                r#type: machine.name.clone(),
                vcpus: machine.vcpus,
                memory_bytes: machine.memory_bytes(),
                arch: image.arch.clone(),
                // Machines of this host cost nothing; of others no price is known yet.
                quote: (region.partition == "local").then(Quote::free),
            },
            axes,
        });
        Some(())
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
        if reasons.contains_key(&Reason::NoSource) {
            " An image for region `local` says `local = host`."
        } else {
            ""
        }
    }

    /// Reports values without a cell; true where there are none.
    fn report_lost(&self, bag: &mut Bag) -> bool {
        let mut none = true;
        for ((axis, value), reasons) in &self.lost {
            if self.kept.contains(&(*axis, *value)) {
                continue;
            }
            none = false;
            let value = &self.row.axes[*axis].values[*value];
            let words: Vec<_> = reasons.iter().map(Reason::to_string).collect();
            let reasons: BTreeMap<_, ()> = reasons.iter().map(|reason| (*reason, ())).collect();
            bag.push(
                Diagnostic::new(Code::P0404, value.span, format!("no cell has `{}`", value.name)).help(format!(
                    "All combinations with it are left out: {}.{} Remove the value, or make room for it.",
                    words.join("; "),
                    self.advice(&reasons)
                )),
            );
        }
        none
    }
}

/// Why `image` cannot boot on `machine` in `region`.
fn cannot_boot(image: &Image, region: &Region, machine: &MachineType) -> Option<Reason> {
    let has_source = image.sources.iter().any(|source| match source {
        ImageSource::LocalHost | ImageSource::LocalRootfs { .. } => region.partition == "local",
    });
    if !has_source {
        Some(Reason::NoSource)
    } else if !machine.runs(&image.arch) {
        Some(Reason::Architecture)
    } else if !machine.is_offered_in(&region.name) {
        Some(Reason::NotOffered)
    } else {
        None
    }
}

/// What is known of a combination before there are machines: all of its axes.
struct Combination<'e> {
    axes: &'e BTreeMap<String, String>,
    image: &'e Image,
    machine: &'e MachineType,
}

impl Combination<'_> {
    fn axis(&self, name: &str) -> Option<Value> {
        self.axes.get(name).cloned().map(Value::Name)
    }
}

impl Facts for Combination<'_> {
    fn cell(&self, fact: &CellFact) -> Option<Value> {
        match fact {
            CellFact::Axis(axis) => self.axis(axis),
            CellFact::ImageOs => Some(Value::Name(self.image.os.clone())),
            CellFact::ImageVersion => self.image.version.clone().map(Value::Version),
            CellFact::ImageArch => Some(Value::Name(self.image.arch.clone())),
        }
    }
    fn machine(&self, fact: MachineFact) -> Option<Value> {
        Some(match fact {
            MachineFact::Vcpus => Value::Int(self.machine.vcpus.into()),
            MachineFact::Memory => Value::Bytes(self.machine.memory_bytes()),
            MachineFact::Type => Value::Name(self.machine.name.clone()),
            MachineFact::Region => return self.axis("region"),
            MachineFact::Arch => Value::Name(self.image.arch.clone()),
        })
    }
}
