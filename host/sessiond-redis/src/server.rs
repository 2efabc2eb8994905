//! Whether a server can hold sessions: asked once, before anything is kept there.

use tokio::time::Instant;

use crate::access::{Access, Address};
use crate::config::{RedisConfig, Topology};
use crate::error::Error;

/// The oldest version that has all that the scripts use.
const OLDEST: (u32, u32) = (6, 2);
/// The only policy that keeps all keys of a session.
const NO_EVICTION: &str = "noeviction";

/// Asks a server for its version, for its kind, for what it does when it is full, and for its
/// replicas.
pub(crate) async fn check(
    access: &Access,
    address: &Address,
    config: &RedisConfig,
) -> Result<(), Error> {
    // Unlike `CONFIG GET`, hosted servers allow it.
    let question = redis::cmd("INFO");
    let until = Instant::now() + access.connect_timeout;
    let info: String = access.ask(address, &question, until).await?;
    let name = address.to_string();
    check_version(&name, field(&info, "redis_version"))?;
    check_mode(&name, field(&info, "redis_mode"), &config.topology)?;
    check_policy(&name, field(&info, "maxmemory_policy"), config.require_noeviction)?;
    let replicas = field(&info, "connected_slaves").and_then(|number| number.parse().ok());
    if replicas.is_some_and(|replicas: u32| replicas < config.wait_replicas) {
        tracing::warn!(
            address = name,
            replicas,
            wanted = config.wait_replicas,
            "Redis has fewer replicas than `redis.wait_replicas`: no write will be acknowledged"
        );
    }
    Ok(())
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn check_version(address: &str, version: Option<&str>) -> Result<(), Error> {
    let Some(version) = version else {
        tracing::warn!(address, "Redis does not tell its version: 6.2 or later is needed");
        return Ok(());
    };
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST { Err(too_old(address, version)) } else { Ok(()) }
}

fn check_mode(address: &str, mode: Option<&str>, topology: &Topology) -> Result<(), Error> {
    let is_cluster = matches!(topology, Topology::Cluster { .. });
    let (found, fix) = match mode {
        Some("sentinel") => ("a Sentinel", "write redis.sentinel = { master, nodes }"),
        Some("cluster") if !is_cluster => {
            ("a node of a Redis Cluster", "write redis.cluster.nodes")
        }
        _ => return Ok(()),
    };
    Err(Error::Mode { address: address.to_owned(), found, fix })
}

fn too_old(address: &str, version: &str) -> Error {
    Error::OldServer { address: address.to_owned(), found: version.to_owned() }
}

fn check_policy(address: &str, policy: Option<&str>, required: bool) -> Result<(), Error> {
    match policy {
        Some(NO_EVICTION) => {}
        Some(policy) if required => {
            return Err(Error::Eviction { address: address.to_owned(), policy: policy.to_owned() });
        }
        Some(policy) => tracing::warn!(
            address,
            policy,
            "Redis throws keys away when it is full, which takes sessions apart: set \
             `maxmemory-policy noeviction`"
        ),
        None => tracing::warn!(
            address,
            "Redis does not tell its `maxmemory-policy`: make sure that it is `noeviction`"
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R51: the oldest version is checked at start.
    #[test]
    fn old_servers_are_refused() {
        for good in ["6.2.0", "6.2.14", "7.0.15", "8.0", "10.1.0"] {
            assert!(check_version("a", Some(good)).is_ok(), "{good}");
        }
        for bad in ["6.0.16", "5.0.9", "2.8", "unknown"] {
            assert!(matches!(check_version("a", Some(bad)), Err(Error::OldServer { .. })), "{bad}");
        }
    }

    #[test]
    fn eviction_is_refused_only_if_asked() {
        assert!(check_policy("a", Some("allkeys-lru"), false).is_ok());
        assert!(check_policy("a", None, true).is_ok());
        assert!(check_policy("a", Some("noeviction"), true).is_ok());
        let refused = check_policy("a", Some("volatile-ttl"), true);
        assert!(matches!(refused, Err(Error::Eviction { .. })));
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let info = "# Memory\r\nmaxmemory_policy_x:1\r\nmaxmemory_policy:noeviction\r\n";
        assert_eq!(field(info, "maxmemory_policy"), Some("noeviction"));
        assert_eq!(field(info, "policy"), None);
    }
}
