//! Starts the authorization server, or does one of its other commands.

use std::process::ExitCode;

use auth_server::cli::{Cli, run};
use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match Box::pin(run(Cli::parse(), environment.collect())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("auth-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
