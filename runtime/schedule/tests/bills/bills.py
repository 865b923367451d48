#!/usr/bin/env python3
"""Bills worked out a second time, to hold the Rust ones against.

Prints `bills.tsv`: `python3 bills.py > bills.tsv`. It shares nothing with the Rust code but the rules
in words: prices are dollars, times are fractions of seconds, and each operating system is treated by
its name. Prices are of a usual height but no price list.

Columns: case, market, os, prices, periods, volumes, addresses_ms, hosts_ms, lines, total.
A price is `kind=dollars`, `*n` of them where it is by virtual processor, `@a/b` the baseline of credits.
A period is `running_ms,hibernating_ms,cpu_vcpu_ms,who` and a volume `gib,extra_iops,extra_mibps,alive_ms`.
"""

from fractions import Fraction
from math import ceil, floor

HOUR = 3600
DAY = 24 * HOUR
MONTH = 30 * DAY

KINDS = [
    "compute", "os_surcharge", "host", "disk", "disk_iops",
    "disk_throughput", "ipv4", "credits", "marketplace",
]


def compute_seconds(market, os, running, hibernating, who):
    """Section 'compute time' and the spot table: what of one start is paid for."""
    used = running + hibernating
    if os == "suse":
        if who == "ec2":
            return 0 if running < HOUR else floor(used / HOUR) * HOUR
        return max(1, ceil(used / HOUR)) * HOUR
    if who == "ec2" and running < HOUR:
        return 0
    return max(60, ceil(used))


def dollars_up(exact):
    """To a whole billionth, upwards, as `1.234567890`."""
    billionths = ceil(exact * 10**9)
    return f"{billionths // 10**9}.{billionths % 10**9:09d}", billionths


def lines_of(case):
    prices, market, os = case["prices"], case["market"], case["os"]
    periods, volumes = case["periods"], case["volumes"]
    lines = {}

    def seconds(ms):
        return Fraction(ms, 1000)

    for kind in ("compute", "os_surcharge"):
        if kind in prices and periods:
            paid = sum(
                compute_seconds(market, os, seconds(run), seconds(hibernate), who)
                for run, hibernate, _, who in periods
            )
            price, count, _ = prices[kind]
            lines[kind] = price * (count or 1) * paid / HOUR
    if "host" in prices and case["hosts"]:
        lines["host"] = prices["host"][0] / HOUR * sum(
            max(DAY, ceil(seconds(ms))) for ms in case["hosts"]
        )
    for column, kind in enumerate(("disk", "disk_iops", "disk_throughput")):
        used = [volume for volume in volumes if volume[column] > 0]
        if kind in prices and used:
            lines[kind] = prices[kind][0] * sum(
                volume[column] * max(60, ceil(seconds(volume[3]))) for volume in used
            ) / MONTH
    if "ipv4" in prices and case["addresses"]:
        lines["ipv4"] = prices["ipv4"][0] / HOUR * sum(
            ceil(seconds(ms)) for ms in case["addresses"]
        )
    if "credits" in prices and periods:
        price, count, baseline = prices["credits"]
        surplus = 0
        for run, _, cpu, _ in periods:
            over = seconds(cpu) - baseline * count * seconds(run)
            surplus += ceil(over) if over > 0 else 0
        lines["credits"] = price * surplus / HOUR
    if "marketplace" in prices and periods:
        hours = sum(
            max(1, ceil((seconds(run) + seconds(hibernate)) / HOUR))
            for run, hibernate, _, _ in periods
        )
        lines["marketplace"] = prices["marketplace"][0] * hours
    return lines


def show_price(kind, price):
    dollars, count, baseline = price
    text = f"{kind}={dollars_up(dollars)[0].rstrip('0')}0"
    if count is not None:
        text += f"*{count}"
    if baseline is not None:
        text += f"@{baseline.numerator}/{baseline.denominator}"
    return text


CASES = []


def case(name, market="on_demand", os="linux", prices=None, periods=(), volumes=(), addresses=(), hosts=()):
    parsed = {}
    for kind, price in (prices or {}).items():
        if not isinstance(price, tuple):
            price = (price,)
        dollars, count, baseline = price + (None,) * (3 - len(price))
        parsed[kind] = (Fraction(dollars), count, None if baseline is None else Fraction(baseline))
    CASES.append({
        "name": name, "market": market, "os": os, "prices": parsed,
        "periods": [(period + (0, 0, "us"))[:4] if len(period) == 1 else period for period in periods],
        "volumes": list(volumes), "addresses": list(addresses), "hosts": list(hosts),
    })


