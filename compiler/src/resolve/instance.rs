//! Tests with parameters: what they can be given, and the tests that arguments make of them.
//!
//! An argument is a disk, or a value that is written down, so which tests there are is known from the
//! source alone. In a test the names of its parameters mean what it was given: a disk, or a value like that
//! of a `let`. One that nobody gives arguments is checked all the same, with open ones.

use std::collections::BTreeMap;

use dva_plan::plan::{DiskIx, TestIx};

use super::{Resolution, check_name, dotted};
use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{
    Constant, ConstantIx, Disk, ItemRef, Mention, Origin, Parameter, Takes, Template, TemplateIx,
    Test,
};
use crate::span::Span;
use crate::syntax::ast::{self, Expr, ExprKind};

/// How many values may lead from one to the next until one is written down.
const MAX_STEPS: usize = 64;

/// What a test is given for a parameter.
#[derive(Clone, Copy)]
enum Argument<'a> {
    Disk(DiskIx),
    /// This value, which is given at that place.
    Written(&'a Expr, Span),
    /// Nothing is known of it.
    Open(ConstantIx),
    /// What it is for was reported.
    Unread(&'a ast::Name),
}

impl<'a> Resolution<'a, '_> {
    /// Declares a test with parameters.
    pub(super) fn template(&mut self, item: &'a ast::Item, test: &'a ast::Test) -> TemplateIx {
        let mut parameters: Vec<Parameter<'a>> = Vec::new();
        for parameter in test.parameters.iter().flatten() {
            let name = &parameter.name;
            check_name(name, self.catalog, self.bag);
            if let Some(first) = parameters.iter().find(|own| own.name.text == name.text) {
                let first = first.name.span;
                self.said_twice(name.span, first, &format!("`{}`", name.text));
                continue;
            }
            let of = &parameter.r#type;
            let takes = match &of.kind {
                ast::TypeExprKind::Named(name) if name.text == "disk" => Takes::Disk,
                ast::TypeExprKind::Named(_) | ast::TypeExprKind::In(..) => Takes::Value(of),
                ast::TypeExprKind::List(_) | ast::TypeExprKind::Record(_) => {
                    let text = "a parameter is one value";
                    self.bag.push(Diagnostic::new(Code::P0311, of.span, text).help(
                        "A test that is about each value of a list says `for x in xs { … }`, and reports \
                         each by itself.",
                    ));
                    Takes::Unread
                }
            };
            parameters.push(Parameter { name, takes });
        }
        self.hir.templates.push(Template {
            item,
            test,
            parameters,
            instances: BTreeMap::new(),
        })
    }

    /// Reports parameters with the name of something that steps can name.
    pub(super) fn parameters_hide_nothing(&mut self) {
        let templates = self.hir.templates.iter();
        let parameters = templates.flat_map(|template| &template.parameters);
        let hidden = parameters.filter_map(|parameter| {
            let name = parameter.name;
            let (item, place) = self.hir.find(&name.text, name.span)?;
            item.is_seen_by_steps().then_some((name, item, place))
        });
        for (name, item, place) in hidden.collect::<Vec<_>>() {
            let text = format!("`{}` is declared a second time", name.text);
            self.bag.push(
                Diagnostic::new(Code::P0201, name.span, text)
                    .and(place, format!("{} of this name", item.noun()))
                    .help("In the test the name would mean either. Rename one of them."),
            );
        }
    }

    /// The test that `written` makes of a test with parameters.
    pub(super) fn instance(
        &mut self,
        template: TemplateIx,
        written: &'a ast::TestRef,
    ) -> Option<Mention<TestIx>> {
        let arguments = self.arguments(template, written)?;
        let to = self.instance_of(template, &arguments);
        Some(Mention {
            to,
            span: written.span,
        })
    }

    fn arguments(
        &mut self,
        template: TemplateIx,
        written: &'a ast::TestRef,
    ) -> Option<Vec<Argument<'a>>> {
        let row = &self.hir.templates[template];
        let (name, parameters) = (&row.test.name, row.parameters.clone());
        let given = written.arguments.as_deref().unwrap_or_default();
        if given.len() != parameters.len() {
            let names: Vec<_> = parameters
                .iter()
                .map(|own| own.name.text.as_str())
                .collect();
            let text = match given.len() {
                0 => format!("`{}` is given nothing", name.text),
                1 => format!("`{}` is given one argument", name.text),
                n => format!("`{}` is given {n} arguments", name.text),
            };
            let shown = dotted(&written.path);
            self.bag.push(
                Diagnostic::new(Code::P0528, written.span, text)
                    .and(name.span, "declared here")
                    .help(format!("Write `{shown}({})`.", names.join(", "))),
            );
            return None;
        }
        let arguments: Vec<_> = given
            .iter()
            .zip(&parameters)
            .map(|(given, parameter)| self.argument(given, parameter))
            .collect();
        arguments.into_iter().collect()
    }

    fn argument(&mut self, given: &'a Expr, parameter: &Parameter<'a>) -> Option<Argument<'a>> {
        match parameter.takes {
            Takes::Disk => {}
            Takes::Value(_) => return self.written_down(given),
            Takes::Unread => return None,
        }
        let path = match &given.kind {
            ExprKind::Error => return None,
            ExprKind::Path(path) => path,
            _ => {
                let text = "this is a value, and a disk is wanted";
                self.bag.push(
                    Diagnostic::new(Code::P0301, given.span, text)
                        .and(parameter.name.span, "this parameter")
                        .help("Name a disk here."),
                );
                return None;
            }
        };
        let name = dotted(path);
        match self.find(&name, path.span) {
            Some((ItemRef::Disk(disk), _)) => Some(Argument::Disk(disk)),
            found => {
                self.unknown(&name, path.span, found, "a disk", |to| {
                    matches!(to, ItemRef::Disk(_))
                });
                None
            }
        }
    }

    /// What `given` comes to, over the names of values.
    fn written_down(&mut self, given: &'a Expr) -> Option<Argument<'a>> {
        let mut value = given;
        for _ in 0..MAX_STEPS {
            value = match &value.kind {
                ExprKind::Error => return None,
                ExprKind::Group(inner) => inner,
                ExprKind::Bool(_)
                | ExprKind::Quantity(_)
                | ExprKind::Number(_)
                | ExprKind::Date(_)
                | ExprKind::Version(_)
                | ExprKind::Text(_)
                | ExprKind::Command(_) => return Some(Argument::Written(value, given.span)),
                ExprKind::Path(path) => match self.find(&dotted(path), path.span) {
                    Some((ItemRef::Let(constant), _)) => match self.hir.constants[constant].from {
                        Origin::Written(written) => written,
                        Origin::Given(_) => break,
                        Origin::Open => return Some(Argument::Open(constant)),
                    },
                    Some((ItemRef::Unread, _)) => return None,
                    Some((ItemRef::Setting(_) | ItemRef::RunInput(_) | ItemRef::Input(_), _)) => {
                        break;
                    }
                    // A name, such as `xfs`, of the type that is expected.
                    _ => return Some(Argument::Written(value, given.span)),
                },
                _ => break,
            };
        }
        let text = "its value is not written down";
        self.bag.push(
            Diagnostic::new(Code::P0529, given.span, text).help(
                "Which tests there are is known from the source alone, so an argument is a value such as \
                 `\"sshd\"` or `10GiB`, a name, a disk, or a `let` that is one of these. What else a test \
                 needs it names itself.",
            ),
        );
        None
    }

    /// The test with these arguments, made where there is none.
    fn instance_of(&mut self, template: TemplateIx, arguments: &[Argument<'a>]) -> TestIx {
        let texts: Vec<String> = arguments.iter().map(|own| self.text_of(*own)).collect();
        let key = texts.join(", ");
        if let Some(known) = self.hir.templates[template].instances.get(&key) {
            return *known;
        }
        let row = &self.hir.templates[template];
        let (item, test, parameters) = (row.item, row.test, row.parameters.clone());
        let id = format!("{}({key})", self.hir.qualified(&test.name));
        let mut new = Test::new(&test.name, id.into(), item.span);
        new.template = Some(template);
        for (parameter, argument) in parameters.iter().zip(arguments) {
            let means = match (*argument, parameter.takes) {
                (Argument::Disk(disk), _) => ItemRef::Disk(disk),
                (Argument::Open(_), Takes::Value(of)) => {
                    self.value(parameter, of, Origin::Open, None)
                }
                (Argument::Written(value, given), Takes::Value(of)) => {
                    self.value(parameter, of, Origin::Written(value), Some(given))
                }
                _ => ItemRef::Unread,
            };
            let name = parameter.name.text.as_str();
            new.parameters.insert(name, (means, parameter.name.span));
        }
        let made = self.hir.tests.push(new);
        self.hir.templates[template].instances.insert(key, made);
        self.unfilled.push((made, item, test));
        made
    }

    fn value(
        &mut self,
        of: &Parameter<'a>,
        r#type: &'a ast::TypeExpr,
        from: Origin<'a>,
        given: Option<Span>,
    ) -> ItemRef {
        ItemRef::Let(self.hir.constants.push(Constant {
            name: of.name,
            r#type: Some(r#type),
            from,
            given,
        }))
    }

    /// An argument as ids have it.
    fn text_of(&self, argument: Argument<'a>) -> String {
        match argument {
            Argument::Disk(disk) => {
                let disk = self.hir.disks[disk].name;
                self.hir.qualified(disk)
            }
            Argument::Unread(name) => name.text.clone(),
            Argument::Open(constant) => self.hir.constants[constant].name.text.clone(),
            Argument::Written(value, _) => match &value.kind {
                ExprKind::Text(text) => format!("{text:?}"),
                ExprKind::Bool(value) => value.to_string(),
                ExprKind::Quantity(text)
                | ExprKind::Number(text)
                | ExprKind::Date(text)
                | ExprKind::Version(text) => text.clone(),
                ExprKind::Path(path) => dotted(path),
                ExprKind::Command(command) => {
                    let text = command.pieces.iter().map(|piece| match piece {
                        ast::CommandPiece::Text { text, .. } => text.as_str(),
                        ast::CommandPiece::Hole { .. } => "${…}",
                    });
                    format!("`{}`", text.collect::<String>())
                }
                _ => String::new(),
            },
        }
    }

    /// Makes a test of each test with parameters that has none, so that its mistakes are found.
    pub(super) fn open_instances(&mut self) {
        for template in self.hir.templates.indices() {
            if !self.hir.templates[template].instances.is_empty() {
                continue;
            }
            let parameters = self.hir.templates[template].parameters.clone();
            let mut arguments = Vec::new();
            for parameter in &parameters {
                arguments.push(match parameter.takes {
                    Takes::Disk => Argument::Disk(self.hir.disks.push(Disk {
                        name: parameter.name,
                        fields: BTreeMap::new(),
                    })),
                    Takes::Value(of) => {
                        let open = Constant {
                            name: parameter.name,
                            r#type: Some(of),
                            from: Origin::Open,
                            given: None,
                        };
                        Argument::Open(self.hir.constants.push(open))
                    }
                    Takes::Unread => Argument::Unread(parameter.name),
                });
            }
            self.instance_of(template, &arguments);
            self.fill_instances();
        }
    }

    /// Fills the rows of tests that were made of others with parameters, and of those that these are after.
    pub(super) fn fill_instances(&mut self) {
        while let Some((row, item, test)) = self.unfilled.pop() {
            let known = self.bag.len();
            self.fill_test(row, item, test);
            let template = self.hir.tests[row].template;
            let instances = template.map(|of| self.hir.templates[of].instances.len());
            if instances.is_some_and(|instances| instances > 1) {
                self.bag.forget_repeated(known);
            }
        }
    }

    /// What `name` means at `at`, in the test that is being filled.
    pub(super) fn find(&self, name: &str, at: Span) -> Option<(ItemRef, Span)> {
        self.hir.find_in(self.test, name, at)
    }
}
