//! What the stand-in does that moto does not, and what the provider does about it.

use dva_plan::RunId;
use dva_runtime::provider::{AcquireErrorKind, Provider};

use crate::cloud::Boots;
use crate::cloud::fault::{Deed, Fault};
use crate::runner::{Done, Test};
use crate::{Stand, ground};

pub const TESTS: &[Test] = &[
    ("faults::a_launch_whose_answer_is_lost_is_one_launch", lost),
    ("faults::what_is_refused_is_told", refused),
];

fn lost() -> Done {
    let Some(stand) = Stand::up("us-east-1", Boots::Machines) else {
        return Done::Passed;
    };
    let run = RunId::new("20261128-150000-0004");
    let request = ground::request(stand.region, &run, 1);
    stand
        .cloud
        .fault(Fault::on("RunInstances", Deed::LoseAnswer).times(1));
    stand.runtime.block_on(async {
        let machine = stand.provider.acquire(&request).await.expect("a machine");
        assert_eq!(stand.cloud.machines(), 1);
        let launches = stand.cloud.calls();
        let launches = launches.iter().filter(|call| call.action == "RunInstances");
        assert_eq!(launches.count(), 2);
        println!("{} came by the second call", machine.id);
        let ended = stand.provider.release_token(&request.token).await;
        ended.expect("it ends");
        stand.provider.end_run(&run).await.expect("nothing is left");
    });
    stand.nothing_is_left();
    Done::Passed
}

fn refused() -> Done {
    let Some(stand) = Stand::up("us-east-2", Boots::Ports) else {
        return Done::Passed;
    };
    let run = RunId::new("20261128-150000-0005");
    let request = ground::request(stand.region, &run, 1);
    for (code, kind) in [
        ("InsufficientInstanceCapacity", AcquireErrorKind::Capacity),
        ("VcpuLimitExceeded", AcquireErrorKind::Quota),
        ("RequestLimitExceeded", AcquireErrorKind::Throttled),
        ("UnauthorizedOperation", AcquireErrorKind::Broken),
    ] {
        stand.cloud.heal();
        let refuses = Fault::on("RunInstances", Deed::Refuse(code));
        let is_it = |call: &crate::cloud::call::Call| call.parameter("InstanceType") == "m5.large";
        stand.cloud.fault(refuses.whose(is_it));
        let acquired = stand.runtime.block_on(stand.provider.acquire(&request));
        let error = acquired.err().expect("there is none");
        assert_eq!(error.kind, kind, "{error}");
    }
    stand.cloud.heal();
    let ended = stand.runtime.block_on(stand.provider.end_run(&run));
    ended.expect("nothing is left");
    stand.nothing_is_left();
    Done::Passed
}
