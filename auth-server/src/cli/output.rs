//! What a command prints: for people, or JSON for scripts.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;

/// Where and how results are printed.
pub(crate) struct Output {
    /// JSON instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints one value as JSON.
    pub(crate) fn value(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = if self.json {
            serde_json::to_string(value)?
        } else {
            serde_json::to_string_pretty(value)?
        };
        Ok(writeln!(io::stdout(), "{text}")?)
    }

    /// Prints the configuration as TOML, or as JSON.
    pub(crate) fn toml(&self, value: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            return self.value(value);
        }
        Ok(write!(io::stdout(), "{}", toml::to_string_pretty(value)?)?)
    }

    /// Prints lines that each begin with `label`, or `none` when there are none.
    pub(crate) fn list(&self, label: &str, lines: &[String], none: &str) -> anyhow::Result<()> {
        if self.json {
            return self.value(&serde_json::json!({ label: lines }));
        }
        let mut out = io::stdout();
        for line in lines {
            writeln!(out, "{label}: {line}")?;
        }
        if lines.is_empty() {
            writeln!(out, "{none}")?;
        }
        Ok(())
    }

    /// Prints warnings where they disturb no script.
    pub(crate) fn warn(warnings: &[String]) -> anyhow::Result<()> {
        for warning in warnings {
            writeln!(io::stderr(), "warning: {warning}")?;
        }
        Ok(())
    }

    /// Prints what could be better.
    pub(crate) fn advise(recommendations: &[impl Display]) -> anyhow::Result<()> {
        let mut out = io::stdout();
        for one in recommendations {
            writeln!(out, "recommendation: {one}")?;
        }
        Ok(())
    }

    /// Prints `line` for people, `value` for scripts.
    pub(crate) fn done(&self, line: &str, value: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            return self.value(value);
        }
        Ok(writeln!(io::stdout(), "{line}")?)
    }
}
