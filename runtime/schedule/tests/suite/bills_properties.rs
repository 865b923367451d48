//! What holds of every bill, on random quotes and uses.

use dva_plan::money::Money;
use dva_plan::quote::{LineKind, Market, OsClass, Quality, Quote, QuoteLine, Rate, RateUnit};
use dva_schedule::bill::{Bill, Ended, Period, Usage, VolumeUse, bill};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Up to 30 hours, now and then right at a border.
fn time_ms() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..100_000_000_u64,
        select(vec![
            0, 1, 59_999, 60_000, 60_001, 3_599_999, 3_600_000, 3_600_001, 86_400_000
        ]),
    ]
}

fn quote_of(market: impl Strategy<Value = Market>) -> impl Strategy<Value = Quote> {
    let line = |kind: LineKind, os: OsClass, nano_usd: i64, vcpus: u32, quality: Quality| {
        let rate = Rate {
            nano_usd: Money::from_nano_usd(nano_usd),
            quality,
            source: String::new(),
            as_of: "2026-11-23".into(),
        };
        let line = QuoteLine::new(kind, os, rate);
        match kind {
            LineKind::Credits => line.per_vcpu(vcpus).above((vcpus, 40)),
            LineKind::OsSurcharge if vcpus > 1 => line.per_vcpu(vcpus),
            _ => line,
        }
    };
    let kinds = subsequence(LineKind::ALL.to_vec(), 1..=LineKind::ALL.len());
    let rates = vec(0..40_000_000_000_i64, LineKind::ALL.len());
    (
        market,
        select(OsClass::ALL.to_vec()),
        kinds,
        rates,
        1..9_u32,
        select(Quality::ALL.to_vec()),
    )
        .prop_map(move |(market, os, kinds, rates, vcpus, quality)| Quote {
            market,
            os,
            lines: kinds
                .into_iter()
                .zip(rates)
                .map(|(kind, nano_usd)| line(kind, os, nano_usd, vcpus, quality))
                .collect(),
        })
}

fn quote() -> impl Strategy<Value = Quote> {
    quote_of(select(vec![Market::OnDemand, Market::Spot]))
}

/// Periods that we ended, so that they fit every market.
fn usage() -> impl Strategy<Value = Usage> {
    let period =
        (time_ms(), 0..60_000_u64, time_ms()).prop_map(|(running, hibernating, cpu)| Period {
            running_ms: running,
            hibernating_ms: hibernating,
            cpu_vcpu_ms: cpu,
            ended: Ended::ByUs,
        });
    let volume =
        (0..2_000_u64, 0..3_u64, 0..3_u64, time_ms()).prop_map(|(gib, iops, mibps, alive_ms)| {
            VolumeUse {
                gib,
                extra_iops: iops * 1_000,
                extra_mibps: mibps * 100,
                alive_ms,
            }
        });
    (
        vec(period, 0..4),
        vec(volume, 0..4),
        vec(time_ms(), 0..3),
        vec(time_ms(), 0..2),
    )
        .prop_map(|(periods, volumes, addresses_ms, hosts_ms)| Usage {
            periods,
            volumes,
            addresses_ms,
            hosts_ms,
        })
}

fn billed(quote: &Quote, usage: &Usage) -> Bill {
    bill(quote, usage).expect("small numbers have a bill")
}

fn without_credits(mut quote: Quote) -> Quote {
    quote.lines.retain(|line| line.kind != LineKind::Credits);
    quote
}

fn interrupted(mut usage: Usage) -> Usage {
    for period in &mut usage.periods {
        period.ended = Ended::Interrupted;
    }
    usage
}

