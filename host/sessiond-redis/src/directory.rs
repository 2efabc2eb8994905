//! Which server serves which keys, as far as is known: looked up at the start, and again whenever
//! something speaks against it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::access::{Access, Address};
use crate::cluster::{self, Range, SLOTS};
use crate::error::Error;
use crate::link::{Kind, Target};
use crate::node::Node;
use crate::sentinel::Sentinels;

/// How long one look is good for, whatever speaks against it.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a request waits for a look.
const LOOK: Duration = Duration::from_secs(1);
/// The least time that a look is worth beginning with.
const SHORTEST: Duration = Duration::from_millis(200);
/// How long one is waited for before the next is asked too.
const STAGGER: Duration = Duration::from_millis(50);

/// Where to ask which servers there are.
pub(crate) enum Origin {
    /// There is one, here.
    Server(Address),
    /// Sentinels know it.
    Sentinel(Arc<Sentinels>),
    /// The nodes of a Cluster know each other. These are some of them.
    Cluster(Vec<Address>),
}

/// The servers.
pub(crate) struct Directory {
    access: Arc<Access>,
    origin: Arc<Origin>,
    pool_size: usize,
    map: RwLock<Arc<Map>>,
    /// Whether a node has said that the map is old.
    old: AtomicBool,
    /// Held by who looks. When that was done for the last time.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

/// Servers, and who serves what.
#[derive(Default)]
struct Map {
    nodes: Vec<Arc<Node>>,
    /// For each slot, the place of its server among them. Empty: the first serves all.
    slots: Vec<Option<usize>>,
}

impl Directory {
    pub(crate) fn new(access: Arc<Access>, origin: Origin, pool_size: usize) -> Self {
        let (map, old, looked) = Default::default();
        Self { access, origin: Arc::new(origin), pool_size, map, old, looked }
    }

    /// Whether keys are divided among servers.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(*self.origin, Origin::Cluster(_))
    }

