//! The calls that launch machines, as they would be sent.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use dva_plan::features::Features;
use dva_plan::plan::{DiskIx, ImageSource, Machine, Network};
use dva_plan::{CellId, RunId};
use dva_runtime::provider::{BootRequest, DiskRequest, MachineToken};

use super::*;

const SUBNET: &str = "subnet-0123456789abcdef0";

fn request() -> MachineRequest {
    let run = RunId::new("20261128-150000-4f2a");
    MachineRequest {
        token: MachineToken::new(&run, 7),
        run,
        cell: CellId::new("0123456789abcdef0123"),
        image: ImageSource::Ec2Ami {
            ids: [("eu-west-1".to_owned(), "ami-0123456789abcdef0".to_owned())].into(),
        },
        logins: Vec::new(),
        machine: Machine {
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
            r#type: "m7i.large".to_owned(),
            vcpus: 2,
            memory_bytes: 8 << 30,
            arch: "x86_64".to_owned(),
            features: Some(Features::default()),
            quote: None,
        },
        disks: Vec::new(),
        boot: BootRequest::default(),
        network: Network::default(),
        network_name: None,
        market: Vec::new(),
        lifetime: Duration::from_secs(3_600),
    }
}

fn ground() -> Ground {
    Ground {
        image: "ami-0123456789abcdef0".to_owned(),
        root_device: "/dev/xvda".to_owned(),
        root_gibibytes: Some(8),
        other_devices: Vec::new(),
        key_name: "dva-20261128-150000-4f2a".to_owned(),
        security_groups: vec!["sg-0123456789abcdef0".to_owned()],
        addressing: Addressing::Public,
        network: Network::default(),
        timer: TimerUse::Set,
        tags: vec![(OWNER_TAG.to_owned(), "ci".to_owned())],
        process: "0a1b2c3d".to_owned(),
    }
}

fn wanted(life: u32, attempt: u8) -> Wanted {
    Wanted {
        life,
        cell: CellId::new("0123456789abcdef0123"),
        attempt,
    }
}

/// The call for one machine.
fn call(request: &MachineRequest, ground: &Ground) -> RunInstancesInputBuilder {
    let shape = shape_of(request, ground).expect("it can be asked for");
    made(&shape, &[wanted(7, 0)])
}

fn shape_of(request: &MachineRequest, ground: &Ground) -> Result<Shape, RequestError> {
    shape(request, ground, SUBNET, Market::OnDemand, request.lifetime)
}

fn made(shape: &Shape, wanted: &[Wanted]) -> RunInstancesInputBuilder {
    let now = UNIX_EPOCH + Duration::from_secs(1_795_881_600);
    run_instances(shape, wanted, now).expect("it can be asked for")
}

fn disk(row: u32, size_bytes: u64) -> DiskRequest {
    DiskRequest {
        disk: DiskIx(row),
        name: format!("disk{row}"),
        size_bytes,
    }
}

/// The call, without what it leaves to EC2, and with its user data as the machine sees it.
fn shown(call: &RunInstancesInputBuilder) -> String {
    let debug = format!("{call:#?}");
    let mut text = String::new();
    for line in debug.lines() {
        let is_absent = line.trim_end().ends_with(": None,");
        if !is_absent && !line.contains("Sensitive") {
            writeln!(text, "{line}").expect("a string takes all");
        }
    }
    if let Some(encoded) = call.get_user_data() {
        let bytes = Base64::decode_vec(encoded).expect("it is base64");
        let data = String::from_utf8(bytes).expect("it is text");
        writeln!(text, "user data:\n{data}").expect("a string takes all");
    }
    text
}

#[test]
fn the_simplest_machine() {
    let call = call(&request(), &ground());
    insta::assert_snapshot!(shown(&call));
}

#[test]
fn a_machine_with_all_there_is() {
    let mut request = request();
    request.machine.r#type = "t3.micro".to_owned();
    request.machine.features = Some(Features {
        baseline: Some((1, 10)),
        ..Features::default()
    });
    request.disks = vec![disk(3, 1 << 30), disk(1, (5 << 30) + 1)];
    request.boot.root_bytes = Some(20 << 30);
    request.boot.user_data = Some(b"#cloud-config\npackages: [tmux]\n".to_vec());
    let ground = Ground {
        addressing: Addressing::Ipv6,
        ..ground()
    };
    let shape = shape(&request, &ground, SUBNET, Market::Spot, request.lifetime);
    let shape = shape.expect("it can be asked for");
    insta::assert_snapshot!(shown(&made(&shape, &[wanted(7, 3)])));
}

