//! One POST of JSON to a server that the operator has configured, and its answer.

use std::error::Error;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::Connector;

/// Why there is no answer. It is for the log.
pub(crate) type Unreachable = Box<dyn Error + Send + Sync>;

/// What a server has answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Result<Bytes, Unread>,
}

/// Why a body was not read to its end.
pub(crate) enum Unread {
    /// It is larger than it may be.
    TooLarge,
    /// The connection broke.
    Broken(Unreachable),
}

/// A request, to be sent with [`Connector::post`].
///
/// # Errors
/// When a part of it is nothing that HTTP can say.
pub(crate) fn json_request<'a>(
    url: &Uri,
    headers: impl IntoIterator<Item = (HeaderName, &'a HeaderValue)>,
    body: String,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    let mut builder = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close");
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(Bytes::from(body)))
}

impl Connector {
    /// Sends a request over a connection of its own, and reads so many bytes of the answer. Nothing
    /// here has a deadline: the caller's is dropping it.
    ///
    /// # Errors
    /// When there is no answer of HTTP.
    pub(crate) async fn post(
        &self,
        url: &Uri,
        request: Request<Full<Bytes>>,
        max: usize,
    ) -> Result<Answer, Unreachable> {
        let encrypted = url.scheme_str() == Some("https");
        let host = url.host().unwrap_or_default();
        let port = url.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let addresses = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await?;
        let addresses: Vec<_> = addresses.collect();
        let stream = TokioIo::new(self.connect(&addresses, host, encrypted).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        let exchange = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok(Answer { status: head.status, body: read(body, max).await })
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            // The connection has nothing to say of its own: its end is the exchange's too.
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}

async fn read(body: Incoming, max: usize) -> Result<Bytes, Unread> {
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Err(error) => Err(Unread::Broken(error)),
    }
}
