//! Whole sources: what holds of every compilation.

use base64ct::{Base64, Encoding};
use dva_compiler::diagnostic::Code;
use dva_compiler::expand::Reason;
use dva_compiler::files::NoFiles;
use dva_compiler::{Compilation, Options, compile, compile_with, compile_with_files};
use dva_plan::document::{digest, read, to_bytes};
use dva_plan::eval::{Facts, eval};
use dva_plan::expr::{CellFact, DiskFact, MachineFact};
use dva_plan::plan::{DiskIx, TestIx};
use dva_plan::quote::LineKind;
use dva_plan::step::{SlotIx, StepKind};
use dva_plan::{ExecutionPlan, Value};
use dva_stdlib::Catalog;
use proptest::prelude::*;

use crate::beside::Beside;

/// A source with values, commands and effects.
const STORAGE: &str = include_str!("storage.plan");
/// A source with every step that acts on the machine, files and secrets.
const MACHINE: &str = include_str!("machine.plan");

/// A source with images of EC2 on all kinds of machines.
const RELEASE: &str = include_str!("release.plan");

/// A source with all that says where tests run.
const WHERE: &str = include_str!("where.plan");

/// Compiles a source with the files of [`Beside`].
fn beside(text: &str) -> Compilation {
    compile_with_files("beside.plan", text.as_bytes(), &Options::default(), &Beside)
}

fn compiled(text: &str) -> Vec<u8> {
    let found = compile("storage.plan", text.as_bytes(), &Options::default());
    let plan = found
        .plan
        .unwrap_or_else(|| panic!("{:#?}", found.diagnostics));
    to_bytes(&plan)
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    assert_eq!(compiled(STORAGE), compiled(STORAGE));
}

#[test]
fn what_is_emitted_can_be_loaded() {
    let loaded =
        read::<ExecutionPlan>(compiled(STORAGE).as_slice()).expect("the runtime's loader takes it");
    assert_eq!(loaded.body.cells.len(), 4);
    assert_eq!(loaded.body.test_runs(), 16);
}

#[test]
fn comments_and_line_ends_do_not_change_cells() {
    let ids = |text: &str| {
        let loaded = read::<ExecutionPlan>(compiled(text).as_slice()).expect("it loads");
        let mut ids: Vec<_> = loaded
            .body
            .cells
            .iter()
            .map(|cell| cell.id.clone())
            .collect();
        ids.sort();
        ids
    };
    let spread = STORAGE.replace("each xfs, ext4", "each ext4, xfs // turned round");
    assert_ne!(STORAGE, spread);
    assert_eq!(ids(STORAGE), ids(&spread));
}

#[test]
fn a_source_cut_anywhere_makes_nothing_panic() {
    for source in [STORAGE, MACHINE, WHERE] {
        for end in 0..source.len() {
            if let Some(text) = source.get(..end) {
                let found = beside(text);
                assert_eq!(found.plan.is_none(), end + 1 < source.len(), "cut at {end}");
                let has_findings = !found.diagnostics.is_empty();
                assert!(found.plan.is_some() || has_findings, "cut at {end}");
            }
        }
    }
}

