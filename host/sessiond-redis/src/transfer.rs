//! Commands on their way to the server that has their keys, wherever that is by now.

use std::sync::Arc;
use std::time::Duration;

use redis::{Arg, Cmd, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::{self, Redirect, is_out_of_order};
use crate::directory::Directory;
use crate::error::Error;
use crate::keyspace::waiting_mark;
use crate::node::{Node, Pledge};

/// How long to wait until a node may know better.
const PAUSE: Duration = Duration::from_millis(10);
/// How many nodes may send it on before it waits between them.
const HOPS: usize = 3;

/// Commands of one slot.
pub(crate) struct Transfer<'c> {
    pub(crate) commands: &'c [Cmd],
    /// When the operation must have ended.
    pub(crate) until: Instant,
    /// How long the operation may take, for messages.
    pub(crate) timeout: Duration,
}

/// The replicas that must have what was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) wanted: u32,
    pub(crate) longest: Duration,
}

/// Why a server has not done it, so that another may.
enum Next {
    /// To this one.
    To(Arc<Node>),
    /// To this one, which must be told that it may.
    Asking(Arc<Node>),
    /// To whoever serves the slot after a while.
    Later,
}

impl Transfer<'_> {
    /// Sends the commands to the server of their keys, and follows wherever they are sent on to.
    /// What was sent and not answered is never sent again.
    pub(crate) async fn run(
        &self,
        directory: &Directory,
        wait: Option<Wait>,
    ) -> Result<Vec<Value>, Error> {
        let key = self.commands.iter().find_map(key_of).unwrap_or_default();
        let slot = if directory.is_cluster() { cluster::slot(key) } else { 0 };
        let (mut node, mut asking) = (directory.node(slot, self.until).await?, false);
        for hop in 0.. {
            let pledge = match wait {
                Some(_) => node.clone().pledge(self.until).await.map(Some),
                None => Ok(None),
            };
            let answers = match pledge {
                Ok(pledge) => self.once(&node, asking).await.map(|answers| (answers, pledge)),
                Err(error) => Err(error),
            };
            let next = match &answers {
                Err(error) if error.is_before_sending() => {
                    self.instead(directory, slot, &node).await?
                }
                Ok((answers, _)) => self.next(directory, slot, &node, answers).await?,
                Err(_) => None,
            };
            let in_time = Instant::now() + PAUSE < self.until;
            let Some(next) = next.filter(|_| in_time) else {
                let (answers, pledge) = answers?;
                self.wait(wait, pledge, key, &answers).await?;
                return Ok(answers);
            };
            if hop >= HOPS {
                sleep(PAUSE).await;
            }
            (node, asking) = match next {
                Next::To(node) => (node, false),
                Next::Asking(node) => (node, true),
                Next::Later => {
                    sleep(PAUSE).await;
                    (directory.node(slot, self.until).await?, false)
                }
            };
        }
        Err(Error::Timeout(self.timeout))
    }

    /// Sends the commands to a server.
    pub(crate) async fn once(&self, node: &Node, asking: bool) -> Result<Vec<Value>, Error> {
        let live = node.live(self.until).await?;
        let sent = Instant::now();
        let told = with_asking(self.commands, asking);
        let commands = told.as_deref().unwrap_or(self.commands);
        let answers = match timeout_at(self.until, live.exchange(commands)).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(error)) => {
                live.judge(&error);
                node.doubt();
                return Err(error.into());
            }
            Err(_) => {
                live.doubt(sent);
                node.doubt();
                return Err(Error::Timeout(self.timeout));
            }
        };
        match answers.iter().find_map(out_of_order) {
            Some(error) => {
                live.judge(&error);
                node.doubt();
            }
            None => {
                live.hear();
                node.trust();
            }
        }
        Ok(if told.is_some() { without_asking(answers, self.commands.len()) } else { answers })
    }

    /// Where the answers lead, if not here.
    async fn next(
        &self,
        directory: &Directory,
        slot: u16,
        node: &Arc<Node>,
        answers: &[Value],
    ) -> Result<Option<Next>, Error> {
        if answers.iter().any(|answer| out_of_order(answer).is_some()) {
            return self.instead(directory, slot, node).await;
        }
        if !directory.is_cluster() {
            return Ok(None);
        }
        Ok(match cluster::redirect(answers, node.address()) {
            Some(Redirect::Moved(slot, to)) => Some(Next::To(directory.moved(slot, &to)?)),
            Some(Redirect::Ask(to)) => Some(Next::Asking(directory.at(&to)?)),
            Some(Redirect::TryAgain) => Some(Next::Later),
            None => None,
        })
    }

    /// Another server in place of one that did nothing, if there is one by now.
    async fn instead(
        &self,
        directory: &Directory,
        slot: u16,
        node: &Arc<Node>,
    ) -> Result<Option<Next>, Error> {
        let found = directory.node(slot, self.until).await.ok();
        Ok(found.filter(|found| !Arc::ptr_eq(found, node)).map(Next::To))
    }

    async fn wait(
        &self,
        wait: Option<Wait>,
        pledge: Option<Pledge>,
        key: &[u8],
        answers: &[Value],
    ) -> Result<(), Error> {
        let refused = answers.iter().any(|answer| matches!(answer, Value::ServerError(_)));
        match (wait, pledge) {
            (Some(wait), Some(pledge)) if !refused => {
                let mark = waiting_mark(key);
                pledge.keep(wait.wanted, &mark, self.until, wait.longest).await
            }
            _ => Ok(()),
        }
    }
}

