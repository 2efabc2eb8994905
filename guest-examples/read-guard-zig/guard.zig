//! Lets a caller read the sessions of a user only if it is that user, or one that may read all.

const std = @import("std");
const c = @import("contract.zig");

pub const panic = std.debug.FullPanic(c.onPanic);

/// Returns true and sets `answer` to the options to read with. Returns false and fills in
/// `rejection` to refuse the read. What came in is moved into the answer, or freed.
export fn exports_sessiond_plugin_before_get_before_get(
    key: *c.Key,
    options: c.ReadOptions,
    answer: *c.ReadOptions,
    rejection: *c.Rejection,
) bool {
    defer key.deinit();
    if (mayRead(key.user.slice())) {
        answer.* = options;
        return true;
    }
    options.drop();
    c.deny(rejection, "You may read your own sessions only.");
    return false;
}

/// The state of an app has no user: all may read it.
fn mayRead(user: []const u8) bool {
    if (user.len == 0) return true;
    var caller = c.caller() orelse return isSet("anonymous", "allow");
    defer caller.deinit();
    return std.mem.eql(u8, caller.slice(), user) or isListed("readers", caller.slice());
}

fn isSet(setting: []const u8, wanted: []const u8) bool {
    var value = c.setting(setting) orelse return false;
    defer value.deinit();
    return std.mem.eql(u8, value.slice(), wanted);
}

/// Whether a setting, a list with commas, has a name.
fn isListed(setting: []const u8, name: []const u8) bool {
    var value = c.setting(setting) orelse return false;
    defer value.deinit();
    var names = std.mem.splitScalar(u8, value.slice(), ',');
    while (names.next()) |it| {
        if (std.mem.eql(u8, std.mem.trim(u8, it, " "), name)) return true;
    }
    return false;
}
