//! A history is a document like the others, and refused where it breaks a rule of its form.

use dva_plan::document::{LoadErrorKind, PRODUCER, read, to_bytes};
use dva_plan::history::{BootKey, MAX_SAMPLES, Observations, Observed, Sample, TestKey};
use dva_plan::id::{RunId, TestId};
use dva_plan::schema::schemas;
use serde_json::Value;

fn sample(run: &str, cut: bool) -> Sample {
    Sample {
        run: RunId::new(run),
        ms: 30_000,
        cut,
    }
}

fn observed(test: &str) -> Observed<TestKey> {
    Observed {
        of: TestKey {
            plan: "storage".into(),
            test: TestId::new(test),
            arch: "x86_64".to_owned(),
            image: "el9".to_owned(),
            r#type: "m7i.large".to_owned(),
        },
        samples: vec![
            sample("20261123-093000-0000", true),
            sample("20261124-093000-0000", false),
        ],
    }
}

fn observations() -> Observations {
    Observations {
        producer: PRODUCER.into(),
        provider: "ec2".to_owned(),
        tests: vec![observed("boot"), observed("memory")],
        boots: vec![Observed {
            of: BootKey {
                image: "el9".to_owned(),
                r#type: "m7i.large".to_owned(),
                region: "eu-west-1".to_owned(),
            },
            samples: vec![sample("20261123-093000-0000", false)],
        }],
    }
}

#[test]
fn a_history_is_read_back_and_fits_its_schema() {
    let bytes = to_bytes(&observations());
    let loaded = read::<Observations>(&*bytes).expect("it reads");
    assert_eq!(loaded.body, observations());
    assert_eq!(loaded.header.format, "dva-history");
    let body = bytes.split(|byte| *byte == b'\n').nth(1).expect("a body");
    let body: Value = serde_json::from_slice(body).expect("it is JSON");
    let schemas = schemas();
    let (_, schema) = schemas
        .iter()
        .find(|(name, _)| *name == "history.schema.json")
        .expect("it has a schema");
    let schema = serde_json::to_value(schema).expect("a schema serializes");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&body));
}

#[test]
fn what_breaks_its_form_is_refused() {
    let places = |change: fn(&mut Observations)| {
        let mut changed = observations();
        change(&mut changed);
        let error = read::<Observations>(&*to_bytes(&changed)).map_err(|error| error.kind);
        match error {
            Err(LoadErrorKind::Invalid(faults)) => {
                let places = faults.into_iter().map(|fault| fault.place);
                places.collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(places(|changed| changed.tests.reverse()), ["tests"]);
    assert_eq!(
        places(|changed| changed.tests[1] = changed.tests[0].clone()),
        ["tests"]
    );
    assert_eq!(
        places(|changed| changed.tests[1].samples.reverse()),
        ["tests[1]"]
    );
    assert_eq!(
        places(|changed| changed.boots[0].samples.clear()),
        ["boots[0]"]
    );
    let too_many = places(|changed| {
        changed.tests[0].samples = vec![sample("20261123-093000-0000", false); MAX_SAMPLES + 1];
    });
    assert_eq!(too_many, ["tests[0]"]);
}
