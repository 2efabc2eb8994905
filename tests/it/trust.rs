//! Pins and signatures: what is not as the configuration wants it is not even compiled.

use std::path::Path;

use sessiond_tests::daemon::{Daemon, run};

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("signed").join(name)).unwrap()
}

fn key() -> String {
    let text = String::from_utf8(fixture("key.pub")).unwrap();
    text.lines().nth(1).unwrap().to_owned()
}

/// A configuration whose plugin must be signed; `more` goes into the plugin's table.
fn config(more: &str) -> String {
    format!(
        "[trust]\nkeys = [{:?}]\n[hooks]\nappend = [\"pass\"]\n[plugins.pass]\npath = \"pass.wasm\"\n{more}\n",
        key()
    )
}

async fn check(folder: &Path, config: &str) -> (bool, String) {
    let file = folder.join("sessiond.toml");
    std::fs::write(&file, config).unwrap();
    let output = run(&["check", "--config", file.to_str().unwrap()]).await;
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// A signature of minisign, in its present format or its older one, beside the file or elsewhere.
#[tokio::test]
async fn what_a_trusted_key_has_signed_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pass.wasm", "pass.wasm.minisig", "old-format.minisig"] {
        std::fs::write(folder.path().join(name), fixture(name)).unwrap();
    }
    let (good, told) = check(folder.path(), &config("")).await;
    assert!(good, "{told}");
    let (good, told) = check(folder.path(), &config("signature = \"old-format.minisig\"")).await;
    assert!(good, "{told}");

    let path = folder.path().join("pass.wasm");
    let daemon = Daemon::start(&config("").replace("\"pass.wasm\"", &format!("{path:?}"))).await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let body = r#"{"role":"user","content":"hi"}"#;
    client.post(&format!("{SESSIONS}/s/events"), body).await.expect(200);
}

/// P59: half a signature, none, or one of something else: nothing is loaded, and the fix is named.
#[tokio::test]
async fn what_no_trusted_key_has_signed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pass.wasm"), fixture("pass.wasm")).unwrap();
    let beside = folder.path().join("pass.wasm.minisig");
    let whole = fixture("pass.wasm.minisig");
    let mut forged = whole.clone();
    let at = forged.windows(9).position(|it| it == b"sessiond ").unwrap();
    forged[at] = b'S';
    for (signature, wanted) in [
        (None, "pass.wasm.minisig cannot be read: "),
        (Some(Vec::new()), "is no signature of minisign; `minisign -Sm "),
        (Some(whole[..whole.len() / 2].to_vec()), "is no signature of minisign"),
        (Some(forged), "is the signature of another file"),
        (Some(fixture("of-another-file.minisig")), "is the signature of another file"),
        (Some(fixture("by-another-key.minisig")), "with a key that is not in trust.keys"),
    ] {
        match signature {
            Some(bytes) => std::fs::write(&beside, bytes).unwrap(),
            None => assert!(!beside.exists()),
        }
        let (good, told) = check(folder.path(), &config("")).await;
        assert!(!good && told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    // A byte more, and it is another file; it is refused before anything looks at what it is.
    std::fs::write(&beside, whole).unwrap();
    std::fs::write(folder.path().join("pass.wasm"), b"<html>").unwrap();
    let (good, told) = check(folder.path(), &config("")).await;
    assert!(!good && told.contains("the signature of another file"), "{told}");
    assert!(!told.contains("is no WebAssembly component"), "{told}");
}

/// P33, P59: all that is wrong with the files of all plugins is told at once.
#[tokio::test]
async fn every_mismatch_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pass.wasm", "other.wasm"] {
        std::fs::write(folder.path().join(name), fixture("pass.wasm")).unwrap();
    }
    let pin = "0".repeat(64);
    let both = config(&format!("sha256 = \"{pin}\""))
        .replace("[\"pass\"]", "[\"pass\", \"other\"]")
        + "[plugins.other]\npath = \"other.wasm\"\n[plugins.gone]\npath = \"gone.wasm\"\n";
    let both = both.replace("\"other\"]", "\"other\", \"gone\"]");
    let (good, told) = check(folder.path(), &both).await;
    assert!(!good);
    for wanted in [
        "sessiond.toml:6: plugins.pass.path: ",
        &format!("and the configuration wants {pin}"),
        "pass.wasm.minisig cannot be read",
        "plugins.other.path: ",
        "other.wasm.minisig cannot be read",
        "plugins.gone.path: ",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    let (good, told) = check(
        folder.path(),
        "[trust]\nkeys = [\"RWnokey\"]\n[hooks]\nappend = [\"p\"]\n[plugins.p]\npath = \"p\"\n",
    )
    .await;
    assert!(
        !good && told.contains("sessiond.toml:2: trust.keys: \"RWnokey\" is no public key"),
        "{told}"
    );
    let unchecked = "[hooks]\nappend = [\"p\"]\n[plugins.p]\npath = \"p\"\nsignature = \"s\"\n";
    let (good, told) = check(folder.path(), unchecked).await;
    assert!(
        !good && told.contains("sessiond.toml:5: plugins.p.signature: there is no key"),
        "{told}"
    );
}
