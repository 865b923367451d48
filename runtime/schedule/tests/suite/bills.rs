//! Bills against a table that a Python script worked out without this crate: `tests/bills/`.

use std::process::Command;

use dva_plan::money::Money;
use dva_plan::quote::{LineKind, Market, OsClass, Quality, Quote, QuoteLine, Rate};
use dva_schedule::bill::{
    Bill, BillError, BillingRule, Ended, InstanceState, Period, StateChange, Usage, VolumeUse, bill,
};

const TABLE: &str = include_str!("../bills/bills.tsv");

/// A row of the table.
struct Case<'a> {
    name: &'a str,
    quote: Quote,
    usage: Usage,
    lines: Vec<(LineKind, Money)>,
    total: Money,
}

fn cases() -> impl Iterator<Item = Case<'static>> {
    TABLE.lines().skip(1).map(|row| {
        let columns: Vec<_> = row.split('\t').collect();
        let [
            name,
            market,
            os,
            prices,
            periods,
            volumes,
            addresses,
            hosts,
            lines,
            total,
        ] = columns[..]
        else {
            panic!("ten columns: {row}");
        };
        let os = OsClass::ALL.into_iter().find(|class| class.name() == os);
        let os = os.expect("a class of operating systems");
        Case {
            name,
            quote: Quote {
                market: match market {
                    "on_demand" => Market::OnDemand,
                    "spot" => Market::Spot,
                    other => panic!("the market {other}"),
                },
                os,
                lines: items(prices).map(|text| price(os, text)).collect(),
            },
            usage: Usage {
                periods: items(periods).map(period).collect(),
                volumes: items(volumes).map(volume).collect(),
                addresses_ms: items(addresses).map(number).collect(),
                hosts_ms: items(hosts).map(number).collect(),
            },
            lines: items(lines)
                .map(|text| {
                    let (kind, dollars) = text.split_once('=').expect("kind=dollars");
                    (kind_of(kind), money(dollars))
                })
                .collect(),
            total: money(total),
        }
    })
}

fn case(name: &str) -> Case<'static> {
    cases()
        .find(|case| case.name == name)
        .expect("the table has this case")
}

fn items(column: &str) -> impl Iterator<Item = &str> {
    column.split(' ').filter(|text| *text != "-")
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn money(dollars: &str) -> Money {
    Money::parse(&format!("${dollars}")).expect("an amount")
}

fn kind_of(text: &str) -> LineKind {
    match text {
        "compute" => LineKind::Compute,
        "os_surcharge" => LineKind::OsSurcharge,
        "host" => LineKind::Host,
        "disk" => LineKind::Disk,
        "disk_iops" => LineKind::DiskIops,
        "disk_throughput" => LineKind::DiskThroughput,
        "ipv4" => LineKind::Ipv4,
        "credits" => LineKind::Credits,
        "marketplace" => LineKind::Marketplace,
        other => panic!("the kind {other}"),
    }
}

/// `kind=dollars`, `*n` by virtual processors, `@a/b` above a baseline.
fn price(os: OsClass, text: &str) -> QuoteLine {
    let (kind, price) = text.split_once('=').expect("kind=dollars");
    let (price, baseline) = match price.split_once('@') {
        Some((price, baseline)) => (price, Some(baseline)),
        None => (price, None),
    };
    let (dollars, vcpus) = match price.split_once('*') {
        Some((dollars, vcpus)) => (dollars, Some(vcpus)),
        None => (price, None),
    };
    let mut line = QuoteLine::new(
        kind_of(kind),
        os,
        Rate {
            nano_usd: money(dollars),
            quality: Quality::Exact,
            source: "table".into(),
            as_of: "2026-11-23".into(),
        },
    );
    let small = |text: &str| text.parse::<u32>().expect("a number");
    if let Some(vcpus) = vcpus {
        line = line.per_vcpu(small(vcpus));
    }
    if let Some((share, whole)) = baseline.and_then(|text| text.split_once('/')) {
        line = line.above((small(share), small(whole)));
    }
    line
}

fn period(text: &str) -> Period {
    let [running, hibernating, cpu, who] = text.split(',').collect::<Vec<_>>()[..] else {
        panic!("a period: {text}");
    };
    Period {
        running_ms: number(running),
        hibernating_ms: number(hibernating),
        cpu_vcpu_ms: number(cpu),
        ended: match who {
            "us" => Ended::ByUs,
            "ec2" => Ended::Interrupted,
            other => panic!("ended by {other}"),
        },
    }
}

fn volume(text: &str) -> VolumeUse {
    let [gib, extra_iops, extra_mibps, alive_ms] = text.split(',').collect::<Vec<_>>()[..] else {
        panic!("a volume: {text}");
    };
    VolumeUse {
        gib: number(gib),
        extra_iops: number(extra_iops),
        extra_mibps: number(extra_mibps),
        alive_ms: number(alive_ms),
    }
}

fn billed(case: &Case<'_>) -> Bill {
    bill(&case.quote, &case.usage).expect("a case of the table has a bill")
}

#[test]
fn bills_are_those_of_the_table() {
    let mut count = 0;
    for case in cases() {
        let bill = billed(&case);
        let lines: Vec<_> = bill
            .lines()
            .map(|line| (line.kind, line.nano_usd))
            .collect();
        assert_eq!(lines, case.lines, "{}", case.name);
        assert_eq!(bill.total(), case.total, "{}", case.name);
        count += 1;
    }
    assert!(count > 500, "the table was cut to {count} rows");
}

#[test]
fn the_table_is_what_the_script_prints() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bills");
    let run = Command::new("python3")
        .arg("bills.py")
        .current_dir(folder)
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => {
            let full = std::env::var_os("DVA_FULL").is_some_and(|value| value == "1");
            assert!(!full, "DVA_FULL=1 needs python3: {error}");
            println!("SKIP the_table_is_what_the_script_prints: no python3 ({error})");
            return;
        }
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    assert!(
        output.stdout == TABLE.as_bytes(),
        "bills.tsv is stale: python3 bills.py > bills.tsv"
    );
}

