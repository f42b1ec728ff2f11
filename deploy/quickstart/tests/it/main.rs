//! The quickstart as a stranger uses it: the program itself, its output, real HTTP.

// So that Clippy knows that all of it is a test.
#[cfg(test)]
mod bound;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod demo_app;
#[cfg(test)]
mod first_run;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod log;
#[cfg(test)]
mod logout_tokens;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod node;
#[cfg(test)]
mod openidconnect;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod process;
#[cfg(test)]
mod prover;
#[cfg(test)]
mod python;
#[cfg(test)]
mod second_run;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod transcript;
