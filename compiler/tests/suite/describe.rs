//! An execution plan as lines that people can read and a specification can expect.
//!
//! ```text
//! cells 4
//! test mount after format
//! command format 1: mkfs -t <bare filesystem> <bare data.part(1)>
//! check mount 3: fstype == filesystem
//! ```

use std::collections::BTreeMap;

use dva_compiler::Compilation;
use dva_plan::ExecutionPlan;
use dva_plan::expr::{DiskFact, ExprIx, Node, Operator};
use dva_plan::plan::{EffectKind, ImageSource, MachineIx, Resource, Test, TestIx};
use dva_plan::step::{CaptureFrom, DetachMode, Missing, Step, StepKind, WaitCondition, WithValue};
use dva_plan::table::Table;
use dva_plan::template::{Piece, Place, Template};
use dva_plan::unit::display_duration;

/// The lines of the plan; none where there is none.
pub fn describe(compilation: &Compilation) -> Vec<String> {
    let Some(plan) = &compilation.plan else {
        return Vec::new();
    };
    let mut lines = vec![
        format!("plan {}", plan.name),
        format!("combinations {}", compilation.outcome.combinations),
        format!("cells {}", plan.cells.len()),
        format!("lanes {}", plan.policy.lanes),
    ];
    for (reason, count) in &compilation.outcome.dropped {
        lines.push(format!("dropped {count}: {reason}"));
    }
    for image in &plan.images {
        let version = image
            .version
            .as_ref()
            .map_or(String::new(), |version| format!(" {version}"));
        lines.push(format!(
            "image {}: {}{version} {}",
            image.name, image.os, image.arch
        ));
        for source in &image.sources {
            lines.push(match source {
                ImageSource::LocalHost => format!("image {} from host", image.name),
                ImageSource::LocalRootfs { path } => format!("image {} from {path}", image.name),
                ImageSource::Ec2Ami { ids } => {
                    let ids = ids.iter().map(|(region, id)| format!(" {region}={id}"));
                    format!("image {} from ami{}", image.name, ids.collect::<String>())
                }
                ImageSource::Ec2AmiNamed { name, owners } => {
                    let owners = owners
                        .iter()
                        .map(|(part, owner)| format!(" {part}={owner}"));
                    let owners: String = owners.collect();
                    format!("image {} from ami named {name} of{owners}", image.name)
                }
                ImageSource::Ec2AmiParameter { parameters } => {
                    let names = parameters
                        .iter()
                        .map(|(part, name)| format!(" {part}={name}"));
                    let names: String = names.collect();
                    format!("image {} from ami of parameter{names}", image.name)
                }
            });
        }
        if !image.logins.is_empty() {
            let logins = image.logins.join(", ");
            lines.push(format!("image {} login {logins}", image.name));
        }
        for (fact, value) in &image.facts {
            lines.push(format!("image {} {fact} = {value}", image.name));
        }
    }
    for disk in &plan.disks {
        let attached = if disk.attached { "" } else { " not attached" };
        let from = if disk.from.is_volume() {
            ""
        } else {
            "of the machine, at least "
        };
        lines.push(format!(
            "disk {}: {from}{}{attached}",
            disk.name,
            dva_plan::unit::display_size(disk.size_bytes)
        ));
    }
    for state in &plan.states {
        let lost = if state.lost_on_reboot { " lost" } else { "" };
        let account = state
            .per_account
            .map_or(String::new(), |limit| format!(" per account {limit}"));
        lines.push(format!("state {}{lost}{account}", state.name));
    }
    for blob in &plan.blobs {
        lines.push(format!("blob {}", blob.name));
    }
    for secret in &plan.secrets {
        lines.push(format!("secret {secret}"));
    }
    for input in &plan.inputs {
        lines.push(format!("input {}: {}", input.name, input.r#type));
    }
    for (name, value) in &plan.settings {
        lines.push(format!("setting {name}: {value}"));
    }
    for table in &plan.tables {
        lines.push(format!(
            "table {}: {} values",
            table.name,
            table.values.len()
        ));
        for key in table.entries.keys() {
            let value = table.value(key).expect("an entry has its value");
            lines.push(format!("table {}[{key}] = {value}", table.name));
        }
    }
    for ((test, table), count) in &compilation.outcome.without_entry {
        lines.push(format!("without entry {test}: {table} in {count}"));
    }
    for row in &plan.cells {
        let axes: Vec<_> = row
            .axes
            .iter()
            .map(|(axis, value)| format!("{axis}={value}"))
            .collect();
        let cell = axes.join(" ");
        let machines = cell_machines(plan, &row.candidates);
        lines.push(format!("cell {cell} on {machines}"));
        lines.push(format!("cell {cell} has {} machines", row.candidates.len()));
        for test in &row.unsupported {
            lines.push(format!("cell {cell} without {}", plan.tests[*test].id));
        }
        if row.network.ipv6 {
            lines.push(format!("cell {cell} with ipv6"));
        }
        if row.network.closed {
            lines.push(format!("cell {cell} without egress"));
        }
        lines.push(format!("cell {cell}"));
    }
    for machine in &plan.machines {
        let quote = machine.quote.as_ref().map(|quote| {
            let kinds = quote.lines.iter().map(|line| line.kind.words());
            format!("{}: {}", quote.os, kinds.collect::<Vec<_>>().join(", "))
        });
        let quote = quote.unwrap_or("no price".to_owned());
        lines.push(format!(
            "machine {} in {} {} for {quote}",
            machine.r#type, machine.region, machine.arch
        ));
    }
    for (test, count) in &compilation.outcome.not_applicable {
        lines.push(format!("elsewhere {test}: {count}"));
    }
    let name = |test: TestIx| plan.tests[test].id.as_str();
    let labels = plan.cell_labels();
    for cell in &plan.cells {
        let tests: Vec<_> = plan.shapes[cell.shape]
            .tests
            .iter()
            .map(|test| name(*test))
            .collect();
        lines.push(format!(
            "runs {} {}: {}",
            cell.matrix,
            labels.label(&cell.axes, "all"),
            tests.join(", ")
        ));
    }
    for shape in &plan.shapes {
        let tests: Vec<_> = shape.tests.iter().map(|test| name(*test)).collect();
        lines.push(format!("tests {}", tests.join(", ")));
        for edge in &shape.after {
            lines.push(format!(
                "test {} after {}",
                name(edge.test),
                name(edge.after)
            ));
        }
        for edge in &shape.regardless {
            lines.push(format!(
                "test {} after {} regardless",
                name(edge.test),
                name(edge.after)
            ));
        }
        for edge in &shape.order {
            lines.push(format!(
                "test {} waits for {}",
                name(edge.test),
                name(edge.after)
            ));
        }
        for pair in &shape.conflicts {
            lines.push(format!("apart {}, {}", name(pair.a), name(pair.b)));
        }
        // So that a specification can say that there is nothing more.
        lines.push(format!(
            "edges {} order {} apart {}",
            shape.after.len() + shape.regardless.len(),
            shape.order.len(),
            shape.conflicts.len()
        ));
    }
    describe_policy(plan, &mut lines);
    for test in &plan.tests {
        describe_test(plan, test, &mut lines);
    }
    lines
}

fn describe_policy(plan: &ExecutionPlan, lines: &mut Vec<String>) {
    let policy = &plan.policy;
    let limits = policy.limits;
    lines.extend(
        limits
            .cost_nano_usd
            .map(|cost| format!("limit cost {cost}")),
    );
    let elapsed = limits.elapsed_ms.map(display_duration);
    lines.extend(elapsed.map(|elapsed| format!("limit elapsed {elapsed}")));
    let machines = limits.machines;
    lines.extend(machines.map(|machines| format!("limit machines {machines}")));
    if !policy.market.is_empty() {
        lines.push(format!("market {:?}", policy.market));
    }
    // A waiver's condition and a setup see no values of any test.
    let of_none = Test {
        slots: plan
            .setup
            .as_ref()
            .map_or(Table::new(), |setup| setup.slots.clone()),
        ..plan.tests[TestIx(0)].clone()
    };
    for waiver in &policy.waivers {
        let tests: Vec<_> = waiver
            .tests
            .iter()
            .map(|test| plan.tests[*test].id.as_str())
            .collect();
        let condition = waiver
            .condition
            .map(|condition| show(plan, &of_none, condition));
        let condition = condition.map_or(String::new(), |condition| format!(" where {condition}"));
        let until = waiver
            .until
            .as_ref()
            .map_or(String::new(), |until| format!(" until {until}"));
        lines.push(format!(
            "waive {}{condition} because {}{until}",
            tests.join(", "),
            waiver.because
        ));
    }
    for gate in &policy.gates {
        lines.push(format!("gate {} before {}", gate.first, gate.then));
    }
    let sizes: BTreeMap<_, _> = plan
        .blobs
        .enumerate()
        .map(|(index, blob)| (index, blob.base64.trim_end_matches('=').len() * 3 / 4))
        .collect();
    for boot in &plan.boots {
        let name = &boot.name;
        if let Some(blob) = boot.user_data {
            let blob_name = &plan.blobs[blob].name;
            lines.push(format!(
                "boot {name} user data {} bytes: {blob_name}",
                sizes[&blob]
            ));
        }
        lines.extend(
            boot.mode
                .map(|mode| format!("boot {name} mode {}", mode.name())),
        );
        let root = boot.root_bytes.map(dva_plan::unit::display_size);
        lines.extend(root.map(|root| format!("boot {name} root {root}")));
    }
    if let Some(setup) = &plan.setup {
        lines.push(format!(
            "setup within {}",
            display_duration(setup.within_ms)
        ));
        for (number, step) in (1..).zip(&setup.steps) {
            describe_step(plan, &of_none, &format!("setup {number}"), step, lines);
        }
    }
}

/// The first machines of a cell, the best first.
fn cell_machines(plan: &ExecutionPlan, candidates: &[MachineIx]) -> String {
    let machines = candidates.iter().take(3).map(|machine| {
        let machine = &plan.machines[*machine];
        format!("{} in {}", machine.r#type, machine.region)
    });
    machines.collect::<Vec<_>>().join(", ")
}

fn describe_test(plan: &ExecutionPlan, test: &Test, lines: &mut Vec<String>) {
    let id = &test.id;
    lines.push(format!(
        "test {id} within {}",
        display_duration(test.within_ms)
    ));
    if let Some(takes) = test.takes_ms {
        lines.push(format!("test {id} takes {}", display_duration(takes)));
    }
    if !test.doc.is_empty() {
        lines.push(format!("doc {id}: {}", test.doc.replace('\n', " ")));
    }
    for effect in &test.effects {
        let kind = match effect.kind {
            EffectKind::Reads => "reads",
            EffectKind::Writes => "writes",
            EffectKind::Borrows => "borrows",
        };
        let of = match effect.of {
            Resource::Machine => "machine",
            Resource::Disk(disk) => &plan.disks[disk].name,
            Resource::State(state) => &plan.states[state].name,
        };
        lines.push(format!("test {id} {kind} {of}"));
    }
    if let Some(boot) = test.boot {
        lines.push(format!("test {id} boots {}", plan.boots[boot].name));
    }
    if test.retry > 0 {
        lines.push(format!("test {id} retries {}", test.retry));
    }
    if !test.tags.is_empty() {
        lines.push(format!("test {id} tags {}", test.tags.join(", ")));
    }
    if test.last {
        lines.push(format!("test {id} last"));
    }
    if test.once {
        lines.push(format!("test {id} once"));
    }
    if !test.needs.is_empty() {
        lines.push(format!("test {id} needs {:?}", test.needs));
    }
    for required in &test.requires {
        let condition = show(plan, test, required.condition);
        lines.push(format!("test {id} requires {condition}"));
    }
    let steps = (1..)
        .zip(&test.steps)
        .map(|(number, step)| (format!("{id} {number}"), step));
    let finally = (1..)
        .zip(&test.finally)
        .map(|(number, step)| (format!("{id} finally {number}"), step));
    for (place, step) in steps.chain(finally) {
        describe_step(plan, test, &place, step, lines);
    }
}

fn describe_step(
    plan: &ExecutionPlan,
    test: &Test,
    place: &str,
    step: &Step,
    lines: &mut Vec<String>,
) {
    let show = |expr: ExprIx| show(plan, test, expr);
    let text = |template: &Template| -> String {
        let pieces = template.0.iter().map(|piece| match piece {
            Piece::Lit(text) => text.clone(),
            Piece::Raw(expr) => format!("<raw {}>", show(*expr)),
            Piece::Arg { expr, place } => {
                let place = match place {
                    Place::Bare => "bare",
                    Place::Double => "double",
                    Place::Single => "single",
                };
                format!("<{place} {}>", show(*expr))
            }
        });
        pieces.collect()
    };
    if let Some(within) = step.within_ms {
        lines.push(format!("limit {place}: {}", display_duration(within)));
    }
    match &step.kind {
        StepKind::Let {
            slot,
            value,
            otherwise,
        } => {
            let slot = &test.slots[*slot];
            lines.push(format!(
                "let {place}: {}: {} = {}",
                slot.name,
                slot.r#type,
                show(*value)
            ));
            if let Some(otherwise) = otherwise {
                let how = match otherwise.how {
                    Missing::Skip => "skip",
                    Missing::Fail => "fail",
                };
                lines.push(format!("else {place}: {how} {}", show(otherwise.message)));
            }
        }
        StepKind::Assume { condition, because } => lines.push(format!(
            "assume {place}: {} because {}",
            show(*condition),
            show(*because)
        )),
        StepKind::Note(text) => lines.push(format!("note {place}: {}", show(*text))),
        StepKind::When {
            condition,
            then,
            otherwise,
        } => {
            lines.push(format!("when {place}: {}", show(*condition)));
            for (word, steps) in [("then", then), ("else", otherwise)] {
                for (number, step) in (1..).zip(steps) {
                    let place = format!("{place} {word} {number}");
                    describe_step(plan, test, &place, step, lines);
                }
            }
        }
        StepKind::For { slot, list, steps } => {
            let name = &test.slots[*slot].name;
            lines.push(format!("for {place}: {name} in {}", show(*list)));
            for (number, step) in (1..).zip(steps) {
                let place = format!("{place} each {number}");
                describe_step(plan, test, &place, step, lines);
            }
        }
        StepKind::Console(pattern) => {
            lines.push(format!("step {place}: console contains `{pattern}`"));
        }
        StepKind::Reboot => lines.push(format!("step {place}: reboot")),
        StepKind::Stop => lines.push(format!("step {place}: stop")),
        StepKind::Start => lines.push(format!("step {place}: start")),
        StepKind::Attach(disk) => {
            lines.push(format!("step {place}: attach {}", plan.disks[*disk].name));
        }
        StepKind::Detach { disk, how } => {
            let how = match how {
                DetachMode::Wait => "",
                DetachMode::Nowait => " nowait",
                DetachMode::Force => " force",
            };
            lines.push(format!(
                "step {place}: detach {}{how}",
                plan.disks[*disk].name
            ));
        }
        StepKind::Wait { ms } => {
            lines.push(format!("step {place}: wait {}", display_duration(*ms)));
        }
        StepKind::WaitUntil {
            condition,
            every_ms,
        } => {
            let condition = match condition {
                WaitCondition::Holds(condition) => show(*condition),
                WaitCondition::Succeeds(command) => format!("run {}", text(command)),
            };
            let every = display_duration(*every_ms);
            lines.push(format!(
                "step {place}: wait until {condition} every {every}"
            ));
        }
        StepKind::Upload { blob, to, mode } => lines.push(format!(
            "step {place}: upload {} to {} mode {mode:o}",
            plan.blobs[*blob].name,
            text(to)
        )),
        StepKind::Collect { path } => {
            lines.push(format!("step {place}: collect {}", text(path)));
        }
        StepKind::Check(condition) => lines.push(format!("check {place}: {}", show(*condition))),
        StepKind::Run(run) => {
            lines.push(format!("command {place}: {}", text(&run.command)));
            if let Some(user) = &run.user {
                lines.push(format!("user {place}: {user}"));
            }
            if let Some(retry) = run.retry {
                let every = display_duration(retry.every_ms);
                lines.push(format!("retry {place}: {} every {every}", retry.times));
            }
            for with in &run.with {
                let value = match with.value {
                    WithValue::Expr(expr) => show(expr),
                    WithValue::Secret(secret) => format!("secret {}", plan.secrets[secret]),
                };
                lines.push(format!("with {place}: {} = {value}", with.name));
            }
            let expect = run.expect.map_or("any".to_owned(), show);
            lines.push(format!("expect {place}: {expect}"));
            if let Some(capture) = &run.capture {
                let slot = &test.slots[capture.slot];
                let unit = capture
                    .unit
                    .map_or(String::new(), |unit| format!(" in {unit}"));
                let from = match &capture.from {
                    CaptureFrom::Text => String::new(),
                    CaptureFrom::Lines => " lines".to_owned(),
                    CaptureFrom::Json => " json".to_owned(),
                    CaptureFrom::Result => " all".to_owned(),
                    CaptureFrom::Find(pattern) => format!(" find `{pattern}`"),
                };
                lines.push(format!(
                    "capture {place}: {}: {}{unit}{from}",
                    slot.name, slot.r#type
                ));
            }
        }
    }
}

/// The expression as an author would write it, with all of its parentheses.
fn show(plan: &ExecutionPlan, test: &Test, expr: ExprIx) -> String {
    let all = |expr: &ExprIx| show(plan, test, *expr);
    let part = |expr: &ExprIx| match &plan.expressions[*expr] {
        Node::And(..) | Node::Or(..) => format!("({})", show(plan, test, *expr)),
        _ => show(plan, test, *expr),
    };
    match &plan.expressions[expr] {
        Node::Const(value) => value.to_string(),
        Node::Slot(slot) => test.slots[*slot].name.clone(),
        Node::Other { test, slot } => {
            let other = &plan.tests[*test];
            format!("{}.{}", other.id, other.slots[*slot].name)
        }
        Node::Lookup(table) => {
            let table = &plan.tables[*table];
            format!("{}[{}]", table.name, table.key.path())
        }
        Node::Input(input) => plan.inputs[*input].name.clone(),
        Node::Field { of, name } => format!("{}.{name}", all(of)),
        Node::Join(parts) => {
            let parts: Vec<_> = parts.iter().map(all).collect();
            format!("text({})", parts.join(", "))
        }
        Node::InUnit { of, unit } => format!("{} in {unit}", all(of)),
        Node::Exit => "exit".to_owned(),
        Node::Stdout => "stdout".to_owned(),
        Node::Stderr => "stderr".to_owned(),
        Node::Cell(fact) => fact.path(),
        Node::Machine(fact) => fact.path().to_owned(),
        Node::Disk { disk, what } => {
            let disk = &plan.disks[*disk].name;
            match what {
                DiskFact::Device => format!("{disk}.device"),
                DiskFact::Part(number) => format!("{disk}.part({number})"),
                DiskFact::Size => format!("{disk}.size"),
                DiskFact::Attached => format!("{disk}.attached"),
            }
        }
        Node::Not(of) => format!("not {}", part(of)),
        Node::And(left, right) => format!("{} and {}", part(left), part(right)),
        Node::Or(left, right) => format!("{} or {}", part(left), part(right)),
        Node::Compare { how, left, right } => {
            format!("{} {} {}", all(left), how.symbol(), all(right))
        }
        Node::Arithmetic { how, left, right } => {
            let operator = match how {
                Operator::Add => "+",
                Operator::Subtract => "less",
                Operator::Multiply => "*",
                Operator::Share => "of",
            };
            format!("{} {operator} {}", all(left), all(right))
        }
        Node::Matches { text, regex } => format!("{} matches {}", all(text), all(regex)),
        Node::Has { whole, part } => format!("{} has {}", all(whole), all(part)),
        Node::HasAll { whole, parts } => format!("{} has all {}", all(whole), all(parts)),
        Node::HasNone { whole, parts } => format!("{} has none {}", all(whole), all(parts)),
        Node::Without { whole, parts } => format!("{} without {}", all(whole), all(parts)),
        Node::In { value, list } => format!("{} in {}", all(value), all(list)),
    }
}