/// The figures that the billing notes work out by hand: ten minutes at 100 %, for which "cheapest by
/// the hour" is the dearest of the three.
#[test]
fn a_busy_burstable_pays_more_for_credits_than_for_itself() {
    // (type, compute, credits in tenths of compute, credits in hundredths)
    for (name, credits, hundredths) in [
        ("t3.micro", "0.015", 865),
        ("t3.medium", "0.013333334", 192),
        ("t3.large", "0.011666667", 84),
    ] {
        let bill = billed(&case(&format!("{name}/full/10min")));
        assert_eq!(bill.amount(LineKind::Credits), money(credits), "{name}");
        let (credits, compute) = (
            bill.amount(LineKind::Credits).nano_usd(),
            bill.amount(LineKind::Compute).nano_usd(),
        );
        assert_eq!((credits * 100 + compute / 2) / compute, hundredths);
    }
    let micro = billed(&case("t3.micro/full/10min"));
    assert_eq!(micro.amount(LineKind::Compute), money("0.001733334"));
}

#[test]
fn each_line_names_its_rule() {
    let rules = |name: &str| -> Vec<_> {
        let bill = billed(&case(name));
        bill.lines().map(|line| line.rule).collect()
    };
    use BillingRule::*;
    assert_eq!(rules("rhel/on_demand/us/0"), [Seconds, Seconds]);
    assert_eq!(rules("suse/on_demand/us/0"), [Hours, Hours]);
    assert_eq!(rules("windows/spot/ec2/0"), [SpotSeconds, SpotSeconds]);
    assert_eq!(rules("suse/spot/us/0"), [SpotHours, SpotHours]);
    assert_eq!(rules("mac/with_disk"), [Host, Volumes]);
    assert_eq!(
        rules("everything"),
        [
            SpotSeconds,
            SpotSeconds,
            Volumes,
            Volumes,
            Volumes,
            Addresses,
            SurplusCredits,
            Software
        ]
    );
    for (place, rule) in BillingRule::ALL.into_iter().enumerate() {
        assert!(!rule.text().is_empty() && !rule.source().is_empty());
        let others = &BillingRule::ALL[place + 1..];
        assert!(others.iter().all(|other| other.text() != rule.text()));
    }
}

#[test]
fn quantities_have_their_unit() {
    let bill = billed(&case("everything"));
    let quantities: Vec<_> = bill.lines().map(|line| line.quantity.to_string()).collect();
    assert_eq!(
        quantities,
        [
            "4947 seconds",
            "9894 vCPU-seconds",
            "180480 GiB-seconds",
            "6000000 IOPS-seconds",
            "3000 MiB/s-seconds",
            "4945 seconds",
            "6440 vCPU-seconds",
            "14400 seconds",
        ]
    );
}

