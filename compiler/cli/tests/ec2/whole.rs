//! A whole run on machines of EC2: what it does, what it costs in calls, and that nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use dva_plan::{ExitCode, Verdict};

use crate::cloud::call::Call;
use crate::cloud::fault::{Deed, Fault};
use crate::home::{Home, RUN};
use crate::runner::{Done, Test};

pub const TESTS: &[Test] = &[
    ("whole::a_plan_passes_and_leaves_nothing", passes),
    ("whole::what_cannot_be_had_is_said", honest),
];

/// A chain on a disk, what the type promises, and a machine that comes back.
const PLAN: &str = r#"
matrix two { image = each host  region = each eu-west-1  instance = each m5.large, m5.xlarge }
disk data { size = 1GiB }
disk late { size = 1GiB  attached = false }

test partition { writes data  takes 1s  run `sgdisk --zap-all --new=1:0:0 ${data.device}` within 30s }
test format after partition { writes data  takes 1s  run `mkfs -t xfs ${data.part(1)}` within 60s }
test mount after format {
  writes data  takes 1s
  run `mkdir -p /mnt/data && mount ${data.part(1)} /mnt/data && echo kept > /mnt/data/probe`
  run `umount /mnt/data`
}
test memory {
  takes 1s
  let total: size in KiB = run `cat /proc/meminfo` find `MemTotal: +(\d+) kB`
  check total > 90% of instance.memory and total <= instance.memory
}
test processors {
  takes 1s
  let count: int = run `grep -c ^processor /proc/cpuinfo`
  check count == instance.vcpus
}
test hotplug {
  writes late  takes 3s
  within 2min
  attach late
  run `mkfs.ext4 -q ${late.device} && mkdir -p /mnt/late && mount ${late.device} /mnt/late && umount /mnt/late`
  detach late
  check not late.attached
}
test before { takes 1s  let id: string = run `cat /proc/sys/kernel/random/boot_id` }
test rebooted after before { takes 5s  within 2min  reboot }
test again after rebooted {
  takes 1s
  let id: string = run `cat /proc/sys/kernel/random/boot_id`
  check id != before.id
}
plan p { matrix two  tests partition, format, mount, memory, processors, hotplug, again }
"#;

fn passes() -> Done {
    let Some(home) = Home::with(PLAN) else {
        return Done::Passed;
    };
    let (code, said) = home.said(&RUN);
    assert_eq!(code, Some(0), "{said}\n{:?}", home.cloud.troubles());
    let report = home.report();
    for run in &report.test_runs {
        assert_eq!(
            run.verdict,
            Verdict::Passed,
            "{}: {}",
            run.test,
            run.message
        );
    }
    assert_eq!(home.left(), Vec::<String>::new(), "{said}");
    assert_eq!(home.cloud.troubles(), Vec::<String>::new());

    let calls = home.cloud.calls();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls.iter().filter(|call| !call.is_look()) {
        *counts.entry(&call.action).or_default() += 1;
    }
    println!(
        "{} calls for {} machines, those that only look apart {}: {counts:?}",
        calls.len(),
        report.lives.len(),
        counts.values().sum::<usize>(),
    );
    Done::Passed
}

const SMALL: &str = r#"
matrix one { image = each host  region = each eu-west-1  instance = each m5.large }
test plain { takes 1s  run `true` }
plan p { matrix one  tests plain }
"#;

fn honest() -> Done {
    let Some(home) = Home::with(SMALL) else {
        return Done::Passed;
    };
    for code in ["InsufficientInstanceCapacity", "UnauthorizedOperation"] {
        let refuses = Fault::on("RunInstances", Deed::Refuse(code));
        home.cloud.fault(refuses);
        let (ended, said) = home.said(&RUN);
        let infrastructure = Some(ExitCode::Infrastructure.number().into());
        assert_eq!(ended, infrastructure, "{code}: {said}");
        assert!(said.contains(code), "{said}");
        assert_eq!(home.left(), Vec::<String>::new(), "{code}: {said}");
        home.cloud.heal();
    }
    // The first answer to every call that changes something is lost.
    let mut seen = BTreeSet::new();
    let first = Mutex::new(move |call: &Call| seen.insert(call.action.clone()));
    let lost = Fault::any(Deed::LoseAnswer)
        .whose(move |call| !call.is_look() && (first.lock().expect("nobody panics"))(call));
    home.cloud.fault(lost);
    let (ended, said) = home.said(&RUN);
    assert_eq!(ended, Some(0), "{said}");
    assert_eq!(home.left(), Vec::<String>::new(), "{said}");
    Done::Passed
}
