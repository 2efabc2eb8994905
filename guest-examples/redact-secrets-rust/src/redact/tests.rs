use std::time::{Duration, Instant};

use super::*;

mod cards;
mod emails;
mod keys;

/// The text after redaction, whether or not anything was found.
fn clean(text: &str) -> String {
    redact(text).map_or_else(|| text.to_owned(), |redacted| redacted.text)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(clean(text), expected, "in {text:?}");
}

#[track_caller]
fn keeps(texts: &[&str]) {
    for text in texts {
        assert_eq!(redact(text), None, "in {text:?}");
    }
}

#[track_caller]
fn removes(texts: &[&str], mark: &str) {
    for text in texts {
        check(text, mark);
        check(&format!("a {text} b"), &format!("a {mark} b"));
        check(&format!("\"{text}\","), &format!("\"{mark}\","));
        check(&format!("号码{text}。"), &format!("号码{mark}。"));
    }
}

#[test]
fn overlapping_finds_become_one() {
    check("Bearer sk-ant-api03-abcdefghijklmnop", "[key]");
    check("sk-proj-4111111111111111abc", "[key]");
    check("bob.4111111111111111@example.com", "[email]");
}

#[test]
fn each_removal_is_told_in_order() {
    let redacted =
        redact("bob@example.com paid 4111 1111 1111 1111 with AKIAIOSFODNN7EXAMPLE").unwrap();
    assert_eq!(redacted.text, "[email] paid [card] with [key]");
    assert_eq!(redacted.kinds, [Kind::Email, Kind::Card, Kind::Key]);
}

/// A small generator, so that the texts below are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

const PIECES: &[&str] = &[
    "4111",
    "1111",
    "4111111111111111",
    "4",
    "12",
    " ",
    "-",
    "+",
    ".",
    "..",
    "\u{a0}",
    "\u{2013}",
    "４",
    "１１",
    "@",
    "%40",
    "bob",
    "example.com",
    "com",
    "é",
    "谢谢",
    "sk-",
    "sk-ant-",
    "abc123def456ghi7",
    "eyJ",
    "eyJhbGciOiJ9",
    "Bearer ",
    "bearer",
    "AKIA",
    "IOSFODNN7EXAMPLE",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    "-----END ",
    "\\n",
    "\\",
    "\n",
    "\"",
    "{",
    "😀",
    "_",
    "a",
];

#[test]
fn what_is_no_secret_stays() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let length = random.below(14);
        let text: String = (0..length).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let Some(redacted) = redact(&text) else {
            continue;
        };
        let (mut old, mut new) = (text.as_str(), redacted.text.as_str());
        for kind in redacted.kinds {
            let (kept, rest) = new.split_once(kind.mark()).expect("a mark for each kind");
            let found = old.find(kept).expect("what was kept");
            (old, new) = (&old[found + kept.len()..], rest);
        }
        assert!(old.ends_with(new), "{text:?} became {:?}", redacted.text);
    }
}

#[test]
fn secrets_are_found_between_any_pieces() {
    const SECRETS: &[(&str, &str)] = &[
        ("5555 5555 5555 4444", "5555 5555"),
        ("glpat-ABCdef123_456-ghiJKL", "ABCdef123"),
        ("ann.lee@example.org", "ann.lee"),
    ];
    // None of these belongs to the secret that it stands next to.
    const AROUND: &[&str] =
        &[" ", "\n", "\"", "{", "}", ":", ",", "(", ")", "\\n", "谢谢", "😀", "=", "/", "<"];
    let mut random = Random(2);
    for _ in 0..5_000 {
        let mut text = String::new();
        for _ in 0..6 {
            text.push_str(PIECES[random.below(PIECES.len())]);
        }
        text.push_str("; ");
        for (secret, _) in SECRETS {
            text.push_str(secret);
            // A space and digits would go on with the card.
            text.push_str(AROUND[1..][random.below(AROUND.len() - 1)]);
            text.push_str(AROUND[random.below(AROUND.len())]);
        }
        let cleaned = clean(&text);
        for (_, telling) in SECRETS {
            assert!(!cleaned.contains(telling), "{text:?} became {cleaned:?}");
        }
    }
}

#[test]
fn time_is_linear() {
    const SIZE: usize = 1 << 18;
    let units = [
        "a",
        "1",
        "1 ",
        "41 ",
        "4111 ",
        "1-",
        "12345678901234567890 ",
        "4111111111111111",
        "4111111111111111a",
        "a4222222222222",
        "１",
        "@",
        "a@",
        "a%40",
        "%40",
        "a.",
        "a@a.",
        "@a.com.",
        "é",
        "谢@谢.",
        "sk-",
        "sk-a",
        "sk-ant-",
        "sk_live_",
        "ghp_",
        "glpat-",
        "glpat-.",
        "xoxb-",
        "Bearer .",
        "eyJ",
        "eyJ-",
        "eyJ.",
        "eyJa.b.",
        "eyJhbGciOiJ9.",
        "eyJa..",
        "Bearer ",
        "bearer",
        "Bearer  \t",
        "AKIA",
        "-",
        "-----BEGIN ",
        "-----END ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n-----END ",
        "-----END PRIVATE KEY-----",
        "\\n",
        "\\u0020",
        "%",
        "%3D",
        "+1",
        "2026-11-25 ",
        "0.1234567 ",
        "4111 1111 1111 1111 ",
        "f1",
        ".",
        " ",
    ];
    let mut texts: Vec<String> = units.iter().map(|unit| unit.repeat(SIZE / unit.len())).collect();
    // One beginning or end at the far side of a long row.
    texts.push(format!("{}@example.com", "a".repeat(SIZE)));
    texts.push(format!("a@{}com", "b.".repeat(SIZE / 2)));
    texts.push(format!("{}.", "eyJ-".repeat(SIZE / 4)));
    texts.push(format!("{}.a.a", "eyJ-".repeat(SIZE / 4)));
    texts.push(format!(
        "{}-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----".repeat(SIZE / 27)
    ));
    for text in texts {
        let start = Instant::now();
        let _ = redact(&text);
        let _ = redact_number(&text);
        // What is quadratic takes minutes for texts of this size, what is linear a moment.
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}...",
            text.chars().take(40).collect::<String>()
        );
    }
}
