//! What a name means in its place.
//!
//! The first word of a path is looked up among the values that the place can see; where it is none,
//! the whole path is a name of the type that is expected, such as `xfs`, `x86_64` or `local.small`.
//! Where both are so, neither is taken.

use dva_plan::expr::{CellFact, DiskFact, MachineFact, Node};
use dva_plan::plan::{DiskIx, InputIx, SecretIx, TestIx};
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{AxisIx, Choice, ConstantIx, ItemRef, TemplateIx};
use crate::resolve::{dotted, dotted_words, private};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;
use crate::types::fact::facts_of;
use crate::types::lets::{Let, OUTERMOST};
use crate::types::{Checker, Operand, a_type};

/// Where an expression stands, so what it can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A field or a limit: a value known when the plan is made.
    Constant,
    /// A condition on the combinations of a matrix.
    Matrix,
    /// A condition on what is chosen for an axis, whose facts are named alone.
    Filter(Choice),
    /// What a test needs of its machine.
    Need,
    /// The condition on the cells that a test applies to.
    Cell {
        /// The test.
        test: TestIx,
    },
    /// A step.
    Step {
        /// Its test.
        test: TestIx,
        /// How many of the test's values were captured before it.
        captured: usize,
        /// Whether it speaks of a command just run.
        output: Output,
    },
}

/// Whether `exit`, `stdout` and `stderr` mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// They are the command's just run.
    Of,
    /// There is no such command.
    None,
}

