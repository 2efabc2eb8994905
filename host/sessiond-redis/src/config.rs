//! Where Redis is and how it is talked to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One Redis and how it is talked to.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Which servers it has.
    pub topology: Topology,
    /// Whom the servers know this client as. Beside those of a URL there are none.
    pub credentials: Credentials,
    /// The number of the database. None: that of the URL, or 0.
    pub database: Option<u32>,
    /// What TLS goes by, beside what the machine trusts.
    pub tls: TlsFiles,
    /// What the names of all keys begin with, without braces. Daemons with different ones never see
    /// each other's sessions.
    pub key_prefix: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one operation on a session may take, all its commands together.
    pub command_timeout: Duration,
    /// The name of the connections in `CLIENT LIST`, without spaces.
    pub client_name: Option<String>,
    /// How many connections there are to each server that serves keys. At least one.
    pub pool_size: usize,
    /// Whether scripts are called by their hash. Some proxies do not let that through.
    pub script_cache: bool,
    /// How many replicas must have a write before it is acknowledged.
    pub wait_replicas: u32,
    /// Whether to refuse a server that throws keys away when it is full.
    pub require_noeviction: bool,
}

/// Which servers a Redis has.
#[derive(Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Server {
        /// `redis://` or `rediss://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `unix://PATH`.
        url: String,
    },
    /// A master and its replicas, whom Sentinels watch.
    Sentinel {
        /// What the Sentinels call the master.
        master: String,
        /// `redis://` or `rediss://HOST[:PORT]` of Sentinels. The servers are talked to likewise.
        nodes: Vec<String>,
        /// Whom the Sentinels know this client as.
        credentials: Credentials,
    },
    /// A Cluster.
    Cluster {
        /// `redis://` or `rediss://HOST[:PORT]` of some of its nodes.
        nodes: Vec<String>,
    },
}

/// Whom a server knows a client as.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user of the server's access list. None: its default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
}

/// Files in PEM format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who is trusted, in place of those whom the machine trusts.
    pub ca: Option<PathBuf>,
    /// This client's certificate, and those between it and the authority.
    pub cert: Option<PathBuf>,
    /// The key of that certificate.
    pub key: Option<PathBuf>,
}

impl RedisConfig {
    /// The server at that address, with defaults for all else.
    pub fn new(url: impl Into<String>) -> Self {
        Self::at(Topology::Server { url: url.into() })
    }

    /// These servers, with defaults for all else.
    pub fn at(topology: Topology) -> Self {
        Self {
            topology,
            credentials: Credentials::default(),
            database: None,
            tls: TlsFiles::default(),
            key_prefix: String::new(),
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_millis(1_500),
            client_name: None,
            pool_size: 4,
            script_cache: true,
            wait_replicas: 0,
            require_noeviction: false,
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Addresses may hold passwords, so they are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("topology", &self.topology)
            .field("credentials", &self.credentials)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("key_prefix", &self.key_prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("client_name", &self.client_name)
            .field("pool_size", &self.pool_size)
            .field("script_cache", &self.script_cache)
            .field("wait_replicas", &self.wait_replicas)
            .field("require_noeviction", &self.require_noeviction)
            .finish()
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { .. } => f.write_str("Server(***)"),
            Self::Sentinel { master, .. } => f.debug_tuple("Sentinel").field(master).finish(),
            Self::Cluster { .. } => f.write_str("Cluster(***)"),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
