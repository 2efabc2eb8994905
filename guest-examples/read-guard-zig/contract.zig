//! What this plugin uses of the contract, over the bindings in C: names and layouts are those of
//! bindings/plugin.h. It stands in for `zig translate-c`, which takes minutes the first time.

const std = @import("std");

/// A text. What came from the host is freed with `deinit`.
pub const Text = extern struct {
    ptr: [*]const u8,
    len: usize,

    pub fn of(bytes: []const u8) Text {
        return .{ .ptr = bytes.ptr, .len = bytes.len };
    }

    pub fn slice(self: Text) []const u8 {
        return self.ptr[0..self.len];
    }

    pub fn deinit(self: *Text) void {
        plugin_string_free(self);
    }
};

pub const Key = extern struct {
    app: Text,
    user: Text,
    session: Text,

    pub fn deinit(self: *Key) void {
        exports_sessiond_plugin_before_get_session_key_free(self);
    }
};

pub const ReadOptions = extern struct {
    handle: i32,

    pub fn drop(self: ReadOptions) void {
        sessiond_plugin_types_read_options_drop_own(self);
    }
};

pub const Rejection = extern struct { tag: enum(u8) { denied, invalid, unavailable }, text: Text };
const OptionalText = extern struct { is_some: bool, value: Text };
const SettingError = extern struct { tag: u8, text: Text };

/// Who asks, as the daemon authenticated it.
pub fn caller() ?Text {
    var name: Text = undefined;
    return if (sessiond_plugin_call_caller(&name)) name else null;
}

/// A value of `[plugins.NAME.config]`.
pub fn setting(key: []const u8) ?Text {
    var name = Text.of(key);
    var value: OptionalText = undefined;
    var failure: SettingError = undefined;
    if (!wasi_config_store_get(&name, &value, &failure)) {
        wasi_config_store_error_free(&failure);
        return null;
    }
    return if (value.is_some) value.value else null;
}

/// Fills in a rejection; the text goes to the client.
pub fn deny(rejection: *Rejection, text: []const u8) void {
    const copy = std.heap.c_allocator.dupe(u8, text) catch @panic("out of memory");
    rejection.* = .{ .tag = .denied, .text = Text.of(copy) };
}

/// Tells the daemon's log why the plugin stops. Zig's own handler would import half of WASI.
pub fn onPanic(message: []const u8, _: ?usize) noreturn {
    var text = Text.of(message);
    sessiond_plugin_log_log(4, &text);
    @trap();
}

extern fn plugin_string_free(*Text) void;
extern fn exports_sessiond_plugin_before_get_session_key_free(*Key) void;
extern fn sessiond_plugin_types_read_options_drop_own(ReadOptions) void;
extern fn sessiond_plugin_call_caller(*Text) bool;
extern fn sessiond_plugin_log_log(u8, *Text) void;
extern fn wasi_config_store_get(*Text, *OptionalText, *SettingError) bool;
extern fn wasi_config_store_error_free(*SettingError) void;

// The bindings refer to this function to link an object file with the type of the component.
// `wasm-tools component embed` adds the type instead.
export fn __component_type_object_force_link_plugin() void {}