/// What a plan says of a file is true of the file's content, and its references hold.
#[test]
fn files_cross_in_the_plan() {
    let plan = beside(MACHINE).plan.expect("it compiles");
    assert_eq!(dva_plan::validate::validate(&plan), vec![]);
    let loaded = read::<ExecutionPlan>(to_bytes(&plan).as_slice()).expect("it loads");
    assert_eq!(loaded.body, plan);
    let contents: Vec<_> = plan
        .blobs
        .iter()
        .map(|blob| {
            let content = Base64::decode_vec(&blob.base64).expect("it is Base64");
            assert_eq!(digest(&content), blob.digest);
            String::from_utf8(content).expect("it is text")
        })
        .collect();
    assert_eq!(contents, ["#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 1\n"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Takes a word or a sign of the source away, or puts one twice: whatever that gives, the compiler
    /// ends with a plan or with an error.
    #[test]
    fn a_source_with_damage_makes_nothing_panic(
        source in proptest::sample::select(vec![STORAGE, MACHINE]),
        places in proptest::collection::vec((0_usize..4096, 0_u8..3), 1..4),
    ) {
        let mut words: Vec<&str> = source.split_inclusive(|c: char| !c.is_alphanumeric()).collect();
        for (place, how) in places {
            let at = place % words.len();
            match how {
                0 => { words.remove(at); }
                1 => words.insert(at, words[at]),
                _ => { let other = (at * 7) % words.len(); words.swap(at, other); }
            }
        }
        let found = beside(&words.concat());
        prop_assert!(found.plan.is_some() || !found.diagnostics.is_empty());
        if let Some(plan) = &found.plan {
            prop_assert_eq!(dva_plan::validate::validate(plan), vec![]);
        }
    }
}

/// Neither a long chain nor many tests of one thing need a table of all pairs, or a deep stack.
#[test]
fn a_long_chain_compiles() {
    const TESTS: usize = 10_000;
    let mut source = String::from(
        "image host { os = linux  arch = x86_64  local = host }
        matrix one { image = each host  region = each local  instance = each local.small }
        state packages
        test shipped { reads packages  run `true` }
        test t0 { writes packages  run `true` }\n",
    );
    for test in 1..TESTS {
        let before = test - 1;
        source.push_str(&format!(
            "test t{test} after t{before} {{ writes packages  run `true` }}\n"
        ));
    }
    source.push_str("plan p { matrix one  tests all }\n");
    let found = compile("chain.plan", source.as_bytes(), &Options::default());
    let plan = found
        .plan
        .unwrap_or_else(|| panic!("{:#?}", found.diagnostics));
    let shape = plan.shapes.iter().next().expect("there is one");
    assert_eq!(shape.after.len(), TESTS - 1);
    // The reader goes before the first writer, and so before all that need it.
    assert_eq!(shape.order.len(), 1);
}

/// What a machine said: a captured value, the cell's file system, and 512 MiB of memory.
struct Seen {
    captured: Value,
    filesystem: &'static str,
}

impl Facts for Seen {
    fn slot(&self, _: SlotIx) -> Option<Value> {
        Some(self.captured.clone())
    }
    fn other(&self, _: TestIx, _: SlotIx) -> Option<Value> {
        None
    }
    fn exit(&self) -> Option<Value> {
        None
    }
    fn stdout(&self) -> Option<Value> {
        None
    }
    fn stderr(&self) -> Option<Value> {
        None
    }
    fn cell(&self, fact: &CellFact) -> Option<Value> {
        (*fact == CellFact::Axis("filesystem".into())).then(|| Value::Name(self.filesystem.into()))
    }
    fn machine(&self, fact: MachineFact) -> Option<Value> {
        (fact == MachineFact::Memory).then_some(Value::Bytes(512 << 20))
    }
    fn disk(&self, _: DiskIx, _: DiskFact) -> Option<Value> {
        None
    }
}

/// The runtime's evaluator decides the emitted checks as their author means them.
#[test]
fn emitted_checks_decide_as_they_read() {
    let loaded = read::<ExecutionPlan>(compiled(STORAGE).as_slice()).expect("it loads");
    let plan = loaded.body;
    let holds = |test: &str, captured: Value| {
        let test = plan
            .tests
            .iter()
            .find(|own| own.id.as_str() == test)
            .expect("it is there");
        let checks = test.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Check(condition) => Some(*condition),
            _ => None,
        });
        let seen = Seen {
            captured,
            filesystem: "xfs",
        };
        let mut checks = checks.map(|check| eval(&plan.expressions, check, &seen));
        checks.all(|value| value == Ok(Value::Bool(true)))
    };
    assert!(holds("mount", Value::String("xfs".into())));
    assert!(!holds("mount", Value::String("ext4".into())));
    assert!(holds("memory", Value::Bytes(500 << 20)));
    assert!(!holds("memory", Value::Bytes(400 << 20)));
    assert!(!holds("memory", Value::Bytes(513 << 20)));
}

/// Pairs that cannot boot are no cells, and are counted by the first reason that holds.
fn plan_of_release(name: &str, catalog: &Catalog) -> (ExecutionPlan, usize) {
    let options = Options {
        plan: Some(name.to_owned()),
        ..Options::default()
    };
    let found = compile_with(
        "release.plan",
        RELEASE.as_bytes(),
        &options,
        catalog,
        &NoFiles,
    );
    assert_eq!(found.diagnostics, []);
    let plan = found.plan.expect("there is nothing to report");
    (plan, found.outcome.combinations)
}

