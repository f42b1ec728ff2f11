//! The catalogue against servers of known behaviour.

#[cfg(test)]
mod checks;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod program;
#[cfg(test)]
mod server;
