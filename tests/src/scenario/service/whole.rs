//! What is done to a session as a whole, and its tracks.

use std::time::Duration;

use serde_json::Value;
use sessiond_core::error::Error;
use sessiond_core::hook::CallContext;
use sessiond_core::key::SessionKey;
use sessiond_core::service::{Fork, SessionService, TrackItem};
use sessiond_core::store::edit::{Edit, Keep, To};
use sessiond_core::store::lease::LeaseRequest;
use sessiond_core::store::whole::SessionTtl;
use sessiond_core::view::ViewItem;
use sessiond_core::view::json::{ObjectText, array_text, header_json};

use super::{condition, events_json, number};

/// The operations that HTTP has as verbs.
pub(super) async fn verb(
    service: &SessionService,
    call: &CallContext,
    key: &SessionKey,
    step: &Value,
) -> Result<String, Error> {
    let with = &step["with"];
    let condition = condition(step);
    let edit = match step["do"].as_str().unwrap_or_default() {
        "pop" => Edit::Pop { count: number(with, "count").unwrap_or(1) },
        "trim" => {
            let events = number(with, "keep_last").map(Keep::Events);
            let turns = number(with, "last_turns").map(Keep::Turns);
            let from = number(with, "before_seq").map(Keep::From);
            Edit::Trim(events.or(turns).or(from).expect("what to keep"))
        }
        "clear" => Edit::Clear,
        "rewind" => Edit::Rewind(match with["before_invocation_id"].as_str() {
            Some(id) => To::BeforeInvocation(id.to_owned()),
            None => To::Sequence(number(with, "to_seq").expect("where to")),
        }),
        "fork" => {
            let text = |name: &str| with[name].as_str().map(str::to_owned);
            let fork = Fork { id: text("id"), user: text("user"), to: number(with, "to_seq") };
            let forked = service.fork(call, key, fork).await?;
            return Ok(forked.view.expect("nobody refuses the read").to_json());
        }
        "lease" => {
            let holder = with["holder"].as_str().unwrap_or_default().to_owned();
            let duration = duration(with["ttl"].as_str().unwrap_or_default());
            let request = LeaseRequest { token: condition.lease, holder, duration };
            let lease = service.lease(key, &request).await?;
            let object = ObjectText::default().string("lease", &lease.token.to_string());
            return Ok(object.string("holder", &lease.holder).end());
        }
        "release" => {
            let token = condition.lease.expect("the lease");
            service.release(key, token).await?;
            return Ok(String::new());
        }
        _ => {
            let ttl = match step["ttl"].as_str().unwrap_or_default() {
                "none" => SessionTtl::Never,
                "default" => SessionTtl::Default,
                text => SessionTtl::After(duration(text)),
            };
            let header = service.set_ttl(key, condition, ttl).await?;
            return Ok(header_json(ObjectText::default(), key.session(), &header).end());
        }
    };
    let reply = service.edit(call, key, condition, &edit).await?;
    let popped = reply.popped.map(|view| array_text(view.items().map(ViewItem::to_json)));
    Ok(ObjectText::default()
        .plain("revision", reply.header.revision)
        .plain("last_seq", reply.header.last_sequence)
        .plain("removed", reply.removed)
        .optional(popped, |object, events| object.raw("events", &events))
        .end())
}

/// Scenarios say `90s`.
fn duration(text: &str) -> Duration {
    Duration::from_secs(text.trim_end_matches('s').parse().expect("seconds"))
}

/// The operations on a track.
pub(super) async fn track(
    service: &SessionService,
    call: &CallContext,
    key: &SessionKey,
    step: &Value,
) -> Result<String, Error> {
    let track = step["track"].as_str().unwrap_or_default();
    match step["do"].as_str().unwrap_or_default() {
        "append_track" => {
            let items = step["items"].as_array().cloned().unwrap_or_default();
            let items = items.iter().map(|item| match item.get("event") {
                Some(event) => TrackItem {
                    id: item["id"].as_str().map(str::to_owned),
                    body: event.to_string(),
                },
                None => TrackItem { id: None, body: item.to_string() },
            });
            let items = items.collect();
            let appended = service.append_track(call, key, condition(step), track, items).await?;
            let items = appended.1.iter().map(|item| {
                ObjectText::default()
                    .string("id", &item.id)
                    .plain("duplicate", item.duplicate)
                    .optional(item.sequence, |object, at| object.plain("seq", at))
                    .end()
            });
            Ok(ObjectText::default().raw("items", &array_text(items)).end())
        }
        "track" => {
            let limit = number(step, "limit").unwrap_or(100) as u32;
            let after = number(step, "after_seq").unwrap_or(0);
            let page = service.track(call, key, track, after, limit).await?;
            Ok(events_json(page.view.items().map(|item| {
                ObjectText::default()
                    .optional(item.sequence, |object, at| object.plain("seq", at))
                    .raw("event", item.event.body())
                    .end()
            })))
        }
        _ => {
            service.delete_track(key, condition(step), track).await?;
            Ok(String::new())
        }
    }
}