OF_OS = {
    "linux": None,
    "ubuntu_pro": ("0.0035", 2),
    "rhel": ("0.0144", 2),
    "rhel_ha": ("0.0288", 2),
    "rhel_sql": ("0.2544", 2),
    "rhel_ha_sql": ("0.2688", 2),
    "suse": ("0.0563",),
    "windows": ("0.046", 2),
    "windows_sql": ("0.286", 2),
}
COMPUTE = {"on_demand": "0.096", "spot": "0.0391"}
TIMES_MS = [0, 1_000, 59_000, 60_000, 61_000, 3_599_000, 3_600_000, 3_601_000]
# What falls between whole seconds.
BETWEEN_MS = [1, 60_001, 3_599_999, 3_600_001, 7_199_999, 7_200_000, 7_200_001]


def prices_of(os, market):
    prices = {"compute": COMPUTE[market]}
    if OF_OS[os] is not None:
        prices["os_surcharge"] = OF_OS[os]
    return prices


for os in OF_OS:
    for market in COMPUTE:
        for who in ("us", "ec2") if market == "spot" else ("us",):
            for ms in TIMES_MS + BETWEEN_MS:
                case(f"{os}/{market}/{who}/{ms}", market, os, prices_of(os, market), [(ms, 0, 0, who)])

for os in ("linux", "rhel", "suse", "windows"):
    on_demand, spot = prices_of(os, "on_demand"), prices_of(os, "spot")
    case(f"{os}/reboot", os=os, prices=on_demand, periods=[(75_000,)])
    case(f"{os}/stop_start/short", os=os, prices=on_demand, periods=[(30_000,), (45_000,)])
    case(f"{os}/stop_start/long", os=os, prices=on_demand, periods=[(600_000,), (1_200_000,), (59_500,)])
    case(f"{os}/hibernate", os=os, prices=on_demand, periods=[(120_000, 45_500, 0, "us"), (600_000,)])
    case(f"{os}/hibernate/hour", os=os, prices=on_demand, periods=[(3_590_000, 20_000, 0, "us")])
    case(f"{os}/spot/stopped_by_ec2", "spot", os, spot, [(900_000, 0, 0, "ec2"), (5_400_000, 0, 0, "ec2"), (61_000,)])
    case(f"{os}/spot/hibernated_by_ec2/first", "spot", os, spot, [(3_599_000, 30_000, 0, "ec2")])
    case(f"{os}/spot/hibernated_by_ec2/later", "spot", os, spot, [(7_190_000, 30_000, 0, "ec2")])

BURSTABLE = {"t3.micro": ("0.0104", "1/10"), "t3.medium": ("0.0416", "1/5"), "t3.large": ("0.0832", "3/10")}
for name, (compute, baseline) in BURSTABLE.items():
    prices = {"compute": compute, "credits": ("0.05", 2, baseline)}
    for minutes in (1, 10, 60):
        run = minutes * 60_000
        case(f"{name}/full/{minutes}min", prices=prices, periods=[(run, 0, 2 * run, "us")])
    case(f"{name}/idle", prices=prices, periods=[(600_000,)])
    case(f"{name}/quarter", prices=prices, periods=[(600_000, 0, 300_000, "us")])
    case(f"{name}/idle_then_full", prices=prices, periods=[(600_000,), (600_000, 0, 1_200_000, "us")])
    case(f"{name}/spot/interrupted", "spot", prices=prices, periods=[(600_000, 0, 1_200_000, "ec2")])
    case(f"{name}/odd", prices=prices, periods=[(600_001, 0, 777_777, "us")])
case("t2.xlarge/full", prices={"compute": "0.1856", "credits": ("0.05", 4, "9/40")}, periods=[(333_333, 0, 1_333_332, "us")])
case("t3.micro/at_baseline", prices={"compute": "0.0104", "credits": ("0.05", 2, "1/10")}, periods=[(600_000, 0, 120_000, "us")])
case("t3.micro/over_baseline", prices={"compute": "0.0104", "credits": ("0.05", 2, "1/10")}, periods=[(600_000, 0, 120_001, "us")])

DISK = {"compute": "0.096", "disk": "0.08", "disk_iops": "0.005", "disk_throughput": "0.04"}
for ms in (0, 59_000, 60_000, 60_001, 1_200_000, 30 * DAY * 1000):
    case(f"disk/{ms}", prices=DISK, periods=[(600_000,)], volumes=[(8, 0, 0, ms)])
