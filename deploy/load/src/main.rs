//! Benchmark of a running server: CPU for each request beside a bare handler.

fn main() {}
