//! `:watch`: what is new in a session, or among a user's sessions, as Server-Sent Events.
//!
//! A task reads what is new and hands it on, a few frames at a time: so a client that is slow holds
//! up nobody, and reads from its cursor when it has caught up.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sessiond_core::error::Error;
use sessiond_core::hook::Purpose;
use sessiond_core::read::ReadOptions;
use sessiond_core::service::{Cursor, News, Notice, SessionWatch, UserNews, UserWatch};
use sessiond_core::store::StoreError;
use sessiond_core::view::json::{ObjectText, array_text, header_json, state_json, summary_json};
use sessiond_core::window::Window;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::ask::Ask;
use super::gate::Caller;
use super::problem::Problem;
use super::sessions::page_token;

/// How many frames wait for a client.
const WAITING: usize = 8;
/// How many events a snapshot shows, and how many sessions, if the request does not say.
const DEFAULT_EVENTS: u32 = 100;
const DEFAULT_SESSIONS: usize = 50;
/// How many sessions it may show.
const MAX_SESSIONS: usize = 1_000;
/// How long a client may take nothing of what waits for it.
const TAKE_TIME: Duration = Duration::from_secs(60);
/// How long to wait before a store that is unavailable is asked again.
const PAUSE: Duration = Duration::from_secs(1);

type Frames = mpsc::Sender<Result<Bytes, std::convert::Infallible>>;

/// There is nothing more to come, or nobody to take it.
struct Over;

type End = Result<std::convert::Infallible, Over>;

/// `GET .../sessions/{session}:watch`
pub(super) async fn session(api: Api, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let after = cursor(&mut ask, Cursor::parse)?;
    let limit = ask.params.number("limit")?.unwrap_or(DEFAULT_EVENTS);
    let mut options = ReadOptions::new(Purpose::Watch, limit);
    let window = ask.params.parsed("window", "turn, exact", Window::named)?;
    options.window = window.unwrap_or(Window::Turn);
    let call = ask.call(Purpose::Watch);
    ask.no_params()?;
    let place = place(&api)?;
    let watch = api.service.watch(call, key, after, options).await?;
    let id = String::new();
    Ok(stream(&api, ask.caller, place, Source { reader: Reader::Session(Box::new(watch)), id }))
}

/// `GET .../sessions:watch`
pub(super) async fn user(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    // The path ends in it, so it is no name.
    let _ = ask.verb();
    let user = ask.user()?;
    let after = cursor(&mut ask, page_token)?;
    let size = ask.params.number("limit")?.unwrap_or(DEFAULT_SESSIONS);
    if !(1..=MAX_SESSIONS).contains(&size) {
        let detail = format!("the parameter \"limit\" is none of 1 to {MAX_SESSIONS}");
        return Err(Problem::bad_request("bad_parameter", detail));
    }
    ask.no_params()?;
    let place = place(&api)?;
    let watch = api.service.watch_user(user, after, size);
    let id = String::new();
    Ok(stream(&api, ask.caller, place, Source { reader: Reader::User(Box::new(watch)), id }))
}

/// `Last-Event-ID`, which a browser sends by itself, or `?cursor=`.
fn cursor<T>(ask: &mut Ask, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    let asked = ask.params.parsed("cursor", "the ids that this stream gives", &parse)?;
    match ask.last_event_id.take() {
        Some(text) => parse(&text).map(Some).ok_or_else(|| {
            Problem::bad_request("bad_cursor", "Last-Event-ID takes the ids that this stream gives")
        }),
        None => Ok(asked),
    }
}

fn place(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    api.watchers.clone().try_acquire_owned().map_err(|_| {
        let detail = "there are as many watchers as `server.max_watchers` allows";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_watchers", detail)
    })
}

/// Where frames come from, and the id that the client knows.
struct Source {
    reader: Reader,
    id: String,
}

enum Reader {
    Session(Box<SessionWatch>),
    User(Box<UserWatch>),
}

