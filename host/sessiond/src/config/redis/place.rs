//! Which servers a table names, and as whom they are talked to.

use sessiond_redis::{Credentials, Topology};

use crate::config::reader::{Located, Secret, Section};

/// The highest database that can be named: servers have 16, if they are not told otherwise.
const MAX_DATABASE: u64 = 65_535;

/// What a table says of it.
pub(super) struct Place {
    pub(super) topology: Topology,
    pub(super) credentials: Credentials,
    pub(super) database: Option<u32>,
    pub(super) is_tls: bool,
}

/// Reads `url`, `cluster`, `sentinel`, `username`, `password` and `database`. None: no server is
/// named.
pub(super) fn read_place(section: &Section<'_>) -> Option<Place> {
    let topologies = [read_url(section), read_cluster(section), read_sentinel(section)];
    let credentials = read_credentials(section);
    let database = read_database(section);
    let mut named = topologies.into_iter().flatten();
    let (first, topology, urls) = named.next()?;
    for (second, _, _) in named {
        let message = format!("remove this or redis.{first}: they name different servers");
        section.problem(second, message);
    }
    let is_tls = urls.iter().any(|url| url.starts_with("rediss://"));
    if is_tls && urls.iter().any(|url| !url.starts_with("rediss://")) {
        section.problem(first, "begin all nodes with \"rediss://\", or none");
    }
    check_url(section, &topology, database);
    check_nodes(section, &topology, &urls);
    Some(Place { topology, credentials, database, is_tls })
}

type Named = (&'static str, Topology, Vec<String>);

fn read_url(section: &Section<'_>) -> Option<Named> {
    let url = section.address("url")?.reveal().to_owned();
    Some(("url", Topology::Server { url: url.clone() }, vec![url]))
}

fn read_cluster(section: &Section<'_>) -> Option<Named> {
    let cluster = section.section("cluster");
    if !cluster.is_there() {
        return None;
    }
    let nodes = values(cluster.names("nodes"));
    if nodes.is_empty() {
        cluster.problem("nodes", "name some nodes, like [\"redis://10.0.0.1:6379\"]");
    }
    cluster.finish();
    Some(("cluster", Topology::Cluster { nodes: nodes.clone() }, nodes))
}

fn read_sentinel(section: &Section<'_>) -> Option<Named> {
    let sentinel = section.section("sentinel");
    if !sentinel.is_there() {
        return None;
    }
    let master = sentinel.text("master");
    let nodes = values(sentinel.names("nodes"));
    let credentials = read_credentials(&sentinel);
    if nodes.is_empty() {
        sentinel.problem("nodes", "name the Sentinels, like [\"redis://10.0.0.1:26379\"]");
    }
    if master.is_none() {
        sentinel.problem("master", "say what the Sentinels call the master");
    }
    sentinel.finish();
    let master = master.map(|master| master.reveal().to_owned()).unwrap_or_default();
    let topology = Topology::Sentinel { master, nodes: nodes.clone(), credentials };
    Some(("sentinel", topology, nodes))
}

fn values(names: Vec<Located<String>>) -> Vec<String> {
    names.into_iter().map(|name| name.value).collect()
}

fn read_credentials(section: &Section<'_>) -> Credentials {
    let owned = |secret: Option<Secret>| secret.map(|secret| secret.reveal().to_owned());
    let username = owned(section.text("username"));
    let password = owned(section.secret("password"));
    if username.is_some() && password.is_none() {
        section.problem("username", "this needs password beside it");
    }
    Credentials { username, password }
}

fn read_database(section: &Section<'_>) -> Option<u32> {
    section.number("database", MAX_DATABASE).and_then(|number| u32::try_from(number).ok())
}

/// What is said in the URL is not said again beside it.
fn check_url(section: &Section<'_>, topology: &Topology, database: Option<u32>) {
    if matches!(topology, Topology::Cluster { .. }) && database.is_some() {
        section.problem("database", "remove this: a Redis Cluster has one database only");
    }
    let Topology::Server { url } = topology else { return };
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_socket = url.starts_with("unix://");
    let said = "remove this: the URL says it already";
    if place.contains('@') || (is_socket && url.contains("pass=")) {
        for key in ["username", "password"].into_iter().filter(|key| section.has(key)) {
            section.problem(key, said);
        }
    }
    let numbered = if is_socket { url.contains("db=") } else { !path.is_empty() };
    if numbered && database.is_some() {
        section.problem("database", said);
    }
}

/// Nodes are named by their place alone.
fn check_nodes(section: &Section<'_>, topology: &Topology, urls: &[String]) {
    if matches!(topology, Topology::Server { .. }) {
        return;
    }
    let table = if matches!(topology, Topology::Cluster { .. }) { "cluster" } else { "sentinel" };
    for url in urls {
        let place = ["redis://", "rediss://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let plain = place.is_some_and(|place| {
            !place.is_empty() && !place.trim_end_matches('/').contains(['@', '/', '?', '#'])
        });
        if !plain {
            let message = "write a node as redis://HOST:PORT or rediss://HOST:PORT: credentials \
                           and the database have keys of their own";
            section.problem(table, message);
        }
    }
}
