//! `siege calls [N]` and `siege spin [GUESTS]`: what `scripts/siege` runs.

use std::io::Write as _;
use std::process::ExitCode;

use sessiond_tests::siege::{percentile, run, spin};

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |text: Option<&&str>, default| text.map_or(Some(default), |it| it.parse().ok());
    let (good, told) = match (words.first(), number(words.get(1), 0)) {
        (Some(&"calls"), Some(calls)) => calls_of(if calls == 0 { 100_000 } else { calls }).await,
        (Some(&"spin"), Some(guests)) => spins_of(if guests == 0 { 32 } else { guests }).await,
        _ => {
            eprintln!("usage: siege calls [N] | siege spin [GUESTS]");
            return ExitCode::from(64);
        }
    };
    let printed = std::io::stdout().write_all(told.as_bytes());
    if good && printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn calls_of(calls: usize) -> (bool, String) {
    let siege = run(calls).await;
    let memory: Vec<String> = siege.resident.iter().map(|it| (it / 1024).to_string()).collect();
    let told = format!(
        "{} calls in {:.0} s, {} of them to a good guest, which all succeeded.\n\
         Memory of the daemon after each fifth of the calls, in MiB: {}: {}.\n",
        siege.calls,
        siege.time.as_secs_f64(),
        siege.good,
        memory.join(", "),
        if siege.is_flat() { "flat" } else { "NOT FLAT" },
    );
    (siege.is_flat(), told)
}

async fn spins_of(guests: usize) -> (bool, String) {
    let found = spin(guests, 10).await;
    let line = |what: &str, times: &[std::time::Duration]| {
        let [half, most, all] =
            [50, 99, 100].map(|percent| percentile(times, percent).as_secs_f64() * 1_000.0);
        format!("{what:<34} {:>6} {half:>9.1} {most:>9.1} {all:>9.1}\n", times.len())
    };
    let told = format!(
        "{guests} guests spin at a time, each for its limit of 1 s; in ms:\n\
         {:<34} {:>6} {:>9} {:>9} {:>9}\n{}{}{}",
        "",
        "count",
        "p50",
        "p99",
        "most",
        line("/healthz, no guest", &found.quiet),
        line("/healthz, while they spin", &found.spinning),
        line("a call past its limit", &found.overshoot),
    );
    (true, told)
}
