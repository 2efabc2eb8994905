//! `[redis]`: where sessions are kept, if not in this process.

use std::time::Duration;

use sessiond_redis::RedisConfig;

use super::reader::{Located, Section};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const COMMAND_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The keys that say how to talk to a server, in `[redis]` and `[redis.instances.NAME]` alike.
const OPTIONS: [&str; 4] =
    ["client_name", "connect_timeout", "command_timeout", "require_noeviction"];

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
                let name = name.value;
                warnings.push(format!("redis.url is used, and redis.instance = {name:?} is not"));
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
            let message = "name the server: url = \"redis://127.0.0.1:6379\", or remove the table";
            document.problem(&at, message);
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
        section.document().problem(&at, "name the server: url = \"redis://127.0.0.1:6379\"");
    }
    section.finish();
    config
}

fn read_server(section: &Section<'_>) -> Option<RedisConfig> {
    let url = section.text("url");
    let client_name = section.text("client_name");
    let connect_timeout = section.duration("connect_timeout", CONNECT_TIMEOUT);
    let command_timeout = section.duration("command_timeout", COMMAND_TIMEOUT);
    let require_noeviction = section.flag("require_noeviction", false);
    Some(RedisConfig {
        url: url?.reveal().to_owned(),
        key_prefix: String::new(),
        connect_timeout,
        command_timeout,
        client_name: client_name.map(|name| name.reveal().to_owned()),
        require_noeviction,
    })
}
