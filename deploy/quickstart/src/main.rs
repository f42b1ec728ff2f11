//! Both servers in one process on embedded stores, and an app that shows them to a browser: for a first look, for development, for
//! tests.

mod app;
mod certificates;
mod demo;
mod flags;
mod folder;
mod guide;
mod ready;
mod seed;
mod servers;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

use crate::flags::Flags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match Box::pin(servers::run(Flags::parse(), environment.collect())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error:#}");
            ExitCode::FAILURE
        }
    }
}
