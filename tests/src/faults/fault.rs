//! What can go wrong.

use std::time::Duration;

use crate::proxy::Network;
use crate::redis_server::Data;

/// A fault, and what must become of it.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    pub(super) redis: Redis,
    /// Extra keys of the table `[redis]` of the daemons.
    pub(super) options: &'static str,
    pub(super) strike: Strike,
    /// How long the network or the server is bad, once it is.
    pub(super) lasts: Duration,
    /// What the checker must find.
    pub expect: Expect,
}

/// Which Redis the daemons work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redis {
    /// One server in memory, behind a proxy.
    One,
    /// One server that writes all to its disk, behind a proxy.
    OneOnDisk,
    /// A master and two replicas, behind Sentinels; the daemons find the master by a proxy that
    /// follows it.
    Followed,
    /// A master and two replicas, behind Sentinels, which the daemons ask.
    Sentinel,
    /// Three masters and three replicas.
    Cluster,
}

/// What is done at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    /// `kill -9` to one of the daemons, which is started again.
    KillDaemon,
    /// `CLIENT KILL TYPE normal`.
    KillConnections,
    /// The network between the daemons and the server is bad.
    Network(Network),
    /// The server hangs.
    Pause,
    /// The server is killed and started again.
    Restart(Data),
    /// The master is killed and a replica promoted. So many replicas had fallen behind.
    KillMaster { behind: usize },
}

/// What becomes of what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// All is there.
    Nothing,
    /// What was acknowledged before the server lost everything is gone, and all since then is there.
    Wiped,
    /// Something is lost: the checker must see it.
    Loss,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn one(name: &'static str, strike: Strike, lasts: Duration) -> Fault {
    Fault { name, redis: Redis::One, options: "", strike, lasts, expect: Expect::Nothing }
}

/// All of them.
pub const FAULTS: &[Fault] = &[
    one("daemon-killed", Strike::KillDaemon, millis(0)),
    one("connections-killed", Strike::KillConnections, millis(0)),
    one("network-slow", Strike::Network(Network::Slow(millis(40))), millis(500)),
    one("network-cut", Strike::Network(Network::Cut), millis(300)),
    one("network-half-open", Strike::Network(Network::HalfOpen), millis(300)),
    // Longer than a daemon waits for an answer.
    one("redis-hangs", Strike::Pause, millis(2_000)),
    Fault {
        redis: Redis::OneOnDisk,
        ..one("redis-killed", Strike::Restart(Data::Kept), millis(0))
    },
    Fault { expect: Expect::Wiped, ..one("redis-wiped", Strike::Restart(Data::Wiped), millis(0)) },
    Fault {
        redis: Redis::Followed,
        expect: Expect::Loss,
        ..one("master-killed-lagging", Strike::KillMaster { behind: 2 }, millis(0))
    },
    // One replica lags, and the other has what was acknowledged.
    Fault {
        redis: Redis::Sentinel,
        options: "wait_replicas = 1\n",
        ..one("master-killed-waiting", Strike::KillMaster { behind: 1 }, millis(0))
    },
    Fault {
        redis: Redis::Cluster,
        options: "wait_replicas = 1\n",
        ..one("cluster-master-killed", Strike::KillMaster { behind: 0 }, millis(0))
    },
];

/// The fault of that name.
pub fn named(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}
