//! What is in a redis-server, key by key, as tests check it: under one prefix, in few round trips.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;

/// The keys of one prefix.
#[derive(Debug)]
pub struct RedisKeys {
    connection: MultiplexedConnection,
    pattern: String,
}

impl RedisKeys {
    /// The keys that begin with a text, which has nothing in it that a pattern takes for more.
    pub fn new(connection: MultiplexedConnection, prefix: &str) -> Self {
        Self { connection, pattern: format!("{prefix}*") }
    }

    /// The names of all of them, in order.
    ///
    /// # Panics
    /// When the server does not answer, here and below.
    pub async fn names(&mut self) -> Vec<String> {
        let asked = redis::cmd("KEYS").arg(&self.pattern).query_async(&mut self.connection).await;
        let mut names: Vec<String> = asked.expect("the names of keys");
        names.sort();
        names
    }

    /// The time left of each, in milliseconds. -1: it has no end.
    pub async fn times(&mut self) -> BTreeMap<String, i64> {
        let names = self.names().await;
        let times: Vec<i64> = self.each("PTTL", &[], &names).await;
        // One that has ended meanwhile has -2.
        names.into_iter().zip(times).filter(|(_, left)| *left != -2).collect()
    }

    /// A key that names a session, or has it as a member.
    pub async fn naming(&mut self, session: &str) -> Option<String> {
        let names = self.names().await;
        if let Some(name) = names.iter().find(|name| name.contains(session)) {
            return Some(name.clone());
        }
        let kinds: Vec<String> = self.each("TYPE", &[], &names).await;
        for (name, kind) in names.into_iter().zip(kinds) {
            let (command, arguments): (_, &[&str]) = match kind.as_str() {
                "zset" => ("ZRANGE", &["0", "-1"]),
                "set" => ("SMEMBERS", &[]),
                _ => continue,
            };
            let asked: Vec<Vec<String>> =
                self.each(command, arguments, std::slice::from_ref(&name)).await;
            if asked.iter().flatten().any(|member| member.contains(session)) {
                return Some(name);
            }
        }
        None
    }

    async fn each<T: redis::FromRedisValue>(
        &mut self,
        command: &str,
        arguments: &[&str],
        names: &[String],
    ) -> Vec<T> {
        let mut asked = redis::pipe();
        for name in names {
            asked.cmd(command).arg(name).arg(arguments);
        }
        if names.is_empty() {
            return Vec::new();
        }
        asked.query_async(&mut self.connection).await.expect("an answer for each key")
    }
}
