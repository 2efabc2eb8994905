//! The Rust side of the WIT package, generated. Nothing outside this crate sees these types.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package sessiond:host;
        world plugin {
            import sessiond:plugin/types@0.1.0;
            import sessiond:plugin/log@0.1.0;
            import sessiond:plugin/call@0.1.0;
            import sessiond:plugin/chat-model@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:logging/logging@0.1.0-draft;
            export sessiond:plugin/before-append@0.1.0;
            export sessiond:plugin/after-append@0.1.0;
            export sessiond:plugin/before-get@0.1.0;
            export sessiond:plugin/after-get@0.1.0;
            export sessiond:plugin/summarizer@0.1.0;
        }
    ",
    world: "sessiond:host/plugin",
    imports: {
        "sessiond:plugin/chat-model.send": async | trappable,
        "wasi:keyvalue/store.[method]bucket.get": async | trappable,
        "wasi:keyvalue/store.[method]bucket.set": async | trappable,
        "wasi:keyvalue/store.[method]bucket.delete": async | trappable,
        "wasi:keyvalue/store.[method]bucket.exists": async | trappable,
        "wasi:keyvalue/store.[method]bucket.list-keys": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
