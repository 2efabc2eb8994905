//! Sends what plugins send, to addresses that were checked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sessiond_plugin::outgoing::{Body, Cause, Destination, HttpSender, SendError, Sent};

use super::address::{OwnAddresses, is_public};
use super::{Connection, Connector};

/// The sender of a daemon.
#[derive(Debug)]
pub(crate) struct CheckedSender {
    connector: Connector,
    own: OwnAddresses,
}

impl CheckedSender {
    pub(crate) fn new(connector: Connector, own: OwnAddresses) -> Self {
        Self { connector, own }
    }

    /// The addresses of a destination, all of which a plugin may reach.
    async fn resolve(
        &self,
        destination: &Destination,
        private: bool,
    ) -> Result<Vec<SocketAddr>, SendError> {
        let host = destination.host.trim_matches(['[', ']']);
        // A literal address is listed as such, so it was meant.
        let literal = host.parse::<IpAddr>().is_ok();
        let unknown = || SendError::Name(destination.host.clone());
        let found = tokio::net::lookup_host((host, destination.port)).await;
        let found: Vec<_> = found.map_err(|_| unknown())?.collect();
        if found.is_empty() {
            return Err(unknown());
        }
        for address in &found {
            if self.own.have(*address) {
                return Err(SendError::Address(format!("{address} is the daemon's own")));
            }
            if !literal && !private && !is_public(address.ip()) {
                return Err(SendError::Address(format!(
                    "{:?} stands for {}, which is no public address: to allow it, list the address \
                     itself in grants.http, or set grants.http_private = true",
                    destination.host,
                    address.ip()
                )));
            }
        }
        Ok(found)
    }

    async fn connect(
        &self,
        destination: &Destination,
        private: bool,
    ) -> Result<Connection, SendError> {
        let addresses = self.resolve(destination, private).await?;
        let connected =
            self.connector.connect(&addresses, &destination.host, destination.encrypted);
        connected.await.map_err(SendError::Connect)
    }
}

#[async_trait]
impl HttpSender for CheckedSender {
    async fn send(
        &self,
        destination: &Destination,
        private: bool,
        request: Request<Body>,
        connect_time: Option<Duration>,
    ) -> Result<Sent, SendError> {
        let connecting = self.connect(destination, private);
        let stream = match connect_time {
            Some(time) => match tokio::time::timeout(time, connecting).await {
                Ok(stream) => stream?,
                Err(_) => return Err(SendError::ConnectTime),
            },
            None => connecting.await?,
        };
        let exchange = |error: hyper::Error| SendError::Exchange(error.into());
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(exchange)?;
        let mut connection = Box::pin(async move {
            // What is wrong with it shows in the exchange.
            let _ = connection.await;
        });
        let sending = sender.send_request(request);
        tokio::pin!(sending);
        let response = tokio::select! {
            response = &mut sending => response,
            () = &mut connection => {
                // The last of the response may be there although the connection is not.
                let response = sending.await.map_err(exchange)?;
                let ended = Box::pin(std::future::ready(()));
                return Ok(Sent { response: boxed(response), connection: ended });
            }
        };
        Ok(Sent { response: boxed(response.map_err(exchange)?), connection })
    }
}

fn boxed(response: Response<hyper::body::Incoming>) -> Response<Body> {
    response.map(|body| body.map_err(Cause::from).boxed_unsync())
}
