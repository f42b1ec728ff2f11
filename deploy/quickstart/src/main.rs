//! Both servers in one process on embedded stores.

fn main() {}
