//! The ephemeral store in Redis, a single server or a Cluster, by one implementation over a connection of either.
//!
//! A key is `{prefix:NN}:kind:digest of the id`. The hash tag in braces spreads keys over the slots of a Cluster, and
//! puts beside each the record of its epoch, so that one script can read both in one atomic step.

mod connect;

use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::aio::ConnectionLike;
use ::redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Script, ServerErrorKind, ToRedisArgs,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::try_join_all;
use shared_protocol::time::{CLOCK_SKEW, Clock, Instant};

pub(super) use self::connect::{Target, connect, connect_cluster};
use super::bucket::Level;
use super::metrics::{EphemeralMetrics, Verb};
use super::{Bucket, Drawn, Entry, EphemeralError, Key, PutNew, Result, SLACK, Take, Window};

/// How many hash tags keys are spread over. Not to be changed while entries live: they would not be found.
const TAGS: usize = 32;

const WATCH_EVERY: Duration = Duration::from_secs(1);

/// While Redis does not answer. A failed command is what connects anew, so that this, and not the next request, finds it back.
const SEEK_EVERY: Duration = Duration::from_millis(200);

/// Redis refuses an expiry that overflows; what is to live longer than this is collected after it.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Clones share the connection.
pub(super) struct Redis<C>(Arc<Inner<C>>);

struct Inner<C> {
    connection: C,
    timeout: Duration,
    meter: Arc<EphemeralMetrics>,
    tags: Box<[String]>,
    put_new: Lua,
    take: Lua,
    hit: Lua,
    draw: Lua,
    witness: Lua,
}

impl<C> Clone for Redis<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Redis<C> {
    /// Begins the epoch of an empty store, and watches for the next until the last clone is dropped.
    async fn start(
        connection: C,
        prefix: &str,
        timeout: Duration,
        clock: Arc<dyn Clock>,
        meter: &Arc<EphemeralMetrics>,
    ) -> Result<Self> {
        let redis = Self(Arc::new(Inner {
            connection,
            timeout,
            meter: Arc::clone(meter),
            tags: (0..TAGS).map(|n| format!("{{{prefix}:{n:02}}}")).collect(),
            put_new: Lua::new(
                Verb::PutNew,
                concat!(
                    include_str!("redis/epoch.lua"),
                    include_str!("redis/put_new.lua")
                ),
            ),
            take: Lua::new(Verb::Take, include_str!("redis/take.lua")),
            hit: Lua::new(Verb::Hit, include_str!("redis/hit.lua")),
            draw: Lua::new(Verb::Draw, include_str!("redis/draw.lua")),
            witness: Lua::new(
                Verb::Witness,
                concat!(
                    include_str!("redis/epoch.lua"),
                    include_str!("redis/witness.lua")
                ),
            ),
        }));
        redis.witness(clock.now()).await?;
        tokio::spawn(watch(Arc::downgrade(&redis.0), clock));
        Ok(redis)
    }

    pub(super) async fn put(&self, key: &Key, entry: Entry<'_>, now: Instant) -> Result<()> {
        let mut command = ::redis::cmd("SET");
        command.arg(self.name(key)).arg(pack(entry)?);
        command.arg("PX").arg(until_rubbish(entry.deadline, now));
        self.run(Verb::Put, &command).await
    }

    pub(super) async fn put_new(
        &self,
        key: &Key,
        entry: Entry<'_>,
        now: Instant,
    ) -> Result<PutNew> {
        let keys = [self.name(key), format!("{}:epoch", self.tag(key))];
        let mut args = Vec::new();
        now.as_millis().write_redis_args(&mut args);
        args.push(pack(entry)?);
        until_rubbish(entry.deadline, now).write_redis_args(&mut args);
        let epoch: Option<i64> = self.eval(&self.0.put_new, &keys, &args).await?;
        Ok(match epoch {
            Some(millis) => PutNew::Stored {
                epoch: Instant::from_millis(millis),
            },
            None => PutNew::Exists,
        })
    }

    pub(super) async fn get(&self, key: &Key, now: Instant) -> Result<Option<Vec<u8>>> {
        let mut command = ::redis::cmd("GET");
        command.arg(self.name(key));
        let packed: Option<Vec<u8>> = self.run(Verb::Get, &command).await?;
        Ok(packed.and_then(|packed| unpack(&packed, now)))
    }

