//! What may go wrong between this store and Redis, and what that means for a session.

use std::path::PathBuf;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use sessiond_core::event::EnvelopeError;
use sessiond_core::store::StoreError;

/// Why Redis is not used, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The prefix of keys has a brace.
    #[error("the key prefix {0:?} has a brace: braces choose the slot of a key, leave them out")]
    Prefix(String),
    /// The address is none.
    #[error("the URL of Redis is not valid")]
    Url(#[source] RedisError),
    /// The address of one of several nodes says more than where it is.
    #[error(
        "the URL of the node {0} says more than `redis://HOST:PORT`: credentials and the database \
         have keys of their own"
    )]
    Node(String),
    /// A Cluster has one database.
    #[error("a Redis Cluster has no databases: leave `redis.database` out")]
    Database,
    /// No node is named.
    #[error("no node is named: at least one is needed")]
    NoNodes,
    /// A file for TLS cannot be read.
    #[error("{path} cannot be read (redis.tls)", path = path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Only one file of two.
    #[error("`redis.tls.cert` and `redis.tls.key` go together: name both, or none")]
    TlsPair,
    /// The server is there, and is of another kind than configured.
    #[error("Redis at {address} is {found}: {fix}")]
    Mode {
        /// Host and port, or the path of a socket.
        address: String,
        /// What it is.
        found: &'static str,
        /// What to write.
        fix: &'static str,
    },
    /// The Sentinels do not know the master.
    #[error("no Sentinel knows a master called {0:?} (redis.sentinel.master)")]
    NoMaster(String),
    /// A server is a replica, though it was named as the master: another one will be.
    #[error("Redis at {address} is not the master now")]
    NotMaster {
        /// Host and port.
        address: String,
    },
    /// A part of the keys has no server.
    #[error("no node of the Redis Cluster serves the slot {0} now")]
    NoSlot(u16),
    /// The nodes changed while all keys were gone through.
    #[error("the nodes of the Redis Cluster changed meanwhile: begin again")]
    Changed,
    /// Too few replicas have it.
    #[error("{got} of {wanted} replicas had the write in time")]
    NotReplicated {
        /// How many must have it.
        wanted: u32,
        /// How many said so.
        got: u32,
    },
    /// There is no connection.
    #[error("there is no connection to Redis at {address}")]
    Connect {
        /// Host and port, or the path of a socket.
        address: String,
        /// Why.
        source: RedisError,
    },
    /// A connection was not made in time.
    #[error("Redis at {address} did not answer within {after:?}")]
    ConnectTimeout {
        /// Host and port, or the path of a socket.
        address: String,
        /// The time that it had.
        after: Duration,
    },
    /// The server is too old.
    #[error("Redis at {address} has version {found}: 6.2 or later is needed")]
    OldServer {
        /// Host and port, or the path of a socket.
        address: String,
        /// Its version.
        found: String,
    },
    /// The server throws keys away when it is full.
    #[error(
        "Redis at {address} has `maxmemory-policy {policy}`, which takes sessions apart: set it to \
         `noeviction`, or turn off `redis.require_noeviction`"
    )]
    Eviction {
        /// Host and port, or the path of a socket.
        address: String,
        /// Its policy.
        policy: String,
    },
    /// The keys were written by another version of this software.
    #[error("the keys in Redis have layout {found}: this version knows layout {known} only")]
    Layout {
        /// The layout of the keys.
        found: String,
        /// The layout that this version writes.
        known: u32,
    },
    /// No answer in time.
    #[error("Redis did not answer within {0:?}")]
    Timeout(Duration),
    /// Redis refused a command, or the connection broke.
    #[error("Redis did not do it")]
    Command(#[from] RedisError),
    /// A value is not what this software writes.
    #[error("{0} cannot be read")]
    Unreadable(&'static str),
    /// A script answered what it never should.
    #[error("the reply of the script `{0}` cannot be read")]
    Reply(&'static str),
    /// What was written ahead is gone before it was put in its place.
    #[error("the parts of a session were written too slowly, and are gone: try again")]
    Staging,
    /// An entry is not what this software writes.
    #[error(transparent)]
    Entry(#[from] EnvelopeError),
    /// A summary is not what this software writes.
    #[error("a summary cannot be read")]
    Summary(#[source] serde_json::Error),
}

/// What an error means for whoever uses the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Unavailable,
    Full,
    Corrupt,
}

impl Error {
    /// Whether what is stored cannot be read, so that to try again does not help.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.meaning() == Meaning::Corrupt
    }

    /// Whether it came up before anything was sent.
    pub(crate) fn is_before_sending(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::NotMaster { .. })
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Layout { .. }
            | Self::Unreadable(_)
            | Self::Reply(_)
            | Self::Entry(_)
            | Self::Summary(_) => Meaning::Corrupt,
            Self::Command(error) => meaning_of(error),
            _ => Meaning::Unavailable,
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if let Error::NotReplicated { wanted, got } = error {
            return Self::NotReplicated { wanted, got };
        }
        match error.meaning() {
            Meaning::Unavailable => Self::Unavailable(Box::new(error)),
            Meaning::Full => Self::Full(Box::new(error)),
            Meaning::Corrupt => Self::Corrupt(Box::new(error)),
        }
    }
}

fn meaning_of(error: &RedisError) -> Meaning {
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Meaning::Corrupt,
        _ if has_code(error, "OOM") => Meaning::Full,
        _ if has_code(error, "WRONGTYPE") => Meaning::Corrupt,
        _ if fails_in_script(error) => Meaning::Corrupt,
        _ => Meaning::Unavailable,
    }
}

