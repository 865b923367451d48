//! What consoles say: who is charged where a machine does not answer any more, and what is warned of.

use std::sync::Arc;

use dva_plan::FailureClass;
use dva_plan::exit::ExitCode;
use dva_plan::schedule::LifeIx;
use dva_runtime::console::ConsolePatterns;
use dva_runtime::state::IllegalKind;
use dva_runtime::{Event, Record, RunFolder, RunOptions, RunState};

use crate::breaker::whenever_it_is_taken_over;
use crate::fixture::{
    PlanBuilder, Ran, map, options, options_again, schedule_of, simulate, simulate_with,
};

const PANIC: &str = "\
[    1.204467] VFS: Cannot open root device \"UUID=3f1c\" or unknown-block(0,0): error -6
[    1.211091] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
[    1.215920] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 5.14.0-427.13.1.el9_4.x86_64 #1
[    1.219913] Call Trace:
[    1.221208]  <TASK>
[    1.222332]  panic+0x107/0x2ae
[    1.236101] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---
";
const PANIC_OF_MEMORY: &str = "\
[ 9120.771342] Out of memory: Killed process 2113 (stress-ng-vm) total-vm:4194304kB, anon-rss:3120kB
[ 9121.118842] Kernel panic - not syncing: System is deadlocked on memory
";
const SOFT_LOCKUP: &str = "\
[  512.003127] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:2:318]
[  512.003201] Modules linked in: xfs libcrc32c nvme ena
[  512.003288] CPU: 1 PID: 318 Comm: kworker/1:2 Kdump: loaded Not tainted
[  540.003127] watchdog: BUG: soft lockup - CPU#1 stuck for 52s! [kworker/1:2:318]
";
const HUNG_TASK: &str = "\
[  245.893211] INFO: task jbd2/vda1-8:310 blocked for more than 122 seconds.
[  245.893260]       Not tainted 6.1.0-21-cloud-amd64 #1 Debian 6.1.90-1
[  245.893301] \"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.
";
const RCU_STALL: &str = "\
[  305.120011] rcu: INFO: rcu_sched self-detected stall on CPU
[  305.120033] rcu: \t1-....: (14999 ticks this GP) idle=9ce/1/0x4000000000000002
";
const OUT_OF_MEMORY: &str = "\
[ 1201.442210] java invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0
[ 1201.442401] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task=java,pid=1882
[ 1201.442460] Out of memory: Killed process 1882 (java) total-vm:3321004kB, anon-rss:812004kB, file-rss:0kB
";
const OUT_OF_MEMORY_OF_GROUP: &str = "\
[   88.120931] Memory cgroup out of memory: Killed process 914 (dd) total-vm:52104kB, anon-rss:50012kB
";
const OOPS: &str = "\
[   61.310220] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   61.310270] #PF: supervisor read access in kernel mode
[   61.310310] Oops: 0000 [#1] PREEMPT SMP NOPTI
[   61.310402] Call Trace:
[   61.310431]  do_one_initcall+0x44/0x200
";
const OOPS_OF_ARM: &str = "\
[   12.001220][  T411] Unable to handle kernel paging request at virtual address ffff800010e30000
[   12.001300][  T411] Internal error: Oops: 96000047 [#1] SMP
[   12.001420][  T411] Call trace:
";
const FAILED_UNIT: &str = "\
[\u{1b}[0;32m  OK  \u{1b}[0m] Started \u{1b}[0;1;39mcrond.service\u{1b}[0m - Command Scheduler.\r
[\u{1b}[0;1;31mFAILED\u{1b}[0m] Failed to start \u{1b}[0;1;39mkdump.service\u{1b}[0m - Crash recovery kernel arming.\r
See 'systemctl status kdump.service' for details.\r
[   14.220031] systemd[1]: Failed to start Crash recovery kernel arming.\r
";
const TRACE_ALONE: &str = "\
[  700.000001] sysrq: Show Blocked State
[  700.000120] Call Trace:
[  700.000150]  __schedule+0x2d1/0x830
[  701.000120] Call Trace:
";
/// What is no trouble, though it has the words.
const HARMLESS: &str = "\
[    0.000000] Linux version 6.1.0-21-cloud-amd64 (debian-kernel@lists.debian.org)
[    0.000000] Command line: BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro panic=10 oops=panic softlockup_panic=1
[    0.512001] NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.
[    1.220031] systemd[1]: Started Process Core Dump Socket.
[    2.000000] test: the words Kernel panic - not syncing and BUG: in the middle of a line
[   12.310021] systemd[1]: Reached target Emergency Mode helpers.
[   13.000000] cloud-init[612]: WARNING: 3 warnings; Oops, none of them matter; Call Trace
";

#[test]
fn each_kind_of_trouble_has_its_cause_and_its_warning() {
    use FailureClass::{GuestLockup as Lockup, GuestOom as Oom, GuestPanic as Panic};
    let patterns = ConsolePatterns::default();
    for (console, end, cause, warnings) in [
        (PANIC, Some(Panic), Some(Panic), 1),
        (PANIC_OF_MEMORY, Some(Oom), Some(Oom), 2),
        (SOFT_LOCKUP, None, Some(Lockup), 1),
        (HUNG_TASK, None, Some(Lockup), 1),
        (RCU_STALL, None, Some(Lockup), 1),
        (OUT_OF_MEMORY, None, Some(Oom), 1),
        (OUT_OF_MEMORY_OF_GROUP, None, None, 0),
        (OOPS, None, None, 2),
        (OOPS_OF_ARM, None, None, 2),
        (FAILED_UNIT, None, None, 2),
        (TRACE_ALONE, None, None, 1),
        (HARMLESS, None, None, 0),
        ("", None, None, 0),
    ] {
        let class = |found: Option<(FailureClass, String)>| found.map(|(class, _)| class);
        assert_eq!(class(patterns.end(console)), end, "{console}");
        assert_eq!(class(patterns.cause(console)), cause, "{console}");
        let said = patterns.warnings(console);
        assert_eq!(said.len(), warnings, "{said:?}");
    }
    // The last word counts, and a panic more than what came before.
    let both = format!("{OUT_OF_MEMORY}{SOFT_LOCKUP}");
    assert_eq!(patterns.cause(&both).unwrap().0, Lockup);
    let all = format!("{SOFT_LOCKUP}{PANIC}{OUT_OF_MEMORY}");
    assert_eq!(patterns.cause(&all).unwrap().0, Panic);
}

#[test]
fn other_lines_that_are_warned_of() {
    let patterns = ConsolePatterns::default();
    for line in [
        "[   99.120031] NMI watchdog: Watchdog detected hard LOCKUP on cpu 3",
        "[   99.120031] watchdog: Watchdog detected hard LOCKUP on cpu 3",
        "[  130.000000] Out of memory: Kill process 1882 (java) score 812 or sacrifice child",
        "[   12.345678] kernel BUG at fs/ext4/inode.c:2721!",
        "<4>[   12.345678] general protection fault: 0000 [#1] SMP PTI",
        "[   12.345678] WARNING: CPU: 2 PID: 411 at net/core/dev.c:1100 dev_watchdog+0x2a/0x30",
        "[   12.345678] Internal error: Oops - BUG: 0 [#1] SMP",
        "[    3.120031] systemd[1]: Freezing execution.",
        "You are in emergency mode. After logging in, type \"journalctl -xb\" to view",
        "Entering emergency mode. Exit the shell to continue.",
        "[   12.345678] Kernel panic - not syncing: softlockup: hung tasks",
        "[   12.345678] Kernel panic - not syncing: hung_task: blocked tasks",
    ] {
        assert_eq!(patterns.warnings(line).len(), 1, "{line}");
    }
}

#[test]
fn lines_are_shown_without_their_dress() {
    let patterns = ConsolePatterns::default();
    let (_, line) = patterns.end(PANIC).unwrap();
    let root = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
    assert_eq!(line, root);
    assert_eq!(
        patterns.warnings(FAILED_UNIT),
        [
            "[FAILED] Failed to start kdump.service - Crash recovery kernel arming.",
            "systemd[1]: Failed to start Crash recovery kernel arming.",
        ]
    );
    let many: String = (0..100)
        .map(|number| format!("BUG: {}\n", "x".repeat(number + 300)))
        .chain((b'a'..=b'z').map(|letter| format!("BUG: {}\n", char::from(letter))))
        .collect();
    let said = patterns.warnings(&many);
    assert_eq!(said.len(), 20);
    assert!(said.iter().all(|line| line.chars().count() <= 300));
}

#[test]
fn lines_that_are_ignored_mean_nothing() {
    let ignored = ["kdump\\.service".to_owned(), "^Kernel panic".to_owned()];
    let patterns = ConsolePatterns::ignoring(&ignored).unwrap();
    assert_eq!(patterns.cause(PANIC), None);
    assert_eq!(patterns.warnings(FAILED_UNIT).len(), 1);
    assert_eq!(patterns.warnings(OOPS).len(), 2);
    let error = ConsolePatterns::ignoring(&["ok".to_owned(), "a(b".to_owned()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a(b` is no regular expression: unclosed group"
    );
}

/// `a`, `b` after it, `c` beside them.
fn plan() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 10, &[]);
    plan.test("b", 10, &[a]);
    plan.test("c", 60, &[]);
    plan
}

fn script(of: &str, console: &str, fault: &str) -> String {
    let console = toml::Value::String(console.to_owned());
    format!("[[{of}]]\n{fault}console = {console}\n")
}

#[tokio::test(start_paused = true)]
async fn what_the_console_says_decides_who_is_charged_and_ends_the_waiting() {
    for (console, class, end_ms) in [
        (PANIC, "guest.panic", 35_000),
        (PANIC_OF_MEMORY, "guest.oom", 35_000),
        // These are known once the machine was waited for in vain.
        (SOFT_LOCKUP, "guest.lockup", 155_000),
        (OUT_OF_MEMORY, "guest.oom", 155_000),
    ] {
        let script = script("test", console, "test = 'a'\nlife = 0\nfault = 'panic'\n");
        let ran = simulate(&plan().build(), &script).await;
        let failed = format!("failed ({class})");
        let all = [("a", &*failed), ("b", "blocked by a"), ("c", &*failed)];
        assert_eq!(ran.verdicts("xfs"), map(&all));
        assert_eq!(ran.times("a"), (30_000, end_ms), "{class}");
        assert_eq!(ran.report().exit, ExitCode::TestsFailed);
        let message = &ran.test("a").message;
        assert!(message.contains("; its console says `"), "{message}");
        // What waited is none the worse for it.
        let mut beside = plan();
        beside.lanes(1);
        let ran = simulate_with(&beside.build(), &script, options_again()).await;
        let all = [("a", &*failed), ("b", "blocked by a"), ("c", "passed")];
        assert_eq!(ran.verdicts("xfs"), map(&all));
    }
    // Nothing of that: the way to the machine is to blame.
    let script = script("test", OOPS, "test = 'a'\nfault = 'panic'\n");
    let ran = simulate(&plan().build(), &script).await;
    assert_eq!(ran.test("a").verdict.to_string(), "errored (ssh.lost)");
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_gives_up_while_it_boots_fails_all_of_its_life_at_once() {
    let silent = script("life", PANIC, "fault = 'silent'\n");
    let ran = simulate_with(&plan().build(), &silent, options_again()).await;
    let failed = "failed (guest.panic)";
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("a", failed), ("b", failed), ("c", failed)])
    );
    // Known after 30 s, and not tried again.
    assert_eq!(ran.report().duration_ms, 60_000);
    assert_eq!(ran.report().lives.len(), 1);
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);
    // One that was stuck is given its time.
    let stuck = script("life", SOFT_LOCKUP, "fault = 'silent'\n");
    let ran = simulate(&plan().build(), &stuck).await;
    assert_eq!(ran.test("a").verdict.to_string(), "failed (guest.lockup)");
    assert_eq!(ran.report().duration_ms, 150_000);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_return_may_say_why() {
    let mut plan = PlanBuilder::new();
    let steps = vec![
        plan.run_as("before", |_| {}),
        plan.step(dva_plan::step::StepKind::Reboot, None),
    ];
    plan.test_of("reboots", 5, &[], steps);
    let script = script("life", PANIC, "fault = 'no_return'\n");
    let ran = simulate(&plan.build(), &script).await;
    assert_eq!(
        ran.test("reboots").verdict.to_string(),
        "failed (guest.panic)"
    );
    assert_eq!(ran.report().duration_ms, 65_000);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_taken_back_is_nobodys_failure_and_its_tests_move() {
    let script = "[[test]]\ntest = 'a'\nlife = 0\nfault = 'spot'\n";
    let ran = simulate_with(&plan().build(), script, options_again()).await;
    let all = [("a", "passed"), ("b", "passed"), ("c", "passed")];
    assert_eq!(ran.verdicts("xfs"), map(&all));
    assert_eq!(ran.lives(), [["a", "c"].to_vec(), ["a", "c", "b"].to_vec()]);
    assert_eq!(ran.times("a"), (30_000, 35_000));
    let life = ran.report().lives.iter().next().unwrap();
    let problem = life.problem.as_ref().unwrap();
    assert!(
        problem.contains("Its provider has taken it back: "),
        "{problem}"
    );
    assert_eq!(ran.report().exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn what_a_console_says_is_warned_of_once_for_all_machines() {
    let mut plan = plan();
    plan.filesystems(["xfs", "ext4", "btrfs"]);
    let script = format!(
        "{}[[test]]\ntest = 'c'\ncells = {{ filesystem = 'ext4' }}\nconsole = {}\n",
        script("life", FAILED_UNIT, ""),
        toml::Value::String(OOPS.to_owned()),
    );
    let ran = simulate(&plan.build(), &script).await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    let warnings = &ran.report().warnings;
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings[0].starts_with("The consoles of 3 lives, first of filesystem="));
    assert!(
        warnings[0].ends_with(
            "say: [FAILED] Failed to start kdump.service - Crash recovery kernel arming."
        )
    );
    let oops = |line: &&String| line.starts_with("The console of filesystem=ext4 (life ");
    assert_eq!(warnings.iter().filter(oops).count(), 2, "{warnings:?}");
    // Nothing is left of what is ignored.
    let mut plan = self::plan();
    plan.lanes(1);
    let ignored = ["Failed to start", "^BUG", "^Oops"].map(str::to_owned);
    let options = RunOptions {
        console: Arc::new(ConsolePatterns::ignoring(&ignored).unwrap()),
        ..options()
    };
    let ran = simulate_with(&plan.build(), &script.replace("ext4", "xfs"), options).await;
    assert_eq!(ran.report().warnings, Vec::<String>::new());
}

/// A run with a folder.
async fn in_folder(script: &str, state: &std::path::Path) -> Ran {
    let plan = plan().build();
    let mut options = options();
    let schedule = schedule_of(&plan, &dva_runtime::SimScript::default());
    options.folder = Some(RunFolder::create(state, &options.run, b"plan", &schedule).unwrap());
    options.secrets.bind("token", "hunter2-hunter2").unwrap();
    simulate_with(&plan, script, options).await
}

#[tokio::test(start_paused = true)]
async fn a_console_is_kept_where_something_went_wrong_without_secrets() {
    for (script, kept) in [
        (String::new(), false),
        ("[[test]]\ntest = 'a'\nexit = 1\n".to_owned(), true),
        (
            script("test", "BUG: hunter2-hunter2 leaks\n", "test = 'a'\n"),
            true,
        ),
        (script("test", "all is well\n", "test = 'a'\n"), false),
        ("[[life]]\nfault = 'capacity'\n".to_owned(), false),
    ] {
        let state = tempfile::tempdir().unwrap();
        let ran = in_folder(&script, state.path()).await;
        let life = &ran.report().lives[LifeIx(0)];
        assert_eq!(life.console.is_some(), kept, "{script}");
        if let Some(file) = &life.console {
            let place = RunFolder::place(state.path(), &options().run).join(file);
            let text = std::fs::read_to_string(place).unwrap();
            assert!(text.starts_with("simulated boot 0"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert!(file.starts_with("console/") && file.ends_with("/life-0.log"));
        }
        let report = format!("{:?}", ran.report());
        assert!(!report.contains("hunter2"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_console_is_read_once_at_the_end_of_a_life() {
    let script = script("test", OOPS, "test = 'a'\n");
    let ran = simulate(&plan().build(), &script).await;
    let read = ran.places(|event| matches!(event, Event::ConsoleRead { .. }));
    let releasing = ran.places(|event| matches!(event, Event::LifeReleasing { .. }));
    assert_eq!(read, [releasing[0] + 1]);
    let mut state = RunState::new(Arc::clone(&ran.plan), Arc::new(ran.schedule.clone()));
    let again = |state: &mut RunState| {
        let event = ran.records[read[0]].event.clone();
        let at_ms = state.now_ms();
        state
            .apply(&Record { at_ms, event })
            .map_err(|illegal| illegal.kind)
    };
    for record in &ran.records[..releasing[0]] {
        state.apply(record).unwrap();
    }
    assert!(matches!(again(&mut state), Err(IllegalKind::Phase(_))));
    state.apply(&ran.records[releasing[0]]).unwrap();
    assert_eq!(again(&mut state), Ok(()));
    assert_eq!(again(&mut state), Err(IllegalKind::ReadTwice));
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_knows_what_consoles_have_said() {
    let mut plan = plan();
    plan.filesystems(["xfs", "ext4"]);
    let plan = plan.build();
    let ends = [
        ExitCode::TestsFailed,
        ExitCode::Infrastructure,
        ExitCode::Ok,
    ];
    for fault in ["panic", "spot", "reboot"] {
        let script = format!(
            "{}[[test]]\ntest = 'a'\nlife = 0\ncells = {{ filesystem = 'xfs' }}\nfault = '{fault}'\n",
            script("life", FAILED_UNIT, "")
        );
        whenever_it_is_taken_over(&plan, &script, options_again, 8, &ends).await;
    }
}
