//! A session of either layout, put together from its keys.

use std::time::Duration;

use sessiond_core::key::SessionKey;
use sessiond_core::store::whole::{SessionTtl, TrackEvent, Whole};
use sessiond_core::time::Time;

use super::event::Events;
use super::record::Record;
use super::{Content, Finding, Found, Pairs, Place, Trouble, TrpcSource, on, summary};

/// How many sessions of a user are named at once.
const PAGE: usize = 100;

/// What was read of a session besides its record.
struct Parts {
    events: Events,
    summaries: Option<(String, Vec<u8>)>,
    tracks: Vec<(String, Vec<TrackEvent>)>,
    findings: Vec<Finding>,
}

impl TrpcSource {
    pub(super) async fn hashidx_session(&self, meta: &str) -> Result<Found, Trouble> {
        let text: Option<Vec<u8>> = self.read(&on("GET", meta), meta).await?;
        // It has gone since the key was seen.
        let Some(text) = text else { return Ok(nothing()) };
        let record = Record::read(meta, &text).map_err(Trouble::Part)?;
        let (app, user, id) = (&record.app_name, &record.user_id, &record.id);
        if self.names.hashidx("meta", app, user, id) != meta {
            let reason = "the names in the record are not those of its key";
            return Err(Trouble::Part(Finding::lost(meta, reason)));
        }
        let (wanted_app, wanted_user) = self.wanted();
        let other = |wanted: Option<&str>, name: &String| wanted.is_some_and(|it| it != name);
        if other(wanted_app, app) || other(wanted_user, user) {
            return Ok(nothing());
        }
        let older = self.names.zset("sess", app, user);
        let mut exists = on("HEXISTS", &older);
        exists.arg(id);
        if self.read::<bool>(&exists, &older).await.unwrap_or(false) {
            let reason =
                format!("left out: trpc-agent-go reads the session {id:?} of {older} in its place");
            return Err(Trouble::Part(Finding::lost(meta, reason)));
        }
        let left: i64 = self.read(&on("PTTL", meta), meta).await?;
        let name = |kind: &str| self.names.hashidx(kind, app, user, id);
        let mut findings = Vec::new();
        let events = self.hashidx_events(&name("evtidx:time"), &name("evtdata")).await;
        let events = keep(events, &mut findings)?.unwrap_or_else(Events::none);
        let sums = name("sesssum");
        let texts = self.read::<Option<Vec<u8>>>(&on("GET", &sums), &sums).await;
        let texts = keep(texts, &mut findings)?.flatten();
        let listed = name("trkidx:names");
        let mut tracks = Vec::new();
        for track in self.track_names(&record, meta, &listed, &mut findings).await? {
            let (index, data) = (name("trkidx:time"), name("trkdata"));
            let (index, data) = (format!("{index}:{track}"), format!("{data}:{track}"));
            let read = self.hashidx_track(&index, &data, &mut findings).await;
            tracks.extend(keep(read, &mut findings)?.map(|entries| (track, entries)));
        }
        let parts = Parts { events, summaries: texts.map(|text| (sums, text)), tracks, findings };
        Ok(whole(meta, &record, (app, user, id), left, parts))
    }

    /// Names some of a user's sessions, and where the next are named.
    pub(super) async fn zset_sessions(
        &self,
        user: &(String, String),
        cursor: u64,
    ) -> Result<Found, Trouble> {
        let hash = self.names.zset("sess", &user.0, &user.1);
        let mut scan = on("HSCAN", &hash);
        scan.arg(cursor).arg("COUNT").arg(PAGE);
        let (next, pairs): (u64, Pairs) = self.read(&scan, &hash).await?;
        let (mut places, mut findings) = (Vec::new(), Vec::new());
        for (name, _) in pairs {
            match String::from_utf8(name) {
                Ok(name) => places.push(Place::Zset(user.clone(), name)),
                Err(error) => {
                    let name = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    let at = format!("{hash} (session {name:?})");
                    findings.push(Finding::lost(at, "its name is not UTF-8"));
                }
            }
        }
        if next > 0 {
            places.push(Place::ZsetUser { user: user.clone(), cursor: next });
        }
        Ok(Found { content: Content::Places(places), findings })
    }

