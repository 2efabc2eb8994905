//! Sentinels: they know which server is the master.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::access::{Access, Address};
use crate::config::Credentials;
use crate::error::Error;

/// How long the others are waited for once there is an answer.
const STRAGGLERS: Duration = Duration::from_millis(50);

/// The Sentinels of a master.
#[derive(Debug)]
pub(crate) struct Sentinels {
    /// Where they are.
    pub(crate) nodes: Vec<Address>,
    /// Who the daemon is to them.
    pub(crate) credentials: Credentials,
    /// What they call the master.
    pub(crate) name: String,
}

/// What a Sentinel says.
#[derive(Debug)]
struct Word {
    /// Which failover of the master it has heard of last: of two words, that of the later epoch is
    /// the newer. Source: "Configuration epochs" in the documentation of Redis Sentinel.
    epoch: u64,
    master: Address,
}

impl Sentinels {
    /// Asks all, and believes the one that knows of the latest failover. The others hear of it
    /// seconds later. Until then they name a master that is gone, or that came back and takes
    /// itself for one still, with what it had or with nothing.
    pub(crate) async fn master(
        self: &Arc<Self>,
        access: &Arc<Access>,
        until: Instant,
    ) -> Result<Address, Error> {
        let mut asked = JoinSet::new();
        for node in self.nodes.clone() {
            let (sentinels, access) = (self.clone(), access.clone());
            asked.spawn(async move { sentinels.ask(&node, &access, until).await });
        }
        let mut newest: Result<Word, Error> = Err(Error::NoNodes);
        // Each ends by itself at `until`, and says why.
        let mut last = until + STRAGGLERS;
        while let Ok(Some(answer)) = timeout_at(last, asked.join_next()).await {
            match (answer, &newest) {
                (Ok(Ok(word)), Ok(known)) if word.epoch <= known.epoch => {}
                (Ok(Ok(word)), _) => {
                    newest = Ok(word);
                    last = last.min(Instant::now() + STRAGGLERS);
                }
                (Ok(Err(error)), Err(_)) => newest = Err(error),
                _ => {}
            }
        }
        Ok(newest?.master)
    }

    async fn ask(&self, node: &Address, access: &Access, until: Instant) -> Result<Word, Error> {
        // The details name the old master until a failover has ended, so they do not do alone.
        let mut questions = redis::pipe();
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        questions.cmd("SENTINEL").arg("MASTER").arg(&self.name);
        type Answers = (Option<(String, u16)>, HashMap<String, Value>);
        let answers: Result<Answers, Error> =
            access.ask_sentinel(node, &self.credentials, &questions, until).await;
        let unknown = || Error::NoMaster(self.name.clone());
        let (address, details) = answers.map_err(|error| match error {
            Error::Connect { source, .. } if is_unknown(&source) => unknown(),
            error => error,
        })?;
        let (host, port) = address.ok_or_else(unknown)?;
        let epoch = details.get("config-epoch").cloned();
        let epoch = epoch.and_then(|epoch| redis::from_redis_value(epoch).ok()).unwrap_or_default();
        Ok(Word { epoch, master: node.beside(&host, port) })
    }
}

fn is_unknown(error: &redis::RedisError) -> bool {
    error.to_string().contains("No such master")
}
