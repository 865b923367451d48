//! The grammar of `.plan` files: the only pest derive of the project.
//!
//! It says which texts are accepted and what a [`Rule`] is called in a message. It builds no tree and
//! finds no mistakes beyond the first one; both are the compiler's. What the language means stands in
//! this crate's `README.md`.

pub use parser::{PlanParser, Rule};

/// The derived parser. The module is there for the lint alone: the derive makes an enum whose variants
/// cannot be documented but in the grammar.
#[expect(
    missing_docs,
    reason = "the rules are described in plan.pest, where they are defined"
)]
mod parser {
    /// The parser; see [`Rule`] for what it can be asked to parse.
    #[derive(pest_derive::Parser)]
    #[grammar = "plan.pest"]
    pub struct PlanParser;
}

/// What an author calls a rule, as in "expected …": a keyword or a mark in backticks, or a thing with
/// its article. `None` where a rule is never worth naming, since what it starts with says more.
///
/// The match is exhaustive, so that no rule can be added without deciding this.
#[must_use]
pub fn rule_name(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::EOI => "the end",
        Rule::file | Rule::one_item => "an item",
        Rule::public | Rule::kw_pub => "`pub`",
        Rule::use_item | Rule::kw_use => "`use`",
        Rule::use_names => "`{`",
        Rule::use_name => "a name",
        Rule::kw_as => "`as`",
        Rule::let_item => "`let`",
        Rule::at_run | Rule::kw_at => "`at`",
        Rule::table_item | Rule::kw_table => "`table`",
        Rule::fact_item | Rule::kw_fact => "`fact`",
        Rule::choices => "a word",
        Rule::image_item => "`image`",
        Rule::like | Rule::kw_like => "`like`",
        Rule::boot_item | Rule::needs_boot | Rule::kw_boot => "`boot`",
        Rule::state_item | Rule::kw_state => "`state`",
        Rule::state_body => "`{`",
        Rule::per_account | Rule::per_clause | Rule::kw_per => "`per`",
        Rule::kw_account => "`account`",
        Rule::axis_item => "`axis`",
        Rule::matrix_item => "`matrix`",
        Rule::disk_item => "`disk`",
        Rule::input_item | Rule::kw_input => "`input`",
        Rule::test_item => "`test`",
        Rule::plan_item => "`plan`",
        Rule::one_hole | Rule::hole_body => "a name or a call",
        Rule::one_value => "a value",
        Rule::field => "a field",
        Rule::axis_value => "a value of the axis",
        Rule::matrix_clause | Rule::matrix_axis => "an axis",
        Rule::exclude | Rule::kw_exclude => "`exclude`",
        Rule::axis_filter | Rule::kw_where => "`where`",
        Rule::plan_clause => "a clause",
        Rule::plan_on | Rule::kw_on => "`on`",
        Rule::selector => "a test",
        Rule::glob => "a module",
        Rule::except | Rule::kw_except => "`except`",
        Rule::again | Rule::kw_again => "`again`",
        Rule::limit | Rule::kw_limit => "`limit`",
        Rule::limit_part => "a limit",
        Rule::market | Rule::kw_market => "`market`",
        Rule::kw_else | Rule::otherwise => "`else`",
        Rule::waive | Rule::kw_waive => "`waive`",
        Rule::gate | Rule::kw_gate => "`gate`",
        Rule::kw_before => "`before`",
        Rule::setup | Rule::kw_setup => "`setup`",
        Rule::because | Rule::kw_because => "`because`",
        Rule::parameters => "`(`",
        Rule::parameter => "a parameter",
        Rule::after_test => "a test",
        Rule::regardless | Rule::kw_regardless => "`regardless`",
        Rule::borrows | Rule::kw_borrows => "`borrows`",
        Rule::need => "a need",
        Rule::tags | Rule::kw_tags => "`tags`",
        Rule::retry_clause => "`retry`",
        Rule::when_clause | Rule::when_step | Rule::kw_when => "`when`",
        Rule::last | Rule::kw_last => "`last`",
        Rule::once | Rule::kw_once => "`once`",
        Rule::assume_step | Rule::kw_assume => "`assume`",
        Rule::note_step | Rule::kw_note => "`note`",
        Rule::for_step | Rule::kw_for => "`for`",
        Rule::block => "`{`",
        Rule::console_step | Rule::kw_console => "`console`",
        Rule::kw_contains => "`contains`",
        Rule::kw_skip => "`skip`",
        Rule::kw_fail => "`fail`",
        Rule::json | Rule::kw_json => "`json`",
        Rule::plan_matrix | Rule::kw_matrix => "`matrix`",
        Rule::plan_tests | Rule::kw_tests => "`tests`",
        Rule::clause => "a clause",
        Rule::step => "a step",
        Rule::after_clause | Rule::kw_after => "`after`",
        Rule::reads | Rule::kw_reads => "`reads`",
        Rule::writes | Rule::kw_writes => "`writes`",
        Rule::needs | Rule::kw_needs => "`needs`",
        Rule::within_clause | Rule::within | Rule::kw_within => "`within`",
        Rule::takes | Rule::kw_takes => "`takes`",
        Rule::finally | Rule::kw_finally => "`finally`",
        Rule::run_step | Rule::run | Rule::kw_run => "`run`",
        Rule::let_step | Rule::kw_let => "`let`",
        Rule::check_step | Rule::kw_check => "`check`",
        Rule::script | Rule::kw_script => "`script`",
        Rule::reboot_step | Rule::kw_reboot => "`reboot`",
        Rule::stop_step | Rule::kw_stop => "`stop`",
        Rule::start_step | Rule::kw_start => "`start`",
        Rule::attach_step | Rule::kw_attach => "`attach`",
        Rule::detach_step | Rule::kw_detach => "`detach`",
        Rule::kw_nowait => "`nowait`",
        Rule::kw_force => "`force`",
        Rule::wait_step | Rule::wait_until_step | Rule::kw_wait => "`wait`",
        Rule::kw_until => "`until`",
        Rule::upload_step | Rule::kw_upload => "`upload`",
        Rule::kw_to => "`to`",
        Rule::kw_executable => "`executable`",
        Rule::collect_step | Rule::kw_collect => "`collect`",
        Rule::modifier => "a modifier",
        Rule::expect | Rule::kw_expect => "`expect`",
        Rule::find | Rule::kw_find => "`find`",
        Rule::by | Rule::kw_by => "`by`",
        Rule::retry | Rule::kw_retry => "`retry`",
        Rule::every | Rule::kw_every => "`every`",
        Rule::with | Rule::kw_with => "`with`",
        Rule::with_value | Rule::variable => "a variable",
        Rule::type_expr | Rule::type_list | Rule::type_record => "a type",
        Rule::expr
        | Rule::primary
        | Rule::group
        | Rule::list
        | Rule::boolean
        | Rule::numeral
        | Rule::element
        | Rule::argument
        | Rule::reference
        | Rule::op_not => "a value",
        Rule::arguments => "`(`",
        Rule::index => "`[`",
        Rule::infix
        | Rule::op_or
        | Rule::op_and
        | Rule::op_equal
        | Rule::op_not_equal
        | Rule::op_at_most
        | Rule::op_at_least
        | Rule::op_less
        | Rule::op_greater
        | Rule::op_in
        | Rule::op_has_all
        | Rule::op_has_none
        | Rule::op_has
        | Rule::op_matches
        | Rule::op_range
        | Rule::op_add
        | Rule::op_without
        | Rule::op_multiply
        | Rule::op_of => "an operator",
        Rule::string => "a text in quotes",
        Rule::command => "a command in backticks",
        Rule::hole => "`${`",
        Rule::name | Rule::path | Rule::path_segment => "a name",
        Rule::kw_image => "`image`",
        Rule::kw_axis => "`axis`",
        Rule::kw_disk => "`disk`",
        Rule::kw_test => "`test`",
        Rule::kw_plan => "`plan`",
        Rule::kw_each => "`each`",
        Rule::kw_any => "`any`",
        Rule::kw_in => "`in`",
        Rule::kw_all => "`all`",
        Rule::kw_none => "`none`",
        Rule::kw_raw => "`raw`",
        Rule::brace_open => "`{`",
        Rule::brace_close | Rule::hole_close => "`}`",
        Rule::paren_open => "`(`",
        Rule::paren_close => "`)`",
        Rule::bracket_open => "`[`",
        Rule::bracket_close => "`]`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::assign => "`=`",
        Rule::arrow => "`->`",
        Rule::bar => "`|`",
        Rule::module_doc => "`//!`",
        Rule::item_doc => "`///`",
        Rule::item
        | Rule::modifiers
        | Rule::hole_escape
        | Rule::command_text
        | Rule::test_head
        | Rule::segment_start
        | Rule::word_rest
        | Rule::word_char
        | Rule::reserved
        | Rule::modifier_start
        | Rule::operand
        | Rule::infix_start
        | Rule::rest_of_line
        | Rule::WHITESPACE => return None,
    })
}