case("disk/two", prices=DISK, periods=[(600_000,)], volumes=[(8, 0, 0, 615_000), (100, 0, 0, 30_000)])
case("disk/fast", prices=DISK, periods=[(600_000,)], volumes=[(500, 3_000, 375, 610_000), (8, 0, 0, 610_000)])
case("disk/while_stopped", prices=DISK, periods=[(60_000,), (60_000,)], volumes=[(8, 0, 0, 86_400_000)])
case("disk/interrupted", "spot", prices=DISK, periods=[(600_000, 0, 0, "ec2")], volumes=[(8, 0, 0, 610_000)])

ADDRESS = {"compute": "0.096", "ipv4": "0.005"}
for ms in (0, 1, 1_000, 3_600_000, 3_600_001):
    case(f"ipv4/{ms}", prices=ADDRESS, periods=[(60_000,)], addresses=[ms])
case("ipv4/two", prices=ADDRESS, periods=[(60_000,)], addresses=[90_000, 1_500])
case("ipv4/interrupted", "spot", prices=ADDRESS, periods=[(600_000, 0, 0, "ec2")], addresses=[610_000])

MAC = {"host": "1.083"}
for ms in (0, 600_000, DAY * 1000 - 1, DAY * 1000, DAY * 1000 + 1, 100_000_000):
    case(f"mac/{ms}", prices=MAC, periods=[(ms,)], hosts=[ms])
case("mac/two_hosts", prices=MAC, periods=[(600_000,)], hosts=[3_600_000, 90_000_000])
case("mac/host_of_another_life", prices=MAC, periods=[(600_000,)])
case("mac/with_disk", prices={"host": "1.083", "disk": "0.08"}, periods=[(600_000,)], volumes=[(100, 0, 0, 600_000)], hosts=[600_000])

SOFTWARE = {"compute": "0.096", "marketplace": "0.30"}
for ms in (0, 1_000, 3_600_000, 3_600_001, 7_200_000):
    case(f"marketplace/{ms}", prices=SOFTWARE, periods=[(ms,)])
case("marketplace/stop_start", prices=SOFTWARE, periods=[(60_000,), (60_000,)])
case("marketplace/interrupted", "spot", prices=SOFTWARE, periods=[(600_000, 0, 0, "ec2")])

case("rounding/least", prices={"compute": "0.000000001"}, periods=[(60_000,)])
case("rounding/whole", prices={"compute": "0.000000001"}, periods=[(3_600_000,)])
case("rounding/once", prices={"compute": "0.000000001"}, periods=[(1_800_000,), (1_800_000,)])
case("rounding/lines", prices={"compute": "0.000000007", "os_surcharge": ("0.000000007", 3)}, periods=[(61_000,)])
case("long/year", prices=prices_of("rhel", "on_demand"), os="rhel", periods=[(365 * DAY * 1000,)])
case("free", periods=[(600_000,)], volumes=[(8, 0, 0, 600_000)], addresses=[600_000])
case("nothing", prices=prices_of("suse", "on_demand"), os="suse")
EVERYTHING = {
    "compute": "0.0333", "os_surcharge": ("0.0144", 2), "disk": "0.08", "disk_iops": "0.005",
    "disk_throughput": "0.04", "ipv4": "0.005", "credits": ("0.05", 2, "3/10"), "marketplace": "0.07",
}
case(
    "everything", "spot", "rhel", EVERYTHING,
    [(1_234_567, 0, 2_000_000, "us"), (3_700_000, 12_000, 7_400_000, "ec2"), (10_000, 0, 0, "ec2")],
    [(30, 1_000, 0, 6_000_000), (8, 0, 50, 59_000)], [4_934_567, 10_000],
)


def row(case):
    amounts = {kind: dollars_up(exact) for kind, exact in lines_of(case).items()}
    total = sum(billionths for _, billionths in amounts.values())

    def join(items, show=lambda item: ",".join(map(str, item))):
        return " ".join(map(show, items)) or "-"

    return "\t".join([
        case["name"], case["market"], case["os"],
        " ".join(show_price(kind, case["prices"][kind]) for kind in KINDS if kind in case["prices"]) or "-",
        join(case["periods"]), join(case["volumes"]),
        join(case["addresses"], str), join(case["hosts"], str),
        " ".join(f"{kind}={amounts[kind][0]}" for kind in KINDS if kind in amounts) or "-",
        dollars_up(Fraction(total, 10**9))[0],
    ])


print("case\tmarket\tos\tprices\tperiods\tvolumes\taddresses_ms\thosts_ms\tlines\ttotal")
for one in CASES:
    print(row(one))
