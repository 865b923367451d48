//! The calls that launch machines, as they would be sent.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use dva_plan::features::Features;
use dva_plan::plan::{DiskIx, ImageSource, Machine};
use dva_plan::{CellId, RunId};
use dva_runtime::provider::{BootRequest, DiskRequest};

use super::*;

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
        market: Vec::new(),
        lifetime: Duration::from_secs(3_600),
    }
}

fn ground() -> Ground {
    Ground {
        image: "ami-0123456789abcdef0".to_owned(),
        root_device: "/dev/xvda".to_owned(),
        root_gibibytes: Some(8),
        key_name: "dva-20261128-150000-4f2a".to_owned(),
        security_groups: vec!["sg-0123456789abcdef0".to_owned()],
        addressing: Addressing::Public,
        owner: "ci".to_owned(),
    }
}

fn attempt() -> Attempt {
    let expires = UNIX_EPOCH + Duration::from_secs(1_795_885_200);
    Attempt {
        number: 0,
        subnet: None,
        market: Market::OnDemand,
        expires,
        timer: Some(Timer {
            at: expires,
            lifetime: Duration::from_secs(3_600),
        }),
    }
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
    let call = run_instances(&request(), &ground(), &attempt()).expect("it can be asked for");
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
    let attempt = Attempt {
        number: 3,
        subnet: Some("subnet-0123456789abcdef0".to_owned()),
        market: Market::Spot,
        ..attempt()
    };
    let call = run_instances(&request, &ground, &attempt).expect("it can be asked for");
    insta::assert_snapshot!(shown(&call));
}

#[test]
fn the_same_request_is_the_same_call() {
    let call = || run_instances(&request(), &ground(), &attempt()).expect("it can be asked for");
    assert_eq!(call(), call());
}

#[test]
fn a_private_machine_has_no_public_address() {
    let ground = Ground {
        addressing: Addressing::Private,
        ..ground()
    };
    let call = run_instances(&request(), &ground, &attempt()).expect("it can be asked for");
    let interfaces = call.get_network_interfaces().as_deref();
    let interface = &interfaces.expect("there is one")[0];
    assert_eq!(interface.associate_public_ip_address(), Some(false));
    assert_eq!(interface.ipv6_address_count(), None);
}

#[test]
fn without_a_timer_nothing_is_put_onto_the_machine() {
    let attempt = Attempt {
        timer: None,
        ..attempt()
    };
    let call = run_instances(&request(), &ground(), &attempt).expect("it can be asked for");
    assert_eq!(call.get_user_data(), &None);
}

#[test]
fn a_client_token_is_short_enough_for_ec2_and_differs_by_attempt() {
    // The longest run id that a token may be made of.
    let run = RunId::new("a".repeat(60 - "-4294967295".len()));
    let token = MachineToken::new(&run, u32::MAX);
    let text = client_token(&token, u8::MAX);
    assert!(text.len() <= 64 && text.is_ascii(), "{text}");
    assert_ne!(client_token(&token, 0), client_token(&token, 1));
}

#[test]
fn disks_have_names_until_there_are_no_more() {
    assert_eq!(device_name(0).as_deref(), Some("/dev/sdf"));
    assert_eq!(device_name(MOST_DISKS - 1).as_deref(), Some("/dev/sdp"));
    assert_eq!(device_name(MOST_DISKS), None);
    let mut request = request();
    request.disks = (0..12).map(|row| disk(row, 1 << 30)).collect();
    let refused = run_instances(&request, &ground(), &attempt());
    assert_eq!(refused, Err(RequestError::TooManyDisks(12)));
}

#[test]
fn sizes_are_whole_gibibytes_and_never_too_small() {
    assert_eq!(gibibytes(1), Ok(1));
    assert_eq!(gibibytes(1 << 30), Ok(1));
    assert_eq!(gibibytes((1 << 30) + 1), Ok(2));
    assert_eq!(gibibytes(u64::MAX), Err(RequestError::TooLarge(u64::MAX)));
}
