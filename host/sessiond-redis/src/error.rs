//! What may go wrong between this store and Redis, and what that means for a session.

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
