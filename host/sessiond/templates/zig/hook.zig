//! Looks at events before they are stored. What a hook can do is in wit/, which is the manual.

const std = @import("std");
const sessiond = @import("sessiond.zig");

pub const panic = std.debug.FullPanic(sessiond.onPanic);

/// Returns true and sets `answer` to the events that go on to the store. Returns false and fills in
/// `rejection` to refuse the whole request. What came in is moved into the answer, or freed.
export fn exports_sessiond_plugin_before_append_before_append(
    key: *sessiond.Key,
    events: *sessiond.Events,
    answer: *sessiond.Events,
    rejection: *sessiond.Rejection,
) bool {
    defer sessiond.freeKey(key);
    for (events.slice()) |event| {
        const refusal = screen(event) orelse continue;
        events.dropAll();
        sessiond.deny(rejection, refusal);
        return false;
    }
    sessiond.log(.info, "saw {d} events", .{events.len});
    answer.* = events.*;
    return true;
}

/// Why an event is refused, if it is.
fn screen(event: sessiond.Event) ?[]const u8 {
    var parts = event.texts();
    defer parts.deinit();
    for (parts.ptr[0..parts.len]) |part| {
        const text = part.text.slice();
        if (std.mem.find(u8, text, "forbidden") != null) return "Leave out what is forbidden.";
        if (std.mem.find(u8, text, "secret") == null) continue;
        const clean = std.mem.replaceOwned(u8, sessiond.allocator, text, "secret", "[removed]") catch
            @panic("out of memory");
        defer sessiond.allocator.free(clean);
        event.setText(part.index, clean) catch return "Leave out the secret.";
    }
    return null;
}
