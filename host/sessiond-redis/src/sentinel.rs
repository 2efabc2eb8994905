//! Sentinels: they know which server is the master.

use tokio::time::Instant;

use crate::access::{Access, Address};
use crate::config::Credentials;
use crate::error::Error;

/// Asks one Sentinel where the master is.
pub(crate) async fn master(
    access: &Access,
    sentinel: &Address,
    credentials: &Credentials,
    name: &str,
    until: Instant,
) -> Result<Address, Error> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer: Option<(String, u16)> =
        access.ask_sentinel(sentinel, credentials, &question, until).await?;
    let (host, port) = answer.ok_or_else(|| Error::NoMaster(name.to_owned()))?;
    Ok(sentinel.beside(&host, port))
}