/// All that a random number may be in a quote and a use that need not make sense.
fn anything() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => any::<u64>(),
        6 => 0..10_000_000_u64,
        1 => select(vec![
            0,
            1,
            u64::MAX,
            u64::MAX - 1,
            u64::MAX / 1_000,
            i64::MAX as u64,
            3_600_000
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bill_is_the_sum_of_its_lines(quote in quote(), usage in usage()) {
        let bill = billed(&quote, &usage);
        let sum: i64 = bill.lines().map(|line| line.nano_usd.nano_usd()).sum();
        prop_assert_eq!(bill.total().nano_usd(), sum);
        let by_quality: i64 = bill.by_quality().values().map(|share| share.nano_usd()).sum();
        prop_assert_eq!(bill.total().nano_usd(), by_quality);
        let kinds: Vec<_> = bill.lines().map(|line| line.kind).collect();
        prop_assert!(kinds.is_sorted_by(|a, b| a < b));
        for line in bill.lines() {
            let rate = quote.line(line.kind).expect("a bill has no line that its quote has not");
            // Rounded up, by less than a billionth.
            let exact = i128::from(rate.nano_usd.nano_usd()) * i128::from(line.quantity.seconds);
            let units = i128::from(rate.unit.seconds());
            let paid = i128::from(line.nano_usd.nano_usd()) * units;
            prop_assert!(exact <= paid && paid < exact + units);
        }
    }

    #[test]
    fn more_of_anything_never_costs_less(
        quote in quote(), usage in usage(), more in time_ms(), which in 0..6_usize, spot: bool,
    ) {
        // With more time at the same work a burstable has fewer surplus credits: that is no fault.
        let quote = without_credits(quote);
        let mut longer = usage.clone();
        match which {
            0 => longer.periods.iter_mut().take(1).for_each(|period| period.running_ms += more),
            1 => longer.periods.iter_mut().take(1).for_each(|period| period.hibernating_ms += more),
            2 => longer.volumes.iter_mut().take(1).for_each(|volume| volume.alive_ms += more),
            3 => longer.volumes.iter_mut().take(1).for_each(|volume| volume.gib += more),
            4 => longer.addresses_ms.iter_mut().take(1).for_each(|ms| *ms += more),
            _ => longer.hosts_ms.iter_mut().take(1).for_each(|ms| *ms += more),
        }
        prop_assert!(billed(&quote, &usage).total() <= billed(&quote, &longer).total());
        if spot && quote.market == Market::Spot {
            let (usage, longer) = (interrupted(usage), interrupted(longer));
            prop_assert!(billed(&quote, &usage).total() <= billed(&quote, &longer).total());
        }
    }

    #[test]
    fn more_work_never_costs_less(quote in quote(), usage in usage(), more in time_ms()) {
        let mut busier = usage.clone();
        busier.periods.iter_mut().for_each(|period| period.cpu_vcpu_ms += more);
        prop_assert!(billed(&quote, &usage).total() <= billed(&quote, &busier).total());
    }

    #[test]
    fn a_longer_busy_time_never_costs_less(quote in quote(), a in time_ms(), b in time_ms()) {
        let busy = |ms: u64| {
            let period = Period { cpu_vcpu_ms: ms * 8, ..Period::of(ms) };
            Usage { periods: vec![period], ..Usage::default() }
        };
        prop_assert!(billed(&quote, &busy(a)).total() <= billed(&quote, &busy(a + b)).total());
    }

    #[test]
    fn a_higher_rate_never_costs_less(quote in quote(), usage in usage(), which in 0..9_usize, more in 0..1_000_000_000_i64) {
        let mut dearer = quote.clone();
        let place = which % dearer.lines.len();
        let rate = &mut dearer.lines[place].nano_usd;
        *rate = Money::from_nano_usd(rate.nano_usd() + more);
        prop_assert!(billed(&quote, &usage).total() <= billed(&dearer, &usage).total());
    }

    #[test]
    fn rates_and_lives_scale(quote in quote(), usage in usage(), times in 1..50_i64) {
        let one = billed(&quote, &usage);
        let mut dearer = quote.clone();
        for line in &mut dearer.lines {
            line.nano_usd = Money::from_nano_usd(line.nano_usd.nano_usd() * times);
        }
        // Each line is rounded once: `times` lives may be dearer by less than `times` billionths a line.
        let (scaled, lines) = (billed(&dearer, &usage), one.lines().count() as i64);
        let lives = Bill::sum((0..times).map(|_| &one)).expect("a sum");
        prop_assert_eq!(lives.total().nano_usd(), one.total().nano_usd() * times);
        let over = lives.total().nano_usd() - scaled.total().nano_usd();
        prop_assert!((0..=lines * (times - 1)).contains(&over), "{over}");
    }

    #[test]
    fn an_interruption_is_never_dearer(
        quote in quote_of(Just(Market::Spot)), usage in usage(),
    ) {
        let (ours, theirs) = (billed(&quote, &usage), billed(&quote, &interrupted(usage.clone())));
        prop_assert!(theirs.total() <= ours.total());
        for kind in LineKind::ALL {
            match kind {
                LineKind::Compute | LineKind::OsSurcharge => prop_assert!(theirs.amount(kind) <= ours.amount(kind)),
                _ => prop_assert_eq!(theirs.amount(kind), ours.amount(kind)),
            }
        }
        if usage.periods.iter().all(|period| period.running_ms < 3_600_000) {
            prop_assert_eq!(theirs.amount(LineKind::Compute), Money::ZERO);
        }
    }

    #[test]
    fn seconds_of_one_period_add_up(quote in quote(), a in time_ms(), b in time_ms()) {
        let cpu = |ms: u64| Period { cpu_vcpu_ms: ms * 3, ..Period::of(ms) };
        let once = Usage { periods: vec![cpu(a + b)], ..Usage::default() };
        let twice = Usage { periods: vec![cpu(a), cpu(b)], ..Usage::default() };
        let (once, twice) = (billed(&quote, &once), billed(&quote, &twice));
        for line in &quote.lines {
            let (joined, apart) = (seconds(&once, line.kind), seconds(&twice, line.kind));
            let count = u64::from(line.vcpus.unwrap_or(1));
            if line.kind == LineKind::Credits {
                // Rounded up once more.
                prop_assert!(joined.abs_diff(apart) <= 1);
                continue;
            }
            // A start more costs a minimum and the rounding of a second and of the granularity at most.
            prop_assert!(joined <= apart);
            prop_assert!(apart - joined <= count * line.minimum_s.max(line.granularity_s));
            let fits = |ms: u64| ms.is_multiple_of(line.granularity_s * 1_000) && ms >= line.minimum_s * 1_000;
            if fits(a) && fits(b) {
                prop_assert_eq!(joined, apart);
                prop_assert_eq!(once.amount(line.kind), twice.amount(line.kind));
            }
        }
    }

    #[test]
    fn whole_seconds_beyond_the_minimum_are_linear(quote in quote(), a in 60..50_000_u64, b in 60..50_000_u64) {
        let usage = |seconds: u64| Usage::of_one_period(seconds * 1_000);
        let both = Usage { periods: vec![Period::of(a * 1_000), Period::of(b * 1_000)], ..Usage::default() };
        let (joined, apart) = (billed(&quote, &usage(a + b)), billed(&quote, &both));
        if !quote.os.is_billed_by_the_hour() {
            for kind in [LineKind::Compute, LineKind::OsSurcharge] {
                prop_assert_eq!(joined.amount(kind), apart.amount(kind));
                prop_assert_eq!(seconds(&joined, kind), seconds(&billed(&quote, &usage(a)), kind) + seconds(&billed(&quote, &usage(b)), kind));
            }
        }
    }

    #[test]
    fn lives_in_any_order_come_to_the_same(quotes in vec(quote(), 1..5), usages in vec(usage(), 5)) {
        let bills: Vec<_> = quotes.iter().zip(&usages).map(|(quote, usage)| billed(quote, usage)).collect();
        let sum = Bill::sum(&bills).expect("a sum");
        prop_assert_eq!(&sum, &Bill::sum(bills.iter().rev()).expect("a sum"));
        let total: i64 = bills.iter().map(|bill| bill.total().nano_usd()).sum();
        prop_assert_eq!(sum.total().nano_usd(), total);
        let shares: i64 = sum.by_quality().values().map(|share| share.nano_usd()).sum();
        prop_assert_eq!(shares, total);
        prop_assert_eq!(sum.clone().merge(&Bill::default()).expect("a sum"), sum);
    }

    #[test]
    fn nothing_at_all_panics(
        market in select(vec![Market::OnDemand, Market::Spot]),
        os in select(OsClass::ALL.to_vec()),
        kinds in subsequence(LineKind::ALL.to_vec(), 0..=9),
        numbers in vec(anything(), 9 * 6),
        of_periods in vec((anything(), anything(), anything(), any::<bool>()), 0..4),
        of_volumes in vec((anything(), anything(), anything(), anything()), 0..4),
        addresses_ms in vec(anything(), 0..3),
        hosts_ms in vec(anything(), 0..3),
    ) {
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().unwrap_or(u64::MAX);
        let lines = kinds.into_iter().map(|kind| {
            // Most lines keep the rules of form, so that most cases get as far as the arithmetic.
            let sensible = next() % 64 != 1;
            let rate = Rate {
                nano_usd: Money::from_nano_usd(if sensible { next() >> 1 } else { next() } as i64),
                quality: Quality::Exact,
                source: String::new(),
                as_of: "2026-11-23".into(),
            };
            let mut line = QuoteLine::new(kind, os, rate);
            if line.unit == RateUnit::VcpuHour || !sensible {
                line = line.per_vcpu((next() as u32).max(u32::from(sensible)));
            }
            if kind == LineKind::Credits {
                line = line.above((next() as u32, (next() as u32).max(u32::from(sensible))));
            }
            if next() % 4 == 0 {
                line.granularity_s = next().max(u64::from(sensible));
                line.minimum_s = next();
            }
            line
        }).collect();
        let quote = Quote { market, os, lines };
        let usage = Usage {
            periods: of_periods.into_iter().map(|(running_ms, hibernating_ms, cpu_vcpu_ms, ours)| Period {
                running_ms, hibernating_ms, cpu_vcpu_ms,
                ended: if ours { Ended::ByUs } else { Ended::Interrupted },
            }).collect(),
            volumes: of_volumes.into_iter().map(|(gib, extra_iops, extra_mibps, alive_ms)| VolumeUse {
                gib, extra_iops, extra_mibps, alive_ms,
            }).collect(),
            addresses_ms,
            hosts_ms,
        };
        if let Ok(made) = bill(&quote, &usage) {
            prop_assert!(quote.faults().is_empty());
            prop_assert!(made.total() >= Money::ZERO);
            let sum = made.lines().map(|line| i128::from(line.nano_usd.nano_usd())).sum::<i128>();
            prop_assert_eq!(i128::from(made.total().nano_usd()), sum);
            let _ = made.clone().merge(&made);
        }
    }
}

fn seconds(bill: &Bill, kind: LineKind) -> u64 {
    bill.lines()
        .filter(|line| line.kind == kind)
        .map(|line| line.quantity.seconds)
        .sum()
}
