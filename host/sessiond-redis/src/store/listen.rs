//! Listening to what daemons tell each other of sessions that were written, for those who watch.
//!
//! One connection does it for all watchers of this daemon, and there is none while nobody watches.
//! What is told on it may get lost with it: so watchers read once more after each subscription.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::aio::PubSubSink;
use redis::{Msg, RedisError};
use sessiond_core::store::watch::Watched;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::StreamExt as _;

use super::RedisStore;
use crate::error::Error;
use crate::keyspace::CHANNELS;

/// How often the connection is tried: a server that is gone does not say so.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long to wait before the next attempt to listen.
const PAUSE: Duration = Duration::from_millis(500);

impl RedisStore {
    /// Listens as long as somebody watches, and never ends.
    pub(super) async fn listen_for_news(&self) {
        let mut down = false;
        loop {
            if self.board.watched().is_empty() {
                self.board.joined().await;
                continue;
            }
            let listened = self.listen_once(&mut down).await;
            if let Err(error) = listened {
                if !std::mem::replace(&mut down, true) {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(error, "watchers do not get to know what other daemons write");
                }
                sleep(PAUSE).await;
            }
        }
    }

    /// Listens over one connection, until that breaks or nobody watches any more.
    async fn listen_once(&self, down: &mut bool) -> Result<(), Error> {
        let (mut sink, mut stream) = self.client.subscriber().await?.split();
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut subscribed = BTreeSet::new();
        let mut wanted = self.wanted_channels();
        while !wanted.is_empty() {
            let new: Vec<u8> = wanted.difference(&subscribed).copied().collect();
            if !new.is_empty() {
                self.subscribe(&mut sink, &new).await?;
                subscribed.extend(new.iter().copied());
                self.board
                    .tell_some(|watched| self.channels_of(watched).any(|it| new.contains(&it)));
            }
            if std::mem::take(down) {
                tracing::info!("watchers get to know again what other daemons write");
            }
            tokio::select! {
                message = stream.next() => self.take(message)?,
                () = self.board.joined() => wanted = self.wanted_channels(),
                _ = heartbeat.tick() => {
                    wanted = self.wanted_channels();
                    let idle: Vec<u8> = subscribed.difference(&wanted).copied().collect();
                    self.unsubscribe(&mut sink, &idle).await?;
                    subscribed.retain(|channel| !idle.contains(channel));
                    // To subscribe once more changes nothing, and is answered.
                    let first = subscribed.first().copied();
                    self.subscribe(&mut sink, first.as_slice()).await?;
                }
            }
        }
        Ok(())
    }

    fn take(&self, message: Option<Msg>) -> Result<(), Error> {
        let message = message.ok_or_else(|| Error::Command(lost()))?;
        let text: String = message.get_payload().unwrap_or_default();
        let mut parts = text.splitn(4, ' ');
        let (kind, hash) = (parts.next(), parts.nth(2));
        if let Some(key) = hash.and_then(|hash| self.keyspace.session_of(hash)) {
            self.board.tell(&key, kind == Some("d"));
        }
        Ok(())
    }

    async fn subscribe(&self, sink: &mut PubSubSink, channels: &[u8]) -> Result<(), Error> {
        let names: Vec<String> = channels.iter().map(|it| self.keyspace.channel(*it)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let done = timeout(self.client.timeout(), sink.subscribe(names)).await;
        done.unwrap_or_else(|_| Err(lost())).map_err(Error::Command)
    }

    async fn unsubscribe(&self, sink: &mut PubSubSink, channels: &[u8]) -> Result<(), Error> {
        let names: Vec<String> = channels.iter().map(|it| self.keyspace.channel(*it)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let done = timeout(self.client.timeout(), sink.unsubscribe(names)).await;
        done.unwrap_or_else(|_| Err(lost())).map_err(Error::Command)
    }

    fn wanted_channels(&self) -> BTreeSet<u8> {
        self.board.watched().iter().flat_map(|watched| self.channels_of(watched)).collect()
    }

    /// The channels on which is told what somebody watches: of a session one, of a user all.
    fn channels_of(&self, watched: &Watched) -> std::ops::Range<u8> {
        match watched {
            Watched::Session(key) => {
                let channel = self.keyspace.session(key).channel_number();
                channel..channel + 1
            }
            Watched::User(_) => 0..CHANNELS,
        }
    }
}

fn lost() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into()
}