    pub(super) async fn take(&self, key: &Key, now: Instant) -> Result<Take> {
        let args = now.as_millis().to_redis_args();
        let taken: Option<(bool, Vec<u8>)> =
            self.eval(&self.0.take, &[self.name(key)], &args).await?;
        Ok(match taken {
            Some((false, value)) => Take::First(value),
            Some((true, mark)) => Take::Before(mark),
            None => Take::Unknown,
        })
    }

    pub(super) async fn hit(&self, key: &Key, window: Window, now: Instant) -> Result<u64> {
        // An entry's name ends in a digest, which no number is; so no counter has the name of an entry.
        let name = format!("{}:{}:{}", self.name(key), window.width, window.number);
        let args = until_rubbish(window.end(), now).to_redis_args();
        self.eval(&self.0.hit, &[name], &args).await
    }

    pub(super) async fn draw(
        &self,
        key: &Key,
        bucket: &Bucket,
        want: u32,
        now: Instant,
    ) -> Result<Drawn> {
        // Neither the name of an entry nor, for want of a number, that of a counter.
        let name = format!("{}:bucket", self.name(key));
        let now = now.as_millis();
        let mut args = Vec::new();
        for number in [
            now,
            want.into(),
            bucket.capacity,
            bucket.per,
            bucket.penalty,
            bucket.longest_penalty,
            i64::try_from(SLACK.as_millis()).unwrap_or(i64::MAX),
        ] {
            number.write_redis_args(&mut args);
        }
        let (granted, drops, at, strikes, blocked_until) =
            self.eval(&self.0.draw, &[name], &args).await?;
        let level = Level {
            drops,
            at,
            strikes,
            blocked_until,
        };
        Ok(level.answer(bucket, granted, now))
    }

    pub(super) async fn ping(&self) -> Result<()> {
        self.run(Verb::Ping, &::redis::cmd("PING")).await
    }

    /// Begins an epoch in every tag whose master came up empty or with another replication id. `put_new` does the same
    /// for its own tag, in the step in which it stores, so there is no window in which it answers an epoch that has
    /// ended. Doing it for all tags ahead of their use only keeps the epoch from beginning at the first use of each,
    /// hours later, which would refuse a good proof for every tag.
    ///
    /// What remains: an operator who deletes single keys, or restores a snapshot into the running server, is not
    /// noticed; and an epoch is by the clock of the node that began it. The latest of them is what comes back.
    async fn witness(&self, now: Instant) -> Result<Instant> {
        let args = now.as_millis().to_redis_args();
        let tags = self.0.tags.iter().map(async |tag| {
            let record = [format!("{tag}:epoch")];
            self.eval::<i64>(&self.0.witness, &record, &args).await
        });
        let epochs = try_join_all(tags).await?;
        Ok(Instant::from_millis(
            epochs.into_iter().max().unwrap_or_default(),
        ))
    }

    fn tag(&self, key: &Key) -> &str {
        let tag = self.0.tags.get(key.bucket(TAGS));
        tag.expect("a bucket is below the number of tags")
    }

    /// The kind is all that stands between the tag and the digest, which has no colon and always the same length. So
    /// no two kinds share a name, whatever their own names are.
    fn name(&self, key: &Key) -> String {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(key.digest);
        format!("{}:{}:{digest}", self.tag(key), key.kind.0)
    }

    async fn eval<T: FromRedisValue>(
        &self,
        lua: &Lua,
        keys: &[String],
        args: &[Vec<u8>],
    ) -> Result<T> {
        let mut connection = self.0.connection.clone();
        let evaluated = answer(self.0.timeout, lua.eval(&mut connection, keys, args));
        self.0.meter.observe(lua.verb, evaluated).await
    }

    async fn run<T: FromRedisValue>(&self, verb: Verb, command: &Cmd) -> Result<T> {
        let mut connection = self.0.connection.clone();
        let answered = answer(self.0.timeout, command.query_async(&mut connection));
        self.0.meter.observe(verb, answered).await
    }
}

/// A script that Redis knows by its hash; it is sent whole to a server that does not know it yet.
struct Lua {
    verb: Verb,
    code: &'static str,
    script: Script,
}

