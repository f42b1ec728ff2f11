//! What the databases behind the servers spend.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::kept::{Database, Redis};
use crate::servers::Stores;

/// The ticks in which `/proc/PID/stat` counts, to user space, on every architecture that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// The processes of PostgreSQL and Redis, as far as they run on this machine.
#[derive(Debug, Default)]
pub(crate) struct Backing {
    postgres: Option<u32>,
    redis: Option<u32>,
}

/// What they have spent until now, or between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// The first process of PostgreSQL and all its children, those that ended included.
    pub(crate) postgres: Option<Duration>,
    /// All threads of Redis.
    pub(crate) redis: Option<Duration>,
}

impl Backing {
    /// Asks the services for their processes.
    ///
    /// # Errors
    /// If a service does not answer.
    pub(crate) async fn find(stores: &Stores) -> anyhow::Result<Self> {
        let mut backing = Self::default();
        if let Some(url) = &stores.postgres {
            let database = Database::connect(url).await.context("--postgres")?;
            if let Some(backend) = database.backend_pid().await? {
                let parent = stat(backend).map(|stat| stat.parent);
                backing.postgres = parent.filter(|&pid| is(pid, "postgres"));
            }
        }
        if let Some(url) = &stores.redis {
            let pid = Redis::connect(url).await.context("--redis")?.pid().await?;
            let known = ["redis", "valkey"].iter().any(|name| is(pid, name));
            backing.redis = known.then_some(pid);
        }
        Ok(backing)
    }

    /// What they have spent so far.
    pub(crate) fn spent(&self) -> Spent {
        Spent {
            postgres: self.postgres.map(family),
            redis: self.redis.map(threads),
        }
    }
}

impl Spent {
    /// What was spent since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let since = |now: Option<Duration>, before: Option<Duration>| {
            Some(now?.saturating_sub(before.unwrap_or_default()))
        };
        Self {
            postgres: since(self.postgres, before.postgres),
            redis: since(self.redis, before.redis),
        }
    }
}

/// Whether a process of this machine has a name that begins so. In another namespace the number would be somebody else's.
fn is(pid: u32, name: &str) -> bool {
    let comm = fs::read_to_string(folder(pid).join("comm"));
    comm.is_ok_and(|comm| comm.starts_with(name))
}

fn folder(pid: u32) -> PathBuf {
    format!("/proc/{pid}").into()
}

/// A process, its living children, and its children that ended.
fn family(parent: u32) -> Duration {
    let ended = stat(parent).map_or(0, |stat| stat.ended_children_ticks);
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = children.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = children.filter(|&pid| stat(pid).is_some_and(|stat| stat.parent == parent));
    let living: Duration = children.map(threads).sum();
    threads(parent) + living + TICK * ended
}

/// All threads of a process, in nanoseconds; nothing of one that ended.
fn threads(pid: u32) -> Duration {
    let tasks = fs::read_dir(folder(pid).join("task"))
        .into_iter()
        .flatten()
        .flatten();
    let spent = tasks.filter_map(|task| scheduled(&task.path()));
    Duration::from_nanos(spent.sum())
}

/// The first field of a thread's `schedstat`: nanoseconds on a core.
pub(crate) fn scheduled(task: &Path) -> Option<u64> {
    let line = fs::read_to_string(task.join("schedstat")).ok()?;
    line.split(' ').next()?.parse().ok()
}

/// What is read of `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Debug, Eq, PartialEq)]
struct Stat {
    parent: u32,
    ended_children_ticks: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(folder(pid).join("stat")).ok()?)
}

fn parse(line: &str) -> Option<Stat> {
    // The name in parentheses may hold anything.
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    // Fields count from 1, and the first here is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    Some(Stat {
        parent: field(4)?,
        ended_children_ticks: field(16)? + field(17)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_behind_a_name_with_parentheses() {
        let line = "12 (a) b) S 7 12 12 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 1 0 100";
        let expected = Stat {
            parent: 7,
            ended_children_ticks: 150,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("12 (a) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_has_a_parent_and_spends() {
        let own = std::process::id();
        assert!(stat(own).is_some_and(|stat| stat.parent > 0));
        assert!(threads(own) > Duration::ZERO);
        assert!(family(own) >= threads(own) / 2);
    }

    #[test]
    fn what_is_not_there_spends_nothing_that_is_known() {
        let spent = Backing::default().spent();
        assert!(spent.postgres.is_none() && spent.redis.is_none());
        let ten = Spent {
            postgres: Some(Duration::from_secs(10)),
            redis: None,
        };
        let four = Spent {
            postgres: Some(Duration::from_secs(4)),
            redis: None,
        };
        assert_eq!(ten.since(&four).postgres, Some(Duration::from_secs(6)));
    }
}
