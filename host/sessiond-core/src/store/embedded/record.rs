//! One session in memory: the rules of an append, plainly.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::track::Track;
use super::{deadline, is_over};
use crate::digest::Digest;
use crate::event::{EntryKind, Event, StoredEvent};
use crate::state::{Scope, StateMap};
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::edit::{Edit, EditPlan, History, Place, Planned, Undo, take_back};
use crate::store::lease::Lease;
use crate::store::whole::{Origin, SessionTtl, Whole};
use crate::store::{
    Condition, Fate, HistoryVersion, NewEntry, NewTrackEvent, Outcome, Prefer, Range, Seen,
    SessionHeader, StoreError, StoreRules, SummaryCommit,
};
use crate::summary::{Backlog, Summary};
use crate::time::Time;
use uuid::Uuid;

/// The most tool calls without an answer that are kept in mind.
const MAX_OPEN_CALLS: usize = 1_000;

/// A session.
#[derive(Debug)]
pub(super) struct Record {
    generation: u64,
    revision: u64,
    last_sequence: u64,
    first_sequence: u64,
    created_at: Time,
    pub(super) updated_at: Time,
    pub(super) expires_at: Option<Time>,
    last_user_turn: Option<u64>,
    totals: Backlog,
    summarized: Backlog,
    edits: u64,
    floor: u64,
    pub(super) ttl: SessionTtl,
    pub(super) origin: Option<Origin>,
    pub(super) lease: Option<Lease>,
    /// Who is making which summary.
    pub(super) claims: BTreeMap<String, Claim>,
    pub(super) tracks: BTreeMap<String, Track>,
    /// What is kept, in order of sequence.
    places: VecDeque<Place>,
    pub(super) state: StateMap,
    pub(super) summaries: BTreeMap<String, Summary>,
    /// Ids of the last events, in two maps that rotate: both together always hold at least
    /// `event_limit` of them, and no id need be looked up to be forgotten.
    ids: HashMap<IdOf, Seen>,
    older_ids: HashMap<IdOf, Seen>,
    /// Tool calls without an answer, oldest first.
    open_calls: VecDeque<OpenCall>,
}

/// The name of a track, empty for the history, and an id there.
type IdOf = (String, String);

#[derive(Debug)]
struct OpenCall {
    id: String,
    sequence: u64,
    since: Time,
}

/// What an append will do, once it is known that nothing stands against it.
#[derive(Debug)]
pub(super) struct Plan {
    /// For each item, what became of an earlier one that it repeats.
    earlier: Vec<Option<Earlier>>,
}

#[derive(Debug)]
enum Earlier {
    /// In an earlier append.
    Append(Fate),
    /// In this one: the number of the item.
    Item(usize),
}

impl Plan {
    /// Whether there is nothing to write.
    pub(super) fn is_repeat(&self) -> bool {
        self.earlier.iter().all(|earlier| matches!(earlier, Some(Earlier::Append(_))))
    }

    /// Whether any entry will be stored, rather than only remembered as dropped.
    pub(super) fn stores(&self, entries: &[NewEntry]) -> bool {
        let mut items = entries.iter().zip(&self.earlier);
        items.any(|(entry, earlier)| matches!((entry, earlier), (NewEntry::Event { .. }, None)))
    }

    /// The answers, when there is nothing to write.
    pub(super) fn repeated(self) -> Vec<Outcome> {
        let fates = self.earlier.into_iter().filter_map(|earlier| match earlier {
            Some(Earlier::Append(fate)) => Some(Outcome { fate, duplicate: true }),
            _ => None,
        });
        fates.collect()
    }
}

