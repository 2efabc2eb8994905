//! A client of Server-Sent Events that may go away at any moment, and come back with its last id.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long a frame may take.
const TIME: Duration = Duration::from_secs(30);

/// A frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The id of the stream with it, or none.
    pub id: Option<String>,
    /// Its name; empty for one that has nothing but an id.
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// A stream of frames, over a connection of its own.
#[derive(Debug)]
pub struct Stream {
    response: Response<Incoming>,
    text: String,
    /// The last id that came, as a browser would send it.
    pub last_id: Option<String>,
    _connection: JoinSet<()>,
}

impl Stream {
    /// Opens a stream, after an id if there is one. The error is the status.
    pub async fn open(base: &str, path: &str, after: Option<&str>) -> Result<Self, u16> {
        let address = base.strip_prefix("http://").expect("a base");
        let stream = TcpStream::connect(address).await.map_err(|_| 0_u16)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| 0_u16)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ = connection.await;
        });
        let mut request = Request::get(path).header("host", "localhost");
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let response = sender.send_request(request).await.map_err(|_| 0_u16)?;
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let last_id = after.map(str::to_owned);
        Ok(Self { response, text: String::new(), last_id, _connection: tasks })
    }

    /// The next frame, comments left out. None: the stream has ended.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let (frame, comment) = self.next_or_comment().await?;
            if !comment {
                return Some(frame);
            }
        }
    }

    /// The next frame, and whether it is only a comment.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next_or_comment(&mut self) -> Option<(Frame, bool)> {
        while !self.text.contains("\n\n") {
            let read = tokio::time::timeout(TIME, self.response.body_mut().frame()).await;
            let read = read.expect("a frame in time")?.ok()?;
            if let Some(bytes) = read.data_ref() {
                self.text.push_str(std::str::from_utf8(bytes).expect("text"));
            }
        }
        let (block, rest) = self.text.split_once("\n\n").expect("a block");
        let (block, rest) = (block.to_owned(), rest.to_owned());
        self.text = rest;
        let field = |name: &str| {
            let found = block.lines().find_map(|line| line.strip_prefix(name));
            found.map(|value| value.trim_start().to_owned())
        };
        let id = field("id:");
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        let data = field("data:").map(|data| serde_json::from_str(&data).expect("JSON"));
        let frame = Frame {
            id,
            name: field("event:").unwrap_or_default(),
            data: data.unwrap_or(Value::Null),
        };
        Some((frame, block.starts_with(':')))
    }

    /// The next frame, which must be of this name.
    ///
    /// # Panics
    /// When it is of another.
    pub async fn expect(&mut self, name: &str) -> Frame {
        let frame = self.next().await.unwrap_or_else(|| panic!("the stream ends before {name}"));
        assert_eq!(frame.name, name, "{frame:?}");
        frame
    }
}
