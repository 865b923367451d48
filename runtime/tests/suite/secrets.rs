//! Secrets reach their command and nothing that is written.

use std::path::Path;

use dva_plan::document::to_bytes;
use dva_plan::step::{With, WithValue};
use dva_runtime::mask::forms;
use dva_runtime::secrets::{SECRET_LIMIT, SecretError};
use dva_runtime::{RunFolder, RunOptions, Secrets, SimScript, unbound_secrets};

use crate::fixture::{PlanBuilder, options, schedule_of, simulate_with};

const TOKEN: &str = "tøk en-1'2$3\"4";

fn plan() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    let secret = plan.secret("token");
    plan.secret("unused");
    let step = plan.run_as("login", |run| {
        run.with = vec![With {
            name: "TOKEN".into(),
            value: WithValue::Secret(secret),
        }];
    });
    plan.test_of("login", 1, &[], vec![step]);
    plan
}

pub fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.bind("token", TOKEN).unwrap();
    secrets
}

#[test]
fn what_is_used_and_not_bound_is_named_and_nothing_shows_values() {
    let plan = plan().build();
    assert_eq!(unbound_secrets(&plan.body, &Secrets::default()), ["token"]);
    let mut secrets = secrets();
    assert!(unbound_secrets(&plan.body, &secrets).is_empty());
    assert_eq!(format!("{secrets:?}"), "{\"token\"}");
    assert_eq!(secrets.bind("x", "a\0"), Err(SecretError::Nul));
    let long = "a".repeat(SECRET_LIMIT + 1);
    assert_eq!(secrets.bind("x", long), Err(SecretError::TooLong));
}

/// Everything below a folder, as one piece.
fn all_bytes(folder: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_bytes(&path, into);
        } else {
            into.extend(std::fs::read(path).unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_form_of_a_secret_is_in_anything_that_is_written() {
    let plan = plan().build();
    let state = tempfile::tempdir().unwrap();
    for form in forms(TOKEN) {
        let form = String::from_utf8(form).unwrap();
        let said = toml_text(&format!("so: {form}, yes"));
        let script = format!(
            "[[test]]\ntest = 'login'\nexit = 1\nstdout = {said}\nstderr = {said}\nleaves = [{said}]\n"
        );
        let parsed = SimScript::parse(&script, &plan.body).unwrap();
        let schedule = schedule_of(&plan, &parsed);
        let mut options = options();
        options.run = dva_plan::RunId::new(format!(
            "r{}",
            dva_plan::document::digest(form.as_bytes())[7..23].to_owned()
        ));
        let folder = RunFolder::create(state.path(), &options.run, b"", &schedule).unwrap();
        let place = folder.path().to_owned();
        let options = RunOptions {
            folder: Some(folder),
            secrets: secrets(),
            ..options
        };
        let ran = simulate_with(&plan, &script, options).await;
        assert_eq!(ran.test("login").verdict.to_string(), "failed (expect)");
        let mut written = to_bytes(ran.report());
        written.extend(serde_json::to_vec(&ran.records).unwrap());
        all_bytes(&place, &mut written);
        let written = String::from_utf8_lossy(&written);
        assert!(written.contains("so: ***, yes"), "{form}: {written}");
        for other in forms(TOKEN) {
            let other = String::from_utf8(other).unwrap();
            assert!(!written.contains(&other), "{form} shows {other}");
        }
    }
}

/// A text as TOML has it, which is as JSON has it.
fn toml_text(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
