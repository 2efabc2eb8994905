//! The scripts that run in Redis, and their replies.

use std::sync::LazyLock;

use redis::{Arg, Cmd, ToRedisArgs, Value};

use sessiond_core::store::Fate;

use crate::codec::fate_of;
use crate::error::Error;

/// A script. Redis knows it by the hash of its text, once it has seen that.
#[derive(Debug)]
pub(crate) struct Script {
    name: &'static str,
    text: &'static str,
    hash: String,
}

macro_rules! script {
    ($name:literal, $($part:literal),+) => {
        LazyLock::new(|| Script::new($name, concat!($(include_str!($part)),+)))
    };
}

/// Scripts that write a session begin with what they have in common.
macro_rules! session_script {
    ($name:literal, $($part:literal),+) => {
        script!(
            $name,
            "script/numbers.lua",
            "script/tell.lua",
            "script/session.lua",
            $($part),+
        )
    };
}

pub(crate) static CREATE: LazyLock<Script> = session_script!(
    "create",
    "script/first_update.lua",
    "script/forget_expired.lua",
    "script/create.lua",
    "script/write.lua"
);
pub(crate) static APPEND: LazyLock<Script> =
    session_script!("append", "script/append.lua", "script/write.lua");
pub(crate) static EDIT: LazyLock<Script> = session_script!("edit", "script/edit.lua");
pub(crate) static RESTORE: LazyLock<Script> = session_script!(
    "restore",
    "script/first_update.lua",
    "script/forget_expired.lua",
    "script/restore.lua"
);
pub(crate) static TTL: LazyLock<Script> =
    session_script!("ttl", "script/guard.lua", "script/ttl.lua");
pub(crate) static LEASE: LazyLock<Script> =
    session_script!("lease", "script/guard.lua", "script/lease.lua");
pub(crate) static TRACK: LazyLock<Script> =
    session_script!("track", "script/guard.lua", "script/track.lua");
pub(crate) static DROP_TRACK: LazyLock<Script> =
    session_script!("drop_track", "script/guard.lua", "script/drop_track.lua");
pub(crate) static TOUCH: LazyLock<Script> = session_script!("touch", "script/touch.lua");
pub(crate) static DELETE: LazyLock<Script> = session_script!("delete", "script/delete.lua");
pub(crate) static LIST: LazyLock<Script> =
    script!("list", "script/forget_expired.lua", "script/list.lua");
pub(crate) static SUMMARY: LazyLock<Script> =
    script!("summary", "script/numbers.lua", "script/tell.lua", "script/summary.lua");
pub(crate) static CLAIM: LazyLock<Script> = script!("claim", "script/claim.lua");
pub(crate) static UNCLAIM: LazyLock<Script> = script!("unclaim", "script/unclaim.lua");
pub(crate) static JOB_PUT: LazyLock<Script> = script!("job_put", "script/job_put.lua");
pub(crate) static JOB_TAKE: LazyLock<Script> = script!("job_take", "script/job_take.lua");
pub(crate) static JOB_KEEP: LazyLock<Script> = script!("job_keep", "script/job_keep.lua");
pub(crate) static JOB_END: LazyLock<Script> = script!("job_end", "script/job_end.lua");
pub(crate) static JOB_DEPTH: LazyLock<Script> = script!("job_depth", "script/job_depth.lua");
pub(crate) static APP: LazyLock<Script> = script!("app", "script/app.lua");
pub(crate) static CLEAR: LazyLock<Script> = script!("clear", "script/clear.lua");
pub(crate) static PLUGIN_SET: LazyLock<Script> = script!("plugin_set", "script/plugin_set.lua");
pub(crate) static PLUGIN_GET: LazyLock<Script> = script!("plugin_get", "script/plugin_get.lua");
pub(crate) static PLUGIN_DELETE: LazyLock<Script> =
    script!("plugin_delete", "script/plugin_delete.lua");
pub(crate) static PLUGIN_KEYS: LazyLock<Script> = script!("plugin_keys", "script/plugin_keys.lua");
pub(crate) static FORGET: LazyLock<Script> = script!("forget", "script/forget.lua");

/// The scripts that nobody waits for replicas after.
const PASSING: [&str; 12] = [
    "list",
    "touch",
    "clear",
    "forget",
    "plugin_get",
    "plugin_keys",
    "claim",
    "unclaim",
    "job_take",
    "job_keep",
    "job_end",
    "job_depth",
];

impl Script {
    fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// Begins a call with these keys, all of one slot.
    pub(crate) fn call(&'static self, keys: &[&str]) -> ScriptCall {
        let mut by_hash = redis::cmd("EVALSHA");
        by_hash.arg(&self.hash).arg(keys.len()).arg(keys);
        ScriptCall { script: self, by_hash }
    }
}

/// A script with its keys and arguments.
pub(crate) struct ScriptCall {
    script: &'static Script,
    by_hash: Cmd,
}

impl ScriptCall {
    /// Adds an argument.
    pub(crate) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.by_hash.arg(argument);
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.script.name
    }

    pub(crate) fn by_hash(&self) -> &Cmd {
        &self.by_hash
    }

    /// Whether what it does must outlive the loss of a server. The others only tidy up, or do again
    /// what anybody who comes by does, or are of no use to the server's successor.
    pub(crate) fn lasts(&self) -> bool {
        !PASSING.contains(&self.script.name)
    }

    /// The same call for a server that has not seen the script.
    pub(crate) fn by_text(&self) -> Cmd {
        let mut by_text = redis::cmd("EVAL");
        by_text.arg(self.script.text);
        for argument in self.by_hash.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                by_text.arg(bytes);
            }
        }
        by_text
    }
}

/// The reply of a script: a list of values, taken one by one.
#[derive(Debug)]
pub(crate) struct Reply {
    script: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Reply {
    pub(crate) fn new(script: &'static str, values: Vec<Value>) -> Self {
        Self { script, values: values.into_iter() }
    }

    /// Whether no value is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    /// The next value, as text.
    pub(crate) fn text(&mut self) -> Result<String, Error> {
        match self.values.next() {
            Some(Value::BulkString(bytes)) => {
                String::from_utf8(bytes).map_err(|_| self.unreadable())
            }
            Some(Value::SimpleString(text)) => Ok(text),
            _ => Err(self.unreadable()),
        }
    }

    /// The next value, as bytes.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        match self.values.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes),
            _ => Err(self.unreadable()),
        }
    }

    /// What became of an entry, and whether that was earlier: a sequence that it has got now, `-` and
    /// the plugin that dropped it now, or `=` and what is remembered of it.
    pub(crate) fn fate(&mut self) -> Result<(Fate, bool), Error> {
        let (fate, earlier) = match self.values.next() {
            Some(Value::Int(sequence)) => (u64::try_from(sequence).ok().map(Fate::Stored), false),
            Some(Value::BulkString(bytes)) => match bytes.strip_prefix(b"=") {
                Some(earlier) => (fate_of(earlier), true),
                None => (fate_of(&bytes), false),
            },
            _ => (None, false),
        };
        Ok((fate.ok_or_else(|| self.unreadable())?, earlier))
    }

    /// The next value, as a number.
    pub(crate) fn number(&mut self) -> Result<i64, Error> {
        match self.values.next() {
            Some(Value::Int(number)) => Ok(number),
            Some(Value::BulkString(bytes)) => {
                let text = str::from_utf8(&bytes).ok();
                text.and_then(|text| text.parse().ok()).ok_or_else(|| self.unreadable())
            }
            _ => Err(self.unreadable()),
        }
    }

    pub(crate) fn unreadable(&self) -> Error {
        Error::Reply(self.script)
    }
}
