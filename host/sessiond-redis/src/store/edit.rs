//! Taking entries out of a session's history, and copying a session whole.

use sessiond_core::digest::DigestKey;
use sessiond_core::key::SessionKey;
use sessiond_core::state::StateValue;
use sessiond_core::store::edit::{Edit, EditPlan, History, Planned};
use sessiond_core::store::whole::Whole;
use sessiond_core::store::{Condition, Edited, Seen as SeenId, SessionHeader, StoreError};
use sessiond_core::time::Time;

use super::RedisStore;
use super::batch::{Common, begin, refusal};
use super::read::Seen;
use super::reading::lrange;
use super::track::ID_MARK;
use crate::client::Call;
use crate::codec::{self, HeaderFields, Lifetime, backlog, doubles, place_text};
use crate::error::Error;
use crate::id_field::id_of;
use crate::keyspace::{SessionKeys, escape_track};
use crate::schema::hex;
use crate::script::EDIT;

/// How many of the newest entries a plan begins with; then ever more, until it has enough.
const FIRST_LOOK: usize = 64;

impl RedisStore {
    pub(super) async fn edit_session(
        &self,
        key: &SessionKey,
        condition: Condition,
        edit: &Edit,
    ) -> Result<Edited, StoreError> {
        let (call, keys) = (self.client.call(), self.keyspace.session(key));
        // What others write meanwhile has the plan made anew: the time-out of the call ends that.
        loop {
            let (seen, plan) = self.plan(&call, &keys, condition, edit).await?;
            let Some(plan) = plan else {
                return Ok(Edited { header: seen.header, removed: 0, popped: Vec::new() });
            };
            match self.carry_out(&call, &keys, condition, &seen, &plan).await {
                Ok(header) => {
                    return Ok(Edited { header, removed: plan.removed, popped: plan.popped });
                }
                Err(StoreError::OtherRevision { .. }) if condition.revision.is_none() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn plan(
        &self,
        call: &Call<'_>,
        keys: &SessionKeys,
        condition: Condition,
        edit: &Edit,
    ) -> Result<(Seen, Option<EditPlan>), StoreError> {
        let mut size = FIRST_LOOK;
        loop {
            let tail = lrange(&keys.entries, &format!("-{size}"), "-1");
            let Some(mut seen) = self.look(call, keys, vec![tail]).await? else {
                return Err(StoreError::NotFound);
            };
            let mut places = codec::places(codec::next(&mut seen.along)?)?;
            let header = seen.header;
            if condition.generation.is_some_and(|wanted| wanted != header.generation) {
                return Err(StoreError::OtherGeneration { current: header.generation });
            }
            if condition.revision.is_some_and(|wanted| wanted != header.revision) {
                let (generation, current) = (header.generation, header.revision);
                return Err(StoreError::OtherRevision { generation, current });
            }
            let now = Time::from_micros(seen.now.saturating_mul(1_000));
            if let Some(lease) = seen.session.lease().filter(|it| it.bars(condition.lease, now)) {
                return Err(StoreError::Leased { holder: lease.holder, until: lease.until });
            }
            let whole = places.len() < size;
            places.retain(|place| place.sequence >= header.first_sequence);
            let planned = edit.plan(&History {
                header: &header,
                summaries: &seen.session.summaries,
                places: &places,
                whole,
                follows_calls: self.terms.event_limit.is_some(),
            })?;
            match planned {
                Planned::Ready(plan) => return Ok((seen, Some(*plan))),
                Planned::Nothing => return Ok((seen, None)),
                Planned::NeedsMore => size *= 8,
            }
        }
    }

    async fn carry_out(
        &self,
        call: &Call<'_>,
        keys: &SessionKeys,
        condition: Condition,
        seen: &Seen,
        plan: &EditPlan,
    ) -> Result<SessionHeader, StoreError> {
        let (generation, revision) = (Some(seen.header.generation), Some(seen.header.revision));
        let condition = Condition { generation, revision, ..condition };
        let common = Common { condition, ..Common::default() };
        let mut script = begin(&EDIT, keys, &self.terms, &common, &[]);
        let open = plan.open_calls.as_ref();
        let open = open.map_or("=".to_owned(), |open| self.open_calls(seen, open));
        script
            .arg(plan.first_sequence)
            .arg(plan.last_user_turn.unwrap_or(0))
            .arg(doubles(&[backlog(plan.totals), backlog(plan.summarized)].concat()))
            .arg(open);
        script.arg(plan.emptied.len() * 2);
        for place in &plan.emptied {
            script.arg(place.sequence).arg(place_text(place));
        }
        let (mut set, mut removed): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
        for (key, value) in &plan.state {
            let field = format!("s{key}").into_bytes();
            match value.as_ref().map(StateValue::to_stored) {
                Some(value) => set.extend([field, value]),
                None => removed.push(field),
            }
        }
        for filter_key in &plan.stale_summaries {
            removed.extend(["m", "b"].map(|kind| format!("{kind}{filter_key}").into_bytes()));
        }
        script.arg(set.len()).arg(set).arg(removed.len()).arg(removed);
        let mut reply = call.script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(header_of(&mut reply)?),
            word => Err(refusal(word, &mut reply)),
        }
    }

    /// Open calls as `write.lua` keeps them. One that was open stays so since then.
    fn open_calls(&self, seen: &Seen, open: &[(String, u64)]) -> String {
        let tokens: DigestKey = self.client.schema().digest_key();
        let known: Vec<&str> = seen.session.open_calls.split_inclusive(';').collect();
        let now = seen.now.to_string();
        let record = |(id, sequence): &(String, u64)| {
            let head = format!("{}:{sequence}:", hex(&tokens.token(id)));
            let before = known.iter().find(|record| record.starts_with(&head));
            before.map_or_else(|| format!("{head}{now};"), ToString::to_string)
        };
        open.iter().map(record).collect()
    }

    pub(super) async fn copy_session(&self, key: &SessionKey) -> Result<Option<Whole>, StoreError> {
        let (call, keys) = (self.client.call(), self.keyspace.session(key));
        // The names of tracks must be known before all is read as of one moment. Most have none.
        let mut names: Vec<String> = Vec::new();
        loop {
            let mut along = vec![lrange(&keys.entries, "0", "-1")];
            for ids in [&keys.older_ids, &keys.ids] {
                along.push(redis::cmd("HGETALL").arg(ids).take());
            }
            let tracks = names.iter().map(|name| keys.track(&escape_track(name)));
            along.extend(tracks.map(|track| lrange(&track, "0", "-1")));
            let Some(seen) = self.look(&call, &keys, along).await? else { return Ok(None) };
            let Seen { session, header, along: mut reply, .. } = seen;
            if session.track_names() != names {
                names = session.track_names();
                continue;
            }
            let mut places = codec::places(codec::next(&mut reply)?)?;
            places.retain(|place| place.sequence >= header.first_sequence);
            let ids = remembered(codec::next(&mut reply)?, codec::next(&mut reply)?)?;
            let mut tracks = Vec::with_capacity(names.len());
            for name in names {
                let events: Vec<Vec<u8>> = codec::next(&mut reply)?;
                let events: Result<Vec<_>, _> =
                    events.into_iter().map(codec::track_event).collect();
                // One whose time is over is gone, though its session still knows of it.
                tracks.extend(Some(events?).filter(|it| !it.is_empty()).map(|it| (name, it)));
            }
            let (ttl, origin) = (session.ttl(), session.origin);
            let whole = Whole::of(&header, places, session.state, session.summaries);
            return Ok(Some(Whole { ttl, tracks, origin, ids, ..whole }));
        }
    }
}

/// The ids of the history that are remembered: those of tracks begin with a mark.
fn remembered(older: codec::Fields, newer: codec::Fields) -> Result<Vec<(String, SeenId)>, Error> {
    let all = older.into_iter().chain(newer);
    let all = all.filter(|(id, _)| id.first() != Some(&ID_MARK));
    all.map(|(id, seen)| Ok((id_of(id)?, codec::seen(&seen)?))).collect()
}

/// The header at the end of a script's reply: generation, numbers, time, and time to live.
pub(super) fn header_of(reply: &mut crate::script::Reply) -> Result<SessionHeader, Error> {
    let fields = HeaderFields::take(reply)?;
    let lifetime = Lifetime { now: reply.number()?, left: reply.number()? };
    fields.header(lifetime)
}
