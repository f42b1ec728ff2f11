//! The fuzzer: runs one target, the one that `FUZZ_TARGET` names, on what libFuzzer thinks of.

#![no_main]

use std::sync::OnceLock;

use fuzz::{TARGETS, Target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.check)(bytes);
    }
});

#[expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "libFuzzer reads the arguments, and nobody asks again"
)]
fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => {
            let _ = CHOSEN.set(*target);
        }
        None => panic!("FUZZ_TARGET names no target: {name:?}"),
    }
}
