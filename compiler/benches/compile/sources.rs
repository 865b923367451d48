//! Sources to compile: correct, and as plain as people write them.

use std::fmt::Write as _;

const HEAD: &str = "image host { os = linux  arch = x86_64  local = host }\n\
                    disk data { size = 1GiB }\n";

/// `number` tests in chains of five, on one cell.
pub fn many_tests(number: usize) -> String {
    let mut text = HEAD.to_owned();
    text.push_str(
        "matrix one { image = each host  region = each local  instance = each local.small }\n",
    );
    let names = tests(&mut text, number);
    let _ = writeln!(text, "plan bench {{ matrix one  tests {names} }}");
    text
}

/// 75 tests on 3,600 cells: 3 types × 30 × 40 values.
pub fn many_cells() -> String {
    let mut text = HEAD.to_owned();
    let values = |prefix: &str, number: usize| -> Vec<String> {
        (0..number).map(|row| format!("{prefix}{row}")).collect()
    };
    let (networks, kernels) = (values("net", 30), values("kernel", 40));
    for (axis, values) in [("network", &networks), ("kernel", &kernels)] {
        let _ = writeln!(text, "axis {axis} {{ {} {{ }} }}", values.join(" { } "));
    }
    let _ = writeln!(
        text,
        "matrix release {{\n  image = each host\n  region = each local\n  \
         instance = each local.small, local.medium, local.large\n  \
         network = each {}\n  kernel = each {}\n}}",
        networks.join(", "),
        kernels.join(", ")
    );
    let names = tests(&mut text, 75);
    let _ = writeln!(text, "plan bench {{ matrix release  tests {names} }}");
    text
}

/// About 1,000 lines in the usual layout.
pub fn written() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("axis filesystem { xfs { }  ext4 { } }\n\n");
    text.push_str(
        "matrix sizes {\n  image      = each host\n  region     = each local\n  \
         instance   = each local.small, local.medium\n  filesystem = each xfs, ext4\n}\n",
    );
    let mut names = Vec::new();
    for row in 0..110 {
        let _ = writeln!(
            text,
            "\n/// What this test is about, in a sentence of the usual length.\n\
             test memory_{row} {{\n  within 2min\n  takes 3s\n  \
             let total: size in KiB = run `cat /proc/meminfo` find `MemTotal: +(\\d+) kB`\n  \
             check total > 90% of instance.memory and total <= instance.memory\n  \
             run `mkfs -t ${{filesystem}} /tmp/{row}.img` expect any\n}}"
        );
        names.push(format!("memory_{row}"));
    }
    let _ = writeln!(
        text,
        "\nplan bench {{\n  matrix sizes\n  tests {}\n}}",
        names.join(",\n         ")
    );
    text
}

/// Adds tests, each with a command, a captured value and a check; every fifth begins a chain. Returns
/// their names with commas between.
fn tests(text: &mut String, number: usize) -> String {
    let mut names = Vec::new();
    for row in 0..number {
        let after = match row % 5 {
            0 => String::new(),
            _ => format!("after t{} ", row - 1),
        };
        let _ = writeln!(
            text,
            "/// Test number {row}.\ntest t{row} {after}{{\n  reads data\n  \
             run `look --number {row} ${{data.device}}` within 60s\n  \
             let n: int = run `count {row}` expect exit in [0, 2]\n  \
             check n > {row} and n * 2 < 1000000\n}}"
        );
        names.push(format!("t{row}"));
    }
    names.join(", ")
}
