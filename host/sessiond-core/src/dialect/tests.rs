use super::*;
use crate::json::Index;

type Part = (ContentKind, String, Option<String>);

fn read(body: &str) -> (Dialect, Facts, Vec<Part>) {
    let index = Index::of(body).unwrap();
    let root = index.root(body);
    let dialect = Dialect::of_shape(root).unwrap();
    let content = dialect
        .content(root)
        .into_iter()
        .map(|part| (part.kind, body[part.span.start..part.span.end].to_owned(), part.call_id));
    (dialect, dialect.facts(root), content.collect())
}

fn texts(content: &[Part]) -> Vec<(&'static str, &str)> {
    content.iter().map(|(kind, text, _)| (kind.name(), text.as_str())).collect()
}

#[test]
fn chat_messages() {
    let (dialect, facts, content) = read(
        r#"{"role":"assistant","content":null,"tool_calls":[
            {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
            {"id":"c2","function":{"name":"g","arguments":{"b":2}}}]}"#,
    );
    assert_eq!(dialect, Dialect::Chat);
    assert_eq!(facts.calls, ["c1", "c2"]);
    assert!(!facts.user_turn);
    assert_eq!(
        texts(&content),
        [("tool-arguments", r#""{\"a\":1}""#), ("tool-arguments", r#"{"b":2}"#)]
    );
    let (_, facts, content) = read(
        r#"{"role":"tool","tool_call_id":"c1","name":"f","content":[{"type":"text","text":"ok"}]}"#,
    );
    assert_eq!(facts.results, ["c1"]);
    assert_eq!(content, [(ContentKind::ToolResult, "\"ok\"".to_owned(), Some("c1".to_owned()))]);
    assert!(read(r#"{"role":"user","content":"hi"}"#).1.user_turn);
}

#[test]
fn openai_items() {
    let (dialect, facts, content) =
        read(r#"{"type":"function_call","id":"fc","call_id":"c1","name":"f","arguments":"{}"}"#);
    assert_eq!((dialect, facts.role.as_str()), (Dialect::OpenAi, "assistant"));
    assert_eq!(facts.calls, ["c1"]);
    assert_eq!(texts(&content), [("tool-arguments", "\"{}\"")]);
    let (_, facts, content) = read(
        r#"{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"42"}]}"#,
    );
    assert_eq!((facts.results, facts.role.as_str()), (vec!["c1".to_owned()], "tool"));
    assert_eq!(texts(&content), [("tool-result", "\"42\"")]);
    let (_, _, content) =
        read(r#"{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"hm"}]}"#);
    assert_eq!(texts(&content), [("reasoning", "\"hm\"")]);
    assert!(read(r#"{"type":"message","role":"user","content":"hi"}"#).1.user_turn);
}

/// The SDK for JavaScript has names of its own: without them its calls and results would not be paired
/// (R55, R58), and a hook would not see what they say.
#[test]
fn openai_items_of_javascript() {
    let ids = |body: &str| {
        let (_, facts, _) = read(body);
        (facts.calls.join(","), facts.results.join(","), facts.role)
    };
    let item = |kind: &str, rest: &str| ids(&format!(r#"{{"type":"{kind}","callId":"c1"{rest}}}"#));
    let call = ("c1".to_owned(), String::new(), "assistant".to_owned());
    let answer = (String::new(), "c1".to_owned(), "tool".to_owned());
    for kind in ["function_call", "computer_call", "shell_call", "apply_patch_call", "program"] {
        assert_eq!(item(kind, r#","call_id":null"#), call, "{kind}");
    }
    for kind in [
        "function_call_result",
        "computer_call_result",
        "shell_call_output",
        "apply_patch_call_output",
        "tool_search_output",
        "program_output",
    ] {
        assert_eq!(item(kind, ""), answer, "{kind}");
    }
    assert_eq!(ids(r#"{"type":"hosted_tool_call","id":"h","name":"web_search_call"}"#).0, "");
    assert_eq!(ids(r#"{"type":"local_shell_call_output","id":"c1","output":"x"}"#), answer);

    let parts = |body: &str| read(body).2;
    let result = |text: &str| (ContentKind::ToolResult, text.to_owned(), Some("c1".to_owned()));
    assert_eq!(
        parts(
            r#"{"type":"function_call_result","callId":"c1","output":{"type":"text","text":"42"}}"#
        ),
        [result("\"42\"")]
    );
    assert_eq!(
        parts(
            r#"{"type":"shell_call_output","callId":"c1","output":[{"stdout":"a","stderr":"b","outcome":{"type":"timeout"}}]}"#
        ),
        [result("\"a\""), result("\"b\"")]
    );
    let reasoning =
        r#"{"type":"reasoning","content":[],"rawContent":[{"type":"reasoning_text","text":"hm"}]}"#;
    assert_eq!(texts(&parts(reasoning)), [("reasoning", "\"hm\"")]);
    let patch = r#"{"type":"apply_patch_call","callId":"c1","operation":{"type":"delete_file","path":"p"}}"#;
    assert_eq!(texts(&parts(patch)), [("tool-arguments", r#"{"type":"delete_file","path":"p"}"#)]);
}

#[test]
fn adk_events() {
    let (dialect, facts, content) = read(
        r#"{"id":"e1","invocationId":"i","author":"agent","timestamp":1.5,"partial":false,
            "content":{"role":"model","parts":[{"text":"think","thought":true},{"text":"say"},
              {"functionCall":{"id":"c1","name":"f","args":{"x":"y"}}}]},
            "actions":{"stateDelta":{"k":1}}}"#,
    );
    assert_eq!((dialect, facts.role.as_str()), (Dialect::Adk, "assistant"));
    assert_eq!(facts.time, Time::from_seconds(1.5));
    assert_eq!(facts.calls, ["c1"]);
    assert_eq!(
        texts(&content),
        [("reasoning", "\"think\""), ("message", "\"say\""), ("tool-arguments", r#"{"x":"y"}"#)]
    );
    let answer = r#"{"author":"user","content":{"role":"user","parts":[{"function_response":{"id":"c1","name":"f","response":{"r":1}}}]}}"#;
    let (_, facts, _) = read(answer);
    assert_eq!((facts.role.as_str(), facts.user_turn), ("tool", false));
    assert_eq!(facts.results, ["c1"]);
    assert!(
        read(r#"{"author":"user","content":{"role":"user","parts":[{"text":"hi"}]}}"#).1.user_turn
    );
    assert!(
        read(r#"{"invocationId":"p-1","author":"user","actions":{"stateDelta":{"k":1}}}"#)
            .1
            .in_history
    );
}

/// Section 3 of the framework's wire format: the golden examples.
#[test]
fn trpc_events() {
    let minimal = r#"{"object":"","created":0,"model":"","choices":[{"index":0,"message":{"role":"user","content":"hi"},"delta":{"role":""}}],"done":false,"is_partial":false,"invocationId":"","author":"","id":"e1","timestamp":"2025-01-01T00:00:00Z","response":{"timestamp":"0001-01-01T00:00:00Z"}}"#;
    let (dialect, facts, content) = read(minimal);
    assert_eq!((dialect, facts.user_turn, facts.in_history), (Dialect::Trpc, true, true));
    assert_eq!(texts(&content), [("message", "\"hi\"")]);
    let state_only = r#"{"invocationId":"inv","author":"tool","id":"e2","timestamp":"2025-01-01T00:00:00.5+08:00","stateDelta":{"k":"djE=","gone":null},"version":1}"#;
    assert!(!read(state_only).1.in_history);
    let tool = r#"{"choices":[{"message":{"role":"tool","content":"42","tool_id":"c1","tool_name":"f"},"delta":{"role":""}}],"is_partial":false,"id":"e3","timestamp":"2025-01-01T00:00:00Z","branch":"a/b","filterKey":"k","version":1}"#;
    let (_, facts, content) = read(tool);
    assert_eq!(facts.results, ["c1"]);
    assert_eq!(facts.filter_key.as_deref(), Some("k"));
    assert_eq!(texts(&content), [("tool-result", "\"42\"")]);
    let legacy = tool.replace(",\"version\":1", "");
    assert_eq!(read(&legacy).1.filter_key.as_deref(), Some("a/b"));
    let error =
        r#"{"choices":[],"error":{"message":"m"},"id":"e","timestamp":"2025-01-01T00:00:00Z"}"#;
    assert!(!read(error).1.in_history);
    assert!(!read(&minimal.replace("\"is_partial\":false", "\"is_partial\":true")).1.in_history);
}

#[test]
fn a_shape_of_none_is_none() {
    for body in [r#"{}"#, r#"{"text":"hi"}"#, r#"{"content":"hi"}"#, r#"{"role":1}"#] {
        let index = Index::of(body).unwrap();
        assert_eq!(Dialect::of_shape(index.root(body)), None, "{body}");
    }
}
