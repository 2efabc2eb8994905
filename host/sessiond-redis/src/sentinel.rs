//! Sentinels: they know which server is the master.

use std::collections::HashMap;

use redis::Value;
use tokio::time::Instant;

use crate::access::{Access, Address};
use crate::config::Credentials;
use crate::error::Error;

/// What a Sentinel says.
#[derive(Debug)]
pub(crate) struct Word {
    /// How many failovers of the master it has heard of: of two words, that of the later epoch is
    /// the newer. Source: "Configuration epochs" in the documentation of Redis Sentinel.
    pub(crate) epoch: u64,
    /// Where the master is.
    pub(crate) master: Address,
}

/// Asks one Sentinel where the master is.
pub(crate) async fn ask(
    access: &Access,
    sentinel: &Address,
    credentials: &Credentials,
    name: &str,
    until: Instant,
) -> Result<Word, Error> {
    // The details name the old master until a failover has ended, so they do not do alone.
    let mut questions = redis::pipe();
    questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    questions.cmd("SENTINEL").arg("MASTER").arg(name);
    type Answers = (Option<(String, u16)>, HashMap<String, Value>);
    let answers: Result<Answers, Error> =
        access.ask_sentinel(sentinel, credentials, &questions, until).await;
    let unknown = || Error::NoMaster(name.to_owned());
    let (address, details) = answers.map_err(|error| match error {
        Error::Connect { source, .. } if is_unknown(&source) => unknown(),
        error => error,
    })?;
    let (host, port) = address.ok_or_else(unknown)?;
    let epoch = details.get("config-epoch").cloned();
    let epoch = epoch.and_then(|epoch| redis::from_redis_value(epoch).ok()).unwrap_or_default();
    Ok(Word { epoch, master: sentinel.beside(&host, port) })
}

fn is_unknown(error: &redis::RedisError) -> bool {
    error.to_string().contains("No such master")
}
