//! Load on running servers: a benchmark of CPU for each request beside a bare handler, and what holds under load.

mod abuse;
mod backing;
mod bench;
mod client;
mod drive;
mod faults;
mod floor;
mod footprint;
mod kept;
mod outsider;
mod process;
mod report;
mod rotation;
mod servers;
mod soak;
mod stats;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared_server::telemetry::LogSettings;

use crate::abuse::Abuse;
use crate::bench::Benchmark;
use crate::faults::Faults;
use crate::floor::Floor;
use crate::rotation::Rotation;
use crate::soak::Soak;

/// As the server allocates, so does the floor.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What all servers here log: nothing of a request that succeeds.
const LOG_FILTER: &str = "warn";

/// Measures the CPU time of an authorization server for each request, beside a bare handler.
///
/// Starts the server on a database of its own in a temporary folder, and a bare handler behind the same listener and layers; drives
/// both in turns over connections within this machine; prints medians. The figure that counts is CPU time of the server's process,
/// user and system: seconds for 1,000 requests are milliseconds a request. The rest drifts with the machine.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo build --release -p auth-server -p load
  target/release/load
  target/release/load --workload client-credentials --save before.json
  target/release/load --workload client-credentials --compare before.json"
)]
struct Cli {
    #[command(flatten)]
    benchmark: Benchmark,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Floor(Floor),
    Abuse(Abuse),
    Faults(Faults),
    Rotation(Rotation),
    Soak(Soak),
}

/// A number within `range`.
pub(crate) fn count(
    range: std::ops::RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |raw| match raw.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Floor(floor)) => {
            let log = LogSettings {
                filter: LOG_FILTER.into(),
                ..LogSettings::default()
            };
            floor.serve(log).await?;
        }
        Some(Command::Abuse(abuse)) => abuse.run().await?,
        Some(Command::Faults(faults)) => return faults.run().await,
        Some(Command::Rotation(rotation)) => return rotation.run().await,
        Some(Command::Soak(soak)) => return soak.run().await,
        None => cli.benchmark.run().await?,
    }
    Ok(ExitCode::SUCCESS)
}
