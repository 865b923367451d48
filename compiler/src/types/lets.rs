//! The values of tests: which there are, and where they can be seen.
//!
//! A value is seen by the steps behind it, to the end of the branch or loop that it stands in, and, where it
//! stands in none, by tests that are `after` its own.

use dva_plan::plan::TestIx;
use dva_plan::step::SlotIx;
use dva_plan::table::{Index, Table};
use dva_plan::unit::SizeUnit;
use dva_plan::value::Type;
use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::Hir;
use crate::resolve::check_name;
use crate::syntax::ast;
use crate::types::written::{Whose, written_type};

/// The steps of a test or a `finally`; those of a branch or loop have higher numbers, in the order in which
/// they begin.
pub(crate) const OUTERMOST: u32 = 0;

/// A value of a test.
#[derive(Clone, Debug)]
pub struct Let<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its type; `None` where it was reported, or is read with the step.
    pub r#type: Option<Type>,
    /// The unit of a size that comes as a bare number.
    pub unit: Option<SizeUnit>,
    /// Its place.
    pub slot: SlotIx,
    /// Whether it is captured behind the verdict.
    pub in_finally: bool,
    /// The branch or loop that it is seen in.
    pub block: u32,
    /// Whether its type is written, and so was reported where there is none.
    pub is_written: bool,
    /// Whether it is all that a command came to, rather than something of its output.
    pub is_result: bool,
}

/// The values of every test, in the order of their steps.
#[must_use]
pub(crate) fn lets<'a>(
    hir: &Hir<'a>,
    catalog: &Catalog,
    bag: &mut Bag,
) -> Table<TestIx, Vec<Let<'a>>> {
    let of_test = |(row, test): (TestIx, &crate::hir::Test<'a>)| {
        let known = bag.len();
        let mut found = Found {
            hir,
            test: row,
            catalog,
            bag,
            lets: Vec::new(),
            blocks: OUTERMOST,
            open: vec![OUTERMOST],
            in_finally: false,
        };
        found.steps(test.steps.iter().copied());
        found.in_finally = true;
        found.steps(test.finally.iter().copied());
        let lets = found.lets;
        if test.template.is_some() {
            bag.forget_repeated(known);
        }
        lets
    };
    hir.tests.enumerate().map(of_test).collect()
}

struct Found<'f, 'a> {
    hir: &'f Hir<'a>,
    test: TestIx,
    catalog: &'f Catalog,
    bag: &'f mut Bag,
    lets: Vec<Let<'a>>,
    /// How many branches and loops have begun.
    blocks: u32,
    /// Those that have not ended.
    open: Vec<u32>,
    in_finally: bool,
}

impl<'a> Found<'_, 'a> {
    fn steps(&mut self, steps: impl Iterator<Item = &'a ast::Step>) {
        for step in steps {
            match &step.kind {
                ast::StepKind::Let {
                    name,
                    r#type,
                    value,
                } => self.value(step, name, r#type.as_ref(), value),
                ast::StepKind::When {
                    then, otherwise, ..
                } => {
                    self.block(|found| found.steps(then.iter()));
                    self.block(|found| found.steps(otherwise.iter()));
                }
                ast::StepKind::For { name, steps, .. } => self.block(|found| {
                    found.declare(name, None, None);
                    found.steps(steps.iter());
                }),
                _ => {}
            }
        }
    }

    fn block(&mut self, inside: impl FnOnce(&mut Self)) {
        self.blocks += 1;
        self.open.push(self.blocks);
        inside(self);
        self.open.pop();
    }

    fn value(
        &mut self,
        step: &ast::Step,
        name: &'a ast::Name,
        written: Option<&ast::TypeExpr>,
        value: &ast::Bound,
    ) {
        let is_json = step
            .modifiers
            .iter()
            .any(|modifier| modifier.kind == ast::ModifierKind::Json);
        let whose = match value {
            ast::Bound::Value { .. } => Whose::Value,
            ast::Bound::Output(_) if is_json => Whose::Document,
            ast::Bound::Output(_) => Whose::Output,
        };
        let typed = written.map(|written| written_type(written, whose, self.hir, self.bag));
        let is_result = typed.is_none() && matches!(value, ast::Bound::Output(_));
        let (of, unit) = match typed {
            Some(Some((of, unit))) => (Some(of), unit),
            None if is_result => (Some(Type::of_result()), None),
            Some(None) | None => (None, None),
        };
        self.declare(name, of, unit);
        if let Some(last) = self.lets.last_mut() {
            last.is_written = written.is_some();
            last.is_result = is_result;
        }
    }

    fn declare(&mut self, name: &'a ast::Name, r#type: Option<Type>, unit: Option<SizeUnit>) {
        check_name(name, self.catalog, self.bag);
        let mut earlier = self.lets.iter();
        let earlier =
            earlier.find(|known| known.name.text == name.text && self.open.contains(&known.block));
        let item = self.hir.find_in(Some(self.test), &name.text, name.span);
        let first = match (earlier, item) {
            (Some(first), _) => Some((first.name.span, "the first one".to_owned())),
            (None, Some((item, place))) if item.is_seen_by_steps() => {
                Some((place, format!("{} of this name", item.noun())))
            }
            (None, _) => None,
        };
        if let Some((place, what)) = first {
            let text = format!("`{}` is declared a second time", name.text);
            self.bag.push(
                Diagnostic::new(Code::P0201, name.span, text)
                    .and(place, what)
                    .help("A value never changes, and its name is that of nothing else. Rename one of them."),
            );
        }
        self.lets.push(Let {
            name,
            r#type,
            unit,
            slot: SlotIx::from_row(self.lets.len()),
            in_finally: self.in_finally,
            block: self.open.last().copied().unwrap_or(OUTERMOST),
            is_written: false,
            is_result: false,
        });
    }
}