impl Record {
    pub(super) fn new(generation: u64, now: Time) -> Self {
        Self {
            generation,
            revision: 1,
            last_sequence: 0,
            first_sequence: 1,
            created_at: now,
            updated_at: now,
            expires_at: None,
            last_user_turn: None,
            totals: Backlog::default(),
            summarized: Backlog::default(),
            edits: 0,
            floor: 0,
            ttl: SessionTtl::Default,
            origin: None,
            lease: None,
            claims: BTreeMap::new(),
            tracks: BTreeMap::new(),
            places: VecDeque::new(),
            state: StateMap::new(),
            summaries: BTreeMap::new(),
            ids: HashMap::new(),
            older_ids: HashMap::new(),
            open_calls: VecDeque::new(),
        }
    }

    pub(super) fn header(&self) -> SessionHeader {
        SessionHeader {
            generation: self.generation,
            revision: self.revision,
            last_sequence: self.last_sequence,
            first_sequence: self.first_sequence,
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            last_user_turn: self.last_user_turn,
            totals: self.totals,
            summarized: self.summarized,
            edits: self.edits,
            floor: self.floor,
        }
    }

    /// Begins its time anew, and that of its tracks.
    pub(super) fn touch(&mut self, rules: &StoreRules, now: Time) {
        let ttl = match self.ttl {
            SessionTtl::Default => rules.session_ttl,
            SessionTtl::Never => None,
            SessionTtl::After(ttl) => Some(ttl),
        };
        self.expires_at = deadline(ttl, now);
        for track in self.tracks.values_mut().filter(|track| !is_over(track.expires_at, now)) {
            // One with a time of its own never outlives its session.
            let own = rules.track_ttl.and(track.expires_at);
            track.expires_at = [own, self.expires_at].into_iter().flatten().min();
        }
    }

    /// The names of its tracks.
    pub(super) fn track_names(&self, now: Time) -> Vec<String> {
        let live = self.tracks.iter().filter(|(_, track)| !is_over(track.expires_at, now));
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Checks what must hold for a write.
    pub(super) fn admit(&self, condition: Condition, now: Time) -> Result<(), StoreError> {
        if condition.generation.is_some_and(|wanted| wanted != self.generation) {
            return Err(StoreError::OtherGeneration { current: self.generation });
        }
        if let Some(lease) = self.lease.as_ref().filter(|lease| lease.bars(condition.lease, now)) {
            return Err(StoreError::Leased { holder: lease.holder.clone(), until: lease.until });
        }
        if condition.revision.is_some_and(|wanted| wanted != self.revision) {
            let (generation, current) = (self.generation, self.revision);
            return Err(StoreError::OtherRevision { generation, current });
        }
        Ok(())
    }

    pub(super) fn seen(&self, id: &str) -> Option<&Seen> {
        self.seen_in("", id)
    }

    fn seen_in(&self, track: &str, id: &str) -> Option<&Seen> {
        let id = (track.to_owned(), id.to_owned());
        self.ids.get(&id).or_else(|| self.older_ids.get(&id))
    }

    fn remember(&mut self, track: &str, id: &str, seen: Seen, limit: Option<u64>) {
        if limit.is_some_and(|limit| self.ids.len() as u64 >= limit) {
            self.older_ids = std::mem::take(&mut self.ids);
        }
        self.ids.insert((track.to_owned(), id.to_owned()), seen);
    }

    /// Appends to a track, all or none. For each event, its sequence and whether it was there.
    pub(super) fn append_track(
        &mut self,
        track: &str,
        events: &[NewTrackEvent],
        limit: Option<u64>,
        now: Time,
    ) -> Result<Vec<(u64, bool)>, StoreError> {
        let mut digests: HashMap<&str, Digest> = HashMap::new();
        let mut added: HashMap<&str, u64> = HashMap::new();
        for event in events {
            let known = self.seen_in(track, &event.id);
            if let Some(Fate::Stored(sequence)) = known.map(|seen| &seen.fate) {
                added.insert(&event.id, *sequence);
            }
            let known = known.map(|seen| seen.digest);
            let same = known.unwrap_or(*digests.entry(&event.id).or_insert(event.digest));
            if same != event.digest {
                return Err(StoreError::IdConflict { id: event.id.clone() });
            }
        }
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            if let Some(sequence) = added.get(event.id.as_str()) {
                outcomes.push((*sequence, true));
                continue;
            }
            let known = self.tracks.entry(track.to_owned()).or_default();
            let sequence = known.push(event.body.clone(), limit, now);
            let seen = Seen { digest: event.digest, fate: Fate::Stored(sequence) };
            self.remember(track, &event.id, seen, limit);
            added.insert(&event.id, sequence);
            outcomes.push((sequence, false));
        }
        Ok(outcomes)
    }

