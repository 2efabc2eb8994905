//! The contract in the terms of Zig, as far as a before-append plugin needs it, over the bindings in
//! C: their names and layouts are those of bindings/before_append_plugin.h. The files in wit/ say
//! more about each function.
//!
//! It stands in for `zig translate-c`, which takes minutes the first time.

const std = @import("std");

/// What texts and lists are made of: the bindings free them with C's `free`.
pub const allocator = std.heap.c_allocator;

/// A text. What came from the host is freed by who called.
pub const Text = extern struct {
    ptr: [*]const u8,
    len: usize,

    pub fn of(bytes: []const u8) Text {
        return .{ .ptr = bytes.ptr, .len = bytes.len };
    }

    pub fn slice(self: Text) []const u8 {
        return self.ptr[0..self.len];
    }
};

pub const Key = extern struct { app: Text, user: Text, session: Text };
pub const OptionalText = extern struct { is_some: bool, value: Text };
pub const Part = extern struct { index: u32, kind: Text, text: Text, call_id: OptionalText, tool: OptionalText };
pub const EditError = extern struct { code: Text, message: Text };
pub const Rejection = extern struct { tag: enum(u8) { denied, invalid, unavailable }, text: Text };
pub const Level = enum(u8) { trace, debug, info, warn, err };

/// The content of an event, to be freed with `deinit`.
pub const Parts = extern struct {
    ptr: [*]Part,
    len: usize,

    pub fn deinit(self: *Parts) void {
        sessiond_plugin_types_list_text_part_free(self);
    }
};

/// An event that the plugin holds: to be returned, or dropped.
pub const Event = extern struct {
    handle: i32,

    pub fn drop(self: Event) void {
        sessiond_plugin_types_event_drop_own(self);
    }

    /// Messages, reasoning, tool arguments and tool results.
    pub fn texts(self: Event) Parts {
        var parts: Parts = undefined;
        sessiond_plugin_types_method_event_texts(self, &parts);
        return parts;
    }

    /// Replaces the text of a part. A refusal is logged.
    pub fn setText(self: Event, index: u32, bytes: []const u8) error{Refused}!void {
        var text = Text.of(bytes);
        var refusal: EditError = undefined;
        if (sessiond_plugin_types_method_event_set_text(self, index, &text, &refusal)) return;
        defer sessiond_plugin_types_edit_error_free(&refusal);
        log(.err, "{s}", .{refusal.message.slice()});
        return error.Refused;
    }
};

/// Events. To free the list does not drop the events in it.
pub const Events = extern struct {
    ptr: [*]Event,
    len: usize,

    pub fn slice(self: Events) []Event {
        return self.ptr[0..self.len];
    }

    pub fn dropAll(self: *Events) void {
        for (self.slice()) |event| event.drop();
        exports_sessiond_plugin_before_append_list_own_event_free(self);
    }
};

/// A line in the daemon's log, of at most 1,000 bytes.
pub fn log(level: Level, comptime format: []const u8, arguments: anytype) void {
    var line: [1000]u8 = undefined;
    var text = Text.of(std.fmt.bufPrint(&line, format, arguments) catch line[0..]);
    sessiond_plugin_log_log(level, &text);
}

/// Fills in a rejection; the text goes to the client.
pub fn deny(rejection: *Rejection, text: []const u8) void {
    const copy = allocator.dupe(u8, text) catch @panic("out of memory");
    rejection.* = .{ .tag = .denied, .text = Text.of(copy) };
}

pub fn freeKey(key: *Key) void {
    exports_sessiond_plugin_before_append_session_key_free(key);
}

/// Tells the daemon's log why the plugin stops. Zig's own handler would write to a terminal, and
/// import half of WASI for it.
pub fn onPanic(message: []const u8, _: ?usize) noreturn {
    log(.err, "{s}", .{message});
    @trap();
}

extern fn sessiond_plugin_types_event_drop_own(Event) void;
extern fn sessiond_plugin_types_method_event_texts(Event, *Parts) void;
extern fn sessiond_plugin_types_method_event_set_text(Event, u32, *Text, *EditError) bool;
extern fn sessiond_plugin_types_list_text_part_free(*Parts) void;
extern fn sessiond_plugin_types_edit_error_free(*EditError) void;
extern fn sessiond_plugin_log_log(Level, *Text) void;
extern fn exports_sessiond_plugin_before_append_session_key_free(*Key) void;
extern fn exports_sessiond_plugin_before_append_list_own_event_free(*Events) void;

// The bindings refer to this function to link an object file with the type of the component.
// `wasm-tools component embed` adds the type instead.
export fn __component_type_object_force_link_before_append_plugin() void {}
