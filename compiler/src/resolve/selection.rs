//! Which tests a plan runs on which of its matrices: `tests`, `again` and `on`.
//!
//! Selections are worked out here, since they are made of names and tags alone. What selected tests
//! bring along, and where they apply, is in [`crate::graph`].

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::TestIx;

use super::{Resolution, dotted};
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{Again, ItemRef, Mention, PlanPart};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{self, BinaryOperator, Expr, ExprKind};
use crate::types::expression::mixed;

/// Tests by number, with the place that names each.
type Chosen = BTreeMap<TestIx, Span>;

/// All tags of the source.
type Tags<'a> = BTreeSet<&'a str>;

impl<'a> Resolution<'a, '_> {
    /// Adds what a `tests` or `again` clause selects; false where something of it does not resolve.
    pub(super) fn plan_tests(&mut self, clause: &'a ast::PlanClause, part: &mut PlanPart) -> bool {
        match clause {
            ast::PlanClause::Tests(selection) => self.selection(selection, part),
            ast::PlanClause::Again(again) => {
                let chosen = self.selectors(&again.tests);
                let after = self.mention_of_test(&again.after);
                let is_whole = chosen.is_some() && after.is_some();
                if let Some(after) = after {
                    part.again.push(Again {
                        tests: mentions(chosen.unwrap_or_default()),
                        after,
                    });
                }
                is_whole
            }
            _ => true,
        }
    }

    /// Adds `on MATRIX { … }`; false where something of it does not resolve.
    pub(super) fn block(
        &mut self,
        path: &ast::Path,
        clauses: &'a [ast::PlanClause],
        parts: &mut Vec<PlanPart>,
    ) -> bool {
        let mut part = PlanPart {
            matrix: self.mention_of_matrix(path),
            ..PlanPart::default()
        };
        let mut all = part.matrix.is_some();
        for clause in clauses {
            all &= self.plan_tests(clause, &mut part);
        }
        if clauses.is_empty() {
            let text = format!("nothing runs on `{}`", dotted(path));
            self.bag.push(
                Diagnostic::new(Code::P0704, path.span, text)
                    .help("Say what does: `on MATRIX { tests memory }`."),
            );
            all = false;
        }
        let same =
            |known: &&PlanPart| known.matrix.map(|known| known.to) == part.matrix.map(|own| own.to);
        if let (Some(first), Some(own)) = (
            parts.iter().find(same).and_then(|first| first.matrix),
            part.matrix,
        ) {
            self.said_twice(own.span, first.span, "this matrix");
            return false;
        }
        parts.push(part);
        all
    }

    fn selection(&mut self, selection: &'a ast::Selection, part: &mut PlanPart) -> bool {
        let (Some(mut chosen), Some(except)) = (
            self.selectors(&selection.tests),
            self.selectors(&selection.except),
        ) else {
            return false;
        };
        if let Some(condition) = &selection.condition {
            if !self.is_unmixed(condition) {
                return false;
            }
            let tests = self.hir.tests.iter();
            let tags = tests.flat_map(|test| test.tags.iter().map(|tag| tag.text.as_str()));
            let tags: Tags<'a> = tags.collect();
            let mut kept = Chosen::new();
            for (test, span) in &chosen {
                match self.holds(condition, *test, &tags) {
                    Some(true) => {
                        kept.insert(*test, *span);
                    }
                    Some(false) => {}
                    None => return false,
                }
            }
            chosen = kept;
        }
        for (test, span) in &except {
            if chosen.remove(test).is_none()
                && self.names_one(&selection.except, *span)
                && !self.is_brought(*test, &chosen)
            {
                let text = format!("`{}` is not selected", self.hir.tests[*test].id);
                self.bag.push(
                    Diagnostic::new(Code::P0723, *span, text)
                        .help("An exception takes away from the same `tests`. Remove it."),
                );
            }
        }
        if chosen.is_empty() {
            if self.may_be_unread() {
                return false;
            }
            let span = selection.tests.first().map_or(Span::default(), span_of);
            self.bag.push(
                Diagnostic::new(Code::P0724, span, "no test is left")
                    .help("Check what stands behind `where` and `except`."),
            );
            return false;
        }
        for mention in mentions(except) {
            if !part.except.iter().any(|known| known.to == mention.to) {
                part.except.push(mention);
            }
        }
        let mut known: Chosen = part.tests.iter().map(|own| (own.to, own.span)).collect();
        for (test, span) in chosen {
            known.entry(test).or_insert(span);
        }
        part.tests = mentions(known);
        true
    }

    /// What `selectors` choose; `None` where one of them does not resolve.
    pub(super) fn selectors(&mut self, selectors: &'a [ast::Selector]) -> Option<Chosen> {
        let (mut named, mut chosen, mut all) = (Chosen::new(), Chosen::new(), true);
        for selector in selectors {
            match selector {
                ast::Selector::Test(test) => match self.mention_of_test(test) {
                    Some(mention) => match named.get(&mention.to) {
                        Some(first) => {
                            let name = format!("`{}`", dotted(&test.path));
                            self.said_twice(mention.span, *first, &name);
                        }
                        None => {
                            named.insert(mention.to, mention.span);
                        }
                    },
                    None => all = false,
                },
                ast::Selector::All(span) => {
                    // A second test of one name was reported.
                    let own = self.hir.own_names();
                    chosen.extend(own.filter_map(|(_, item)| match item {
                        ItemRef::Test(test) => Some((test, *span)),
                        _ => None,
                    }));
                }
                ast::Selector::Module(path) => match self.tests_of_module(path) {
                    Some(tests) => chosen.extend(tests.into_iter().map(|test| (test, path.span))),
                    None => all = false,
                },
            }
        }
        chosen.extend(named);
        self.fill_instances();
        all.then_some(chosen)
    }

    /// The tests that the module at `path` has for others, but for those with parameters; `None` where there
    /// are none, which is reported.
    pub(super) fn tests_of_module(&mut self, path: &ast::Path) -> Option<Vec<TestIx>> {
        let (name, span) = (dotted(path), path.span);
        let module = match self.find(&name, span) {
            Some((ItemRef::Module(module), _)) => module,
            found => {
                self.unknown(&name, span, found, "a module", |to| {
                    matches!(to, ItemRef::Module(_))
                });
                return None;
            }
        };
        let (mut tests, mut with_parameters) = (Vec::new(), Vec::new());
        for (name, item) in self.hir.public_of(module) {
            match item {
                ItemRef::Test(test) => tests.push(test),
                ItemRef::Template(_) => with_parameters.push(name),
                _ => {}
            }
        }
        if tests.is_empty() {
            let help = match with_parameters.as_slice() {
                [] => "Tests that other files may select say `pub`.".to_owned(),
                names => format!(
                    "Those that it has take arguments: {}. Name them with what they are given.",
                    listed(names.iter().copied())
                ),
            };
            let text = format!("`{name}` has no tests to select like this");
            self.bag
                .push(Diagnostic::new(Code::P0724, span, text).help(help));
            return None;
        }
        Some(tests)
    }

    /// Whether tests stand in text that could not be read, so that one of them may be meant.
    fn may_be_unread(&self) -> bool {
        self.hir.may_be_unread()
    }

    /// Whether a test of `chosen` brings `test` along, being after it, so that it is excepted in vain; that
    /// is said by [`crate::graph`].
    fn is_brought(&self, test: TestIx, chosen: &Chosen) -> bool {
        let mut waiting: Vec<TestIx> = chosen.keys().copied().collect();
        let mut seen: BTreeSet<TestIx> = BTreeSet::new();
        while let Some(next) = waiting.pop() {
            let row = &self.hir.tests[next];
            let after = row.after.iter().chain(&row.regardless);
            for earlier in after.map(|mention| mention.to) {
                if earlier == test {
                    return true;
                }
                if seen.insert(earlier) {
                    waiting.push(earlier);
                }
            }
        }
        false
    }

    /// Whether one of `selectors` names a test at `span` itself, rather than many at once.
    fn names_one(&self, selectors: &[ast::Selector], span: Span) -> bool {
        let mut selectors = selectors.iter();
        selectors
            .any(|selector| matches!(selector, ast::Selector::Test(test) if [test.path.span, test.span].contains(&span)))
    }

    /// Whether no `and` stands beside an `or` in `condition` without parentheses; reported.
    fn is_unmixed(&mut self, condition: &Expr) -> bool {
        match &condition.kind {
            ExprKind::Group(inner) | ExprKind::Not(inner) => self.is_unmixed(inner),
            ExprKind::Binary {
                operator,
                operator_span,
                left,
                right,
            } => {
                if let Some(finding) = mixed(*operator, *operator_span, [left, right]) {
                    self.bag.push(finding);
                    return false;
                }
                self.is_unmixed(left) && self.is_unmixed(right)
            }
            _ => true,
        }
    }

    /// Whether `condition` holds of `test`; `None` where it is no condition on tests.
    fn holds(&mut self, condition: &Expr, test: TestIx, tags: &Tags<'a>) -> Option<bool> {
        match &condition.kind {
            ExprKind::Error => None,
            ExprKind::Group(inner) => self.holds(inner, test, tags),
            ExprKind::Not(inner) => Some(!self.holds(inner, test, tags)?),
            ExprKind::Binary {
                operator,
                left,
                right,
                ..
            } => match operator {
                BinaryOperator::And => {
                    let (left, right) =
                        (self.holds(left, test, tags), self.holds(right, test, tags));
                    Some(left? && right?)
                }
                BinaryOperator::Or => {
                    let (left, right) =
                        (self.holds(left, test, tags), self.holds(right, test, tags));
                    Some(left? || right?)
                }
                BinaryOperator::Equal if is_tag(left) => self.has_tag(right, test, tags),
                BinaryOperator::NotEqual if is_tag(left) => Some(!self.has_tag(right, test, tags)?),
                BinaryOperator::In if is_tag(left) => match &right.kind {
                    ExprKind::List(listed) => {
                        let has: Vec<_> = listed
                            .iter()
                            .map(|tag| self.has_tag(tag, test, tags))
                            .collect();
                        has.into_iter().try_fold(false, |any, has| Some(any | has?))
                    }
                    _ => self.no_condition(right),
                },
                _ => self.no_condition(condition),
            },
            _ => self.no_condition(condition),
        }
    }

    /// Whether `test` has the tag that is written.
    fn has_tag(&mut self, written: &Expr, test: TestIx, tags: &Tags<'a>) -> Option<bool> {
        let tag = match &written.kind {
            ExprKind::Path(path) => dotted(path),
            ExprKind::Text(text) => text.clone(),
            _ => return self.no_condition(written),
        };
        if self.hir.tests[test].tags.iter().any(|own| own.text == tag) {
            return Some(true);
        }
        if tags.contains(tag.as_str()) {
            return Some(false);
        }
        if self.may_be_unread() {
            return None;
        }
        let known = || tags.iter().copied();
        let help = did_you_mean(&tag, known()).unwrap_or_else(|| match tags.len() {
            0 => "No test has `tags`.".to_owned(),
            _ => format!("There are {}.", listed(known())),
        });
        let text = format!("no test has the tag `{tag}`");
        self.bag
            .push(Diagnostic::new(Code::P0720, written.span, text).help(help));
        None
    }

    fn no_condition(&mut self, written: &Expr) -> Option<bool> {
        if !matches!(written.kind, ExprKind::Error) {
            self.bag.push(
                Diagnostic::new(Code::P0721, written.span, said_of(written)).help(
                    "Behind `where` stand `tag == kernel`, `tag != kernel` and `tag in [kernel, default]`, \
                     joined by `and`, `or` and `not`.",
                ),
            );
        }
        None
    }
}

