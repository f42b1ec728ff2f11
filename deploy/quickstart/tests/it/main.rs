//! The quickstart as a stranger uses it: the program itself, its output, real HTTP.

// So that Clippy knows that all of it is a test.
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod first_run;
#[cfg(test)]
mod log;
#[cfg(test)]
mod process;
#[cfg(test)]
mod second_run;
#[cfg(test)]
mod transcript;
