//! `[redis]`: where sessions are kept, if not in this process.

mod place;

use std::time::Duration;

use sessiond_redis::{RedisConfig, TlsFiles};

use self::place::{Place, read_place};
use super::reader::{Located, Section};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const COMMAND_TIMEOUT: Duration = Duration::from_millis(1_500);
const POOL_SIZE: u64 = 4;
const MAX_POOL_SIZE: u64 = 64;
const MAX_REPLICAS: u64 = 16;
/// The keys that say how to talk to a server, in `[redis]` and `[redis.instances.NAME]` alike.
const OPTIONS: [&str; 11] = [
    "client_name",
    "command_timeout",
    "connect_timeout",
    "database",
    "password",
    "pool_size",
    "require_noeviction",
    "script_cache",
    "tls",
    "username",
    "wait_replicas",
];
const FORM: &str =
    "name the server: url = \"redis://127.0.0.1:6379\", or cluster.nodes, or sentinel";

/// Where sessions are kept.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// In this process, as long as it lives.
    Embedded,
    /// In Redis.
    Redis(Box<RedisConfig>),
}

pub(super) fn read(
    section: Section<'_>,
    key_prefix: String,
    warnings: &mut Vec<String>,
) -> StoreConfig {
    let document = section.document();
    if !section.is_there() {
        return StoreConfig::Embedded;
    }
    let own = read_server(&section);
    let instance = section.name("instance");
    let instances: Vec<(String, Option<RedisConfig>)> = section
        .sections("instances")
        .into_iter()
        .map(|(name, section)| (name, read_instance(section)))
        .collect();
    let chosen = match (own, instance) {
        (Some(own), instance) => {
            if let Some(name) = instance {
                let used = ["url", "cluster", "sentinel"].into_iter().find(|key| section.has(key));
                let (used, name) = (used.unwrap_or("url"), name.value);
                let message = format!("redis.{used} is used, and redis.instance = {name:?} is not");
                warnings.push(message);
            }
            Some(own)
        }
        (None, Some(name)) => {
            for key in OPTIONS.iter().filter(|key| section.has(key)) {
                let at = Located { value: (), line: name.line, key: format!("redis.{key}") };
                let table = format!("[redis.instances.{}]", name.value);
                document.problem(&at, format!("beside redis.instance this goes into {table}"));
            }
            let found = instances.into_iter().find(|(known, _)| *known == name.value);
            if found.is_none() {
                let message = format!("there is no table [redis.instances.{}]", name.value);
                document.problem(&name, message);
            }
            found.and_then(|(_, config)| config)
        }
        (None, None) => {
            let at = Located { value: (), line: None, key: "redis".to_owned() };
            document.problem(&at, format!("{FORM}; or remove the table"));
            None
        }
    };
    section.finish();
    match chosen {
        Some(config) => StoreConfig::Redis(Box::new(RedisConfig { key_prefix, ..config })),
        None => StoreConfig::Embedded,
    }
}

fn read_instance(section: Section<'_>) -> Option<RedisConfig> {
    let config = read_server(&section);
    if config.is_none() {
        let at = Located { value: (), line: None, key: section.dotted("url") };
        section.document().problem(&at, FORM);
    }
    section.finish();
    config
}

/// Reads the keys that both kinds of tables have. None: no server is named.
fn read_server(section: &Section<'_>) -> Option<RedisConfig> {
    let place = read_place(section);
    let client_name = section.text("client_name");
    let connect_timeout = section.duration("connect_timeout", CONNECT_TIMEOUT);
    let command_timeout = section.duration("command_timeout", COMMAND_TIMEOUT);
    let pool_size = section.count("pool_size", POOL_SIZE, MAX_POOL_SIZE);
    let script_cache = section.flag("script_cache", true);
    let wait_replicas = section.count_from_zero("wait_replicas", 0, MAX_REPLICAS);
    let require_noeviction = section.flag("require_noeviction", false);
    let tls = read_tls(section, place.as_ref());
    let Place { topology, credentials, database, .. } = place?;
    Some(RedisConfig {
        credentials,
        database,
        tls,
        connect_timeout,
        command_timeout,
        client_name: client_name.map(|name| name.reveal().to_owned()),
        pool_size: usize::try_from(pool_size).unwrap_or(1),
        script_cache,
        wait_replicas: u32::try_from(wait_replicas).unwrap_or(u32::MAX),
        require_noeviction,
        ..RedisConfig::at(topology)
    })
}

fn read_tls(section: &Section<'_>, place: Option<&Place>) -> TlsFiles {
    let tls = section.section("tls");
    let path = |key| tls.path(key);
    let files = TlsFiles { ca: path("ca"), cert: path("cert"), key: path("key") };
    if files.cert.is_some() != files.key.is_some() {
        let missing = if files.cert.is_some() { "key" } else { "cert" };
        let given = if files.cert.is_some() { "cert" } else { "key" };
        tls.problem(given, format!("this needs {missing} beside it"));
    }
    if tls.is_there() && place.is_some_and(|place| !place.is_tls) {
        let at = section.located("tls", ());
        section.document().problem(&at, "this is for addresses that begin with \"rediss://\"");
    }
    tls.finish();
    files
}
