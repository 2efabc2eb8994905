//! `sessiond import trpc`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use sessiond_redis::trpc::{Content, Finding, Found, Place, TrpcConfig, TrpcSource};

use super::checkpoint::Checkpoint;
use super::progress::Progress;
use crate::cli::TrpcArgs;
use crate::config::StoreConfig;
use crate::import::Importer;

/// How long the source may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn run(args: &TrpcArgs) -> anyhow::Result<ExitCode> {
    let (config, path) = super::config_of(&args.target)?;
    if matches!(config.store, StoreConfig::Embedded) {
        anyhow::bail!(
            "the configuration has no [redis]: what is imported into the embedded store would be gone \
             with this command. Add a [redis] table, or import into one and move it on with \
             `sessiond export` and `sessiond import FILE`"
        );
    }
    let source = TrpcSource::connect(TrpcConfig {
        url: args.from.clone(),
        prefix: args.prefix.clone(),
        app: args.app.clone(),
        user: args.user.clone(),
        max_event_size: config.max_event_size,
        timeout: TIMEOUT,
    });
    let source = source.await.context("the Redis to import from cannot be used")?;
    let service = super::service_of(config, &path).await?;
    let from = serde_json::json!({
        "trpc": source.address(),
        "prefix": args.prefix,
        "app": args.app,
        "user": args.user,
        "dry_run": args.target.dry_run,
    });
    let checkpoint = args.target.checkpoint.as_deref();
    let (checkpoint, cursor, report) = Checkpoint::open(checkpoint, from, source.run().await?)?;
    let screening = super::screening_of(&args.target);
    let mut importer = Importer::new(service, screening, args.target.dry_run);
    importer.report = report;
    go_through(&source, &mut importer, &checkpoint, cursor).await?;
    checkpoint.remove();
    super::conclude(&importer.report, source.address(), args.target.dry_run)
}

/// Looks at all keys, from a place on.
async fn go_through(
    source: &TrpcSource,
    importer: &mut Importer,
    checkpoint: &Checkpoint,
    from: u64,
) -> anyhow::Result<()> {
    let mut progress = Progress::start(source.size().await?);
    let mut cursor = from;
    loop {
        let step = source.step(cursor).await?;
        note(importer, step.findings);
        let mut places = step.places;
        places.reverse();
        while let Some(place) = places.pop() {
            let Found { content, findings } = source.look(&place).await?;
            note(importer, findings);
            put(importer, &place, content, &mut places).await?;
            progress.show(importer.report.looked_at, &mut importer.report);
        }
        importer.report.looked_at += step.keys as u64;
        match step.next {
            Some(next) => cursor = next,
            None => break,
        }
        checkpoint.note(cursor, &importer.report)?;
    }
    progress.end(importer.report.looked_at, &mut importer.report);
    Ok(())
}

async fn put(
    importer: &mut Importer,
    place: &Place,
    content: Content,
    places: &mut Vec<Place>,
) -> anyhow::Result<()> {
    let from = named(place);
    match content {
        Content::Session(key, whole) => importer.session(&from, &key, *whole).await,
        Content::User(key, state) => importer.user_state(&from, &key, state).await,
        Content::App(key, state) => importer.app_state(&from, &key, state).await,
        Content::Places(more) => {
            places.extend(more.into_iter().rev());
            Ok(())
        }
        Content::Nothing => Ok(()),
    }
}

fn note(importer: &mut Importer, findings: Vec<Finding>) {
    for Finding { key, reason, lost } in findings {
        match lost {
            true => importer.report.lose(&key, reason),
            false => importer.report.change(&key, reason),
        }
    }
}

/// The key that a place is, for the report.
fn named(place: &Place) -> String {
    match place {
        Place::Hashidx(key) | Place::UserState { key, .. } | Place::AppState { key, .. } => {
            key.clone()
        }
        Place::ZsetUser { user, .. } => format!("sess:{{{}}}:{}", user.0, user.1),
        Place::Zset(user, session) => {
            format!("sess:{{{}}}:{} (session {session:?})", user.0, user.1)
        }
    }
}
