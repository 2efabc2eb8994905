use super::*;

fn root_raw(text: &str) -> Result<String, JsonError> {
    Ok(Index::of(text)?.root(text).raw().to_owned())
}

#[test]
fn accepts_and_refuses_what_serde_json_does() {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let texts = [
        "{}",
        "[]",
        " [1 , 2.5e-3,-0, -0.0,1E+9]\n",
        r#"{"a":{"b":[true,false,null]},"c":"d\u00e9\"\\\/\b\f\n\r\t"}"#,
        r#""\ud83d\ude00""#,
        "123456789012345678901234567890",
        "",
        " ",
        "{",
        "[1",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "1e",
        "-",
        "+1",
        "nul",
        "tru e",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "\"abc",
        "1 2",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "\u{feff}1",
        "[}",
        "{]",
        "NaN",
        "'a'",
    ];
    for text in texts.iter().map(ToString::to_string).chain([deep(127)]) {
        let ours = Index::of(&text).is_ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        assert_eq!(ours, theirs, "{text:?}");
    }
    assert!(Index::of(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(
        Index::of(&deep(MAX_DEPTH + 1)).map(drop),
        Err(JsonError { offset: MAX_DEPTH + 1, what: "JSON nested too deeply" })
    );
}

#[test]
fn finds_members_items_and_the_last_of_two() {
    let text = r#" {"a": [1, {"x": "y"}, []], "b\u0063": "\ud800!", "d": 1, "d": 2, "e": {}} "#;
    let index = Index::of(text).unwrap();
    let root = index.root(text);
    let items: Vec<_> = root.get("a").unwrap().items().map(|item| item.raw()).collect();
    assert_eq!(items, ["1", r#"{"x": "y"}"#, "[]"]);
    assert_eq!(root.text("bc").as_deref(), Some("\u{fffd}!"));
    assert_eq!(root.get("d").unwrap().raw(), "2");
    assert_eq!(root.entries().count(), 5);
    assert_eq!(root.get("e").unwrap().entries().count(), 0);
    assert!(root.get("x").is_none());
    assert_eq!(root.descendants().count(), 16);
}

#[test]
fn plain_text_ends_at_the_first_byte_that_means_something() {
    for end in 0..=u8::MAX {
        for at in 0..20 {
            let mut bytes = "é !#[]~\u{7f}é0123456789é".as_bytes().to_vec();
            bytes[at] = end;
            let means = |byte: &u8| *byte < 0x20 || [b'"', b'\\'].contains(byte);
            let first = bytes.iter().position(means).unwrap_or(bytes.len());
            assert_eq!(plain(&bytes), first, "{end} at {at}");
        }
    }
}

#[test]
fn quoting_and_unquoting_are_inverse() {
    for text in ["", "plain", "\"\\/\u{0}\u{1f}\n\r\t", "é😀\u{2028}"] {
        assert_eq!(unquote(&quote(text)), text);
        assert_eq!(serde_json::from_str::<String>(&quote(text)).unwrap(), text);
    }
    assert_eq!(unquote(r#""\u00e9\ud83d\ude00\udc00\/""#), "é😀\u{fffd}/");
    assert_eq!(root_raw(" \"a\" ").unwrap(), "\"a\"");
}
