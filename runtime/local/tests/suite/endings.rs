//! How machines end: by release, by their lifetime, and with whoever minds them killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dva_local::{LocalConfig, LocalProvider, leftovers, remove};
use dva_runtime::provider::{MachineRequest, Provider};

use crate::ground::{
    Ground, Guest, await_that, block_on, config_in, request, request_with_disks, token,
};
use crate::{Done, Test};

pub(crate) const TESTS: &[Test] = &[
    ("endings::a_stubborn_machine_ends_too", stubborn),
    ("endings::a_lifetime_ends_a_machine", lifetime),
    ("endings::a_dropped_provider_leaves_nothing", dropped),
    ("endings::a_killed_dva_leaves_nothing", killed_dva),
    (
        "endings::a_killed_supervisor_leaves_what_gc_removes",
        killed_supervisor,
    ),
    ("endings::both_killed_leave_what_gc_removes", both_killed),
    (
        "endings::a_machine_that_ends_itself_leaves_nothing",
        ends_itself,
    ),
];

/// Says to a copy of this program in which folder to start a machine, and to wait to be killed.
const VICTIM: &str = "DVA_SUITE_VICTIM";
/// The life of the victim's machine.
const VICTIM_LIFE: u32 = 7;

/// Is a victim where it was started as one.
pub(crate) fn enter_if_victim() -> bool {
    let Some(folder) = std::env::var_os(VICTIM) else {
        return false;
    };
    let provider = LocalProvider::new(config_in(&PathBuf::from(folder)));
    block_on(async {
        let guest = Guest::start(&provider, &busy_request())
            .await
            .expect("a machine");
        make_busy(&guest).await;
        println!("{}", token(VICTIM_LIFE));
        // Until it is killed.
        std::future::pending::<()>().await;
    });
    true
}

fn busy_request() -> MachineRequest {
    request_with_disks(VICTIM_LIFE, &[64])
}

/// Leaves commands running, files open, and a disk mounted.
async fn make_busy(guest: &Guest) {
    guest
        .ok("mkfs.ext4 -q /dev/sdb && mount /dev/sdb /mnt")
        .await;
    guest
        .ok("(trap '' TERM HUP INT; cd /mnt; exec setsid sleep 600) > /mnt/log 2>&1 &")
        .await;
    guest
        .ok("chattr +i /etc/hostname || touch /etc/hostname; echo x > /var/tmp/x")
        .await;
}

fn stubborn() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &busy_request())
            .await
            .expect("a machine");
        make_busy(&guest).await;
        ground
            .provider
            .release_token(&token(VICTIM_LIFE))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn lifetime() -> Done {
    let ground = Ground::new();
    block_on(async {
        let request = MachineRequest {
            boot: Default::default(),
            market: Vec::new(),
            lifetime: Duration::from_millis(1500),
            ..request(1)
        };
        let guest = Guest::start(&ground.provider, &request)
            .await
            .expect("a machine");
        guest.ok("true").await;
        ground.await_clean();
        assert!(
            guest.machine.reach.dialer.dial().await.is_err(),
            "somebody answers"
        );
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn dropped() -> Done {
    let ground = Ground::new();
    block_on(async {
        let provider = LocalProvider::new(ground.config.clone());
        let guest = Guest::start(&provider, &request_with_disks(1, &[64]))
            .await
            .expect("a machine");
        guest.ok("true").await;
        drop(provider);
    });
    ground.await_clean();
    Done::Passed
}

/// Starts a copy of this program that holds a machine.
fn victim(config: &LocalConfig) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("our path"))
        .env(VICTIM, config.state.parent().expect("a folder"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a copy of this program");
    let mut token = String::new();
    BufReader::new(child.stdout.take().expect("its output"))
        .read_line(&mut token)
        .expect("a token");
    assert!(!token.is_empty(), "the copy could not start a machine");
    (child, token.trim().to_owned())
}

fn kill(mut child: Child) {
    child.kill().expect("a kill");
    child.wait().expect("an end");
}

fn killed_dva() -> Done {
    let ground = Ground::new();
    let (child, _) = victim(&ground.config);
    kill(child);
    // The supervisor sees the lease end, and takes everything down by itself.
    ground.await_clean();
    assert_eq!(leftovers(&ground.config), []);
    Done::Passed
}

/// Kills the supervisor of a machine and waits until nobody holds the lease.
fn kill_supervisor(config: &LocalConfig, token: &str) {
    let lease = fs::read(config.runtime.join(token)).expect("a lease");
    let lease: serde_json::Value = serde_json::from_slice(&lease).expect("a record");
    let supervisor = lease["supervisor"].to_string();
    let killed = Command::new("kill").args(["-9", &supervisor]).status();
    assert!(killed.expect("a kill").success(), "{supervisor}");
    await_that("the machine is dead", || {
        leftovers(config).iter().all(|leftover| leftover.dead)
    });
}

fn killed_supervisor() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &busy_request())
            .await
            .expect("a machine");
        make_busy(&guest).await;
        let [alive] = &leftovers(&ground.config)[..] else {
            panic!("one machine");
        };
        assert!(!alive.dead, "{alive:?}");
        assert!(remove(alive).is_err(), "a live machine was removed");
        guest.ok("true").await;

        kill_supervisor(&ground.config, token(VICTIM_LIFE).as_str());
        // The sandbox has died with it: what is left are things, not processes.
        await_that("the sandbox has ended", || {
            !ground
                .leaked()
                .iter()
                .any(|thing| thing.starts_with("process"))
        });
        let [dead] = &leftovers(&ground.config)[..] else {
            panic!("one machine");
        };
        for kind in ["cgroup", "folder", "lease"] {
            assert!(
                dead.remains.iter().any(|thing| thing.starts_with(kind)),
                "{kind}: {dead:?}"
            );
        }
        remove(dead).expect("nothing left");
        assert_eq!(leftovers(&ground.config), []);
        ground.assert_clean();
        ground
            .provider
            .release_token(&token(VICTIM_LIFE))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn both_killed() -> Done {
    let ground = Ground::new();
    let (child, token) = victim(&ground.config);
    kill_supervisor(&ground.config, &token);
    kill(child);
    for leftover in leftovers(&ground.config) {
        remove(&leftover).expect("nothing left");
    }
    ground.assert_clean();
    Done::Passed
}

fn ends_itself() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &busy_request())
            .await
            .expect("a machine");
        make_busy(&guest).await;
        // The server is told to go, and this command with it.
        let server = guest.ok("pgrep -P 1 | head -n 1").await;
        guest
            .ok(&format!("(sleep 0.2; kill -9 {server}) > /dev/null 2>&1 &"))
            .await;
        ground.await_clean();
        ground
            .provider
            .release_token(&token(VICTIM_LIFE))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}
