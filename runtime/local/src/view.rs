//! What a sandbox sees in `/proc/meminfo` and `/proc/cpuinfo`: its limits in place of the host's size.
//!
//! The figures are those at the start of the machine. The kernel has no such file for a cgroup.

/// The host's `meminfo` with `memory_bytes` in total, all of it free, and no swap.
pub(crate) fn meminfo(host: &str, memory_bytes: u64) -> String {
    let limit = memory_bytes / 1024;
    host.lines()
        .map(|line| {
            let name = line.split(':').next().unwrap_or_default();
            let value = match name {
                "MemTotal" | "MemFree" | "MemAvailable" => limit,
                "Buffers" | "Cached" | "SwapCached" | "SwapTotal" | "SwapFree" | "Active"
                | "Inactive" | "Active(anon)" | "Inactive(anon)" | "Active(file)"
                | "Inactive(file)" | "Dirty" | "Writeback" => 0,
                _ => return format!("{line}\n"),
            };
            format!("{:<16}{value:>8} kB\n", format!("{name}:"))
        })
        .collect()
}

/// The host's `cpuinfo` with `vcpus` processors, numbered from 0; repeats the host's where it has fewer.
pub(crate) fn cpuinfo(host: &str, vcpus: u32) -> String {
    let (mut processors, mut rest) = (Vec::new(), Vec::new());
    for block in host.split("\n\n").filter(|block| !block.trim().is_empty()) {
        if block.trim_start().starts_with("processor") {
            processors.push(block);
        } else {
            rest.push(block);
        }
    }
    let mut text = String::new();
    for (number, block) in (0..vcpus).zip(processors.iter().cycle()) {
        for line in block.lines() {
            let renumbered = match line.split_once(':') {
                Some((name, _)) if name.trim_end() == "processor" => format!("{name}: {number}"),
                _ => line.to_owned(),
            };
            text += &renumbered;
            text.push('\n');
        }
        text.push('\n');
    }
    for block in rest {
        text += block.trim_matches('\n');
        text += "\n\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_shows_the_limit() {
        let host = "MemTotal:       24684092 kB\nMemFree:        23000000 kB\nSwapTotal:      5 kB\nVmallocTotal:   34359738367 kB\n";
        assert_eq!(
            meminfo(host, 512 << 20),
            "MemTotal:         524288 kB\nMemFree:          524288 kB\nSwapTotal:             0 kB\nVmallocTotal:   34359738367 kB\n"
        );
    }

    #[test]
    fn cpuinfo_has_as_many_processors_as_asked_for() {
        let host = "processor\t: 0\nmodel name\t: M\n\nprocessor\t: 1\nmodel name\t: N\n\n";
        assert_eq!(cpuinfo(host, 1), "processor\t: 0\nmodel name\t: M\n\n");
        assert_eq!(
            cpuinfo(host, 3),
            format!("{host}processor\t: 2\nmodel name\t: M\n\n")
        );
    }

    #[test]
    fn what_is_no_processor_comes_last() {
        let host = "processor\t: 0\nBogoMIPS\t: 50\n\nHardware\t: board\n";
        assert_eq!(
            cpuinfo(host, 2),
            "processor\t: 0\nBogoMIPS\t: 50\n\nprocessor\t: 1\nBogoMIPS\t: 50\n\nHardware\t: board\n\n"
        );
    }
}
