//! Conformance scenarios: folders under `tests/conformance`, each with a `scenario.json` of steps and
//! of what must come out. The same scenario runs on every store, and over HTTP.
//!
//! A step is `{"do": OPERATION, ...arguments, "expect": ANSWER}` or `{..., "error": CODE}`. An answer
//! matches when every member that is expected is there and matches; a list must have the same length.
//! The text `"?NAME"` stands for a value: the first time it takes it, later it must be the same, and
//! in arguments it is put in. `"absent"` stands for a member that must not be there.

pub mod http;
pub mod service;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Something that does the operations of scenarios.
pub trait Target {
    /// Does one, in an app. The answer is the JSON that a client gets, or a code.
    fn run(&self, app: &str, step: &Value) -> impl Future<Output = Result<Value, String>>;
}

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name of its folder.
    pub name: String,
    /// The most events that a session keeps in it.
    pub event_limit: u64,
    steps: Vec<Value>,
}

/// All scenarios, in the order of their names.
///
/// # Panics
/// When one cannot be read.
pub fn all() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let folders = std::fs::read_dir(&folder).expect("tests/conformance");
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.expect("a folder").path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders.iter().map(|path| read(path)).collect()
}

fn read(folder: &Path) -> Scenario {
    let path = folder.join("scenario.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let scenario: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let steps = scenario["steps"].as_array().cloned().unwrap_or_default();
    assert!(!steps.is_empty(), "{path:?} has no steps");
    Scenario {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        event_limit: scenario["event_limit"].as_u64().unwrap_or(1_000),
        steps,
    }
}

impl Scenario {
    /// Runs it, in an app of its own.
    ///
    /// # Panics
    /// When an answer is another than expected.
    pub async fn run(&self, target: &impl Target) {
        let mut known = HashMap::new();
        for (at, step) in self.steps.iter().enumerate() {
            let asked = filled(step, &known);
            let answer = target.run(&self.name, &asked).await;
            let wrong = match (&answer, step.get("error")) {
                (Err(code), Some(wanted)) => {
                    (Some(code.as_str()) != wanted.as_str()).then(|| format!("{code:?}"))
                }
                (Ok(answer), None) => step.get("expect").and_then(|wanted| {
                    differs(wanted, answer, &mut known).map(|why| format!("{why} in\n{answer:#}"))
                }),
                (answer, _) => Some(format!("{answer:?}")),
            };
            if let Some(wrong) = wrong {
                panic!("{}: step {} {step:#}\nanswers {wrong}", self.name, at + 1);
            }
        }
    }
}

/// A step with the values that are known by now.
fn filled(step: &Value, known: &HashMap<String, Value>) -> Value {
    match step {
        Value::String(text) => match text.strip_prefix('?').and_then(|name| known.get(name)) {
            Some(value) => value.clone(),
            None => step.clone(),
        },
        Value::Array(items) => items.iter().map(|item| filled(item, known)).collect(),
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "expect");
            Value::Object(members.map(|(name, it)| (name.clone(), filled(it, known))).collect())
        }
        _ => step.clone(),
    }
}

/// Where an answer differs from what is expected.
fn differs(wanted: &Value, found: &Value, known: &mut HashMap<String, Value>) -> Option<String> {
    match wanted {
        Value::String(text) if text.starts_with('?') => {
            let name = text[1..].to_owned();
            let bound = known.entry(name).or_insert_with(|| found.clone());
            (bound != found).then(|| format!("{text} was {bound} and is {found}"))
        }
        Value::Object(members) => {
            members.iter().find_map(|(name, wanted)| match (found.get(name), wanted.as_str()) {
                (None, Some("absent")) => None,
                (Some(_), Some("absent")) => Some(format!("{name:?} is there")),
                (None, _) => Some(format!("{name:?} is missing")),
                (Some(found), _) => {
                    differs(wanted, found, known).map(|why| format!("{name}: {why}"))
                }
            })
        }
        Value::Array(items) => {
            let found = found.as_array().cloned().unwrap_or_default();
            if found.len() != items.len() {
                return Some(format!("{} items instead of {}", found.len(), items.len()));
            }
            let mut pairs = items.iter().zip(&found).enumerate();
            pairs.find_map(|(at, (wanted, found))| {
                differs(wanted, found, known).map(|why| format!("[{at}]: {why}"))
            })
        }
        _ => (wanted != found).then(|| format!("{found} instead of {wanted}")),
    }
}
