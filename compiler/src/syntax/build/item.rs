//! Items, tests and plans apart.

use dva_grammar::Rule;
use pest::iterators::Pair;

use super::{Builder, Parts, bug};
use crate::syntax::ast;

impl Builder<'_> {
    pub(super) fn item(&mut self, pair: Pair<'_, Rule>) -> ast::ItemKind {
        let rule = pair.as_rule();
        let mut parts = Parts::of(pair);
        if rule == Rule::use_item {
            return ast::ItemKind::Use(self.r#use(parts));
        }
        let name = self.name(&parts.one());
        match rule {
            Rule::let_item => ast::ItemKind::Let(self.constant(name, parts)),
            Rule::input_item => ast::ItemKind::Input(self.input(name, parts)),
            Rule::table_item => ast::ItemKind::Table(ast::LookupTable {
                name,
                key: self.name(&parts.one()),
                value: self.type_expr(parts.one()),
                file: self.prose(&parts.one()),
            }),
            Rule::fact_item => ast::ItemKind::Fact(ast::Fact {
                name,
                choices: self.names(parts.one()),
                default: self.expr(parts.one()),
            }),
            Rule::image_item => ast::ItemKind::Image(self.image(name, parts)),
            Rule::disk_item => ast::ItemKind::Disk(self.block(name, parts)),
            Rule::boot_item => ast::ItemKind::Boot(self.block(name, parts)),
            Rule::state_item => ast::ItemKind::State(self.state(name, parts)),
            Rule::axis_item => ast::ItemKind::Axis(self.axis(name, parts)),
            Rule::matrix_item => ast::ItemKind::Matrix(self.matrix(name, parts)),
            Rule::test_item => ast::ItemKind::Test(self.test(name, parts)),
            Rule::plan_item => ast::ItemKind::Plan(self.plan(name, parts)),
            other => bug(other),
        }
    }

    fn r#use(&mut self, mut parts: Parts<'_>) -> ast::Use {
        let from = parts.one();
        let from = match from.as_rule() {
            Rule::string => ast::UseFrom::File(self.string(&from)),
            _ => ast::UseFrom::Module(self.path(from)),
        };
        let names = parts.next().map(|names| {
            let names = Parts::of(names).map(|name| {
                let mut parts = Parts::of(name);
                ast::UseName {
                    name: self.name(&parts.one()),
                    alias: parts.next().map(|alias| self.name(&alias)),
                }
            });
            names.collect()
        });
        ast::Use { from, names }
    }

    fn constant(&mut self, name: ast::Name, mut parts: Parts<'_>) -> ast::Constant {
        let first = parts.one();
        let (r#type, value) = match first.as_rule() {
            Rule::type_expr => (Some(self.type_expr(first)), parts.one()),
            _ => (None, first),
        };
        ast::Constant {
            name,
            r#type,
            value: self.expr(value),
        }
    }

    fn input(&mut self, name: ast::Name, mut parts: Parts<'_>) -> ast::Input {
        let mut input = ast::Input {
            name,
            r#type: self.type_expr(parts.one()),
            default: None,
            at_run: None,
        };
        if let Some(part) = parts.next() {
            match part.as_rule() {
                Rule::at_run => {
                    let mut words = part.into_inner();
                    let ends = words.next().zip(words.next());
                    input.at_run = ends.map(|(at, run)| self.span(&at).to(self.span(&run)));
                }
                _ => input.default = Some(self.expr(part)),
            }
        }
        input
    }

    fn image(&mut self, name: ast::Name, parts: Parts<'_>) -> ast::Image {
        let mut image = ast::Image {
            name,
            like: None,
            fields: Vec::new(),
        };
        for part in parts {
            match part.as_rule() {
                Rule::like => image.like = Some(self.path(Parts::of(part).one())),
                _ => image.fields.push(self.field(part)),
            }
        }
        image
    }

    fn state(&mut self, name: ast::Name, parts: Parts<'_>) -> ast::State {
        let mut state = ast::State {
            name,
            account: None,
            fields: Vec::new(),
        };
        for part in parts {
            match part.as_rule() {
                Rule::per_account => {
                    let mut span = self.keyword(&part);
                    let account = part.clone().into_inner().nth(1);
                    span = account.map_or(span, |account| span.to(self.span(&account)));
                    let limit = Parts::of(part).next().map(|limit| self.expr(limit));
                    span = limit.as_ref().map_or(span, |limit| span.to(limit.span));
                    state.account = Some(ast::PerAccount { span, limit });
                }
                _ => {
                    let fields = Parts::of(part).map(|field| self.field(field));
                    state.fields = fields.collect();
                }
            }
        }
        state
    }

    fn block(&mut self, name: ast::Name, fields: Parts<'_>) -> ast::Block {
        let fields = fields.map(|field| self.field(field));
        let fields = fields.collect();
        ast::Block { name, fields }
    }

    fn field(&mut self, pair: Pair<'_, Rule>) -> ast::Field {
        let mut parts = Parts::of(pair).peekable();
        let mut part = || match parts.next() {
            Some(part) => part,
            None => panic!("a part that the grammar promises is not there"),
        };
        let name = self.name(&part());
        let mut value = part();
        let mut at_least = None;
        if value.as_rule() == Rule::op_at_least {
            at_least = Some(self.span(&value));
            value = part();
        }
        ast::Field {
            name,
            at_least,
            value: self.expr(value),
        }
    }

    fn axis(&mut self, name: ast::Name, values: Parts<'_>) -> ast::Axis {
        let values = values.map(|value| {
            let mut parts = Parts::of(value);
            let name = self.name(&parts.one());
            self.block(name, parts)
        });
        let values = values.collect();
        ast::Axis { name, values }
    }

    fn matrix(&mut self, name: ast::Name, clauses: Parts<'_>) -> ast::Matrix {
        let mut matrix = ast::Matrix {
            name,
            axes: Vec::new(),
            excludes: Vec::new(),
        };
        for clause in clauses.flat_map(Parts::of) {
            match clause.as_rule() {
                Rule::exclude => {
                    let condition = self.expr(Parts::of(clause).one());
                    matrix.excludes.push(condition);
                }
                Rule::matrix_axis => matrix.axes.push(self.matrix_axis(clause)),
                other => bug(other),
            }
        }
        matrix
    }

    fn matrix_axis(&mut self, pair: Pair<'_, Rule>) -> ast::MatrixAxis {
        let is_any = |part: &Pair<'_, Rule>| part.as_rule() == Rule::kw_any;
        let how = if pair.clone().into_inner().any(|part| is_any(&part)) {
            ast::Every::Any
        } else {
            ast::Every::Each
        };
        let mut parts = Parts::of(pair).peekable();
        let axis = match parts.next() {
            Some(axis) => self.name(&axis),
            None => panic!("a part that the grammar promises is not there"),
        };
        if let Some(filter) = parts.next_if(|part| part.as_rule() == Rule::axis_filter) {
            let mut parts = Parts::of(filter);
            let source = self.path(parts.one());
            let condition = self.expr(parts.one());
            let span = axis.span.to(condition.span);
            let values = ast::AxisValues::Where { source, condition };
            return ast::MatrixAxis {
                axis,
                how,
                values,
                span,
            };
        }
        let listed: Vec<_> = parts.map(|value| self.path(value)).collect();
        let end = listed.last().map_or(axis.span, |last| last.span);
        ast::MatrixAxis {
            span: axis.span.to(end),
            axis,
            how,
            values: ast::AxisValues::Listed(listed),
        }
    }
}
