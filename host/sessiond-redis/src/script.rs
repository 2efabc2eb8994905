//! The scripts that run in Redis, and their replies.

use std::sync::LazyLock;

use redis::{Arg, Cmd, ToRedisArgs, Value};

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

pub(crate) static CREATE: LazyLock<Script> = script!(
    "create",
    "script/forget_expired.lua",
    "script/keep_lists.lua",
    "script/create.lua",
    "script/write.lua"
);
pub(crate) static APPEND: LazyLock<Script> =
    script!("append", "script/keep_lists.lua", "script/append.lua", "script/write.lua");
pub(crate) static LIST: LazyLock<Script> =
    script!("list", "script/forget_expired.lua", "script/list.lua");
pub(crate) static TOUCH: LazyLock<Script> =
    script!("touch", "script/keep_lists.lua", "script/touch.lua");
pub(crate) static DELETE: LazyLock<Script> = script!("delete", "script/delete.lua");
pub(crate) static SUMMARY: LazyLock<Script> = script!("summary", "script/summary.lua");
pub(crate) static APP: LazyLock<Script> = script!("app", "script/app.lua");
pub(crate) static CLEAR: LazyLock<Script> = script!("clear", "script/clear.lua");
pub(crate) static FORGET: LazyLock<Script> = script!("forget", "script/forget.lua");

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
