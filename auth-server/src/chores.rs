//! What this server does by itself, on one node at a time.

use std::sync::Arc;

use prometheus::Registry;
use shared_server::jobs::{JobMetrics, Scheduler};

use crate::back_channel::{self, BackChannel};
use crate::config::Config;
use crate::keys::Upkeep;
use crate::pruning::{Pruning, PruningMetrics};
use crate::records::Records;
use crate::server::World;

/// Every job of this server.
///
/// # Errors
/// If the name of a metric is taken.
pub fn scheduler(
    config: &Config,
    records: &Records,
    back_channel: &BackChannel,
    world: &World,
    registry: &Registry,
) -> Result<Scheduler, prometheus::Error> {
    let metrics = PruningMetrics::register(registry)?;
    let scheduler = Scheduler::new(
        records.store.clone(),
        Arc::clone(&world.clock),
        &*world.random,
        JobMetrics::register(registry)?,
    );
    let upkeep = Upkeep {
        keys: records.keys.clone(),
        rotate_every: config.keys.rotate_every,
        keep: config.sessions.absolute + config.retention.signing_keys,
        random: Arc::clone(&world.random),
    };
    let (forgotten, clock) = (metrics.clone(), Arc::clone(&world.clock));
    let scheduler = scheduler.job("signing_keys", upkeep.every(), move |_| {
        let (upkeep, metrics, clock) = (upkeep.clone(), forgotten.clone(), Arc::clone(&clock));
        async move {
            metrics.pruned("signing_keys", upkeep.run(&*clock).await?);
            Ok(())
        }
    });
    let telling = back_channel.clone();
    let scheduler = scheduler.job("back_channel_logout", back_channel::EVERY, move |_| {
        let telling = telling.clone();
        async move { Ok(telling.run().await?) }
    });
    if config.retention.every.is_zero() {
        return Ok(scheduler);
    }
    let pruning = Pruning {
        store: records.store.clone(),
        retention: config.retention.periods(
            config.registration.unused_lifetime,
            config.logout.give_up_after + back_channel::COUNTED,
            &config.explain,
        ),
        session_idle: config.sessions.idle,
        metrics,
    };
    Ok(
        scheduler.job("pruning", config.retention.every, move |now| {
            let pruning = pruning.clone();
            async move { Ok(pruning.run(now).await?) }
        }),
    )
}
