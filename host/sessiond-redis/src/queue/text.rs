//! A summary job as text.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sessiond_core::hook::{CallContext, Purpose};
use sessiond_core::key::SessionKey;
use sessiond_core::workers::summary::{Cause, JobRequest};

use crate::keyspace::escape;

/// What is written of a job. Members that are added later must have defaults: daemons of several
/// versions may share the queue.
#[derive(Debug, Serialize, Deserialize)]
struct JobText {
    app: String,
    user: String,
    session: String,
    generation: u64,
    #[serde(default)]
    filter_key: String,
    cause: CauseText,
    request_id: String,
    #[serde(default)]
    caller: Option<String>,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(default)]
    hop: bool,
    attempt: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CauseText {
    Asked { forced: bool },
    Due,
    Quiet { last_sequence: u64 },
    Rest,
    Cascade,
}

/// What there is one waiting job for.
pub(super) fn subject(job: &JobRequest) -> String {
    let (key, branch) = (&job.key, &job.filter_key);
    format!("{}:{}:{}:{branch}", escape(key.app()), escape(key.user()), escape(key.session()))
}

pub(super) fn write(job: &JobRequest) -> String {
    let (key, call) = (&job.key, &job.call);
    let text = JobText {
        app: key.app().to_owned(),
        user: key.user().to_owned(),
        session: key.session().to_owned(),
        generation: job.generation,
        filter_key: job.filter_key.clone(),
        cause: match job.cause {
            Cause::Asked { forced } => CauseText::Asked { forced },
            Cause::Due => CauseText::Due,
            Cause::Quiet { last_sequence } => CauseText::Quiet { last_sequence },
            Cause::Rest => CauseText::Rest,
            Cause::Cascade => CauseText::Cascade,
        },
        request_id: call.request_id.to_string(),
        caller: call.caller.clone(),
        traceparent: call.traceparent.as_deref().map(str::to_owned),
        hop: call.hop,
        attempt: call.attempt,
    };
    serde_json::to_string(&text).unwrap_or_default()
}

/// None: this version cannot do it.
pub(super) fn read(text: &str) -> Option<JobRequest> {
    let text: JobText = serde_json::from_str(text).ok()?;
    let call = CallContext {
        caller: text.caller,
        attempt: text.attempt,
        hop: text.hop,
        traceparent: text.traceparent.map(Arc::from),
        ..CallContext::new(Purpose::Summary, text.request_id)
    };
    Some(JobRequest {
        key: SessionKey::new(text.app, text.user, text.session).ok()?,
        generation: text.generation,
        filter_key: text.filter_key,
        cause: match text.cause {
            CauseText::Asked { forced } => Cause::Asked { forced },
            CauseText::Due => Cause::Due,
            CauseText::Quiet { last_sequence } => Cause::Quiet { last_sequence },
            CauseText::Rest => Cause::Rest,
            CauseText::Cascade => Cause::Cascade,
        },
        call,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_survive_as_text() {
        let causes = [
            Cause::Asked { forced: true },
            Cause::Due,
            Cause::Quiet { last_sequence: 1 << 52 },
            Cause::Rest,
            Cause::Cascade,
        ];
        for cause in causes {
            let call = CallContext {
                caller: Some("c".to_owned()),
                attempt: 3,
                hop: true,
                traceparent: Some("00-1-2-01".into()),
                ..CallContext::new(Purpose::Summary, "r\"")
            };
            let key = SessionKey::new("a:", "u{", "s").unwrap();
            let job = JobRequest { key, generation: 7, filter_key: "x/y".into(), cause, call };
            assert_eq!(format!("{:?}", read(&write(&job)).unwrap()), format!("{job:?}"));
            assert_eq!(subject(&job), "a%3A:u%7B:s:x/y");
        }
        assert!(read("{}").is_none());
    }
}