    /// All servers that serve keys, in the order of their addresses.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.map().nodes.clone()
    }

    /// The server of a slot. Whatever speaks against what is known makes it look again.
    pub(crate) async fn node(&self, slot: u16, until: Instant) -> Result<Arc<Node>, Error> {
        let known = self.map().of(slot);
        match known {
            Some(node) if !node.is_suspect() && !self.old.load(Ordering::Relaxed) => Ok(node),
            known => {
                let looked = self.look(until.min(Instant::now() + LOOK)).await;
                match (self.map().of(slot).or(known), looked) {
                    (Some(node), _) => Ok(node),
                    (None, Err(error)) => Err(error),
                    (None, Ok(())) => Err(Error::NoSlot(slot)),
                }
            }
        }
    }

    /// Looks which servers there are, unless somebody has just done so.
    pub(crate) async fn look(&self, until: Instant) -> Result<(), Error> {
        let Ok(mut looked) = timeout_at(until, self.looked.lock()).await else { return Ok(()) };
        if looked.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(());
        }
        // An operation that has no time left must not keep the next one from looking.
        if until.saturating_duration_since(Instant::now()) < SHORTEST {
            return Ok(());
        }
        let found = self.find(until).await;
        *looked = Some(Instant::now());
        let ranges = found?;
        self.old.store(false, Ordering::Relaxed);
        self.take(&ranges)
    }

    /// Takes note that a node named the server of a slot.
    pub(crate) fn moved(&self, slot: u16, to: &Address) -> Result<Arc<Node>, Error> {
        self.old.store(true, Ordering::Relaxed);
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let at = map.nodes.iter().position(|node| node.address() == to);
        let mut nodes = map.nodes.clone();
        let at = match at {
            Some(at) => at,
            None => {
                nodes.push(self.new_node(to)?);
                nodes.len() - 1
            }
        };
        let mut slots = map.slots.clone();
        if let Some(place) = slots.get_mut(usize::from(slot)) {
            *place = Some(at);
        }
        let node = nodes.get(at).cloned().ok_or(Error::NoSlot(slot))?;
        *map = Arc::new(Map { nodes, slots });
        Ok(node)
    }

    /// The node at an address, if it serves keys; else one for this once.
    pub(crate) fn at(&self, address: &Address) -> Result<Arc<Node>, Error> {
        let known = self.map().nodes.iter().find(|node| node.address() == address).cloned();
        known.map_or_else(|| self.new_node(address), Ok)
    }

    /// The server in place of one, if something speaks against that.
    pub(crate) async fn check(&self, node: Arc<Node>, until: Instant) -> Result<Arc<Node>, Error> {
        if !node.is_suspect() {
            return Ok(node);
        }
        let slot = self.map().slots_of(&node).next();
        self.node(slot.unwrap_or_default(), until).await
    }

    fn map(&self) -> Arc<Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn new_node(&self, address: &Address) -> Result<Arc<Node>, Error> {
        let kind = match &*self.origin {
            Origin::Server(_) => Kind::Single,
            Origin::Sentinel(sentinels) => Kind::Master(sentinels.clone()),
            Origin::Cluster(_) => Kind::Node,
        };
        let target = Target::new(address.clone(), self.access.clone(), kind)?;
        Ok(Arc::new(Node::new(target, self.pool_size)))
    }

    /// Puts what was found in place of what was known. Connections to servers that stay, stay.
    fn take(&self, ranges: &[Range]) -> Result<(), Error> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let mut addresses: Vec<&Address> = ranges.iter().map(|(_, _, address)| address).collect();
        addresses.sort_by_key(ToString::to_string);
        addresses.dedup();
        let mut nodes = Vec::with_capacity(addresses.len());
        for address in &addresses {
            let known = map.nodes.iter().find(|node| node.address() == *address).cloned();
            nodes.push(known.map_or_else(|| self.new_node(address), Ok)?);
        }
        let mut slots = Vec::new();
        if self.is_cluster() {
            slots.resize(usize::from(SLOTS), None);
            for (first, last, address) in ranges {
                let at = addresses.iter().position(|known| *known == address);
                let range = usize::from(*first)..=usize::from(*last);
                slots.get_mut(range).into_iter().flatten().for_each(|place| *place = at);
            }
        }
        if map.nodes.iter().map(|node| node.address()).ne(nodes.iter().map(|node| node.address())) {
            let servers: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            tracing::info!(?servers, "Redis is served from here");
        }
        *map = Arc::new(Map { nodes, slots });
        Ok(())
    }

    async fn find(&self, until: Instant) -> Result<Vec<Range>, Error> {
        match &*self.origin {
            Origin::Server(address) => Ok(vec![(0, SLOTS - 1, address.clone())]),
            Origin::Sentinel(sentinels) => {
                Ok(vec![(0, SLOTS - 1, sentinels.master(&self.access, until).await?)])
            }
            Origin::Cluster(seeds) => self.find_slots(self.known(seeds), until).await,
        }
    }

    /// Asks one node after the other, and does not wait long for one that is silent.
    async fn find_slots(&self, nodes: Vec<Address>, until: Instant) -> Result<Vec<Range>, Error> {
        let mut asked = JoinSet::new();
        for (at, node) in (0_u32..).zip(nodes) {
            let access = self.access.clone();
            let begin = Instant::now() + STAGGER * at;
            asked.spawn(async move {
                sleep_until(begin.min(until)).await;
                let mut question = redis::cmd("CLUSTER");
                let answer = access.ask(&node, question.arg("SLOTS"), until).await?;
                cluster::read_slots(answer, &node)
            });
        }
        let mut failure = Error::NoNodes;
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(ranges)) if !ranges.is_empty() => return Ok(ranges),
                Ok(Ok(_)) => failure = Error::NoSlot(0),
                Ok(Err(error)) => failure = error,
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// All nodes that may know the Cluster: those that nothing speaks against come first.
    fn known(&self, seeds: &[Address]) -> Vec<Address> {
        let map = self.map();
        let (bad, good): (Vec<_>, Vec<_>) = map.nodes.iter().partition(|node| node.is_suspect());
        let mut all: Vec<Address> = good.iter().map(|node| node.address().clone()).collect();
        let is_bad = |seed: &&Address| bad.iter().any(|node| node.address() == *seed);
        all.extend(seeds.iter().filter(|seed| !is_bad(seed)).cloned());
        all.extend(bad.iter().map(|node| node.address().clone()));
        let mut seen: Vec<Address> = Vec::new();
        all.retain(|address| {
            let new = !seen.contains(address);
            if new {
                seen.push(address.clone());
            }
            new
        });
        all
    }
}

impl Map {
    fn slots_of(&self, node: &Arc<Node>) -> impl Iterator<Item = u16> {
        let at = self.nodes.iter().position(|known| Arc::ptr_eq(known, node));
        let slots = (0..SLOTS).zip(&self.slots);
        slots.filter(move |(_, place)| at.is_some() && **place == at).map(|(slot, _)| slot)
    }

    fn of(&self, slot: u16) -> Option<Arc<Node>> {
        let at = if self.slots.is_empty() { 0 } else { (*self.slots.get(usize::from(slot))?)? };
        self.nodes.get(at).cloned()
    }
}
