//! Where EC2 does not have what is asked for: other zones, other types, fewer machines; and what is said before a run.

use std::sync::{Arc, Mutex};

use dva_plan::ExitCode;

use crate::cloud::call::Call;
use crate::cloud::fault::{Deed, Fault};
use crate::cloud::xml;
use crate::home::{Home, RUN};
use crate::runner::{Done, Test};

pub const TESTS: &[Test] = &[
    ("choices::another_zone_has_what_one_has_not", zones),
    (
        "choices::another_type_does_where_one_is_not_to_be_had",
        types,
    ),
    (
        "choices::alike_machines_come_by_one_call_or_by_several",
        together,
    ),
    ("choices::doctor_finds_what_is_missing", doctor),
    ("choices::gc_leaves_alone_what_may_be_in_use", gc),
];

const REGION: &str = "eu-west-1";

const TWO: &str = r#"
matrix two { image = each host  region = each eu-west-1  instance = each m5.large, m5.xlarge }
test plain { takes 1s  run `true` }
plan p { matrix two  tests plain }
"#;

/// The calls that launch machines.
fn launches(home: &Home) -> Vec<Call> {
    let calls = home.cloud.calls().into_iter();
    calls.filter(|call| call.action == "RunInstances").collect()
}

fn subnet(call: &Call) -> &str {
    call.parameter("NetworkInterface.1.SubnetId")
}

/// Runs the plan, which passes.
fn pass(home: &Home, words: &[&str]) -> String {
    let (code, said) = home.said(&[&RUN, words].concat());
    assert_eq!(code, Some(0), "{said}\n{:?}", home.cloud.troubles());
    assert_eq!(home.left(), Vec::<String>::new(), "{said}");
    said
}

fn zones() -> Done {
    let Some(mut home) = Home::with(TWO) else {
        return Done::Passed;
    };
    let shown = home.cloud.ask(REGION, "DescribeSubnets", &[]);
    let subnets: Vec<_> = xml::texts(&shown, "subnetId").into_iter().take(2).collect();
    home.configure(&format!(
        "[network.default.region.{REGION}]\nsubnets = {subnets:?}\n"
    ));
    let full = subnets[0].to_owned();
    let refuses = Fault::on("RunInstances", Deed::Refuse("InsufficientInstanceCapacity"));
    home.cloud
        .fault(refuses.whose(move |call| subnet(call) == full));
    pass(&home, &[]);
    // Not all ask the same zone first; those that asked the full one asked the other one then.
    let launches = launches(&home);
    let of = |id: &str| launches.iter().filter(|call| subnet(call) == id).count();
    assert_eq!(of(subnets[1]), 2);
    assert!(launches.len() <= 4, "{launches:?}");
    Done::Passed
}

const ANY: &str = r#"
matrix one {
  image    = each host
  region   = each eu-west-1
  instance = any types where vcpus == 2 and memory in 4GiB .. 8GiB and current and not burstable
}
test plain { takes 1s  run `true` }
plan p { matrix one  tests plain }
"#;