    /// Checks an append against what is stored, and changes nothing.
    pub(super) fn plan(
        &self,
        condition: Condition,
        entries: &[NewEntry],
        now: Time,
    ) -> Result<Plan, StoreError> {
        if condition.generation.is_some_and(|wanted| wanted != self.generation) {
            return Err(StoreError::OtherGeneration { current: self.generation });
        }
        let mut in_this: HashMap<&str, (usize, &NewEntry)> = HashMap::new();
        let mut earlier = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let (digest, before) = if let Some(seen) = self.seen(entry.id()) {
                (Some(seen.digest), Some(Earlier::Append(seen.fate.clone())))
            } else if let Some((first, same)) = in_this.get(entry.id()) {
                (Some(same.digest()), Some(Earlier::Item(*first)))
            } else {
                in_this.insert(entry.id(), (at, entry));
                (None, None)
            };
            if digest.is_some_and(|digest| digest != entry.digest()) {
                return Err(StoreError::IdConflict { id: entry.id().to_owned() });
            }
            earlier.push(before);
        }
        let plan = Plan { earlier };
        if !plan.is_repeat() {
            self.admit(condition, now)?;
        }
        Ok(plan)
    }

    /// Makes an append. Returns the answers, and how many open calls were given up.
    pub(super) fn append(
        &mut self,
        entries: &[NewEntry],
        steps: u64,
        plan: Plan,
        now: Time,
        rules: &StoreRules,
    ) -> (Vec<Outcome>, u64) {
        self.revision += if plan.stores(entries) { steps } else { 0 };
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(entries.len());
        for (entry, earlier) in entries.iter().zip(plan.earlier) {
            let (fate, duplicate) = match earlier {
                Some(Earlier::Append(fate)) => (fate, true),
                Some(Earlier::Item(first)) => {
                    let first = outcomes.get(first).map(|outcome| outcome.fate.clone());
                    (first.unwrap_or(Fate::Stored(0)), true)
                }
                None => (self.store(entry, now, rules), false),
            };
            outcomes.push(Outcome { fate, duplicate });
        }
        (outcomes, self.trim(now, rules))
    }

    fn store(&mut self, entry: &NewEntry, now: Time, rules: &StoreRules) -> Fate {
        let fate = match entry {
            NewEntry::Event { event, .. } => Fate::Stored(self.push(event, now, rules)),
            NewEntry::Dropped { by, .. } => Fate::Dropped(by.clone()),
        };
        let seen = Seen { digest: entry.digest(), fate: fate.clone() };
        self.remember("", entry.id(), seen, rules.event_limit);
        fate
    }

    /// Puts an entry at the end, and makes its change of the session's state.
    pub(super) fn push(&mut self, event: &Event, now: Time, rules: &StoreRules) -> u64 {
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        let undo = self.replaced_by(event);
        event.delta().apply(Scope::Session, &mut self.state);
        if event.kind() == EntryKind::Event {
            self.totals.events += 1;
            self.totals.tokens += u64::from(event.tokens());
            if event.facts().user_turn {
                self.totals.turns += 1;
                self.last_user_turn = Some(sequence);
            }
        }
        if rules.event_limit.is_some() {
            self.pair_calls(event, sequence, now);
        }
        self.places.push_back(Place { sequence, event: Some(event.clone()), undo });
        sequence
    }

    fn replaced_by(&self, event: &Event) -> Undo {
        let keys = event.delta().of(Scope::Session).map(|(key, _)| key.to_owned());
        keys.map(|key| (key.clone(), self.state.get(&key).cloned())).collect()
    }

    fn pair_calls(&mut self, event: &Event, sequence: u64, now: Time) {
        for id in &event.facts().results {
            if let Some(at) = self.open_calls.iter().position(|call| call.id == *id) {
                self.open_calls.remove(at);
            }
        }
        for id in &event.facts().calls {
            self.open_calls.push_back(OpenCall { id: id.clone(), sequence, since: now });
        }
    }

    /// Lets go of the oldest entries past the limit. An open call holds them back, but not for ever.
    fn trim(&mut self, now: Time, rules: &StoreRules) -> u64 {
        let Some(limit) = rules.event_limit else { return 0 };
        let cut = (self.last_sequence + 1).saturating_sub(limit);
        let max_age = i64::try_from(rules.open_call_max_age.as_millis()).unwrap_or(i64::MAX);
        let mut given_up = 0;
        let mut first = cut;
        while let Some(call) = self.open_calls.front() {
            let too_many = self.open_calls.len() > MAX_OPEN_CALLS;
            if call.sequence >= cut && !too_many {
                break;
            }
            let too_far = self.last_sequence - call.sequence >= 2 * limit;
            let too_old = now.millis() - call.since.millis() > max_age;
            if !(too_far || too_old || too_many) {
                first = call.sequence;
                break;
            }
            self.open_calls.pop_front();
            given_up += 1;
        }
        self.begin_at(self.first_sequence.max(first));
        given_up
    }

    /// Lets go of what is older.
    fn begin_at(&mut self, first: u64) {
        self.first_sequence = first;
        self.floor = self.floor.max(first - 1);
        while self.places.front().is_some_and(|place| place.sequence < first) {
            self.places.pop_front();
        }
        self.open_calls.retain(|call| call.sequence >= first);
    }

    pub(super) fn plan_edit(
        &mut self,
        edit: &Edit,
        rules: &StoreRules,
    ) -> Result<Option<EditPlan>, StoreError> {
        let header = self.header();
        let summaries: Vec<Summary> = self.summaries.values().cloned().collect();
        let planned = edit.plan(&History {
            header: &header,
            summaries: &summaries,
            places: self.places.make_contiguous(),
            whole: true,
            follows_calls: rules.event_limit.is_some(),
        })?;
        Ok(match planned {
            Planned::Ready(plan) => Some(*plan),
            Planned::Nothing | Planned::NeedsMore => None,
        })
    }

    /// Makes an edit.
    pub(super) fn apply(&mut self, plan: &EditPlan, now: Time) {
        self.revision += 1;
        self.edits += 1;
        self.last_user_turn = plan.last_user_turn;
        (self.totals, self.summarized) = (plan.totals, plan.summarized);
        for emptied in &plan.emptied {
            let at = self.places.partition_point(|place| place.sequence < emptied.sequence);
            if let Some(place) = self.places.get_mut(at) {
                *place = emptied.clone();
            }
        }
        take_back(plan.state.clone(), &mut self.state);
        for filter_key in &plan.stale_summaries {
            self.summaries.remove(filter_key);
        }
        if let Some(open) = &plan.open_calls {
            let before = std::mem::take(&mut self.open_calls);
            let since = |id: &str, sequence: u64| {
                let mut known = before.iter();
                known.find(|it| it.id == id && it.sequence == sequence).map_or(now, |it| it.since)
            };
            let calls = open.iter().map(|(id, sequence)| OpenCall {
                id: id.clone(),
                sequence: *sequence,
                since: since(id, *sequence),
            });
            self.open_calls = calls.collect();
        }
        self.begin_at(plan.first_sequence);
    }

    pub(super) fn whole(&self) -> Whole {
        let places = self.places.iter().cloned().collect();
        let summaries = self.summaries.values().cloned().collect();
        let tracks = self.tracks.iter().map(|(name, track)| (name.clone(), track.all()));
        let ids = self.older_ids.iter().chain(&self.ids);
        Whole {
            ids: ids
                .filter(|((track, _), _)| track.is_empty())
                .map(|((_, id), seen)| (id.clone(), seen.clone()))
                .collect(),
            ttl: self.ttl,
            tracks: tracks.collect(),
            origin: self.origin.clone(),
            ..Whole::of(&self.header(), places, self.state.clone(), summaries)
        }
    }

    /// A record of a whole.
    pub(super) fn of_whole(whole: &Whole, generation: u64, now: Time) -> Self {
        let first_sequence = whole.first_sequence();
        let mut record = Self {
            last_sequence: whole.last_sequence,
            first_sequence,
            created_at: whole.created_at.min(now),
            last_user_turn: whole.last_user_turn(),
            totals: whole.totals,
            summarized: whole.summarized,
            floor: whole.floor,
            ttl: whole.ttl,
            origin: whole.origin.clone(),
            places: whole.places.iter().cloned().collect(),
            state: whole.state.clone(),
            ids: whole
                .ids
                .iter()
                .map(|(id, seen)| ((String::new(), id.clone()), seen.clone()))
                .collect(),
            ..Self::new(generation, now)
        };
        for summary in &whole.summaries {
            record.summaries.insert(summary.filter_key.clone(), summary.clone());
        }
        for (name, events) in &whole.tracks {
            record.tracks.insert(name.clone(), Track::of(events));
        }
        for place in &whole.places {
            if let Some(event) = &place.event {
                record.pair_calls(event, place.sequence, now);
            }
        }
        record
    }

    pub(super) fn range(&self, range: Range) -> Vec<StoredEvent> {
        let wanted = |place: &&Place| {
            let kind = place.event.as_ref().map(Event::kind);
            place.sequence > range.after
                && range.before.is_none_or(|before| place.sequence < before)
                && kind.is_some_and(|kind| range.with_state || kind == EntryKind::Event)
        };
        let places = self.places.iter();
        match range.prefer {
            Prefer::Oldest => {
                places.filter(wanted).take(range.limit).filter_map(Place::stored).collect()
            }
            Prefer::Newest => {
                let newest = places.rev().filter(wanted).take(range.limit);
                let mut entries: Vec<_> = newest.filter_map(Place::stored).collect();
                entries.reverse();
                entries
            }
        }
    }

    pub(super) fn claim(
        &mut self,
        request: &ClaimRequest,
        now: Time,
    ) -> Result<Claimed, StoreError> {
        if request.generation != self.generation {
            return Err(StoreError::OtherGeneration { current: self.generation });
        }
        let held = self.claims.get(&request.filter_key);
        if held.is_some_and(|held| held.token != request.token && held.until > now) {
            return Ok(Claimed::Held);
        }
        let until = deadline(Some(request.duration), now).unwrap_or(now);
        self.claims.insert(request.filter_key.clone(), Claim { token: request.token, until });
        Ok(Claimed::Yes)
    }

    pub(super) fn put_summary(
        &mut self,
        seen: HistoryVersion,
        summary: &Summary,
        totals: Backlog,
        claim: Option<Uuid>,
    ) -> Result<SummaryCommit, StoreError> {
        if seen.generation != self.generation {
            return Err(StoreError::OtherGeneration { current: self.generation });
        }
        let held = self.claims.get(&summary.filter_key).map(|held| held.token);
        if claim.is_some() && claim != held {
            return Ok(SummaryCommit::Lost);
        }
        if seen.edits != self.edits {
            return Ok(SummaryCommit::Edited);
        }
        let there = self.summaries.get(&summary.filter_key);
        if there.is_some_and(|there| there.last_sequence >= summary.last_sequence) {
            return Ok(SummaryCommit::Late);
        }
        if summary.filter_key.is_empty() {
            self.summarized = totals;
        }
        self.summaries.insert(summary.filter_key.clone(), summary.clone());
        self.revision += 1;
        Ok(SummaryCommit::Stored)
    }
}
