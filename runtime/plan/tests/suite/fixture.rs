//! A small plan that uses every part of the contract.

use std::collections::BTreeMap;

use dva_plan::expr::{
    CellFact, Comparison, DiskFact, ExpressionBuilder, MachineFact, Node, Operator,
};
use dva_plan::features::*;
use dva_plan::id::{CellId, TestId};
use dva_plan::money::Money;
use dva_plan::plan::*;
use dva_plan::quote::{LineKind, Market, OsClass, Quality, Quote, QuoteLine, Rate};
use dva_plan::step::*;
use dva_plan::table::Table;
use dva_plan::template::{Piece, Place, Template};
use dva_plan::unit::SizeUnit;
use dva_plan::value::{Type, Value};

/// Two tests, the second after the first, in two cells.
pub fn plan() -> ExecutionPlan {
    let mut nodes = ExpressionBuilder::default();
    let device = nodes.add(Node::Disk {
        disk: DiskIx(0),
        what: DiskFact::Device,
    });
    let file_system = nodes.add(Node::Cell(CellFact::Axis("filesystem".into())));
    let exit = nodes.add(Node::Exit);
    let zero = nodes.add(Node::Const(Value::Int(0)));
    let exits_with_zero = nodes.add(Node::Compare {
        how: Comparison::Equal,
        left: exit,
        right: zero,
    });
    let total = nodes.add(Node::Slot(SlotIx(0)));
    let memory = nodes.add(Node::Machine(MachineFact::Memory));
    let share = nodes.add(Node::Const(Value::Ratio(90, 100)));
    let least = nodes.add(Node::Arithmetic {
        how: Operator::Share,
        left: share,
        right: memory,
    });
    let enough = nodes.add(Node::Compare {
        how: Comparison::Greater,
        left: total,
        right: least,
    });

    let step = |kind, line| Step {
        kind,
        within_ms: Some(30_000),
        source: SourceText {
            text: "run `…`".into(),
            line,
            file: (line == 2).then(|| "lib/disks.plan".to_owned()),
        },
    };
    let format = Test {
        id: TestId::new("format"),
        doc: "A file system on the whole disk.".into(),
        tags: vec!["storage".into()],
        last: false,
        once: false,
        effects: vec![Effect::writes(Resource::Disk(DiskIx(0)))],
        within_ms: 600_000,
        takes_ms: Some(2_000),
        takes_p90_ms: None,
        boot: None,
        retry: 0,
        slots: Table::new(),
        steps: vec![step(
            StepKind::Run(Run {
                command: Template(vec![
                    Piece::Lit("mkfs -t ".into()),
                    Piece::Arg {
                        expr: file_system,
                        place: Place::Bare,
                    },
                    Piece::Lit(" ".into()),
                    Piece::Arg {
                        expr: device,
                        place: Place::Bare,
                    },
                ]),
                expect: Some(exits_with_zero),
                capture: None,
                user: None,
                retry: None,
                with: Vec::new(),
            }),
            10,
        )],
        finally: vec![],
        source: SourceText::default(),
        needs: Vec::new(),
        requires: Vec::new(),
    };
    let memory = Test {
        id: TestId::new("memory"),
        doc: String::new(),
        tags: Vec::new(),
        last: false,
        once: false,
        effects: vec![],
        within_ms: 600_000,
        takes_ms: None,
        takes_p90_ms: None,
        boot: None,
        retry: 0,
        slots: Table::from(vec![Slot {
            name: "total".into(),
            r#type: Type::Bytes,
        }]),
        steps: vec![
            step(
                StepKind::Run(Run {
                    command: Template(vec![Piece::Lit("cat /proc/meminfo".into())]),
                    expect: Some(exits_with_zero),
                    capture: Some(Capture {
                        slot: SlotIx(0),
                        from: CaptureFrom::Find(r"MemTotal: +(\d+) kB".into()),
                        unit: Some(SizeUnit::KiB),
                    }),
                    user: None,
                    retry: None,
                    with: Vec::new(),
                }),
                20,
            ),
            step(StepKind::Check(enough), 21),
        ],
        finally: vec![],
        source: SourceText::default(),
        needs: Vec::new(),
        requires: Vec::new(),
    };
    let cell = |file_system: &str| Cell {
        matrix: "sizes".into(),
        id: CellId::of("sizes", [("filesystem", file_system), ("image", "host")]),
        axes: BTreeMap::from([
            ("filesystem".to_owned(), file_system.to_owned()),
            ("image".to_owned(), "host".to_owned()),
        ]),
        image: ImageIx(0),
        shape: ShapeIx(0),
        candidates: vec![MachineIx(0)],
        unsupported: Vec::new(),
        network: Network {
            ipv6: true,
            closed: false,
        },
    };
    ExecutionPlan {
        producer: "dva 0.1.0".into(),
        name: "gate".into(),
        source: "gate.plan".into(),
        images: Table::from(vec![Image {
            name: "host".into(),
            os: "linux".into(),
            version: None,
            arch: "x86_64".into(),
            sources: vec![
                ImageSource::LocalHost,
                ImageSource::Ec2Ami {
                    ids: BTreeMap::from([("eu-west-1".into(), "ami-0123456789abcdef0".into())]),
                },
                ImageSource::Ec2AmiNamed {
                    name: "RHEL-9.4*".into(),
                    owners: BTreeMap::from([("aws".into(), "309956199498".into())]),
                },
                ImageSource::Ec2AmiParameter {
                    parameters: BTreeMap::from([(
                        "aws".into(),
                        "/aws/service/debian/release/12/latest/arm64".into(),
                    )]),
                },
            ],
            logins: vec!["ec2-user".into(), "root".into()],
            facts: BTreeMap::from([("product".into(), Value::Name("cloud".into()))]),
        }]),
        disks: Table::from(vec![Disk {
            name: "data".into(),
            from: dva_plan::plan::DiskOrigin::Volume,
            size_bytes: 1 << 30,
            attached: true,
        }]),
        expressions: nodes.finish(),
        tests: Table::from(vec![format, memory]),
        shapes: Table::from(vec![Shape {
            tests: vec![TestIx(0), TestIx(1)],
            after: vec![Edge {
                test: TestIx(1),
                after: TestIx(0),
            }],
            regardless: Vec::new(),
            order: Vec::new(),
            conflicts: Vec::new(),
        }]),
        machines: Table::from(vec![Machine {
            region: "local".into(),
            r#type: "local.small".into(),
            vcpus: 1,
            memory_bytes: 512 << 20,
            arch: "x86_64".into(),
            quote: Some(quote()),
            partition: "local".into(),
            features: Some(features()),
        }]),
        cells: Table::from(vec![cell("xfs"), cell("ext4")]),
        policy: Policy {
            lanes: 4,
            ..Policy::default()
        },
        blobs: Table::new(),
        secrets: Table::new(),
        inputs: Table::new(),
        settings: std::collections::BTreeMap::new(),
        tables: Table::new(),
        states: Table::new(),
        boots: Table::new(),
        setup: None,
    }
}

