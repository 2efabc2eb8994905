//! The demo: a conversation through the three example plugins, and what becomes of it, to read.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::redis_server::RedisServer;
use crate::replay::{self, Conversation, Item};

/// How wide a line may be.
const WIDTH: usize = 100;

/// Plays the sample conversation, on the embedded store or on a private Redis.
///
/// # Errors
/// When it does not go as it should.
pub async fn run(on_redis: bool) -> anyhow::Result<()> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversations.ndjson");
    let conversation = replay::read(&sample)?.into_iter().next().context("no sample")?;
    let redis = if on_redis { Some(RedisServer::start().await) } else { None };
    let store = redis.as_ref().map(|redis| format!("[redis]\nurl = {:?}\n", redis.url()));
    let config = format!("{}{}", store.unwrap_or_default(), replay::plugins());

    title("The configuration");
    println!("{}", shown_config(&config));
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();
    println!(
        "\nThe daemon listens on {}, and has loaded and tried all three plugins.",
        client.base()
    );

    title("Sent: a customer and an agent of a bike shop, 24 messages over HTTP");
    replay::play(&client, &conversation, |item| println!("{}", line_of_item(item))).await?;

    title("Stored: the append hook \"redact\" (Rust) removed card numbers, keys and addresses");
    let export = daemon.export().await;
    let events = export.iter().filter(|line| line["kind"] == "event");
    for (event, item) in events.zip(&conversation.items) {
        let (before, after) = (line_of_item(item), line_of(&event["event"]));
        if before != after {
            println!("{after}");
        }
    }
    println!("(The other messages are stored byte for byte as they were sent.)");

    title("Read: the get hook \"recent\" (JavaScript) shows the newest four turns of the user");
    let path = replay::path(&conversation);
    let reply = client.get(&path).await;
    let reply = reply.json();
    for event in reply["events"].as_array().into_iter().flatten() {
        println!("{:>3}  {}", event["seq"], line_of(&event["event"]));
    }

    title("Summed up: the summarizer \"rolling\" (Python), by a worker, after the 21st event");
    let summary = summary_of(&client, &conversation).await?;
    println!("{}", summary["text"].as_str().unwrap_or_default());
    println!(
        "\n(It covers the events 1 to {}, and no event was deleted for it.)",
        summary["last_seq"]
    );

    title("Try it yourself");
    println!("  target/debug/sessiond serve        a daemon of your own, in memory, no plugins");
    println!("  target/debug/sessiond plugin new --lang LANGUAGE NAME");
    println!("                                     a plugin of yours; docs/authors.md goes on");
    if !on_redis {
        println!("  scripts/demo --redis               this demo on a Redis of its own");
    }
    Ok(())
}

fn title(text: &str) {
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m== {text}\x1b[0m\n");
    } else {
        println!("\n== {text}\n");
    }
}

/// The configuration, with the paths of plugins cut to their file names.
fn shown_config(config: &str) -> String {
    let lines = config.lines().map(|line| match line.strip_prefix("path = ") {
        Some(path) => {
            let file = Path::new(path.trim_matches('"')).file_name().unwrap_or_default();
            format!("  path = \"{}\"", file.to_string_lossy())
        }
        None if line.starts_with('[') => line.to_owned(),
        None => format!("  {line}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn line_of_item(item: &Item) -> String {
    line_of(&serde_json::from_str(&item.event).unwrap_or_default())
}

/// A message on one line.
fn line_of(message: &Value) -> String {
    let content = message["content"].as_str().unwrap_or_default();
    let function = &message["tool_calls"][0]["function"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = match message["role"].as_str().unwrap_or_default() {
        "tool" => format!("tool       {} answers {content}", text(&message["name"])),
        "assistant" if function.is_object() => {
            format!("assistant  calls {} {}", text(&function["name"]), text(&function["arguments"]))
        }
        role => format!("{role:<9}  {content}"),
    };
    if line.chars().count() <= WIDTH {
        return line;
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

async fn summary_of(
    client: &crate::client::Client,
    conversation: &Conversation,
) -> anyhow::Result<Value> {
    let mut failed = None;
    let summary = crate::wait::eventually("a summary", async || {
        match replay::summary(client, conversation).await {
            Ok(summary) => summary,
            Err(error) => {
                failed = Some(error);
                Some(Value::Null)
            }
        }
    })
    .await;
    match failed {
        Some(error) => Err(error),
        None => Ok(summary),
    }
}
