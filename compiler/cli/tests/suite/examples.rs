//! Every example compiles, and runs on the simulator to the end that its first lines promise.

use std::fs;

use dva_plan::ExitCode;

use crate::console::{dva, playground, root};

#[test]
fn every_example_runs_on_the_simulator() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("examples")).expect("there are examples") {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_none_or(|extension| extension != "plan") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).expect("an example is text");
        let promised = if text.starts_with("//! Fails on purpose") {
            ExitCode::TestsFailed
        } else {
            ExitCode::Ok
        };
        let folder = playground();
        let name = path.file_name().expect("a file has a name");
        let output = dva(folder.path())
            .args(["run", "--provider", "sim"])
            .arg(folder.path().join("examples").join(name))
            .output()
            .expect("dva starts");
        assert_eq!(
            output.status.code(),
            Some(promised.number().into()),
            "{}: {}{}",
            path.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    assert!(seen >= 2);
}
