//! Putting a whole session where none is.

use redis::Pipeline;
use sessiond_core::key::SessionKey;
use sessiond_core::store::edit::Place;
use sessiond_core::store::whole::{SessionTtl, Whole};
use sessiond_core::store::{Seen, SessionHeader, StoreError};
use uuid::Uuid;

use super::RedisStore;
use super::batch::{Common, begin};
use super::edit::header_of;
use crate::client::Call;
use crate::codec::{backlog, doubles, fate_bytes, origin_text, place_text, track_text};
use crate::error::Error;
use crate::id_field::id_field;
use crate::keyspace::{SessionKeys, escape_track};
use crate::schema::hex;
use crate::script::RESTORE;

/// How long parts that were written ahead wait for the last step, in milliseconds.
const STAGED: u64 = 60_000;
/// How many of them go in one command.
const STEP: usize = 200;

/// Names under which the parts wait.
struct Staging {
    entries: String,
    ids: String,
    /// With the name in keys of the track that each will be.
    tracks: Vec<(String, String)>,
}

impl RedisStore {
    pub(super) async fn restore_session(
        &self,
        key: &SessionKey,
        whole: &Whole,
    ) -> Result<Option<SessionHeader>, StoreError> {
        let keys = self.keyspace.session(key);
        let whole = &filled(whole.clone().within(self.terms.event_limit));
        let number = Uuid::now_v7().simple().to_string();
        let tracks = whole.tracks.iter().enumerate().filter(|(_, (_, events))| !events.is_empty());
        let staging = Staging {
            entries: keys.staging(&number, "e"),
            ids: keys.staging(&number, "i"),
            tracks: tracks
                .map(|(at, (name, _))| (keys.staging(&number, &at.to_string()), escape_track(name)))
                .collect(),
        };
        self.stage(whole, &staging).await?;
        let call = self.client.call();
        let restored = self.put_up(&call, &keys, whole, &staging).await;
        if !matches!(restored, Ok(Some(_))) {
            // They would go by themselves; this is sooner.
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(&staging.entries).arg(&staging.ids);
            staging.tracks.iter().for_each(|(staged, _)| {
                unlink.arg(staged);
            });
            if let Err(error) = call.command::<i64>(&unlink).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "staged keys are left");
            }
        }
        if matches!(restored, Ok(Some(_))) {
            let touched = self.touch_app_state(&call, key.app_key()).await;
            touched.map_err(super::append::unsettled)?;
        }
        restored
    }

    /// Writes the parts under other names, a little at a time: nobody sees them, and Redis is not
    /// held up by a long history.
    async fn stage(&self, whole: &Whole, staging: &Staging) -> Result<(), Error> {
        for chunk in whole.places.chunks(STEP) {
            let texts: Vec<Vec<u8>> = chunk.iter().map(place_text).collect();
            self.push("RPUSH", &staging.entries, &texts).await?;
        }
        let ids: Vec<[Vec<u8>; 2]> =
            whole.ids.iter().map(|(id, seen)| id_fields(id, seen)).collect();
        for chunk in ids.chunks(STEP) {
            self.push("HSET", &staging.ids, chunk.as_flattened()).await?;
        }
        let tracks = whole.tracks.iter().filter(|(_, events)| !events.is_empty());
        for ((_, events), (staged, _)) in tracks.zip(&staging.tracks) {
            let texts: Vec<Vec<u8>> =
                events.iter().map(|event| track_text(event).into_bytes()).collect();
            for chunk in texts.chunks(STEP) {
                self.push("RPUSH", staged, chunk).await?;
            }
        }
        Ok(())
    }

    async fn push(&self, command: &str, key: &str, values: &[Vec<u8>]) -> Result<(), Error> {
        let mut pipe: Pipeline = redis::pipe();
        pipe.cmd(command).arg(key).arg(values).ignore();
        pipe.cmd("PEXPIRE").arg(key).arg(STAGED).ignore();
        self.client.call().pipeline(&pipe).await
    }

    /// The last step, which all see at once.
    async fn put_up(
        &self,
        call: &Call<'_>,
        keys: &SessionKeys,
        whole: &Whole,
        staging: &Staging,
    ) -> Result<Option<SessionHeader>, StoreError> {
        let staged = [staging.entries.as_str(), staging.ids.as_str()];
        let mut script = begin(&RESTORE, keys, &self.terms, &Common::default(), &staged);
        let first = whole.first_sequence();
        let [events, tokens, turns] = backlog(whole.totals);
        let [summarized_events, summarized_tokens, summarized_turns] = backlog(whole.summarized);
        script.arg(doubles(&[
            1,
            whole.last_sequence,
            first,
            first,
            u64::try_from(whole.updated_at.micros()).unwrap_or_default(),
            0,
            whole.last_user_turn().unwrap_or(0),
            events,
            tokens,
            turns,
            whole.ids.len() as u64,
            0,
            whole.floor,
            u64::try_from(whole.created_at.micros()).unwrap_or_default(),
            summarized_events,
            summarized_tokens,
            summarized_turns,
        ]));
        script.arg(whole.places.len());
        let fields = self.fields_of(whole, staging)?;
        script.arg(fields.len()).arg(fields);
        for (staged, track) in &staging.tracks {
            script.arg(staged).arg(track);
        }
        let mut reply = call.script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(Some(header_of(&mut reply)?)),
            "exists" => Ok(None),
            "lost" => Err(Error::Staging.into()),
            _ => Err(reply.unreadable().into()),
        }
    }

    /// The fields of the session's hash, each with its value.
    fn fields_of(&self, whole: &Whole, staging: &Staging) -> Result<Vec<Vec<u8>>, Error> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        let mut put = |field: String, value: Vec<u8>| fields.extend([field.into_bytes(), value]);
        for (key, value) in &whole.state {
            put(format!("s{key}"), value.to_stored());
        }
        for summary in &whole.summaries {
            let text = serde_json::to_vec(summary).map_err(Error::Summary)?;
            put(format!("m{}", summary.filter_key), text);
            let boundary = summary.last_sequence.to_string();
            put(format!("b{}", summary.filter_key), boundary.into_bytes());
        }
        if let Some(origin) = &whole.origin {
            put("#f".to_owned(), origin_text(origin).into_bytes());
        }
        let own = match whole.ttl {
            SessionTtl::Default => "-".to_owned(),
            SessionTtl::Never => "0".to_owned(),
            SessionTtl::After(ttl) => super::millis(ttl).to_string(),
        };
        let tracks: Vec<&str> = staging.tracks.iter().map(|(_, track)| track.as_str()).collect();
        if own != "-" || !tracks.is_empty() {
            let names: String = tracks.iter().map(|track| format!(" {track}")).collect();
            put("#r".to_owned(), format!("{own} 0 -{names}").into_bytes());
        }
        let kept = whole.tracks.iter().filter(|(_, events)| !events.is_empty());
        for ((_, events), track) in kept.zip(tracks) {
            let ends = (events.last(), events.first());
            if let (Some(last), Some(first)) = ends {
                put(
                    format!("k{track}"),
                    format!("{} {}", last.sequence, first.sequence).into_bytes(),
                );
            }
        }
        let tokens = self.client.schema().digest_key();
        let now = whole.updated_at.millis();
        let open: String = sessiond_core::store::edit::open_calls(&whole.places)
            .iter()
            .map(|(id, sequence)| format!("{}:{sequence}:{now};", hex(&tokens.token(id))))
            .collect();
        if !open.is_empty() && self.terms.event_limit.is_some() {
            put("#o".to_owned(), open.into_bytes());
        }
        Ok(fields)
    }
}

/// The same, with an empty place wherever a sequence is missing: the list has no holes.
fn filled(mut whole: Whole) -> Whole {
    let (mut next, last) = (whole.first_sequence(), whole.last_sequence);
    let mut places: Vec<Place> = Vec::with_capacity(whole.places.len());
    let empty = |sequence| Place { sequence, event: None, undo: Vec::new() };
    for place in whole.places {
        places.extend((next..place.sequence).map(empty));
        next = place.sequence + 1;
        places.push(place);
    }
    places.extend((next..=last).map(empty));
    whole.places = places;
    whole
}

fn id_fields(id: &str, seen: &Seen) -> [Vec<u8>; 2] {
    let value = [seen.digest.bytes().as_slice(), &fate_bytes(&seen.fate)].concat();
    [id_field(id), value]
}