#[test]
fn what_has_no_price_is_named_and_never_free() {
    let compute_only = case("linux/on_demand/us/60000").quote;
    let everything = case("everything").usage;
    let ran = Usage {
        periods: vec![Period::of(60_000)],
        ..everything.clone()
    };
    let bill_of_it = bill(&compute_only, &ran).expect("a bill");
    let missing: Vec<_> = bill_of_it.unpriced().iter().copied().collect();
    assert_eq!(
        missing,
        [
            LineKind::Disk,
            LineKind::DiskIops,
            LineKind::DiskThroughput,
            LineKind::Ipv4
        ]
    );
    assert!(
        bill(&Quote::free(), &ran)
            .expect("a bill")
            .unpriced()
            .is_empty()
    );
    let disk_alone = Quote {
        lines: compute_only.lines[..0]
            .iter()
            .cloned()
            .chain([price(OsClass::Linux, "disk=0.08")])
            .collect(),
        ..compute_only.clone()
    };
    let without_compute = bill(&disk_alone, &Usage::of_one_period(1)).expect("a bill");
    assert!(without_compute.unpriced().contains(&LineKind::Compute));
    // On a Mac the host is what is paid, by whichever life it is accounted to.
    let mac = billed(&case("mac/host_of_another_life"));
    assert!(mac.unpriced().is_empty());
    // What is missing in a part is missing in the sum.
    let sum = Bill::sum([&mac, &bill_of_it]).expect("a sum");
    assert_eq!(sum.unpriced(), bill_of_it.unpriced());
}

#[test]
fn what_makes_no_sense_has_no_bill() {
    let case = case("rhel/on_demand/us/60000");
    let interrupted = Usage {
        periods: vec![Period {
            ended: Ended::Interrupted,
            ..Period::of(60_000)
        }],
        ..Usage::default()
    };
    assert_eq!(
        bill(&case.quote, &interrupted),
        Err(BillError::Interruption)
    );

    let mut broken = case.quote.clone();
    broken.lines[1].granularity_s = 0;
    let fault = "its granularity is not above zero";
    let refusal = bill(&broken, &case.usage);
    assert_eq!(refusal, Err(BillError::Quote { line: 1, fault }));

    let mut dear = case.quote.clone();
    dear.lines[0].nano_usd = Money::from_nano_usd(i64::MAX);
    let two_hours = Usage::of_one_period(7_200_000);
    assert_eq!(bill(&dear, &two_hours), Err(BillError::Overflow));
    // One hour of it fits the line, but not the total.
    let one_hour = Usage::of_one_period(3_600_000);
    assert_eq!(bill(&dear, &one_hour), Err(BillError::Overflow));
    dear.lines.pop();
    assert_eq!(bill(&dear, &two_hours), Err(BillError::Overflow));
    let fits = bill(&dear, &one_hour).expect("a bill");
    assert_eq!(fits.total(), Money::from_nano_usd(i64::MAX));
    let merged = fits.clone().merge(&billed(&case));
    assert_eq!(merged, Err(BillError::Overflow));
}

#[test]
fn seconds_that_cannot_be_counted_are_no_bill_even_at_no_price() {
    let mut quote = case("rhel/on_demand/us/60000").quote;
    quote.lines.push(price(OsClass::Rhel, "disk=0.00"));
    for line in &mut quote.lines {
        line.nano_usd = Money::ZERO;
    }
    let only = |number: usize| Quote {
        lines: vec![quote.lines[number].clone()],
        ..quote.clone()
    };
    let once = Usage::of_one_period(1);
    let twice = Usage {
        periods: vec![Period::of(1), Period::of(1)],
        ..Usage::default()
    };
    // Two starts of 2⁶³ seconds each, and one of them on two virtual processors.
    let (mut compute, mut surcharge) = (only(0), only(1));
    compute.lines[0].granularity_s = 1 << 63;
    surcharge.lines[0].granularity_s = 1 << 63;
    assert!(bill(&compute, &once).is_ok());
    assert_eq!(bill(&compute, &twice), Err(BillError::Overflow));
    assert_eq!(bill(&surcharge, &once), Err(BillError::Overflow));
    // A minimum beyond the last multiple of the granularity.
    compute.lines[0].minimum_s = u64::MAX;
    assert_eq!(bill(&compute, &once), Err(BillError::Overflow));
    let large = |sizes: &[u64]| Usage {
        volumes: sizes
            .iter()
            .map(|gib| VolumeUse {
                gib: *gib,
                extra_iops: 0,
                extra_mibps: 0,
                alive_ms: 0,
            })
            .collect(),
        ..Usage::default()
    };
    let most = u64::MAX / 60;
    assert!(bill(&only(2), &large(&[most])).is_ok());
    assert_eq!(
        bill(&only(2), &large(&[most + 1])),
        Err(BillError::Overflow)
    );
    assert_eq!(bill(&only(2), &large(&[most, 1])), Err(BillError::Overflow));
    let mut hibernating = Usage::of_one_period(u64::MAX);
    hibernating.periods[0].hibernating_ms = 1;
    assert_eq!(bill(&only(0), &hibernating), Err(BillError::Overflow));
    assert!(bill(&only(0), &Usage::of_one_period(u64::MAX)).is_ok());
}

