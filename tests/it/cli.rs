//! The command line: help for newcomers, checks for operators.

use std::path::Path;

use sessiond_tests::daemon::{guest, run};
use sessiond_tests::wat;

async fn check(folder: &Path, config: &str) -> (bool, String, String) {
    let file = folder.join("sessiond.toml");
    std::fs::write(&file, config).unwrap();
    let output = run(&["check", "--config", file.to_str().unwrap()]).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn help_says_what_to_do_first() {
    let help = String::from_utf8(run(&["--help"]).await.stdout).unwrap();
    for word in ["serve", "check", "export", "import", "plugin", "curl -X POST", "127.0.0.1:7717"] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
    let plugin = String::from_utf8(run(&["plugin", "--help"]).await.stdout).unwrap();
    assert!(
        ["new", "check", "test", "purge", "wit"].iter().all(|word| plugin.contains(word)),
        "{plugin}"
    );
}

#[tokio::test]
async fn a_good_configuration_is_printed_as_it_came_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[session]\nttl = \"90s\"\n[hooks]\nappend = [\"redact\"]\n[plugins.redact]\npath = {:?}\n",
        guest("redact-secrets-rust")
    );
    let (good, out, told) = check(folder.path(), &config).await;
    assert!(good, "{told}");
    for line in ["ttl = \"1m 30s\"", "append = [\"redact\"]", "event_limit = 1000", "All is well"] {
        assert!(out.contains(line), "{line} is not in\n{out}");
    }
    assert!(out.contains("# plugin \"redact\": exports before-append;"), "{out}");
}

/// P31, P33, P37, P38, P39, P53, P59: whatever is wrong with a file or a component has a message of
/// its own, with file, line, key and fix; and nothing is served.
#[tokio::test]
async fn what_is_wrong_is_told_with_file_line_key_and_fix() {
    let folder = tempfile::tempdir().unwrap();
    let pass = wat::component(&wat::hostile("pass"), "before-append-plugin");
    let misspelt = "package sessiond:plugin@0.1.0; interface befor-append { befor-append: func(); } world w { export befor-append; }";
    let later = misspelt.replace("0.1.0", "0.2.0").replace("befor-", "before-");
    let empty = "package acme:nothing; world w {}";
    let export =
        |name: &str| format!(r#"(module (memory (export "memory") 1) (func (export "{name}")))"#);
    let files: [(&str, Vec<u8>); 9] = [
        ("page", b"<html>".to_vec()),
        ("text", b"(module)".to_vec()),
        ("core", wat::module("(module)")),
        ("cut", pass[..pass.len() / 2].to_vec()),
        ("native", b"\x7fELF...".to_vec()),
        (
            "misspelt",
            wat::foreign_component(
                &export("sessiond:plugin/befor-append@0.1.0#befor-append"),
                misspelt,
                "w",
            ),
        ),
        (
            "later",
            wat::foreign_component(
                &export("sessiond:plugin/before-append@0.2.0#before-append"),
                &later,
                "w",
            ),
        ),
        ("nothing", wat::foreign_component("(module)", empty, "w")),
        ("pass", pass),
    ];
    for (name, bytes) in files {
        std::fs::write(folder.path().join(format!("{name}.wasm")), bytes).unwrap();
    }
    let plugin =
        |name: &str| format!("[hooks]\nappend = [\"p\"]\n[plugins.p]\npath = \"{name}.wasm\"\n");
    let cases = [
        (plugin("absent"), "cannot be read"),
        (plugin("page"), "is no WebAssembly component but something else"),
        (plugin("text"), "WebAssembly text"),
        (plugin("core"), "a core module: build a component"),
        (plugin("cut"), "cannot be compiled"),
        (plugin("native"), "native code"),
        (plugin("misspelt"), "exports sessiond:plugin/befor-append@0.1.0, which is no interface"),
        (plugin("later"), "this host speaks 0.1.0"),
        (plugin("nothing"), "it exports none of the interfaces"),
        (
            format!("{}sha256 = \"{}\"\n", plugin("pass"), "0".repeat(64)),
            "and the configuration wants 0000",
        ),
        (
            plugin("pass").replace("append =", "get ="),
            "hooks.get names this plugin, which exports none of before-get, after-get but before-append",
        ),
    ];
    for (config, wanted) in cases {
        let (good, _, told) = check(folder.path(), &config).await;
        assert!(!good, "{config}");
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
        assert!(told.contains("sessiond.toml:4: plugins.p.path: "), "{told}");
    }
    let (good, _, told) = check(folder.path(), "[session]\nttl = 5\n").await;
    assert!(!good && told.contains("sessiond.toml:2: session.ttl: write a duration"), "{told}");
    let (good, _, told) = check(folder.path(), &plugin("pass")).await;
    assert!(good, "{told}");
}
