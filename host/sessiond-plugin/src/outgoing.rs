//! HTTP requests of guests, as their host sees them: where they may go, and who sends them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::Semaphore;

/// The most requests of a plugin at a time.
const MAX_REQUESTS: usize = 32;

/// The header that marks what a plugin sends. A request that came with it is served, but its plugins
/// send none of their own, so that no request runs in circles.
pub const HOP_HEADER: &str = "sessiond-hop";

/// An error without a type, of a body.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
/// The body of a request or a response.
pub type Body = UnsyncBoxBody<Bytes, Cause>;

/// Where a request goes: a scheme, a host and a port, and nothing else of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Whether it is `https`.
    pub encrypted: bool,
    /// The name or the address, in lower case, an IPv6 address in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Destination {
    /// Where a URL leads. None: it is not of HTTP, or names a user.
    pub fn of(url: &Uri) -> Option<Self> {
        let encrypted = match url.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = url.authority().filter(|it| !it.as_str().contains('@'))?;
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let written = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if written => return None,
            None if encrypted => 443,
            None => 80,
        };
        (!host.is_empty()).then_some(Self { encrypted, host, port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encrypted, host, port } = self;
        let (scheme, usual) = if *encrypted { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{host}")?;
        if *port == usual { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// Where a plugin may send requests.
#[derive(Debug, Clone)]
pub struct HttpGrant {
    destinations: Arc<[Destination]>,
    /// Whether a name that is listed may stand for an address that is not public.
    private: bool,
    sender: Arc<dyn HttpSender>,
    places: Arc<Semaphore>,
}

impl HttpGrant {
    /// The destinations that are listed, and who sends.
    pub fn new(
        destinations: impl IntoIterator<Item = Destination>,
        private: bool,
        sender: Arc<dyn HttpSender>,
    ) -> Self {
        let destinations = destinations.into_iter().collect();
        let places = Arc::new(Semaphore::new(MAX_REQUESTS));
        Self { destinations, private, sender, places }
    }

    pub(crate) fn lists(&self, destination: &Destination) -> bool {
        self.destinations.contains(destination)
    }

    pub(crate) fn private(&self) -> bool {
        self.private
    }

    pub(crate) fn sender(&self) -> Arc<dyn HttpSender> {
        self.sender.clone()
    }

    pub(crate) fn places(&self) -> Arc<Semaphore> {
        self.places.clone()
    }
}

/// Why a request was not sent, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The name has no address.
    #[error("the name {0:?} cannot be resolved")]
    Name(String),
    /// The address is one that plugins must not reach.
    #[error("{0}")]
    Address(String),
    /// There is no connection.
    #[error("there is no connection")]
    Connect(#[source] std::io::Error),
    /// There was none within the time that the guest gave it.
    #[error("there was no connection in time")]
    ConnectTime,
    /// The server spoke something else than HTTP, or broke off.
    #[error("the exchange failed")]
    Exchange(#[source] Cause),
}

/// A request that was sent and answered.
pub struct Sent {
    /// The head of the response, and its body as it comes.
    pub response: Response<Body>,
    /// Moves the body along. It ends with the connection.
    pub connection: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("status", &self.response.status()).finish_non_exhaustive()
    }
}

/// Sends requests to destinations that were checked against the list.
#[async_trait]
pub trait HttpSender: Send + Sync + fmt::Debug {
    /// Resolves the name, checks every address, connects to one that was checked, and sends. It
    /// follows no redirect: the guest sees it, and what it sends then is checked again. The caller
    /// ends the wait by dropping the future.
    ///
    /// # Errors
    /// [`SendError`], when there is no response.
    async fn send(
        &self,
        destination: &Destination,
        private: bool,
        request: Request<Body>,
        connect_time: Option<Duration>,
    ) -> Result<Sent, SendError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P58: what is compared is parsed, never text.
    #[test]
    fn urls_lead_to_one_destination() {
        let of = |url: &str| Destination::of(&url.parse().unwrap()).map(|it| it.to_string());
        for (url, wanted) in [
            ("https://API.example.com/v1?x=1", Some("https://api.example.com")),
            ("https://api.example.com:443", Some("https://api.example.com")),
            ("https://api.example.com.", Some("https://api.example.com")),
            ("http://api.example.com:8080/", Some("http://api.example.com:8080")),
            ("http://[::1]:80/", Some("http://[::1]")),
            ("https://api.example.com@evil.example/", None),
            ("https://u:p@api.example.com/", None),
            ("ftp://api.example.com/", None),
            ("/v1", None),
        ] {
            assert_eq!(of(url).as_deref(), wanted, "{url}");
        }
    }
}