/// A machine that has everything.
fn features() -> Features {
    Features {
        hypervisor: Some(Hypervisor::Nitro),
        bare_metal: true,
        baseline: Some((1, 10)),
        gpus: Some(Gpus {
            count: 8,
            name: "NVIDIA A100".into(),
            memory_bytes: 320 << 30,
        }),
        storage: Some(InstanceStorage {
            disks: 8,
            bytes: 8_000_000_000_000,
            medium: Medium::Ssd,
            nvme: true,
        }),
        ebs_nvme: true,
        ena: Ena::Required,
        efa: true,
        boot_modes: vec![BootMode::Bios, BootMode::Uefi],
        tpm: true,
        network_baseline_mbps: Some(100_000),
        network_peak_mbps: Some(400_000),
        spot: true,
        hibernation: true,
        current: true,
        opt_in: true,
    }
}

/// A burstable RHEL machine: compute, OS surcharge, credits.
fn quote() -> Quote {
    let os = OsClass::Rhel;
    let line = |kind, nano_usd| {
        let rate = Rate {
            nano_usd: Money::from_nano_usd(nano_usd),
            quality: Quality::Exact,
            source: "list".into(),
            as_of: "2026-07-20".into(),
        };
        QuoteLine::new(kind, os, rate)
    };
    Quote {
        market: Market::Spot,
        os,
        lines: vec![
            line(LineKind::Compute, 10_400_000),
            line(LineKind::OsSurcharge, 14_400_000).per_vcpu(2),
            line(LineKind::Credits, 50_000_000)
                .per_vcpu(2)
                .above((10, 100)),
        ],
    }
}