/// What the first word of a path means.
enum Meaning<'a> {
    Let(usize, Let<'a>),
    /// A fact of what is chosen.
    Fact(MachineFact, Type),
    Constant(ConstantIx),
    RunInput(InputIx),
    Instance,
    Region,
    Image,
    Axis(AxisIx),
    Disk(DiskIx),
    Secret(SecretIx),
    Test(TestIx),
    /// A test with parameters, of which there may be several.
    Template(TemplateIx),
    /// A file alone.
    Module,
    Output(&'static str),
    /// An item without a value.
    Item(ItemRef, Span),
    /// A part of the source that was reported.
    Unread,
}

/// What an item means in an expression.
fn item_means<'a>(item: ItemRef, place: Span) -> Meaning<'a> {
    match item {
        ItemRef::Axis(axis) => Meaning::Axis(axis),
        ItemRef::Disk(disk) => Meaning::Disk(disk),
        ItemRef::Input(secret) => Meaning::Secret(secret),
        ItemRef::Let(constant) | ItemRef::Setting(constant) => Meaning::Constant(constant),
        ItemRef::RunInput(input) => Meaning::RunInput(input),
        ItemRef::Test(test) => Meaning::Test(test),
        ItemRef::Template(template) => Meaning::Template(template),
        ItemRef::Module(_) => Meaning::Module,
        ItemRef::Unread => Meaning::Unread,
        item => Meaning::Item(item, place),
    }
}

impl<'c, 'a> Checker<'c, 'a> {
    /// The value of `path`, where one of type `expected` may be named without quotes.
    pub(crate) fn path(&mut self, path: &ast::Path, expected: Option<&Type>) -> Option<Operand> {
        let whole = dotted(path);
        let name = match expected {
            Some(Type::Name(kind)) => self.is_value_of(kind, &whole).then(|| kind.clone()),
            _ => None,
        };
        let is_version_word = expected == Some(&Type::Version) && path.segments.len() == 1;
        match (self.meaning_of(path), name) {
            // A word for a version, such as `rawhide`, unless it may be a name that is misspelt.
            (None, None) if is_version_word && !self.resembles_a_name(&whole, path.span) => {
                Some(self.known(Value::Version(whole), Type::Version))
            }
            (Some((Meaning::Unread, _)), None) => None,
            (None | Some((Meaning::Unread | Meaning::Item(..), _)), Some(kind)) => {
                Some(self.known(Value::Name(whole), Type::Name(kind)))
            }
            // A test or a disk alone is no value.
            (
                Some((
                    Meaning::Test(_) | Meaning::Template(_) | Meaning::Disk(_) | Meaning::Module,
                    _,
                )),
                Some(kind),
            ) if path.segments.len() == 1 => Some(self.known(Value::Name(whole), Type::Name(kind))),
            (Some(_), Some(kind)) => {
                let text = format!(
                    "`{whole}` is {} and a value of this file",
                    a_type(&Type::Name(kind))
                );
                let help = format!("Write `\"{whole}\"` for the name, or rename the value.");
                self.report(Code::P0209, path.span, text, help);
                None
            }
            (Some((meaning, words)), None) => {
                self.may_be_named(&meaning, path)?;
                self.field(&meaning, path, words)
            }
            (None, None) => {
                self.unknown(path, &whole, expected);
                None
            }
        }
    }

    /// Reports what nobody knows where machines are chosen.
    fn may_be_named(&mut self, meaning: &Meaning<'_>, path: &ast::Path) -> Option<()> {
        let (may, help) = match self.scope {
            Scope::Constant | Scope::Matrix | Scope::Cell { .. } | Scope::Step { .. } => {
                return Some(());
            }
            Scope::Filter(Choice::Types) => (
                matches!(meaning, Meaning::Instance),
                "A condition on `types` names facts of them, such as `memory` or `family`. `exclude` \
                 takes away combinations with other axes.",
            ),
            Scope::Filter(Choice::Regions) => (
                matches!(meaning, Meaning::Region),
                "A condition on `regions` names facts of them, such as `partition`. `exclude` takes away \
                 combinations with other axes.",
            ),
            Scope::Need => (
                matches!(meaning, Meaning::Instance | Meaning::Region),
                "A need is a condition on the machine, such as `instance.gpus >= 1`. In which cells a \
                 test applies is said by `when`.",
            ),
        };
        if may
            || matches!(
                meaning,
                Meaning::Fact(..) | Meaning::Unread | Meaning::Item(..)
            )
        {
            return Some(());
        }
        let text = format!("`{}` has no meaning here", dotted(path));
        self.report(Code::P0210, path.span, text, help);
        None
    }

    /// What the first words of `path` mean, and how many they are: two where the first one is a module.
    fn meaning_of(&self, path: &ast::Path) -> Option<(Meaning<'a>, usize)> {
        let first = path.segments.first()?;
        let meaning = self.meaning(first);
        let (Some(Meaning::Module), Some(second)) = (&meaning, path.segments.get(1)) else {
            return meaning.map(|meaning| (meaning, 1));
        };
        let whole = format!("{}.{}", first.text, second.text);
        let (item, place) = self.find(&whole, path.span)?;
        Some((item_means(item, place), 2))
    }

    fn meaning(&self, first: &ast::Name) -> Option<Meaning<'a>> {
        let word = first.text.as_str();
        if let Scope::Filter(from) = self.scope
            && let Some((_, fact, of)) = facts_of(from.thing()).find(|(name, _, _)| *name == word)
        {
            return Some(Meaning::Fact(fact, of.r#type()));
        }
        if let Scope::Step { test, .. } | Scope::Cell { test } = self.scope {
            let lets = &self.lets[test];
            let named = || {
                lets.iter()
                    .enumerate()
                    .filter(|(_, own)| own.name.text == word)
            };
            // The one that is seen here, or one that was or will be.
            let seen = named().find(|(_, own)| self.open_blocks.contains(&own.block));
            if let Some((at, own)) = seen.or_else(|| named().next()) {
                return Some(Meaning::Let(at, own.clone()));
            }
        }
        Some(match word {
            "instance" => Meaning::Instance,
            "region" => Meaning::Region,
            "image" => Meaning::Image,
            "exit" => Meaning::Output("exit"),
            "stdout" => Meaning::Output("stdout"),
            "stderr" => Meaning::Output("stderr"),
            _ => {
                let (item, place) = self.find(word, first.span)?;
                item_means(item, place)
            }
        })
    }

    /// Whether the first word of `path` is no value here, so that the path may be a name.
    pub(crate) fn is_bare_word(&self, path: &ast::Path) -> bool {
        matches!(self.meaning_of(path), None | Some((Meaning::Item(..), _)))
    }

    /// As [`Checker::is_bare_word`], of one word.
    pub(crate) fn is_bare_word_name(&self, name: &ast::Name) -> bool {
        matches!(self.meaning(name), None | Some(Meaning::Item(..)))
    }

    /// What the words behind the first `words` say of `meaning`.
    fn field(&mut self, meaning: &Meaning<'_>, path: &ast::Path, words: usize) -> Option<Operand> {
        let (first, fields) = path.segments.split_at_checked(words)?;
        let first = &ast::Name {
            text: dotted_words(first),
            span: path.span,
        };
        match meaning {
            Meaning::Unread => None,
            Meaning::Let(at, value) => {
                let whole = self.own_value(*at, value, path.span)?;
                self.fields_of(whole, &first.text, fields, path.span)
            }
            Meaning::Constant(constant) => {
                let whole = self.constant_item(*constant, path.span)?;
                self.fields_of(whole, &first.text, fields, path.span)
            }
            Meaning::RunInput(input) => {
                let r#type = self.run_inputs[*input].clone()?;
                if self.scope == Scope::Matrix {
                    let text = format!("`{}` is bound when the tests run", first.text);
                    let help =
                        "A matrix is laid out before. An input without `at run` is known by then.";
                    self.report(Code::P0210, path.span, text, help);
                    return None;
                }
                let expr = self.nodes.add(Node::Input(*input));
                let whole = Operand { expr, r#type };
                self.fields_of(whole, &first.text, fields, path.span)
            }
            Meaning::Fact(fact, r#type) => {
                self.one_field(fields, &first.text, &[])?;
                self.fact(*fact, r#type.clone())
            }
            Meaning::Instance => self.machine_field("instance", fields),
            Meaning::Region => self.machine_field("region", fields),
            Meaning::Image => self.image_field(fields, path.span),
            Meaning::Axis(axis) => {
                let name = self.hir.axes[*axis].name.text.clone();
                self.one_field(fields, &name, &[])?;
                self.uses.axes.entry(name.clone()).or_insert(path.span);
                self.cell(CellFact::Axis(name.clone()), Type::Name(name))
            }
            Meaning::Disk(disk) => self.disk_field(*disk, fields, path),
            Meaning::Secret(secret) => {
                self.secret_is_seen(*secret, path.span);
                None
            }
            Meaning::Test(_) | Meaning::Template(_) => {
                let Some(field) = fields.first() else {
                    let text = format!("`{}` is a test, not a value", first.text);
                    let help =
                        format!("A value that it captures is written `{}.NAME`.", first.text);
                    self.report(Code::P0205, path.span, text, help);
                    return None;
                };
                let test = match meaning {
                    Meaning::Template(template) => self.instance_before(*template, path.span)?,
                    Meaning::Test(test) => *test,
                    _ => return None,
                };
                let whole = self.value_of_other(test, field, path.span)?;
                let name = format!("{}.{}", first.text, field.text);
                self.fields_of(whole, &name, &fields[1..], path.span)
            }
            Meaning::Module => {
                let text = format!("`{}` is a module, not a value", first.text);
                let help = format!("What it has is written `{}.NAME`.", first.text);
                self.report(Code::P0205, path.span, text, help);
                None
            }
            Meaning::Output(which) => {
                self.one_field(fields, which, &[])?;
                self.output(which, path.span)
            }
            Meaning::Item(ItemRef::Private, place) => {
                self.bag.push(private(&first.text, path.span, *place));
                None
            }
            Meaning::Item(item, place) => {
                let text = format!("`{}` is {}, not a value", first.text, item.noun());
                let finding = Diagnostic::new(Code::P0205, path.span, text);
                self.bag
                    .push(finding.and(*place, "declared here").help(match item {
                        ItemRef::Image(_) => "The image under test is written `image`.",
                        ItemRef::Fact(_) => "A fact is one of an image: `image.FACT`.",
                        ItemRef::Table(_) => {
                            "A value of it is looked up by its key, in square brackets."
                        }
                        _ => "Expressions name axes, disks and captured values.",
                    }));
                None
            }
        }
    }

    /// What `fields` say of `whole`, which is called `name`.
    fn fields_of(
        &mut self,
        whole: Operand,
        name: &str,
        fields: &[ast::Name],
        span: Span,
    ) -> Option<Operand> {
        let (mut whole, mut name) = (whole, name.to_owned());
        for field in fields {
            let Type::Record(types) = &whole.r#type else {
                let text = format!("`{name}` has no fields");
                self.report(Code::P0206, field.span, text, "It is one value.");
                return None;
            };
            let Some(of) = types.get(&field.text).cloned() else {
                let known = || types.keys().map(String::as_str);
                let help = did_you_mean(&field.text, known())
                    .unwrap_or_else(|| format!("`{name}` has {}.", listed(known())));
                let text = format!("`{name}` has no field `{}`", field.text);
                self.report(Code::P0206, field.span, text, help);
                return None;
            };
            name = format!("{name}.{}", field.text);
            let node = Node::Field {
                of: whole.expr,
                name: field.text.clone(),
            };
            whole = self.node(node, of, span)?;
        }
        Some(whole)
    }

    fn own_value(&mut self, at: usize, value: &Let<'_>, span: Span) -> Option<Operand> {
        let Scope::Step { captured, .. } = self.scope else {
            self.known_at_run(span);
            return None;
        };
        if at >= captured {
            self.bag.push(
                Diagnostic::new(Code::P0210, span, "it is not captured yet")
                    .and(value.name.span, "it is captured here")
                    .help(
                        "Steps run in the order they are written. Move this one behind the `let`.",
                    ),
            );
            return None;
        }
        if !self.open_blocks.contains(&value.block) {
            self.bag.push(
                Diagnostic::new(Code::P0210, span, "it is known in its branch or loop alone")
                    .and(value.name.span, "it gets its value here")
                    .help("Use it there, or give the value a name before."),
            );
            return None;
        }
        let r#type = value.r#type.clone()?;
        let expr = self.nodes.add(Node::Slot(value.slot));
        Some(Operand { expr, r#type })
    }

    /// The one test that `template` is here, among those that the test names behind `after`, or else among
    /// all that it comes after.
    fn instance_before(&mut self, template: TemplateIx, span: Span) -> Option<TestIx> {
        let row = &self.hir.templates[template];
        let name = row.test.name.text.as_str();
        let instances = || row.instances.values().copied();
        let Some(test) = self.test else {
            return instances().next();
        };
        let after = &self.hir.tests[test].after;
        let is_named = |other: &TestIx| after.iter().any(|mention| mention.to == *other);
        let mut before: Vec<TestIx> = instances().filter(is_named).collect();
        if before.is_empty() {
            let behind = |other: &TestIx| self.order.is_behind(test, *other);
            before = instances().filter(behind).collect();
        }
        match before.as_slice() {
            [one] => Some(*one),
            // Not being after it is reported of any of them.
            [] => instances().next(),
            [one, other, ..] => {
                let (one, other) = (&self.hir.tests[*one].id, &self.hir.tests[*other].id);
                let text = format!("this may be of `{one}` or of `{other}`");
                let help = format!(
                    "A value of a test with parameters is one of the only `{name}` that the test is after. \
                     Give one of the two values another name, with a `let` in a test between them."
                );
                self.report(Code::P0530, span, text, help);
                None
            }
        }
    }

    fn value_of_other(&mut self, other: TestIx, field: &ast::Name, span: Span) -> Option<Operand> {
        if matches!(self.scope, Scope::Cell { .. }) {
            self.known_at_run(span);
            return None;
        }
        let Scope::Step { test, .. } = self.scope else {
            let text = "a value of a test is not known here";
            self.report(
                Code::P0210,
                span,
                text,
                "Tests capture values when they run; steps can use them.",
            );
            return None;
        };
        let name = &self.hir.tests[other].id;
        let lets = &self.lets[other];
        let named = |value: &&Let<'_>| value.name.text == field.text;
        let outermost = lets.iter().filter(named).find(|own| own.block == OUTERMOST);
        let Some(value) = outermost.or_else(|| lets.iter().find(named)).cloned() else {
            let known = || lets.iter().map(|value| value.name.text.as_str());
            let help = did_you_mean(&field.text, known())
                .unwrap_or_else(|| format!("`{name}` captures {}.", listed(known())));
            let text = format!("`{name}` captures no `{}`", field.text);
            self.report(Code::P0206, field.span, text, help);
            return None;
        };
        if other == test {
            let text = "a test names its own values without its name";
            self.report(Code::P0210, span, text, format!("Write `{}`.", field.text));
            return None;
        }
        if value.in_finally {
            self.bag.push(
                Diagnostic::new(
                    Code::P0210,
                    span,
                    "it is captured in `finally`, behind the verdict",
                )
                .and(value.name.span, "here")
                .help("Capture it among the steps of the test."),
            );
            return None;
        }
        if self.hir.tests[test].is_setup {
            let text = "no test has run before the setup";
            let help = "Steps of a setup use what it captured itself.";
            self.report(Code::P0210, span, text, help);
            return None;
        }
        if value.block != OUTERMOST {
            let text = "it is captured in a branch or loop, which may not run";
            self.bag.push(
                Diagnostic::new(Code::P0210, span, text)
                    .and(value.name.span, "here")
                    .help("Only what a test always captures can be read by others."),
            );
            return None;
        }
        if !self.order.is_after(test, other) {
            // An edge that was reported may be the one that is missing.
            if self.hir.tests[test].intact {
                let own = &self.hir.tests[test];
                let (own_id, own) = (&own.id, own.name);
                let mut passed_over = self.hir.tests[test].regardless.iter();
                let finding = match passed_over.find(|mention| mention.to == other) {
                    Some(mention) => {
                        let text = format!("`{name}` may have failed and left no value");
                        Diagnostic::new(Code::P0507, span, text)
                            .and(mention.span, "`regardless` is order alone")
                            .help(format!(
                                "Behind `regardless` a test runs however the other one ended, so it is given \
                                 no values. Write `after {name}` alone, or capture it here."
                            ))
                    }
                    None => {
                        let text = format!("`{own_id}` may run before `{name}`, or without it");
                        Diagnostic::new(Code::P0507, span, text)
                            .and(own.span, "this test")
                            .help(format!(
                                "Say that it comes later: `test {} after {name}`.",
                                own.text
                            ))
                    }
                };
                self.bag.push(finding);
            }
            return None;
        }
        self.uses.values.entry(other).or_insert(span);
        let r#type = value.r#type.clone()?;
        let slot = value.slot;
        let expr = self.nodes.add(Node::Other { test: other, slot });
        Some(Operand { expr, r#type })
    }

    fn disk_field(
        &mut self,
        disk: DiskIx,
        fields: &[ast::Name],
        path: &ast::Path,
    ) -> Option<Operand> {
        let name = self.hir.disks[disk].name.text.clone();
        if let [field] = fields
            && field.text == "part"
        {
            let text = "the number of the partition is missing";
            let help = format!("Write for example `{name}.part(1)`.");
            self.report(Code::P0301, path.span, text, help);
            return None;
        }
        match self.one_field(
            fields,
            &name,
            &["attached", "device", "name", "part", "size"],
        )? {
            "" => {
                let text = format!("`{name}` is a disk, not a value");
                let help = format!(
                    "Its device node is `{name}.device`, its first partition's `{name}.part(1)`, \
                     its size `{name}.size`; whether it is attached says `{name}.attached`."
                );
                self.report(Code::P0205, path.span, text, help);
                None
            }
            "size" => {
                // Known already, so it is a constant; an unknown size was reported.
                let field = self.hir.disks[disk].fields.get("size")?;
                let size = self.size_of_disk(&field.value)?;
                Some(self.known(Value::Bytes(size), Type::Bytes))
            }
            "name" => Some(self.known(Value::String(name), Type::String)),
            "attached" => self.on_disk(disk, DiskFact::Attached, path.span),
            _ => self.on_disk(disk, DiskFact::Device, path.span),
        }
    }

    /// Something of a disk that only a machine with this disk has.
    pub(crate) fn on_disk(&mut self, disk: DiskIx, what: DiskFact, span: Span) -> Option<Operand> {
        if matches!(self.scope, Scope::Cell { .. }) {
            self.known_at_run(span);
            return None;
        }
        if self.scope == Scope::Matrix {
            let text = "there is no disk yet";
            self.report(
                Code::P0210,
                span,
                text,
                "A matrix is laid out before there are machines.",
            );
            return None;
        }
        self.uses.disks.entry(disk).or_insert(span);
        let r#type = match what {
            DiskFact::Attached => Type::Bool,
            DiskFact::Device | DiskFact::Part(_) if !self.device_is_there(disk, span) => {
                return None;
            }
            DiskFact::Device | DiskFact::Part(_) => Type::String,
            DiskFact::Size => Type::Bytes,
        };
        let expr = self.nodes.add(Node::Disk { disk, what });
        Some(Operand { expr, r#type })
    }

    /// Reports a value that no cell has, in a condition on cells.
    fn known_at_run(&mut self, span: Span) {
        let text = "this is known only when the test runs";
        let help = "`when` says in which cells there is a test, before there are machines. It knows the \
                    axes, `image`, `region` and `instance`. What a machine says can end a test with \
                    `assume CONDITION because TEXT`.";
        self.report(Code::P0525, span, text, help);
    }

    fn output(&mut self, which: &str, span: Span) -> Option<Operand> {
        if matches!(self.scope, Scope::Cell { .. }) {
            self.known_at_run(span);
            return None;
        }
        if !matches!(
            self.scope,
            Scope::Step {
                output: Output::Of,
                ..
            }
        ) {
            let text = format!("there is no command whose `{which}` this could be");
            let help = "`exit`, `stdout` and `stderr` mean something in the `expect` of a command only. \
                        Capture a value to use it later: ``let name: string = run `hostname` ``.";
            self.report(Code::P0210, span, text, help);
            return None;
        }
        let (node, r#type) = match which {
            "exit" => {
                self.uses.exit.get_or_insert(span);
                (Node::Exit, Type::Int)
            }
            "stdout" => (Node::Stdout, Type::String),
            _ => (Node::Stderr, Type::String),
        };
        let expr = self.nodes.add(node);
        Some(Operand { expr, r#type })
    }

    pub(crate) fn fact(&mut self, fact: MachineFact, r#type: Type) -> Option<Operand> {
        let expr = self.nodes.add(Node::Machine(fact));
        Some(Operand { expr, r#type })
    }

    pub(crate) fn cell(&mut self, fact: CellFact, r#type: Type) -> Option<Operand> {
        let expr = self.nodes.add(Node::Cell(fact));
        Some(Operand { expr, r#type })
    }

    /// A constant.
    pub(crate) fn known(&mut self, value: Value, r#type: Type) -> Operand {
        let expr = self.nodes.add(Node::Const(value));
        Operand { expr, r#type }
    }
}