/// Whether the server answered with this code: at once, for a command of a transaction, or for one
/// of a script, where old servers put it into the text.
pub(crate) fn has_code(error: &RedisError, code: &str) -> bool {
    if error.code() == Some(code) {
        return true;
    }
    let Some(answers) = error.clone().into_server_errors() else { return false };
    answers.iter().any(|(_, answer)| {
        let text = answer.details().unwrap_or_default();
        let mut words = text.split(' ').map(|word| word.trim_start_matches('-'));
        answer.code() == code || (is_of_script(text) && words.any(|word| word == code))
    })
}

/// Whether a script of ours broke off, on data that it did not expect.
fn fails_in_script(error: &RedisError) -> bool {
    let expected = ["READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "NOPERM"];
    let general = error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError);
    general
        && is_of_script(error.detail().unwrap_or_default())
        && !expected.iter().any(|code| has_code(error, code))
}

fn is_of_script(text: &str) -> bool {
    text.contains("user_script")
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn meaning(answer: &str) -> Meaning {
        let value = parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        Error::from(value.extract_error().unwrap_err()).meaning()
    }

    #[test]
    fn answers_of_all_servers_are_told_apart() {
        let oom = "OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(meaning(oom), Meaning::Full);
        assert_eq!(meaning(&format!("{oom} script: 1f, on @user_script:1.")), Meaning::Full);
        let old = "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: -";
        assert_eq!(meaning(&format!("{old}{oom} ")), Meaning::Full);
        assert_eq!(meaning(&format!("{old}READONLY You can't write")), Meaning::Unavailable);
        assert_eq!(meaning(&format!("{old}WRONGTYPE Operation against")), Meaning::Corrupt);
        let bug = "ERR user_script:9: attempt to compare nil script: 1f, on @user_script:9.";
        assert_eq!(meaning(bug), Meaning::Corrupt);
        for answer in ["LOADING data", "READONLY no", "MASTERDOWN no", "CLUSTERDOWN no", "BUSY no"]
        {
            assert_eq!(meaning(answer), Meaning::Unavailable, "{answer}");
        }
        assert_eq!(meaning("WRONGTYPE no"), Meaning::Corrupt);
        assert_eq!(meaning("ERR max number of clients reached"), Meaning::Unavailable);
    }
}
