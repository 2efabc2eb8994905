//! Credentials that ADK keeps in events, and a get hook that hides them.

use serde_json::json;
use sessiond_tests::daemon::{Daemon, guest};

/// R91: what a tool needs to sign in is stored, and no reader sees its secrets, on any route; the rest
/// of the event is shown as it was written, big numbers included.
#[tokio::test]
async fn a_get_hook_hides_the_credentials_that_tools_ask_for() {
    let file = guest("hide-tool-payloads-typescript");
    let daemon = Daemon::start(&format!(
        "[hooks]\nget = [\"hide\"]\n[plugins.hide]\npath = {file:?}\nlimits.time = \"30s\"\n"
    ))
    .await;
    let client = daemon.client();
    let sessions = "/v1/apps/shop/users/ann/sessions";
    client.post(sessions, r#"{"id":"s"}"#).await.expect(201);
    let credential = json!({"authType": "oauth2", "oauth2": {"clientId": "shop-web",
        "clientSecret": "s3cr3t-of-client", "accessToken": "s3cr3t-of-access"}});
    let config = json!({"authScheme": {"type": "oauth2"}, "rawAuthCredential": credential,
        "exchangedAuthCredential": {"authType": "apiKey", "api_key": "s3cr3t-key"},
        "credentialKey": "key-of-the-store"});
    let event = json!({"id": "e1", "author": "agent", "invocationId": "i", "timestamp": 5.25,
        "content": {"role": "model", "parts": [{"text": "the key is s3cr3t-key, of 1"}]},
        "customMetadata": {"echo": "s3cr3t-key", "big": 12_345_678_901_234_567_890_u64},
        "actions": {"stateDelta": {}, "requestedAuthConfigs": {"call-1": config}}});
    client.post(&format!("{sessions}/s/events"), event.to_string()).await.expect(200);

    for path in [&format!("{sessions}/s"), "/apps/shop/users/ann/sessions/s"] {
        let shown = client.get(path).await.expect(200).text;
        for kept in ["shop-web", "key-of-the-store", "12345678901234567890", "call-1"] {
            assert!(shown.contains(kept), "{kept} is not in {shown}");
        }
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
    let stored = json!(daemon.export().await).to_string();
    assert!(stored.contains("s3cr3t-of-client") && !stored.contains("hidden"), "{stored}");
}
