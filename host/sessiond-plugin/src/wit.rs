//! The WIT package, as this build was made with it, for authors of plugins.

/// The files of the package and of the drafts of WASI beside it: name and text.
pub const FILES: [(&str, &str); 14] = [
    ("package.wit", include_str!("../../../wit/package.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("call.wit", include_str!("../../../wit/call.wit")),
    ("chat-model.wit", include_str!("../../../wit/chat-model.wit")),
    ("before-append.wit", include_str!("../../../wit/before-append.wit")),
    ("after-append.wit", include_str!("../../../wit/after-append.wit")),
    ("before-get.wit", include_str!("../../../wit/before-get.wit")),
    ("after-get.wit", include_str!("../../../wit/after-get.wit")),
    ("summarizer.wit", include_str!("../../../wit/summarizer.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
    ("deps/wasi-config/store.wit", include_str!("../../../wit/deps/wasi-config/store.wit")),
    ("deps/wasi-keyvalue/store.wit", include_str!("../../../wit/deps/wasi-keyvalue/store.wit")),
    ("deps/wasi-logging/logging.wit", include_str!("../../../wit/deps/wasi-logging/logging.wit")),
];
