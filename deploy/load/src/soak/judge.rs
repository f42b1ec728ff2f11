//! What was kept at one time, and whether the end is as the beginning was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::kept::Bytes;

/// Memory that may stay: a quarter more, or this if that is more. An allocator gives back late.
const MEMORY_KIB: u64 = 16 * 1024;
/// Bytes of a database that may stay in use: pages that are not quite empty, and statistics.
const DATABASE: u64 = 1 << 20;

/// What is kept at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Since the first flow.
    pub(crate) at: Duration,
    /// Flows until then.
    pub(crate) flows: usize,
    /// Rows of each table.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Entries of the ephemeral store, if it tells.
    pub(crate) entries: Option<u64>,
    /// Resident memory of the server.
    pub(crate) memory_kib: u64,
    /// Of the database.
    pub(crate) bytes: Bytes,
}

/// The tables that grow most, which have columns of their own.
const TABLES: [&str; 3] = ["grants", "revocations", "sessions"];

impl Sample {
    /// What stands over the lines.
    pub(crate) fn heading() -> String {
        let [a, b, c] = TABLES;
        format!(
            "{:>7}{:>10}{:>10}{a:>10}{b:>13}{c:>10}{:>10}{:>9}{:>12}{:>12}",
            "s", "flows", "rows", "entries", "RSS MiB", "disk MiB", "in use MiB"
        )
    }

    /// One line of the table.
    pub(crate) fn line(&self) -> String {
        let [a, b, c] = TABLES.map(|table| self.rows.get(table).copied().unwrap_or_default());
        format!(
            "{:>7}{:>10}{:>10}{a:>10}{b:>13}{c:>10}{:>10}{:>9}{:>12}{:>12}",
            self.at.as_secs(),
            self.flows,
            self.rows.values().sum::<u64>(),
            shown(self.entries),
            self.memory_kib / 1024,
            mib(self.bytes.on_disk),
            mib(self.bytes.in_use)
        )
    }
}

/// How one figure went.
struct Course {
    what: String,
    base: u64,
    peak: u64,
    last: u64,
    /// The most that it may be in the end; `None` for a figure that is only told.
    bound: Option<u64>,
}

impl Course {
    fn verdict(&self) -> &'static str {
        match self.bound {
            Some(bound) if self.last > bound => "DID NOT SHRINK",
            Some(_) if self.peak > self.base => "back",
            Some(_) => "never grew",
            None => "",
        }
    }
}

/// Every figure at the base line, at its highest and in the end; and whether all are back at the base line.
pub(crate) fn verdict(base: &Sample, samples: &[Sample], last: &Sample) -> (String, bool) {
    let courses = courses(base, samples, last);
    let mut table = format!(
        "\n{:<32}{:>14}{:>14}{:>14}{:>14}\n",
        "", "base line", "highest", "in the end", "at most"
    );
    let mut late = Vec::new();
    for course in &courses {
        let _ = writeln!(
            table,
            "{:<32}{:>14}{:>14}{:>14}{:>14}  {}",
            course.what,
            course.base,
            course.peak,
            course.last,
            shown(course.bound),
            course.verdict()
        );
        if course.bound.is_some_and(|bound| course.last > bound) {
            late.push(course.what.as_str());
        }
    }
    if last.entries.is_none() {
        table += "entries of the ephemeral store: the server does not tell\n";
    }
    let _ = if late.is_empty() {
        writeln!(table, "back at the base line after {} s", last.at.as_secs())
    } else {
        writeln!(
            table,
            "did not shrink in {} s: {}",
            last.at.as_secs(),
            late.join(", ")
        )
    };
    (table, late.is_empty())
}

fn courses(base: &Sample, samples: &[Sample], last: &Sample) -> Vec<Course> {
    let course = |what: &str, of: &dyn Fn(&Sample) -> u64, bound: Option<u64>| {
        let all = samples.iter().chain([base, last]);
        Course {
            what: what.to_owned(),
            base: of(base),
            peak: all.map(of).max().unwrap_or_default(),
            last: of(last),
            bound,
        }
    };
    let mut courses: Vec<_> = last
        .rows
        .keys()
        .map(|table| {
            let rows = |sample: &Sample| sample.rows.get(table).copied().unwrap_or_default();
            course(&format!("rows of {table}"), &rows, Some(rows(base)))
        })
        .collect();
    if let Some(entries) = base.entries {
        let of = |sample: &Sample| sample.entries.unwrap_or_default();
        courses.push(course("entries of the ephemeral store", &of, Some(entries)));
    }
    let memory = base.memory_kib + MEMORY_KIB.max(base.memory_kib / 4);
    courses.push(course(
        "memory KiB",
        &|sample| sample.memory_kib,
        Some(memory),
    ));
    let in_use = base.bytes.in_use + DATABASE;
    courses.push(course(
        "database bytes in use",
        &|sample| sample.bytes.in_use,
        Some(in_use),
    ));
    courses.push(course(
        "database bytes on disk",
        &|sample| sample.bytes.on_disk,
        None,
    ));
    courses
}

fn shown(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(grants: u64, entries: Option<u64>, memory_mib: u64) -> Sample {
        Sample {
            rows: [("grants".to_owned(), grants)].into(),
            entries,
            memory_kib: memory_mib * 1024,
            ..Sample::default()
        }
    }

    #[test]
    fn what_returns_passes_and_what_does_not_is_named() {
        let base = sample(10, Some(5), 40);
        let high = [sample(1000, Some(500), 90)];
        for (what, last, late) in [
            ("all back", sample(10, Some(5), 50), None),
            ("below", sample(0, Some(0), 30), None),
            ("rows", sample(11, Some(5), 40), Some("rows of grants")),
            (
                "entries",
                sample(10, Some(6), 40),
                Some("entries of the ephemeral store"),
            ),
            ("memory", sample(10, Some(5), 57), Some("memory KiB")),
        ] {
            let (table, passed) = verdict(&base, &high, &last);
            assert_eq!(passed, late.is_none(), "{what}: {table}");
            let line = late.map(|late| format!("did not shrink in 0 s: {late}\n"));
            assert!(
                line.is_none_or(|line| table.ends_with(&line)),
                "{what}: {table}"
            );
        }
    }

    #[test]
    fn a_store_that_does_not_tell_is_said_and_not_judged() {
        let (table, passed) = verdict(&sample(1, None, 1), &[], &sample(1, None, 1));
        assert!(passed && table.contains("does not tell"), "{table}");
        assert!(table.contains("never grew"), "{table}");
    }

    #[test]
    fn a_table_that_was_not_there_before_counts_from_nothing() {
        let base = Sample::default();
        let (table, passed) = verdict(&base, &[], &sample(1, None, 0));
        assert!(!passed && table.contains("rows of grants"), "{table}");
    }

    #[test]
    fn lines_stand_under_their_heading() {
        let line = sample(7, Some(3), 12).line();
        assert_eq!(line.chars().count(), Sample::heading().chars().count());
        assert!(line.contains("12") && mib(1_572_864) == "1.5");
    }
}
