//! A process that this program started: what it spends, and its end.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::backing::scheduled;

/// A process under measurement. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    proc: PathBuf,
}

/// CPU time of each thread so far, in nanoseconds.
pub(crate) struct CpuTimes(HashMap<String, u64>);

impl Process {
    /// Starts `command`; its log goes where ours goes.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "{} does not start",
                    command.as_std().get_program().display()
                )
            })?;
        let id = child.id().context("the process ended at once")?;
        Ok(Self {
            child,
            proc: format!("/proc/{id}").into(),
        })
    }

    /// Fails once the process has ended.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => anyhow::bail!("the server ended: {status}"),
            None => Ok(()),
        }
    }

    /// Ends it at once, and waits until it has ended.
    ///
    /// # Errors
    /// If the system does not let us.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// User and system time of every thread: the first field of `/proc/PID/task/TID/schedstat`.
    ///
    /// `/proc/PID/stat` counts in ticks of 10 ms, which is several percent of a round of a cheap request; this one counts
    /// nanoseconds. `/proc/PID/schedstat` would be of the main thread alone.
    ///
    /// # Errors
    /// If the system does not tell (not Linux, or a kernel without `CONFIG_SCHED_INFO`).
    pub(crate) fn cpu(&self) -> anyhow::Result<CpuTimes> {
        let mut times = HashMap::new();
        for task in fs::read_dir(self.proc.join("task")).context("CPU time is read from /proc")? {
            let task = task?;
            // A thread may end between the two looks.
            let Some(spent) = scheduled(&task.path()) else {
                continue;
            };
            times.insert(task.file_name().to_string_lossy().into_owned(), spent);
        }
        anyhow::ensure!(
            !times.is_empty(),
            "this system does not count CPU time in schedstat"
        );
        Ok(CpuTimes(times))
    }

    /// Resident memory in KiB: now, and at its highest since [`Process::forget_peak`].
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(self.proc.join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            number
                .and_then(|number| number.parse().ok())
                .with_context(|| format!("/proc/PID/status has no {name}"))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Lets the peak of memory begin anew (`proc_pid_clear_refs(5)`).
    ///
    /// # Errors
    /// If the system does not let us.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        fs::write(self.proc.join("clear_refs"), "5").context("the peak of memory cannot be reset")
    }
}

impl CpuTimes {
    /// What was spent since `before`, threads that began in between included. What a thread spent that ended in between is lost:
    /// only idle ones end.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let spent = self.0.iter().map(|(thread, now)| {
            now.saturating_sub(before.0.get(thread).copied().unwrap_or_default())
        });
        Duration::from_nanos(spent.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_counts_new_threads_and_forgets_ended_ones() {
        let times = |threads: &[(&str, u64)]| {
            CpuTimes(
                threads
                    .iter()
                    .map(|&(id, ns)| (id.to_owned(), ns))
                    .collect(),
            )
        };
        let before = times(&[("1", 100), ("2", 50)]);
        let after = times(&[("1", 130), ("3", 7)]);
        assert_eq!(after.since(&before), Duration::from_nanos(37));
    }
}
