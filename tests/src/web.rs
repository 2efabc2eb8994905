//! A server on the loopback interface that notes what it is asked, and answers as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::IntervalStream;

/// The time between two bytes of [`Answer::Drip`].
const DRIP: Duration = Duration::from_millis(20);

/// The body of an answer.
type Body = BoxBody<Bytes, Infallible>;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// What to answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status, headers and a body.
    Reply(u16, Vec<(&'static str, String)>, String),
    /// Nothing, ever.
    Silence,
    /// An answer, after a while.
    Later(Duration, Box<Answer>),
    /// A head, and then a byte now and then, without end.
    Drip,
}

impl Answer {
    /// What a model says, in the shape of OpenAI's chat completions.
    pub fn chat(text: &str) -> Self {
        let message = serde_json::json!({"role": "assistant", "content": text});
        let choice = serde_json::json!({"index": 0, "message": message, "finish_reason": "stop"});
        let usage = serde_json::json!({"prompt_tokens": 7, "completion_tokens": 3});
        Self::json(200, serde_json::json!({"choices": [choice], "usage": usage}))
    }

    /// A status and JSON.
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self::Reply(status, vec![("content-type", "application/json".to_owned())], body.to_string())
    }
}

/// The server. It stops when it is dropped.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _serving: JoinSet<()>,
}

impl Web {
    /// Starts a server that answers by a function.
    pub async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, noted) = (Arc::new(answer), asked.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, noted) = (answer.clone(), noted.clone());
                let serve = service_fn(move |request: Request<Incoming>| {
                    let (answer, noted) = (answer.clone(), noted.clone());
                    async move { reply(request, &*answer, &noted).await }
                });
                connections.spawn(async move {
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
                });
            }
        });
        Self { address, asked, _serving: serving }
    }

    /// Its base, such as `http://127.0.0.1:8080`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test has panicked here").clone()
    }
}

async fn reply(
    request: Request<Incoming>,
    answer: &(impl Fn(&Asked) -> Answer + Send + Sync),
    noted: &Mutex<Vec<Asked>>,
) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let mut answer = {
        // Under one lock, so that answers are made in the order that is noted.
        let mut noted = noted.lock().expect("no test has panicked here");
        let answer = answer(&asked);
        noted.push(asked);
        answer
    };
    while let Answer::Later(time, then) = answer {
        tokio::time::sleep(time).await;
        answer = *then;
    }
    match answer {
        // It was taken apart above.
        Answer::Later(..) => unreachable!("an answer that comes later has come"),
        Answer::Silence => std::future::pending().await,
        Answer::Drip => {
            let ticks = IntervalStream::new(tokio::time::interval(DRIP));
            let drops = ticks.map(|_| Ok(Frame::data(Bytes::from_static(b"x"))));
            Ok(Response::new(StreamBody::new(drops).boxed()))
        }
        Answer::Reply(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(body)).boxed()).expect("a response"))
        }
    }
}
