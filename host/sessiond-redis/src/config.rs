//! Where Redis is and how it is talked to.

use std::fmt;
use std::time::Duration;

/// One Redis server and how it is talked to.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Its address: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `unix://PATH`.
    pub url: String,
    /// What the names of all keys begin with, without braces. Daemons with different ones never see
    /// each other's sessions.
    pub key_prefix: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one operation on a session may take, all its commands together.
    pub command_timeout: Duration,
    /// The name of the connections in `CLIENT LIST`, without spaces.
    pub client_name: Option<String>,
    /// Whether to refuse a server that throws keys away when it is full.
    pub require_noeviction: bool,
}

impl RedisConfig {
    /// The server at that address, with defaults for all else.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: String::new(),
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_millis(1_500),
            client_name: None,
            require_noeviction: false,
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// The address may hold a password, so it is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &"***")
            .field("key_prefix", &self.key_prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("client_name", &self.client_name)
            .field("require_noeviction", &self.require_noeviction)
            .finish()
    }
}