#[test]
fn alike_machines_come_by_one_call_and_are_told_apart_by_their_lives() {
    let alike = |life| MachineRequest {
        token: MachineToken::new(&request().run, life),
        cell: CellId::new(format!("{life:020x}")),
        ..request()
    };
    let shape_of = |life| super::tests::shape_of(&alike(life), &ground());
    assert_eq!(shape_of(3), shape_of(4));
    let other = MachineRequest {
        lifetime: Duration::from_secs(60),
        ..request()
    };
    let other = super::tests::shape_of(&other, &ground());
    assert_ne!(shape_of(3), other, "its timer is another one");
    let lives = [3, 4, 5, 9];
    let shape = shape_of(3).expect("it can be asked for");
    let call = made(&shape, &lives.map(|life| wanted(life, 0)));
    assert_eq!(call.get_max_count(), &Some(4));
    let specifications = call.get_tag_specifications().as_deref();
    let tags = specifications.expect("there are some")[0].tags();
    let tag = tags.iter().find(|tag| tag.key() == Some(LIVES_TAG));
    let text = tag.and_then(|tag| tag.value()).expect("it is there");
    assert_eq!(text, "3-5,9");
    let told: Vec<_> = (0..5).map(|index| life_of(text, index)).collect();
    assert_eq!(told, [Some(3), Some(4), Some(5), Some(9), None]);
    assert_eq!(life_of("7", 0), Some(7));
    assert_eq!(life_of("", 0), None);
    assert_eq!(life_of("9-3", 1), None);
}

#[test]
fn a_call_is_about_no_more_machines_than_its_tags_hold() {
    let of_one_cell: Vec<_> = (0..1_000).map(|life| wanted(life, 0)).collect();
    assert!(fit_together(&of_one_cell));
    let scattered: Vec<_> = (0..100).map(|life| wanted(life * 2, 0)).collect();
    assert!(!fit_together(&scattered));
    let of_cells = |count: u32| -> Vec<_> {
        let of_cell = |life| Wanted {
            cell: CellId::new(format!("{life:020x}")),
            ..wanted(life, 0)
        };
        (0..count).map(of_cell).collect()
    };
    assert!(fit_together(&of_cells(12)));
    assert!(!fit_together(&of_cells(13)));
}

#[test]
fn the_same_request_is_the_same_call() {
    let once = call(&request(), &ground());
    assert_eq!(once, call(&request(), &ground()));
}

#[test]
fn a_private_machine_has_no_public_address() {
    let ground = Ground {
        addressing: Addressing::Private,
        ..ground()
    };
    let call = call(&request(), &ground);
    let interfaces = call.get_network_interfaces().as_deref();
    let interface = &interfaces.expect("there is one")[0];
    assert_eq!(interface.associate_public_ip_address(), Some(false));
    assert_eq!(interface.ipv6_address_count(), None);
}

#[test]
fn without_a_timer_nothing_is_put_onto_the_machine() {
    let ground = Ground {
        timer: TimerUse::Never,
        ..ground()
    };
    assert_eq!(call(&request(), &ground).get_user_data(), &None);
}

#[test]
fn a_client_token_is_short_enough_for_ec2_and_differs_by_attempt_and_number() {
    let run = RunId::new("20261128-150000-4f2a");
    let request = MachineRequest { run, ..request() };
    let shape = shape_of(&request, &ground()).expect("it can be asked for");
    let token = |wanted: &[Wanted]| {
        let call = made(&shape, wanted);
        call.get_client_token().clone().expect("there is one")
    };
    let text = token(&vec![wanted(u32::MAX, u8::MAX); 1_000]);
    assert!(text.len() <= 64 && text.is_ascii(), "{text}");
    assert_ne!(token(&[wanted(1, 0)]), token(&[wanted(1, 1)]));
    assert_ne!(token(&[wanted(1, 0)]), token(&[wanted(1, 0), wanted(2, 0)]));
}

#[test]
fn disks_have_names_until_there_are_no_more() {
    assert_eq!(device_name(0).as_deref(), Some("/dev/sdf"));
    assert_eq!(device_name(MOST_DISKS - 1).as_deref(), Some("/dev/sdp"));
    assert_eq!(device_name(MOST_DISKS), None);
    let mut request = request();
    request.disks = (0..12).map(|row| disk(row, 1 << 30)).collect();
    let refused = shape_of(&request, &ground());
    assert_eq!(refused, Err(RequestError::TooManyDisks(12)));
}

#[test]
fn sizes_are_whole_gibibytes_and_never_too_small() {
    assert_eq!(gibibytes(1), Ok(1));
    assert_eq!(gibibytes(1 << 30), Ok(1));
    assert_eq!(gibibytes((1 << 30) + 1), Ok(2));
    assert_eq!(gibibytes(u64::MAX), Err(RequestError::TooLarge(u64::MAX)));
}
