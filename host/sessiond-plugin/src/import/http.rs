//! `wasi:http/outgoing-handler`: requests to the destinations that are granted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use sessiond_core::hook::Purpose;
use tokio::time::Sleep;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx,
    WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::host::Host;
use crate::outgoing::{Body, Cause, Destination, HOP_HEADER, HttpGrant, SendError, Sent};
use crate::output::{Level, Output, cut};

/// The largest body, of a request and of a response, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// How much of a URL that is denied is logged, in bytes.
const MAX_SHOWN: usize = 256;

/// A request on its way, and what moves its body along.
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Moving), Error>> + Send>;
type Moving = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What an instance needs for HTTP.
#[derive(Default)]
pub(crate) struct HttpState {
    context: WasiHttpCtx,
    hooks: Hooks,
}

/// What decides about a request of the call that is being served.
#[derive(Default)]
struct Hooks {
    call: Option<HttpCall>,
}

/// A call, as far as its requests depend on it.
#[derive(Clone)]
struct HttpCall {
    grant: HttpGrant,
    plugin: Arc<str>,
    output: Output,
    deadline: Instant,
    /// Whether the client is a plugin itself.
    hop: bool,
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let trial = self.call.purpose == Purpose::Trial;
        let granted = self.grants.http.as_ref().filter(|_| !trial);
        self.http.hooks.call = granted.map(|grant| HttpCall {
            grant: grant.clone(),
            plugin: self.plugin.clone(),
            output: self.output.clone(),
            deadline: self.deadline,
            hop: self.call.hop,
        });
        let HttpState { context, hooks } = &mut self.http;
        WasiHttpCtxView { ctx: context, table: &mut self.table, hooks }
    }
}

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name: &HeaderName| {
            DEFAULT_FORBIDDEN_HEADERS.contains(name) || name.as_str() == HOP_HEADER
        })
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Moving,
    ) -> Sending {
        let call = self.call.clone();
        Box::new(async move {
            let call = call.ok_or(Error::HttpRequestDenied)?;
            call.send(request, options.unwrap_or_default()).await
        })
    }
}

impl HttpCall {
    async fn send(
        self,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<(Response<WasiBody>, Moving), Error> {
        let destination = self.check(&request)?;
        let place = self.grant.places().try_acquire_owned();
        let place = place.map_err(|_| Error::ConnectionLimitReached)?;
        let request = prepare(request)?;
        let sender = self.grant.sender();
        let (private, connect) = (self.grant.private(), options.connect_timeout);
        let sending = sender.send(&destination, private, request, connect);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let first = options.first_byte_timeout.unwrap_or(left).min(left);
        let sent = tokio::time::timeout(first, sending).await;
        let Sent { response, connection } = sent
            .map_err(|_| Error::HttpResponseTimeout)?
            .map_err(|error| self.failed(&destination, error))?;
        // A guest may keep a response, and so may an instance that waits for its next call: no
        // connection outlives the call that made it.
        let end = tokio::time::Instant::from_std(self.deadline);
        let moving: Moving = Box::new(async move {
            let _place = place;
            let _ = tokio::time::timeout_at(end, connection).await;
            Ok(())
        });
        let between = options.between_bytes_timeout.unwrap_or(left);
        Ok((response.map(|body| Timed::new(body, between, self.deadline).boxed_unsync()), moving))
    }

    /// Where a request goes, if it may go there.
    fn check<B>(&self, request: &Request<B>) -> Result<Destination, Error> {
        if self.hop {
            self.warn(request.uri(), "it came from a plugin itself");
            return Err(Error::LoopDetected);
        }
        let destination = Destination::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        if *request.method() == Method::CONNECT || !self.grant.lists(&destination) {
            self.warn(
                &destination,
                &format!(
                    "it is not granted: to allow it, add {:?} to plugins.{}.grants.http",
                    destination.to_string(),
                    self.plugin
                ),
            );
            return Err(Error::HttpRequestDenied);
        }
        Ok(destination)
    }

    fn failed(&self, destination: &Destination, error: SendError) -> Error {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        self.warn(destination, &format!("{error}: {cause}"));
        match error {
            SendError::Name(_) => Error::DnsError { rcode: None, info_code: None },
            SendError::Address(_) => Error::DestinationIpProhibited,
            SendError::Connect(_) => Error::ConnectionRefused,
            SendError::ConnectTime => Error::ConnectionTimeout,
            SendError::Exchange(_) => Error::HttpProtocolError,
        }
    }

    /// As the plugin's own line: a guest that asks without end must not fill the log.
    fn warn(&self, to: &impl std::fmt::Display, why: &str) {
        let to = to.to_string();
        self.output.log(Level::Warn, &format!("no answer of {:?}: {why}", cut(&to, MAX_SHOWN)));
    }
}

/// Marks a request, bounds its body, and leaves of its URL what a server gets.
fn prepare(request: Request<WasiBody>) -> Result<Request<Body>, Error> {
    let (mut head, body) = request.into_parts();
    head.headers.insert(HOP_HEADER, HeaderValue::from_static("1"));
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let body = body.map_err(|error| Cause::from(error.to_string()));
    Ok(Request::from_parts(head, Limited::new(body, MAX_BODY).boxed_unsync()))
}

/// The body of a response, which ends at a time.
struct Timed {
    body: Limited<Body>,
    between: Duration,
    deadline: Instant,
    end: Pin<Box<Sleep>>,
}

impl Timed {
    fn new(body: Body, between: Duration, deadline: Instant) -> Self {
        let end = Box::pin(tokio::time::sleep_until(next(between, deadline)));
        Self { body: Limited::new(body, MAX_BODY), between, deadline, end }
    }
}

/// When the next piece must have come.
fn next(between: Duration, deadline: Instant) -> tokio::time::Instant {
    let next = Instant::now().checked_add(between).unwrap_or(deadline);
    tokio::time::Instant::from_std(next.min(deadline))
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let end = next(self.between, self.deadline);
                self.end.as_mut().reset(end);
                Poll::Ready(frame.map(|frame| frame.map_err(broken)))
            }
            Poll::Pending => match self.end.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(Error::ConnectionReadTimeout))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn broken(error: Cause) -> Error {
    if error.is::<LengthLimitError>() {
        Error::HttpResponseBodySize(Some(MAX_BODY as u64))
    } else {
        Error::HttpResponseIncomplete
    }
}