#[test]
fn hundreds_of_machines_by_ten_images() {
    let (plan, combinations) = plan_of_release("gate", Catalog::embedded());
    assert!(
        plan.machines.len() >= 360,
        "{} machines",
        plan.machines.len()
    );
    assert!(combinations >= 3_600, "{combinations} combinations");
    let bytes = to_bytes(&plan);
    assert!(bytes.len() < 10 << 20, "{} bytes", bytes.len());
    let loaded = read::<ExecutionPlan>(bytes.as_slice()).expect("it is a plan");
    assert_eq!(loaded.body, plan);
    let burst = plan.tests.enumerate();
    let burst = burst
        .filter(|(_, test)| test.id.as_str() == "burst")
        .map(|(test, _)| test);
    let burst: Vec<TestIx> = burst.collect();
    for cell in &plan.cells {
        let [machine] = cell.candidates.as_slice() else {
            panic!("one machine is under test: {cell:?}");
        };
        let machine = &plan.machines[*machine];
        assert_eq!(cell.axes["instance"], machine.r#type);
        assert_eq!(machine.arch, plan.images[cell.image].arch);
        assert!(machine.quote.is_some(), "{machine:?}");
        let is_burstable = machine.fact(MachineFact::Burstable) == Some(Value::Bool(true));
        let expected = if is_burstable {
            Vec::new()
        } else {
            burst.clone()
        };
        assert_eq!(cell.unsupported, expected);
    }
}

#[test]
fn any_machine_is_the_cheapest_that_serves_and_no_part_of_the_cell() {
    let (plan, _) = plan_of_release("quick", Catalog::embedded());
    assert_eq!(plan.cells.len(), 4);
    for cell in &plan.cells {
        let axes: Vec<_> = cell.axes.keys().map(String::as_str).collect();
        assert_eq!(axes, ["image", "network"]);
        assert_eq!(cell.unsupported, []);
        assert_eq!(cell.network.ipv6, cell.axes["network"] == "dualstack");
        let prices = cell.candidates.iter().map(|machine| {
            let machine = &plan.machines[*machine];
            let nitro = Value::Name("nitro".to_owned());
            assert_eq!(machine.fact(MachineFact::Hypervisor), Some(nitro));
            assert!(machine.memory_bytes >= 4 << 30);
            let quote = machine.quote.as_ref().expect("the cheapest has a price");
            let lines = [LineKind::Compute, LineKind::OsSurcharge];
            let lines = lines.iter().filter_map(|kind| quote.line(*kind));
            let hourly: i64 = lines.map(|line| line.nano_usd.nano_usd()).sum();
            (hourly, machine.r#type.clone(), machine.region.clone())
        });
        let prices: Vec<_> = prices.collect();
        assert!(prices.is_sorted(), "{prices:?}");
    }
    // Another choice of machines is no other cell.
    let mut catalog = Catalog::embedded().clone();
    catalog
        .add(
            r#"
            [[type]]
            name = "m99.large"
            vcpus = 2
            memory_mib = 8192
            arch = ["x86_64", "arm64"]
            hypervisor = "nitro"
            regions = ["us-east-1"]
            "#,
        )
        .expect("the row has the form of the catalog");
    let (other, _) = plan_of_release("quick", &catalog);
    let ids = |plan: &ExecutionPlan| -> Vec<String> {
        plan.cells.iter().map(|cell| cell.id.to_string()).collect()
    };
    assert_eq!(ids(&plan), ids(&other));
}

#[test]
fn what_cannot_boot_is_counted_by_reason() {
    let mut catalog = Catalog::embedded().clone();
    catalog
        .add(
            r#"
            [[region]]
            name = "attic"
            partition = "local"
            [[region]]
            name = "moon-1"
            partition = "moon"
            [[type]]
            name = "power.small"
            vcpus = 4
            memory_mib = 4096
            arch = ["ppc64le", "x86_64"]
            regions = ["attic", "moon-1", "local"]
            "#,
        )
        .expect("the rows have the form of the catalog");
    let source = "
        image host { os = linux  arch = x86_64  local = host }
        image power { os = linux  arch = ppc64le  local = host }
        matrix sizes {
          image    = each host, power
          region   = each local, attic
          instance = each local.small, power.small
          exclude image == host and region == attic
        }
        test t { run `true` }
        plan p { matrix sizes  tests t }
    ";
    let found = compile_with(
        "all.plan",
        source.as_bytes(),
        &Options::default(),
        &catalog,
        &NoFiles,
    );
    let plan = found
        .plan
        .unwrap_or_else(|| panic!("{:#?}", found.diagnostics));
    assert_eq!(found.outcome.combinations, 8);
    let dropped: Vec<_> = found.outcome.dropped.into_iter().collect();
    assert_eq!(dropped, [(Reason::Architecture, 2), (Reason::Excluded, 2)]);
    assert_eq!(plan.cells.len(), 4);

    let moved = source
        .replace("local, attic", "local, moon-1")
        .replace("region == attic", "instance == local.small");
    let found = compile_with(
        "all.plan",
        moved.as_bytes(),
        &Options::default(),
        &catalog,
        &NoFiles,
    );
    assert!(found.plan.is_none(), "no image has a source for moon-1");

    let alone = source.replace("each host, power", "each host").replace(
        "image == host and region == attic",
        "instance == local.small and region == local",
    );
    let found = compile_with(
        "all.plan",
        alone.as_bytes(),
        &Options::default(),
        &catalog,
        &NoFiles,
    );
    let codes: Vec<_> = found
        .diagnostics
        .iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(
        codes,
        [Code::P0404],
        "local.small is excluded in local and not offered in attic"
    );
    assert!(
        found.diagnostics[0].help.contains("does not offer"),
        "{:?}",
        found.diagnostics
    );
}
