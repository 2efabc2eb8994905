//! Tracks: side streams of a session.

use serde::Deserialize;
use serde_json::value::RawValue;
use sessiond_core::store::whole::TrackEvent;
use sessiond_core::time::Time;

use super::{Finding, PAGE, Trouble, TrpcSource, on};

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    timestamp: String,
}

impl TrpcSource {
    /// Layout hashidx: numbers in a sorted set, entries in a hash.
    pub(super) async fn hashidx_track(
        &self,
        index: &str,
        data: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<TrackEvent>, Trouble> {
        let mut places: Vec<(f64, u64, Vec<u8>)> = Vec::new();
        loop {
            let mut range = on("ZRANGE", index);
            range.arg(places.len()).arg(places.len() + PAGE - 1).arg("WITHSCORES");
            let page: Vec<(Vec<u8>, f64)> = self.read(&range, index).await?;
            if page.is_empty() {
                break;
            }
            places.extend(page.into_iter().map(|(member, score)| {
                let number = str::from_utf8(&member).ok().and_then(|it| it.parse().ok());
                (score, number.unwrap_or(u64::MAX), member)
            }));
        }
        // Redis has 10 before 9 where times are the same; it was written after it.
        places.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let mut entries = Vec::new();
        for page in places.chunks(PAGE) {
            let mut get = on("HMGET", data);
            page.iter().for_each(|(_, _, member)| {
                get.arg(member);
            });
            let texts: Vec<Option<Vec<u8>>> = self.read(&get, data).await?;
            for ((_, number, _), text) in page.iter().zip(texts) {
                add(data, *number, text.as_deref(), &mut entries, findings);
            }
        }
        Ok(entries)
    }

    /// Layout zset: entries in a sorted set.
    pub(super) async fn zset_track(
        &self,
        key: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<TrackEvent>, Trouble> {
        let mut entries = Vec::new();
        let mut from = 0;
        loop {
            let texts = self.page(key, from).await?;
            if texts.is_empty() {
                return Ok(entries);
            }
            for text in texts {
                from += 1;
                add(key, from as u64, Some(&text), &mut entries, findings);
            }
        }
    }
}

fn add(
    key: &str,
    number: u64,
    text: Option<&[u8]>,
    entries: &mut Vec<TrackEvent>,
    findings: &mut Vec<Finding>,
) {
    let at = || format!("{key} (track entry {number})");
    let Some(text) = text else {
        findings.push(Finding::lost(at(), "it is in the index, but there is no such entry"));
        return;
    };
    let stored: Stored<'_> = match serde_json::from_slice(text) {
        Ok(stored) => stored,
        Err(error) => {
            findings.push(Finding::lost(at(), format!("it cannot be read: {error}")));
            return;
        }
    };
    let Some(time) = Time::parse(&stored.timestamp).or_else(|| is_zero(&stored.timestamp)) else {
        findings.push(Finding::lost(at(), format!("{:?} is no time", stored.timestamp)));
        return;
    };
    let body = stored.payload.map_or("null", RawValue::get).to_owned();
    entries.push(TrackEvent { sequence: entries.len() as u64 + 1, time, body });
}

/// Go's zero time, which is out of our range.
fn is_zero(time: &str) -> Option<Time> {
    time.starts_with("0001-01-01T00:00:00").then_some(Time::from_nanos(0))
}
