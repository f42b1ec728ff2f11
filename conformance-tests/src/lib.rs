//! Executable requirements of the OAuth and OpenID Connect standards, for any authorization server.
//!
//! A [`Standard`] of the [`catalogue`] lists [`Requirement`]s; each has [`Check`]s that speak HTTP to the server under
//! test, a [`Subject`], and end in an [`Outcome`]. [`run`] turns them into a [`Report`], and [`run_plans`] does the same for the
//! certification [`plan`]s and the [`profile`]s that are named sets of them:
//!
//! ```no_run
//! # async fn example(target: conformance_tests::Target) -> Result<(), conformance_tests::Unreachable> {
//! use conformance_tests::{Clock, Limits, Subject, catalogue, run};
//!
//! let subject = Subject::connect(target, Clock::system(), Limits::default()).await?;
//! let report = run(&subject, catalogue::STANDARDS, |_| ()).await;
//! println!("{}", report.text());
//! # Ok(()) }
//! ```
//!
//! The crate is a client and nothing else: it shares no code with any server, so that a mistake in a server's own
//! handling of tokens cannot hide itself here.

pub mod browser;
pub mod catalogue;
pub mod plan;
pub mod profile;

mod answer;
mod certificate;
mod challenge;
mod check;
mod clock;
mod dpop;
mod exchange;
mod jws;
mod listener;
mod metadata;
mod report;
mod request;
mod run;
mod signers;
mod subject;
mod target;

pub use catalogue::{Evidence, Feature, Level, Requirement, Standard};
pub use check::{Check, Outcome, Verdict};
pub use clock::Clock;
pub use exchange::Exchange;
pub use listener::Listen;
pub use plan::Plan;
pub use profile::Profile;
pub use report::{CheckResult, Report, RequirementResult, Score, StandardResult, Summary};
pub use run::{run, run_plans, run_profiles};
pub use subject::{Limits, Subject, Unreachable};
pub use target::{
    App, AssertionKey, Authentication, Credentials, Exchangeable, InvalidDemo, InvalidIssuer,
    InvalidKey, ProfileClient, Target, TrustedIssuer,
};