/// What is wrong with `written`, which is no condition on tests.
fn said_of(written: &Expr) -> &'static str {
    let word = |expr: &Expr| match &expr.kind {
        ExprKind::Path(path) => dotted(path),
        _ => String::new(),
    };
    match &written.kind {
        ExprKind::Path(_) => "a word alone is no condition on a tag",
        ExprKind::Binary {
            operator,
            left,
            right,
            ..
        } => match operator {
            _ if word(left) == "tags" || word(right) == "tags" => "it is `tag`, each tag by itself",
            BinaryOperator::Has | BinaryOperator::HasAll | BinaryOperator::HasNone
                if is_tag(left) =>
            {
                "`tag` is one word, not a list"
            }
            _ if is_tag(right) => "`tag` stands on the left",
            _ if is_tag(left) => "a tag is compared with `==`, `!=` or `in`",
            _ => "this asks for something other than a tag",
        },
        ExprKind::List(_) => "a list stands behind `tag in`",
        _ => "this is no tag",
    }
}

fn is_tag(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Path(path) if dotted(path) == "tag")
}

fn span_of(selector: &ast::Selector) -> Span {
    match selector {
        ast::Selector::All(span) => *span,
        ast::Selector::Module(path) => path.span,
        ast::Selector::Test(test) => test.path.span,
    }
}

/// In the order of the source's tests.
fn mentions(chosen: Chosen) -> Vec<Mention<TestIx>> {
    let chosen = chosen.into_iter();
    chosen.map(|(to, span)| Mention { to, span }).collect()
}
