//! What this process takes of its machine, as the kernel tells it. Where there is no `/proc`, nothing is shown.

use std::fs;

use prometheus::{Error, Registry};

use super::readings::{counters, gauges, number};

/// What Linux counts processor time in, on every architecture that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// Shows processor time, memory, files and start time of this process under the names that Prometheus has for them, and which
/// `service` of which version it is.
///
/// # Errors
/// If they are shown already.
pub fn process(
    registry: &Registry,
    service: &'static str,
    version: &'static str,
) -> Result<(), Error> {
    gauges(
        registry,
        "build_info",
        "Which program this is, and of which version; always 1.",
        ["service", "version"],
        move || vec![([service, version], 1.0)],
    )?;
    counters(
        registry,
        "process_cpu_seconds_total",
        "Processor time of the process, its own and the kernel's for it, in seconds.",
        [],
        || told(cpu_seconds()),
    )?;
    for (name, help, read) in [
        (
            "process_resident_memory_bytes",
            "Memory of the process that is resident, in bytes.",
            resident_bytes as fn() -> Option<f64>,
        ),
        ("process_threads", "Threads of the process.", || {
            status("Threads:")
        }),
        (
            "process_open_fds",
            "Files and sockets that the process has open.",
            open_files,
        ),
        (
            "process_max_fds",
            "Files and sockets that the process may have open.",
            most_files,
        ),
        (
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
            started_at,
        ),
    ] {
        gauges(registry, name, help, [], move || told(read()))?;
    }
    Ok(())
}

fn told(value: Option<f64>) -> Vec<([&'static str; 0], f64)> {
    value.map(|value| ([], value)).into_iter().collect()
}

/// A field of `/proc/self/stat`, counted as in proc(5) from 1. The name of the program, the second, may hold anything.
fn stat(field: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let field = after_name.split_whitespace().nth(field.checked_sub(3)?)?;
    field.parse().ok()
}

/// The number on the line of `/proc/self/status` that begins with `name`.
fn status(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<f64> {
    Some(status("VmRSS:")? * 1024.0)
}

fn open_files() -> Option<f64> {
    let files = fs::read_dir("/proc/self/fd").ok()?.count();
    // Reading the folder opens it.
    Some(number(u64::try_from(files).ok()?.saturating_sub(1)))
}

fn most_files() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn started_at() -> Option<f64> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted = machine
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + stat(22)? / TICKS_PER_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_is_shown() {
        assert!(cpu_seconds().unwrap() >= 0.0);
        assert!(resident_bytes().unwrap() > 1_000_000.0);
        assert!(open_files().unwrap() >= 3.0);
        assert!(most_files().unwrap() >= open_files().unwrap());
        assert!(status("Threads:").unwrap() >= 1.0);
        // After 2020.
        assert!(started_at().unwrap() > 1_577_836_800.0);
    }
}