    pub(super) async fn zset_session(
        &self,
        (app, user): &(String, String),
        id: &str,
    ) -> Result<Found, Trouble> {
        let hash = self.names.zset("sess", app, user);
        let at = format!("{hash} (session {id:?})");
        let mut get = on("HGET", &hash);
        get.arg(id);
        let text: Option<Vec<u8>> = self.read(&get, &hash).await?;
        let Some(text) = text else { return Ok(nothing()) };
        let record = Record::read(&at, &text).map_err(Trouble::Part)?;
        if record.id != id {
            let reason = "the name in the record is another";
            return Err(Trouble::Part(Finding::lost(at, reason)));
        }
        let left: i64 = self.read(&on("PTTL", &hash), &hash).await?;
        let name = |kind: &str| self.names.zset(kind, app, &format!("{user}:{id}"));
        let mut findings = Vec::new();
        let events = self.zset_events(&name("event")).await;
        let events = keep(events, &mut findings)?.unwrap_or_else(Events::none);
        let sums = self.names.zset("sesssum", app, user);
        let mut get = on("HGET", &sums);
        get.arg(id);
        let texts = self.read::<Option<Vec<u8>>>(&get, &sums).await;
        let texts = keep(texts, &mut findings)?.flatten();
        let listed = name("trackidx");
        let mut tracks = Vec::new();
        for track in self.track_names(&record, &at, &listed, &mut findings).await? {
            let key = format!("{}:{track}", name("track"));
            let read = self.zset_track(&key, &mut findings).await;
            tracks.extend(keep(read, &mut findings)?.map(|entries| (track, entries)));
        }
        let sums = format!("{sums} (session {id:?})");
        let parts = Parts { events, summaries: texts.map(|text| (sums, text)), tracks, findings };
        Ok(whole(&at, &record, (app, user, id), left, parts))
    }

    /// The names of tracks: a session's record may miss some that the list has, and the other way.
    async fn track_names(
        &self,
        record: &Record,
        at: &str,
        listed: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<String>, Trouble> {
        let mut names = record.tracks(at, findings);
        let members = self.read::<Vec<Vec<u8>>>(&on("SMEMBERS", listed), listed).await;
        let mut more: Vec<String> = Vec::new();
        for name in keep(members, findings)?.into_iter().flatten() {
            match String::from_utf8(name) {
                Ok(name) => more.push(name),
                Err(error) => {
                    let name = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    let at = format!("{listed} (track {name:?})");
                    findings.push(Finding::lost(at, "its name is not UTF-8"));
                }
            }
        }
        more.sort();
        more.retain(|name| !names.contains(name));
        names.extend(more);
        Ok(names)
    }
}

/// Goes on without a part that cannot be read.
fn keep<T>(read: Result<T, Trouble>, findings: &mut Vec<Finding>) -> Result<Option<T>, Trouble> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Trouble::Part(finding)) => {
            findings.push(finding);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn nothing() -> Found {
    Found { content: Content::Nothing, findings: Vec::new() }
}

fn whole(
    at: &str,
    record: &Record,
    (app, user, id): (&str, &str, &str),
    left: i64,
    parts: Parts,
) -> Found {
    let Parts { events, summaries, tracks, mut findings } = parts;
    let key = match SessionKey::new(app, user, id) {
        Ok(key) => key,
        Err(error) => {
            findings.push(Finding::lost(at, error));
            return Found { content: Content::Nothing, findings };
        }
    };
    findings.extend(events.findings);
    let entries = events.entries;
    let state = record.state(at, &mut findings);
    let summaries = summaries
        .map_or_else(Vec::new, |(key, text)| summary::read(&key, &text, &entries, &mut findings));
    let (created, updated) = record.times();
    let times = || entries.iter().map(|entry| entry.event.time());
    let first = created.or_else(|| times().min()).or(updated).unwrap_or(Time::from_nanos(0));
    // Layout hashidx does not note an append in the record.
    let last = times().max().into_iter().chain(updated).max().unwrap_or(first).max(first);
    let left = u64::try_from(left).ok().map(Duration::from_millis);
    let last_sequence = entries.len() as u64;
    let whole = Whole {
        created_at: first,
        updated_at: last,
        ttl: left.map_or(SessionTtl::Default, SessionTtl::After),
        tracks,
        ..Whole::of_entries(entries, last_sequence, state, summaries)
    };
    Found { content: Content::Session(key, Box::new(whole)), findings }
}