fn types() -> Done {
    let Some(home) = Home::with(ANY) else {
        return Done::Passed;
    };
    let first: Arc<Mutex<Option<String>>> = Arc::default();
    let refused = Arc::clone(&first);
    let refuses = Fault::on("RunInstances", Deed::Refuse("InsufficientInstanceCapacity"));
    home.cloud.fault(refuses.whose(move |call| {
        let mut first = refused.lock().expect("nobody panics");
        let asked = call.parameter("InstanceType").to_owned();
        *first.get_or_insert_with(|| asked.clone()) == asked
    }));
    pass(&home, &["--max-cost", "1.00"]);
    let refused = first.lock().expect("nobody panics").clone();
    let report = home.report();
    let had = report.lives.iter().map(|life| life.r#type.clone()).next();
    assert!(
        had.is_some() && had != refused,
        "{had:?} and not {refused:?}"
    );
    // None of the cell's four candidates is to be had.
    home.cloud.heal();
    let refuses = Fault::on("RunInstances", Deed::Refuse("InsufficientInstanceCapacity"));
    home.cloud.fault(refuses);
    home.cloud.forget_calls();
    let (code, said) = home.said(&RUN);
    assert_eq!(
        code,
        Some(ExitCode::Infrastructure.number().into()),
        "{said}"
    );
    assert!(said.contains("blocked (capacity)"), "{said}");
    let asked = launches(&home);
    let asked: std::collections::BTreeSet<_> = asked
        .iter()
        .map(|call| call.parameter("InstanceType"))
        .collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(home.left(), Vec::<String>::new(), "{said}");
    Done::Passed
}

const THREE: &str = r#"
matrix m { image = each host  region = each eu-west-1  instance = each m5.large }
test one { takes 1s  run `true` }
test two { takes 1s  run `true` }
test three { takes 1s  run `true` }
plan p { matrix m  tests one, two, three }
"#;

fn together() -> Done {
    let Some(home) = Home::with(THREE) else {
        return Done::Passed;
    };
    pass(&home, &["--isolate"]);
    assert_eq!(home.report().lives.len(), 3);
    assert_eq!(launches(&home).len(), 1);
    // EC2 has but one at a time.
    home.cloud.forget_calls();
    home.cloud.launches_at_most(1);
    pass(&home, &["--isolate"]);
    assert_eq!(launches(&home).len(), 3);
    Done::Passed
}

fn doctor() -> Done {
    let Some(mut home) = Home::with(TWO) else {
        return Done::Passed;
    };
    let asks = ["doctor", "test.plan", "--provider", "ec2"];
    home.cloud.quota("L-1216C47A", 5);
    let refuses = Fault::on("ImportKeyPair", Deed::Refuse("UnauthorizedOperation"));
    home.cloud.fault(refuses);
    let (code, said) = home.said(&asks);
    assert_eq!(code, Some(ExitCode::Refused.number().into()), "{said}");
    assert!(said.contains("missing  ec2:ImportKeyPair"), "{said}");
    assert!(said.contains("missing  quota standard"), "{said}");
    assert!(said.contains("ok       ec2:RunInstances"), "{said}");
    home.cloud.heal();
    home.cloud.quota("L-1216C47A", 6);
    let (code, said) = home.said(&asks);
    assert_eq!(code, Some(0), "{said}");
    home.configure("[network.default.region.eu-west-1]\nsubnets = [\"subnet-00000000\"]\n");
    let (code, said) = home.said(&asks);
    assert_eq!(code, Some(ExitCode::Refused.number().into()), "{said}");
    assert!(said.contains("missing  network default"), "{said}");
    assert!(
        home.cloud
            .calls()
            .iter()
            .all(|call| call.is_look() || call.parameter("DryRun") == "true")
    );
    Done::Passed
}

const SLOW: &str = r#"
matrix one { image = each host  region = each eu-west-1  instance = each m5.large }
test slow { takes 1h  within 2h  run `sleep 3600` }
plan p { matrix one  tests slow }
"#;

fn gc() -> Done {
    let Some(home) = Home::with(SLOW) else {
        return Done::Passed;
    };
    let gc = ["gc", "--provider", "ec2"];
    assert_eq!(
        home.said(&gc),
        (Some(0), "Nothing is left in EC2.\n".to_owned())
    );
    let launched = std::sync::mpsc::channel();
    let tell = Mutex::new(launched.0);
    let tells = Deed::Then(Arc::new(move |_: &Call| {
        let _ = tell.lock().expect("nobody panics").send(());
    }));
    home.cloud.fault(Fault::on("RunInstances", tells));
    let mut run = home.begun(&RUN);
    launched.1.recv().expect("a machine is launched");
    run.kill().expect("it is ours");
    run.wait().expect("it has ended");
    let run = home.run();
    let (code, said) = home.said(&gc);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(
            "1 machine, 1 volume, 1 key pair, 1 security group in eu-west-1 may be in use for"
        ),
        "{said}"
    );
    // What may be in use is not ended in passing.
    let (code, said) = home.said(&[&gc[..], &["--yes"]].concat());
    assert_eq!((code, home.left().is_empty()), (Some(0), false), "{said}");
    let (code, said) = home.said(&[&gc[..], &["--run", &run]].concat());
    assert_eq!(code, Some(ExitCode::MachinesLeft.number().into()), "{said}");
    assert!(said.contains("left behind: 1 machine"), "{said}");
    let (code, said) = home.said(&[&gc[..], &["--older-than", "2h", "--yes"]].concat());
    assert_eq!((code, home.left().is_empty()), (Some(0), false), "{said}");
    let refuses = Fault::on("TerminateInstances", Deed::Refuse("UnauthorizedOperation"));
    home.cloud.fault(refuses);
    let (code, said) = home.said(&[&gc[..], &["--run", &run, "--yes"]].concat());
    assert_eq!(code, Some(ExitCode::MachinesLeft.number().into()), "{said}");
    assert!(said.contains("not ended"), "{said}");
    home.cloud.heal();
    let (code, said) = home.said(&[&gc[..], &["--run", &run, "--yes"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(home.left(), Vec::<String>::new());
    Done::Passed
}