fn out_of_order(answer: &Value) -> Option<redis::RedisError> {
    let Value::ServerError(_) = answer else { return None };
    answer.clone().extract_error().err().filter(is_out_of_order)
}

/// The first key of a command. All commands of this crate have it in the same place.
fn key_of(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().map(|word| match word {
        Arg::Simple(bytes) => bytes,
        _ => &[],
    });
    match words.next()? {
        b"MULTI" | b"EXEC" | b"TIME" | b"PING" => None,
        b"EVAL" | b"EVALSHA" => words.nth(2),
        _ => words.next(),
    }
}

/// The commands, each with leave to be done by a server that is taking their slot over.
fn with_asking(commands: &[Cmd], asking: bool) -> Option<Vec<Cmd>> {
    if !asking {
        return None;
    }
    let leave = || redis::cmd("ASKING");
    // Once within a transaction, it holds for all of it.
    let [first, rest @ ..] = commands else { return None };
    let mut told = vec![leave(), first.clone()];
    let atomic = first.args_iter().next() == Some(Arg::Simple(b"MULTI"));
    for command in rest {
        if !atomic {
            told.push(leave());
        }
        told.push(command.clone());
    }
    Some(told)
}

fn without_asking(answers: Vec<Value>, commands: usize) -> Vec<Value> {
    let step = if answers.len() == commands + 1 { 1 } else { 2 };
    answers.into_iter().skip(1).step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(commands: &[Cmd]) -> String {
        let words = commands.iter().flat_map(Cmd::args_iter).map(|word| match word {
            Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn command(text: &str) -> Cmd {
        let mut words = text.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command
    }

    #[test]
    fn keys_are_found() {
        assert_eq!(key_of(&command("EVALSHA 1f 2 a b c")), Some(&b"a"[..]));
        assert_eq!(key_of(&command("HGETALL a")), Some(&b"a"[..]));
        assert_eq!(key_of(&command("TIME")), None);
    }

    #[test]
    fn leave_is_asked_for_each_command_and_once_for_a_transaction() {
        let answers = |count| (0..count).map(Value::Int).collect::<Vec<_>>();
        let two = ["GET a", "GET b"].map(command);
        let told = with_asking(&two, true).unwrap();
        assert_eq!(words(&told), "ASKING GET a ASKING GET b");
        assert_eq!(without_asking(answers(4), 2), [Value::Int(1), Value::Int(3)]);
        let atomic = ["MULTI", "GET a", "EXEC"].map(command);
        assert_eq!(words(&with_asking(&atomic, true).unwrap()), "ASKING MULTI GET a EXEC");
        assert_eq!(without_asking(answers(4), 3), answers(4)[1..]);
    }
}