fn stream(api: &Api, caller: Caller, place: OwnedSemaphorePermit, source: Source) -> Response {
    let (frames, receiver) = mpsc::channel(WAITING);
    let watching = api.clone();
    api.tasks.spawn(async move {
        let _place = place;
        metrics::gauge!("sessiond_watchers").increment(1);
        tokio::select! {
            _ = pump(&watching, &caller, source, &frames) => {}
            () = frames.closed() => {}
            () = watching.stop.cancelled() => {}
        }
        metrics::gauge!("sessiond_watchers").decrement(1);
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(ReceiverStream::new(receiver))).into_response()
}

async fn pump(api: &Api, caller: &Caller, mut source: Source, frames: &Frames) -> End {
    loop {
        match source.next(api.keep_alive).await {
            Ok(read) => {
                for frame in read.frames {
                    send(frames, frame).await?;
                }
                if read.over {
                    return Err(Over);
                }
            }
            // It may come back, and nothing is lost meanwhile.
            Err(Error::Store(StoreError::Unavailable(_))) => {
                send(frames, ": the store is unavailable\n\n".to_owned()).await?;
                tokio::time::sleep(PAUSE.min(api.keep_alive)).await;
            }
            Err(error) => {
                let problem = Problem::from(error);
                return send(frames, frame("", "error", &problem.to_json())).await.and(Err(Over));
            }
        }
        if !caller.is_good(&api.access) {
            let detail = "the token has lost what it was let in for";
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "token_unknown", detail);
            return send(frames, frame("", "error", &problem.to_json())).await.and(Err(Over));
        }
    }
}

async fn send(frames: &Frames, frame: String) -> Result<(), Over> {
    let sent = tokio::time::timeout(TAKE_TIME, frames.send(Ok(frame.into()))).await;
    if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Over) }
}

/// What was read: some frames, and whether there will be more.
struct Read {
    frames: Vec<String>,
    over: bool,
}

impl Source {
    async fn next(&mut self, patience: Duration) -> Result<Read, Error> {
        let (mut frames, mut over) = (Vec::new(), false);
        match &mut self.reader {
            Reader::Session(watch) => {
                for notice in watch.next(patience).await? {
                    over |= matches!(notice.news, News::Gone);
                    frames.push(notice_frame(&mut self.id, &notice));
                }
            }
            Reader::User(watch) => {
                for (token, news) in watch.next(patience).await? {
                    if let Some(token) = token {
                        self.id = format!("{}-{}", token.generation, token.updated);
                    }
                    frames.push(user_frame(&self.id, &news));
                }
            }
        }
        if frames.is_empty() {
            frames.push(": keep-alive\n\n".to_owned());
        }
        Ok(Read { frames, over })
    }
}

fn notice_frame(id: &mut String, notice: &Notice) -> String {
    if let Some(cursor) = notice.cursor {
        *id = cursor.to_string();
    }
    let object = ObjectText::default;
    let (name, data) = match &notice.news {
        News::Snapshot(view) => ("snapshot", view.to_json()),
        News::Reset(reason) => ("reset", object().string("reason", reason.name()).end()),
        News::Event(item) => ("append", item.to_json()),
        News::State(state) => ("state", object().raw("state", &state_json(state)).end()),
        News::Summary(summary) => ("summary", summary_json(summary)),
        News::Hidden => return format!("id: {id}\n\n"),
        News::Gone => ("delete", object().end()),
    };
    frame(id, name, &data)
}

fn user_frame(id: &str, news: &UserNews) -> String {
    let object = ObjectText::default;
    match news {
        UserNews::Snapshot(sessions) => {
            let sessions =
                sessions.iter().map(|(name, header)| header_json(object(), name, header));
            let list = array_text(sessions.map(ObjectText::end));
            frame(id, "snapshot", &object().raw("sessions", &list).end())
        }
        UserNews::Session(name, header) => {
            frame(id, "session", &header_json(object(), name, header).end())
        }
        UserNews::Gone(name) => frame(id, "delete", &object().string("id", name).end()),
    }
}

/// A frame. What it has is JSON, where a line may end between two values only: there a space does.
fn frame(id: &str, name: &str, data: &str) -> String {
    let data = data.replace(['\r', '\n'], " ");
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    format!("{id}event: {name}\ndata: {data}\n\n")
}