#[test]
fn lives_add_up_by_quality() {
    let life = |quality, compute_only: &str| {
        let mut case = case(compute_only);
        for line in &mut case.quote.lines {
            line.quality = quality;
        }
        billed(&case)
    };
    let lives = [
        life(Quality::Exact, "linux/on_demand/us/3600000"),
        life(Quality::Exact, "linux/on_demand/us/60000"),
        life(Quality::Derived, "linux/on_demand/us/3600000"),
        life(Quality::Estimated, "suse/on_demand/us/0"),
    ];
    let sum = Bill::sum(&lives).expect("a sum");
    let shares = sum.by_quality();
    assert_eq!(shares[&Quality::Exact], money("0.0976"));
    assert_eq!(shares[&Quality::Derived], money("0.096"));
    assert_eq!(shares[&Quality::Estimated], money("0.1523"));
    assert_eq!(sum.total(), money("0.3459"));
    assert_eq!(sum.lines().count(), 4);
    let first = sum.lines().next().expect("a line");
    assert_eq!(first.quantity.to_string(), "3660 seconds");
    let shares = Bill::default().by_quality();
    assert_eq!(shares.len(), 3);
}

/// The periods of an instance whose states began at these seconds, as seen at 1,000,000 s.
fn periods(states: &[(u64, InstanceState)], by: Ended) -> Vec<Period> {
    let changes: Vec<_> = states
        .iter()
        .map(|&(at_s, state)| StateChange {
            at_ms: at_s * 1_000,
            state,
            by,
        })
        .collect();
    Period::of_states(&changes, 1_000_000_000)
}

#[test]
fn states_decide_what_is_billed() {
    use Ended::{ByUs, Interrupted};
    use InstanceState::*;
    let ran = |seconds: u64| Period::of(seconds * 1_000);

    // `pending` and what follows `running` are free.
    let simple = [
        (0, Pending),
        (200, Running),
        (500, ShuttingDown),
        (560, Terminated),
    ];
    assert_eq!(periods(&simple, ByUs), [ran(300)]);
    // So is a launch that never ran.
    assert_eq!(periods(&[(0, Pending), (9, Terminated)], ByUs), []);
    assert_eq!(periods(&[], ByUs), []);
    // A reboot is seen as running again and begins nothing.
    let reboot = [(10, Running), (20, Running), (40, ShuttingDown)];
    assert_eq!(periods(&reboot, ByUs), [ran(30)]);
    // A stop and a start begin a period; the time between them is free.
    let restart = [
        (0, Pending),
        (5, Running),
        (25, Stopping),
        (60, Stopped),
        (5_000, Pending),
        (5_010, Running),
        (5_020, ShuttingDown),
    ];
    assert_eq!(periods(&restart, ByUs), [ran(20), ran(10)]);
    // Hibernating is billed until it is done.
    let hibernate = [
        (0, Running),
        (100, Hibernating),
        (130, Stopped),
        (900, Terminated),
    ];
    let hibernated = Period {
        hibernating_ms: 30_000,
        ..ran(100)
    };
    assert_eq!(periods(&hibernate, ByUs), [hibernated]);
    // What still runs is billed until now; what was not seen to end has ended.
    assert_eq!(periods(&[(400_000, Running)], ByUs), [ran(600_000)]);
    assert_eq!(periods(&[(0, Running), (70, Terminated)], ByUs), [ran(70)]);
    // Who ends it is kept; a clock that goes back counts nothing.
    let interrupted = Period {
        ended: Interrupted,
        ..ran(300)
    };
    assert_eq!(periods(&simple, Interrupted), [interrupted]);
    assert_eq!(periods(&[(50, Running), (20, Stopping)], ByUs), [ran(0)]);
}
