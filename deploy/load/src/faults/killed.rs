//! What a fault does.

use crate::process::Process;
use crate::servers::Server;

/// A thing with a process that can be killed.
pub(super) trait Killed {
    /// Its process, if it runs.
    fn process(&mut self) -> Option<Process>;

    /// As `kill -9`.
    ///
    /// # Errors
    /// If the system does not let us.
    async fn kill(&mut self) -> anyhow::Result<()> {
        match self.process() {
            Some(process) => process.end().await,
            None => Ok(()),
        }
    }
}

impl Killed for Option<Server> {
    fn process(&mut self) -> Option<Process> {
        self.take().map(|server| server.process)
    }
}
