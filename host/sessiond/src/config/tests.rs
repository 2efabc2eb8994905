use sessiond_redis::{RedisConfig, Topology};

use super::*;

fn problems(text: &str) -> String {
    Config::parse(Path::new("s.toml"), text).unwrap_err().to_string()
}

fn parse(text: &str) -> Config {
    Config::parse(Path::new("/etc/s.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

fn url(config: &RedisConfig) -> &str {
    let Topology::Server { url } = &config.topology else { panic!("{config:?}") };
    url
}

#[test]
fn the_defaults_are_good() {
    let config = Config::without_file().unwrap();
    assert!(matches!(config.store, StoreConfig::Embedded));
    assert_eq!(config.rules, StoreRules::default());
    assert_eq!(parse(&config.show()).resolved, config.resolved);
}

/// P53, P54: a typo anywhere, a zero and a wrong type are errors with line, key and fix.
#[test]
fn every_problem_is_told_with_line_key_and_fix() {
    let told = problems(
        "[sesion]\nttl = \"1h\"\n[session]\nttl = \"0s\"\nevent_limit = 0\nevnt_limit = 5\nkey_prefix = \"a{b}\"\n\
         [server]\nlisten = \"0.0.0.0:80\"\nmax_body = 100\n[summary]\nworkers = -1\nmin_turns = \"4\"\n",
    );
    for wanted in [
        "s.toml:1: sesion: there is no such key here; there are server, adk, session, redis",
        "s.toml:4: session.ttl: write a duration above zero as text, like \"30m\", or \"none\"",
        "s.toml:5: session.event_limit: write a number from 1 to 10000000, or \"unlimited\"",
        "s.toml:6: session.evnt_limit: there is no such key",
        "s.toml:7: session.key_prefix: braces",
        "s.toml:9: server.listen: without tokens the daemon listens on the loopback interface only",
        "s.toml:10: server.max_body: write a size as text",
        "s.toml:12: summary.workers: write a number from 1",
        "s.toml:13: summary.min_turns: write a number from 1",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    assert!(problems("[session\n").starts_with("s.toml:1: this is not TOML"));
}

#[test]
fn what_comes_later_is_refused_by_name() {
    let told = problems("[summary]\nqueue = \"redis\"\n");
    assert!(told.contains("summary.queue: this version does not have this key yet"), "{told}");
}

#[test]
fn strings_come_from_the_environment_or_a_file_and_stay_hidden() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("url"), "redis://:secret@h:1\n").unwrap();
    let text = "[redis]\nurl = { file = \"url\" }\nclient_name = { env = \"PATH\" }\n";
    let config = Config::parse(&folder.path().join("s.toml"), text).unwrap();
    let StoreConfig::Redis(redis) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!(url(redis), "redis://:secret@h:1");
    assert!(!config.show().contains("secret"));
    assert!(config.show().contains("url = ***"));
    assert!(problems("[redis]\nurl = { env = \"NO_SUCH\" }\n").contains("NO_SUCH is not set"));
    assert!(problems("[redis]\nurl = 5\n").contains("{ env = \"NAME\" }"));
}

#[test]
fn a_url_wins_over_an_instance_and_options_go_with_their_server() {
    let both = "[redis]\nurl = \"redis://a\"\ninstance = \"main\"\n[redis.instances.main]\nurl = \"redis://b\"\n";
    let config = parse(both);
    let StoreConfig::Redis(redis) = &config.store else { panic!() };
    assert_eq!(url(redis), "redis://a");
    assert_eq!(config.warnings.len(), 1);
    let instance = "[redis]\ninstance = \"main\"\n[redis.instances.main]\nurl = \"redis://b\"\nclient_name = \"c\"\n";
    let StoreConfig::Redis(redis) = parse(instance).store else { panic!() };
    assert_eq!((url(&redis), redis.client_name.as_deref()), ("redis://b", Some("c")));
    assert!(problems("[redis]\ninstance = \"x\"\n").contains("no table [redis.instances.x]"));
    let beside = "[redis]\ninstance = \"m\"\nclient_name = \"c\"\n[redis.instances.m]\nurl = \"redis://b\"\n";
    assert!(problems(beside).contains("redis.client_name: beside redis.instance"));
}

#[test]
fn lists_and_plugins_agree() {
    let told = problems(
        "[hooks]\nappend = [\"a\", \"ghost\", \"a\"]\n[plugins.a]\npath = \"a.wasm\"\nsha256 = \"12\"\n\
         [plugins.idle]\npath = \"b.wasm\"\n[plugins.nofile]\n",
    );
    for wanted in [
        "s.toml:2: hooks.append: there is no plugin \"ghost\": add a table [plugins.ghost]",
        "s.toml:2: hooks.append: \"a\" is in the list twice",
        "plugins.a.sha256: \"12\" is no sha256",
        "plugins.idle.path: no list names this plugin",
        "plugins.nofile.path: name the file",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    let config = parse("[hooks]\nappend = [\"a\"]\n[plugins.a]\npath = \"x/a.wasm\"\n");
    assert_eq!(config.plugins[0].path, Path::new("/etc/x/a.wasm"));
}

#[test]
fn every_way_to_redis_is_read() {
    let cluster = "[redis]\npool_size = 8\nscript_cache = false\nwait_replicas = 1\n\
                   username = \"u\"\npassword = \"secret\"\n\
                   cluster.nodes = [\"rediss://a:1\", \"rediss://b\"]\n\
                   tls = { ca = \"ca.pem\" }\n";
    let config = parse(cluster);
    assert!(!config.show().contains("secret"), "{}", config.show());
    assert!(config.show().contains("password = ***"));
    let StoreConfig::Redis(redis) = config.store else { panic!() };
    let nodes = vec!["rediss://a:1".to_owned(), "rediss://b".to_owned()];
    assert_eq!(redis.topology, Topology::Cluster { nodes });
    assert_eq!((redis.pool_size, redis.script_cache, redis.wait_replicas), (8, false, 1));
    assert_eq!(redis.credentials.password.as_deref(), Some("secret"));
    assert_eq!(redis.tls.ca.as_deref(), Some(Path::new("/etc/ca.pem")));
    let sentinel = "[redis]\ninstance = \"m\"\n[redis.instances.m]\ndatabase = 3\n\
                    [redis.instances.m.sentinel]\nmaster = \"mine\"\nnodes = [\"redis://s:1\"]\n\
                    password = \"secret\"\n";
    let config = parse(sentinel);
    assert!(!config.show().contains("secret"), "{}", config.show());
    let StoreConfig::Redis(redis) = config.store else { panic!() };
    assert_eq!(redis.database, Some(3));
    let Topology::Sentinel { master, nodes, credentials } = redis.topology else { panic!() };
    assert_eq!((master.as_str(), nodes), ("mine", vec!["redis://s:1".to_owned()]));
    assert_eq!(credentials.password.as_deref(), Some("secret"));
    let inline = parse("[redis]\nurl = \"redis://ann:secret@h/2\"\n");
    assert!(inline.show().contains("url = \"redis://ann:***@h/2\""), "{}", inline.show());
}

/// What contradicts itself is refused, with line, key and fix.
#[test]
fn contradictions_about_redis_are_refused() {
    for (text, wanted) in [
        (
            "url = \"redis://a\"\ncluster.nodes = [\"redis://b\"]\n",
            "s.toml:3: redis.cluster: remove this or redis.url: they name different servers",
        ),
        (
            "url = \"redis://a\"\nsentinel = { master = \"m\", nodes = [\"redis://b\"] }\n",
            "s.toml:3: redis.sentinel: remove this or redis.url",
        ),
        (
            "cluster.nodes = [\"redis://b\"]\ndatabase = 1\n",
            "s.toml:3: redis.database: remove this: a Redis Cluster has one database only",
        ),
        (
            "cluster.nodes = [\"redis://u:p@b\"]\n",
            "s.toml:2: redis.cluster: write a node as redis://HOST:PORT",
        ),
        ("cluster.nodes = []\n", "redis.cluster.nodes: name some nodes"),
        (
            "cluster.nodes = [\"redis://a\", \"rediss://b\"]\n",
            "s.toml:2: redis.cluster: begin all nodes with \"rediss://\", or none",
        ),
        ("sentinel.nodes = [\"redis://b\"]\n", "redis.sentinel.master: say what the Sentinels"),
        (
            "url = \"redis://u:p@a/1\"\npassword = \"p\"\n",
            "s.toml:3: redis.password: remove this: the URL says it already",
        ),
        ("url = \"redis://a/1\"\ndatabase = 2\n", "s.toml:3: redis.database: remove this"),
        ("url = \"redis://a\"\nusername = \"u\"\n", "redis.username: this needs password"),
        ("url = \"redis://a\"\ntls.ca = \"c\"\n", "redis.tls: this is for addresses that begin"),
        ("url = \"rediss://a\"\ntls.cert = \"c\"\n", "redis.tls.cert: this needs key beside it"),
        ("url = \"redis://a\"\npool_size = 0\n", "redis.pool_size: write a number from 1 to 64"),
        ("url = \"redis://a\"\nwait_replicas = -1\n", "wait_replicas: write a number from 0 to 16"),
    ] {
        let told = problems(&format!("[redis]\n{text}"));
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    let beside =
        "[redis]\ninstance = \"m\"\npool_size = 2\n[redis.instances.m]\nurl = \"redis://b\"\n";
    assert!(problems(beside).contains("redis.pool_size: beside redis.instance"));
}

/// R28: zero and less are refused for every number, duration and size that there is. Where there is a
/// word for no limit, the error names it, and it is taken.
#[test]
fn zero_and_less_mean_nothing() {
    let example = include_str!("../../../../sessiond.example.toml");
    let (mut table, mut tried) = ("", Vec::new());
    for line in example.lines() {
        if line.starts_with('[') {
            table = line;
        }
        let Some((key, value)) = line.split_once(" = ") else { continue };
        let text = value.trim_matches('"');
        let wrong: &[&str] = if value.parse::<u64>().is_ok() {
            &["0", "-1"]
        } else if text == "none" || text.starts_with(|first: char| first.is_ascii_digit()) {
            &["\"0s\"", "\"0MiB\"", "\"-1s\"", "\"-1MiB\"", "0", "-1"]
        } else {
            continue;
        };
        if line.starts_with('#') {
            continue;
        }
        let dotted = format!("{}.{key}", table.trim_matches(['[', ']']));
        for wrong in wrong {
            let told = problems(&format!("{table}\n{key} = {wrong}\n"));
            assert!(told.starts_with(&format!("s.toml:2: {dotted}: ")), "{key} = {wrong}: {told}");
            let word = if dotted == "session.event_limit" { "unlimited" } else { "none" };
            if [word, "1000"].contains(&text) && table == "[session]" {
                assert!(told.contains(&format!("\"{word}\"")), "{key} = {wrong}: {told}");
                parse(&format!("{table}\n{key} = \"{word}\"\n"));
            }
        }
        tried.push(dotted);
    }
    for wanted in ["session.event_limit", "session.ttl", "server.max_body", "summary.workers"] {
        assert!(tried.iter().any(|key| key == wanted), "{wanted} was not tried: {tried:?}");
    }
}

const PLUGIN: &str = "[hooks]\nappend = [\"p\"]\n[plugins.p]\npath = \"p.wasm\"\n";

/// P11, P37, P54: a plugin gets what its table says and never more than the ceiling, an interface may
/// differ, and what was lowered is told.
#[test]
fn limits_stay_below_the_ceilings() {
    let config = parse(&format!(
        "[plugin_limits]\nmemory = \"32MiB\"\ntime = \"5s\"\nhandles = 50\nmax_instances = 9\n{PLUGIN}\
         [plugins.p.limits]\ntime = \"9s\"\noutput = \"1KiB\"\nmax_instances = 3\n\
         [plugins.p.limits.after_append]\ntime = \"1s\"\nlog_lines = 7\n"
    ));
    let limits = config.plugins[0].limits;
    assert_eq!((limits.memory, limits.max_instances), (32 << 20, 3));
    let times = limits.calls.map(|call| call.time.as_secs());
    assert_eq!(times, [5, 1, 5, 5, 5], "the summarizer's 30 s are lowered too");
    assert_eq!(limits.calls.map(|call| call.log_lines), [1000, 7, 1000, 1000, 1000]);
    assert_eq!(
        limits.calls.map(|call| (call.output, call.handles, call.concurrency)),
        [(1024, 50, 3); 5]
    );
    let lowered = "plugins.p.limits.time is lowered to \"5s\": [plugin_limits] allows no more";
    assert_eq!(config.warnings, [lowered]);
    assert!(config.show().contains("[plugins.p.limits]\nmemory = \"32MiB\""), "{}", config.show());
}

/// P54: zero is refused for every limit, for all interfaces and for one.
#[test]
fn a_limit_of_zero_is_refused() {
    let keys = ["time", "queue_wait", "concurrency", "output", "copied", "log_size", "log_lines"];
    for table in ["limits", "limits.summarizer", "limits.before_append"] {
        for key in keys.into_iter().chain(["handles"]) {
            for zero in ["0", "\"0s\"", "\"0B\""] {
                let told = problems(&format!("{PLUGIN}[plugins.p.{table}]\n{key} = {zero}\n"));
                assert!(told.contains(&format!("plugins.p.{table}.{key}: write a")), "{told}");
            }
        }
    }
    for key in ["memory", "max_instances", "idle_after", "breaker.failures", "breaker.open_for"] {
        let table = if key.starts_with("breaker") { "" } else { "limits." };
        let told = problems(&format!("{PLUGIN}{table}{key} = 0\n"));
        assert!(told.contains(&format!("{key}: write a")), "{told}");
    }
}

/// Summaries leave an instance to the hooks of their plugin, and plugins leave some to each other.
#[test]
fn instances_are_shared() {
    let both = format!("[summary]\nplugin = \"p\"\n{PLUGIN}");
    let config = parse(&both);
    assert_eq!(config.plugins[0].limits.calls.map(|call| call.concurrency), [4, 4, 4, 4, 3]);
    assert_eq!(config.reserved_instances, 2);
    let told = problems(&format!("{both}limits.max_instances = 1\n"));
    assert!(told.contains("needs limits.max_instances of 2 or more"), "{told}");
    let told = problems(&format!("{both}[plugin_limits]\nmax_instances = 1\n"));
    assert!(told.contains("plugin_limits.max_instances: write 2 or more"), "{told}");
}