impl Lua {
    fn new(verb: Verb, code: &'static str) -> Self {
        Self {
            verb,
            code,
            script: Script::new(code),
        }
    }

    /// `Script::invoke_async` would load an unknown script into every node of a Cluster, and fail if one of them is
    /// down. `EVAL` goes where the key is, and makes that server know the script.
    async fn eval<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        keys: &[String],
        args: &[Vec<u8>],
    ) -> RedisResult<T> {
        let call = |verb: &str, script: &str| {
            let mut command = ::redis::cmd(verb);
            command.arg(script).arg(keys.len()).arg(keys).arg(args);
            command
        };
        let known = call("EVALSHA", self.script.get_hash());
        match known.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call("EVAL", self.code).query_async(connection).await
            }
            answer => answer,
        }
    }
}

/// Waits no longer than `timeout`: the connection's own time-outs begin anew with every reconnection and redirection.
async fn answer<T>(timeout: Duration, work: impl Future<Output = RedisResult<T>>) -> Result<T> {
    match tokio::time::timeout(timeout, work).await {
        Ok(answer) => answer.map_err(refusal),
        Err(late) => Err(EphemeralError::Unavailable(late.into())),
    }
}

fn refusal(error: RedisError) -> EphemeralError {
    // Redis 6.2 wraps what a script's command failed with into an error of the script.
    let full = error.code() == Some("OOM") || error.detail().is_some_and(|d| d.contains("-OOM "));
    if full {
        EphemeralError::Full
    } else {
        EphemeralError::Unavailable(error.into())
    }
}

fn until_rubbish(end: Instant, now: Instant) -> u64 {
    let left = end.since(now).saturating_add(SLACK).min(LONGEST);
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// One byte that is 1 once it was taken, the deadline in milliseconds (8 bytes), the length of the mark (4 bytes), the
/// mark, the value. All numbers are big-endian; `take.lua` and `put_new.lua` read this too.
fn pack(entry: Entry<'_>) -> Result<Vec<u8>> {
    let marked = u32::try_from(entry.mark.len()).map_err(|_| EphemeralError::Full)?;
    let mut packed = Vec::with_capacity(13 + entry.mark.len() + entry.value.len());
    packed.push(0);
    packed.extend_from_slice(&entry.deadline.as_millis().to_be_bytes());
    packed.extend_from_slice(&marked.to_be_bytes());
    packed.extend_from_slice(entry.mark);
    packed.extend_from_slice(entry.value);
    Ok(packed)
}

/// The value, if it is live and was not taken.
fn unpack(packed: &[u8], now: Instant) -> Option<Vec<u8>> {
    let (&taken, rest) = packed.split_first()?;
    let (deadline, rest) = rest.split_first_chunk()?;
    let (marked, rest) = rest.split_first_chunk()?;
    let value = rest.get(usize::try_from(u32::from_be_bytes(*marked)).ok()?..)?;
    let live = Instant::from_millis(i64::from_be_bytes(*deadline)) > now;
    (taken == 0 && live).then(|| value.to_vec())
}

async fn watch<C>(redis: Weak<Inner<C>>, clock: Arc<dyn Clock>)
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    let (mut answered, mut ahead) = (true, false);
    loop {
        tokio::time::sleep(if answered { WATCH_EVERY } else { SEEK_EVERY }).await;
        let Some(inner) = redis.upgrade() else {
            return;
        };
        let now = clock.now();
        let witnessed = Redis(inner).witness(now).await;
        if let Ok(epoch) = witnessed {
            let was_ahead = std::mem::replace(&mut ahead, epoch > now + CLOCK_SKEW);
            if ahead && !was_ahead {
                tracing::error!(
                    %epoch,
                    "the ephemeral store began in what is the future here, so that assertions and proofs are refused until then: \
                     a node's clock is wrong, or was; set it, and then delete the keys of the store that end in \":epoch\""
                );
            }
        }
        match &witnessed {
            Ok(_) if !answered => tracing::info!("the ephemeral store answers again"),
            Err(error) if answered => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(cause, "{error}");
            }
            Ok(_) | Err(_) => {}
        }
        answered = witnessed.is_ok();
    }
}
