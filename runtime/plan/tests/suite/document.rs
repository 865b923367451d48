//! Every way in which a file is no plan is refused for its own reason.

use std::io::Read;

use dva_plan::ExecutionPlan;
use dva_plan::document::{LoadErrorKind, Loaded, MAX_BODY_BYTES, digest, read, to_bytes};
use dva_plan::plan::TestIx;
use dva_plan::version::{FormatVersion, Unreadable};

use crate::fixture;

fn refusal(bytes: impl Read) -> LoadErrorKind {
    match read::<ExecutionPlan>(bytes) {
        Ok(_) => panic!("it was read"),
        Err(error) => {
            assert!(
                error.to_string().ends_with(['.', ',', ':'])
                    || matches!(error.kind, LoadErrorKind::Invalid(_)),
                "{error}"
            );
            error.kind
        }
    }
}

/// The fixture's bytes with its body replaced and the digest made right again.
fn with_body(body: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"format":"dva-plan","version":[0,1],"producer":"dva 0.1.0","digest":"{}"}}"#,
        digest(body.as_bytes())
    );
    format!("{header}\n{body}\n").into_bytes()
}

#[test]
fn what_is_written_is_read_back_and_written_the_same() {
    let plan = fixture::plan();
    let bytes = to_bytes(&plan);
    let Loaded { header, body } = read::<ExecutionPlan>(bytes.as_slice()).expect("it reads");
    assert_eq!(body, plan);
    assert_eq!(header.producer, "dva 0.1.0");
    assert_eq!(to_bytes(&body), bytes);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let bytes = to_bytes(&fixture::plan());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let read = read::<ExecutionPlan>(changed.as_slice());
        assert!(
            read.is_err(),
            "byte {at} ({:?}) may change",
            char::from(bytes[at])
        );
    }
}

#[test]
fn a_plan_cut_short_anywhere_is_refused() {
    let bytes = to_bytes(&fixture::plan());
    assert_eq!(refusal(&b""[..]), LoadErrorKind::Empty);
    for end in 1..bytes.len() {
        let kind = refusal(&bytes[..end]);
        let told =
            matches!(kind, LoadErrorKind::CutShort) || end < 20 && kind == LoadErrorKind::NoHeader;
        assert!(told, "cut at {end}: {kind:?}");
    }
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(
        refusal(&b"test a { run `true` }\n"[..]),
        LoadErrorKind::NoHeader
    );
    assert_eq!(
        refusal(std::io::repeat(0).take(2 << 30)),
        LoadErrorKind::NoHeader
    );
    let report = br#"{"format":"dva-report","version":[0,1],"producer":"x","digest":"x"}"#;
    assert_eq!(
        refusal(&report[..]),
        LoadErrorKind::OtherFormat("dva-report".into())
    );
    for (version, how) in [("[0,2]", Unreadable::TooNew), ("[1,0]", Unreadable::TooNew)] {
        let header = format!(
            r#"{{"format":"dva-plan","version":{version},"producer":"dva 9.9","digest":"x"}}"#
        );
        let LoadErrorKind::Version {
            how: found,
            producer,
            ..
        } = refusal(header.as_bytes())
        else {
            panic!("{version}");
        };
        assert_eq!((found, producer.as_str()), (how, "dva 9.9"));
    }
    assert_eq!(
        FormatVersion::CURRENT,
        FormatVersion(0, 1),
        "keep the versions above in step"
    );
}

#[test]
fn bodies_that_are_none_are_told_apart() {
    let mut bytes = to_bytes(&fixture::plan());
    bytes.extend_from_slice(b"more");
    assert_eq!(refusal(bytes.as_slice()), LoadErrorKind::Trailing);
    assert!(matches!(
        refusal(with_body("{}").as_slice()),
        LoadErrorKind::Body(_)
    ));
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(refusal(with_body(&deep).as_slice()), LoadErrorKind::TooDeep);
    let header = with_body("{}");
    let line = header
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("two lines")
        + 1;
    let large = header[..line].chain(std::io::repeat(b' ').take(MAX_BODY_BYTES + 1));
    assert_eq!(refusal(large), LoadErrorKind::TooLarge);
}

#[test]
fn a_plan_that_does_not_hold_together_is_refused_with_its_place() {
    let mut plan = fixture::plan();
    plan.shapes[dva_plan::plan::ShapeIx(0)]
        .tests
        .push(TestIx(9));
    let LoadErrorKind::Invalid(faults) = refusal(to_bytes(&plan).as_slice()) else {
        panic!("it was refused for another reason");
    };
    assert_eq!(
        faults[0].to_string(),
        "shapes[0]: it names a test that is not there"
    );
}
