//! How servers are talked to, wherever they are: credentials, database, TLS.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    FromRedisValue, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError,
    RedisResult, TlsCertificates,
};
use tokio::time::{Instant, timeout_at};

use crate::config::{Credentials, RedisConfig, TlsFiles};
use crate::error::Error;
use crate::schema::Schema;

/// What is the same for all servers of one Redis.
pub(crate) struct Access {
    settings: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
    pub(crate) client_name: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) schema: Schema,
}

/// Where a server is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(ConnectionAddr);

/// What a URL says, and what is said beside it.
pub(crate) struct Place {
    pub(crate) address: Address,
    settings: RedisConnectionInfo,
}

impl Place {
    /// Reads a URL of a server.
    pub(crate) fn read(url: &str) -> Result<Self, Error> {
        let info = url.into_connection_info().map_err(Error::Url)?;
        let mut settings = info.redis_settings().clone();
        if !url.contains("protocol=") {
            settings = settings.set_protocol(ProtocolVersion::RESP3);
        }
        Ok(Self { address: Address(info.addr().clone()), settings })
    }

    /// Reads the URL of one of several nodes, which says no more than where it is.
    pub(crate) fn read_node(url: &str) -> Result<Self, Error> {
        let place = Self::read(url)?;
        let (settings, address) = (&place.settings, &place.address.0);
        let more = settings.username().is_some() || settings.password().is_some();
        if more || settings.db() != 0 || matches!(address, ConnectionAddr::Unix(_)) {
            return Err(Error::Node(place.address.to_string()));
        }
        Ok(place)
    }

    /// The same with credentials and a database, unless the URL has them.
    fn with(&self, credentials: &Credentials, database: Option<u32>) -> RedisConnectionInfo {
        let mut settings = self.settings.clone();
        if let Some(username) = &credentials.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &credentials.password {
            settings = settings.set_password(password);
        }
        match database {
            Some(database) => settings.set_db(database.into()),
            None => settings,
        }
    }
}

impl Access {
    pub(crate) fn new(place: &Place, config: &RedisConfig, schema: Schema) -> Result<Self, Error> {
        Ok(Self {
            settings: place.with(&config.credentials, config.database),
            certificates: certificates(&config.tls)?,
            client_name: config.client_name.clone(),
            connect_timeout: config.connect_timeout,
            schema,
        })
    }

    /// A client for the server at an address.
    pub(crate) fn client(&self, address: &Address) -> RedisResult<Client> {
        self.client_as(address, &self.settings)
    }

    fn client_as(&self, address: &Address, settings: &RedisConnectionInfo) -> RedisResult<Client> {
        let info: ConnectionInfo = address.0.clone().into_connection_info()?;
        // A command must not wait until the answer to the one before is acknowledged.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_tcp_settings(tcp).set_redis_settings(settings.clone());
        match (&address.0, &self.certificates) {
            (ConnectionAddr::TcpTls { .. }, Some(certificates)) => {
                Client::build_with_tls(info, certificates.clone())
            }
            _ => Client::open(info),
        }
    }

    /// Asks one question over a connection of its own.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        address: &Address,
        question: &Cmd,
        until: Instant,
    ) -> Result<T, Error> {
        let client = self.client(address).map_err(|source| unreachable(address, source))?;
        let mut questions = redis::pipe();
        let (answer,) =
            ask(&client, address, questions.add_command(question.clone()), until).await?;
        Ok(answer)
    }

    /// Asks a Sentinel, which has credentials of its own, some questions at one moment.
    pub(crate) async fn ask_sentinel<T: FromRedisValue>(
        &self,
        address: &Address,
        credentials: &Credentials,
        questions: &Pipeline,
        until: Instant,
    ) -> Result<T, Error> {
        let plain = RedisConnectionInfo::default();
        let settings = Place { address: address.clone(), settings: plain }.with(credentials, None);
        let client = self.client_as(address, &settings);
        let client = client.map_err(|source| unreachable(address, source))?;
        ask(&client, address, questions, until).await
    }
}

async fn ask<T: FromRedisValue>(
    client: &Client,
    address: &Address,
    questions: &Pipeline,
    until: Instant,
) -> Result<T, Error> {
    let within = until.saturating_duration_since(Instant::now());
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None::<Duration>);
    let asking = async {
        let made = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection: MultiplexedConnection = made.map_err(|source| match source.kind() {
            ErrorKind::RESP3NotSupported => {
                Error::OldServer { address: address.to_string(), found: "less than 6.0".to_owned() }
            }
            _ => unreachable(address, source),
        })?;
        let told = questions.query_async(&mut connection).await;
        told.map_err(|source| unreachable(address, source))
    };
    timeout_at(until, asking).await.unwrap_or_else(|_| Err(no_answer(address, within)))
}

impl Address {
    /// Another server, talked to as this one is.
    pub(crate) fn beside(&self, host: &str, port: u16) -> Self {
        Self(match &self.0 {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        })
    }

    /// The name or number of its machine.
    pub(crate) fn host(&self) -> &str {
        match &self.0 {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) fn unreachable(address: &Address, source: RedisError) -> Error {
    Error::Connect { address: address.to_string(), source }
}

pub(crate) fn no_answer(address: &Address, after: Duration) -> Error {
    let millis = u64::try_from(after.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    Error::ConnectTimeout { address: address.to_string(), after: Duration::from_millis(millis) }
}

/// Reads the files. None: there are none, and the machine's authorities count.
fn certificates(files: &TlsFiles) -> Result<Option<TlsCertificates>, Error> {
    // Somebody else in this process may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| Error::TlsFile { path: path.to_owned(), source })
    };
    let root_cert = files.ca.as_deref().map(read).transpose()?;
    let client_tls = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? })
        }
        (None, None) => None,
        _ => return Err(Error::TlsPair),
    };
    let some = root_cert.is_some() || client_tls.is_some();
    Ok(some.then_some(TlsCertificates { client_tls, root_cert }))
}
