//! An HTTP client for the daemon.

use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// How long a request may take.
const TIME: Duration = Duration::from_secs(60);

/// A client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The `ETag`.
    pub fn etag(&self) -> String {
        let tag = self.headers.get("etag").and_then(|tag| tag.to_str().ok());
        tag.unwrap_or_default().to_owned()
    }

    /// The reply itself, if it has this status.
    ///
    /// # Panics
    /// If it has another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

impl Client {
    /// A client for a base such as `http://127.0.0.1:7717`.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into(), pool: Pool::builder(TokioExecutor::new()).build_http() }
    }

    /// The base of its URLs.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request. The body is sent as JSON, as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> anyhow::Result<Reply> {
        let body = body.into();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = async {
            let response = self.pool.request(request).await.context("no answer")?;
            let (parts, body) = response.into_parts();
            let text = String::from_utf8(body.collect().await?.to_bytes().into())?;
            anyhow::Ok(Reply { status: parts.status, headers: parts.headers, text })
        };
        tokio::time::timeout(TIME, answer).await.context("no answer in time")?
    }

    /// GET
    pub async fn get(&self, path: &str) -> Reply {
        self.must("GET", path, "").await
    }

    /// POST
    pub async fn post(&self, path: &str, body: impl Into<String>) -> Reply {
        self.must("POST", path, body).await
    }

    /// PATCH
    pub async fn patch(&self, path: &str, body: impl Into<String>) -> Reply {
        self.must("PATCH", path, body).await
    }

    /// DELETE
    pub async fn delete(&self, path: &str) -> Reply {
        self.must("DELETE", path, "").await
    }

    async fn must(&self, method: &str, path: &str, body: impl Into<String>) -> Reply {
        match self.send(method, path, &[], body).await {
            Ok(reply) => reply,
            Err(error) => panic!("{method} {path}: {error:#}"),
        }
    }
}

/// A name as a part of a path.
pub fn encode(name: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
