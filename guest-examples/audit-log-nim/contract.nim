## What this plugin uses of the contract, over the bindings in C.

const header = "after_append_plugin.h"

type
  CText {.importc: "after_append_plugin_string_t", header: header, bycopy.} = object
    data {.importc: "ptr".}: ptr UncheckedArray[char]
    len: csize_t
  CPart {.importc: "sessiond_plugin_types_text_part_t", header: header, bycopy.} = object
    text: CText
  CParts {.importc: "sessiond_plugin_types_list_text_part_t", header: header, bycopy.} = object
    data {.importc: "ptr".}: ptr UncheckedArray[CPart]
    len: csize_t
  OwnEvent {.importc: "exports_sessiond_plugin_after_append_own_event_t", header: header, bycopy.} = object
  CKey* {.importc: "exports_sessiond_plugin_after_append_session_key_t", header: header, bycopy.} = object
  CEvents* {.importc: "exports_sessiond_plugin_after_append_list_own_event_t", header: header, bycopy.} = object
    data {.importc: "ptr".}: ptr UncheckedArray[OwnEvent]
    len: csize_t

  Event* {.importc: "sessiond_plugin_types_borrow_event_t", header: header, bycopy.} = object
  TextPart* = object
    text*: string
  Level* = enum trace, debug, info, warn, error

proc free(text: ptr CText) {.importc: "after_append_plugin_string_free", header: header.}
proc free(parts: ptr CParts) {.importc: "sessiond_plugin_types_list_text_part_free", header: header.}
proc free(events: ptr CEvents) {.importc: "exports_sessiond_plugin_after_append_list_own_event_free", header: header.}
proc free*(key: ptr CKey) {.importc: "exports_sessiond_plugin_after_append_session_key_free", header: header.}
proc drop(event: OwnEvent) {.importc: "sessiond_plugin_types_event_drop_own", header: header.}
proc borrow(event: OwnEvent): Event {.importc: "sessiond_plugin_types_borrow_event", header: header.}
proc id(event: Event, text: ptr CText) {.importc: "sessiond_plugin_types_method_event_id", header: header.}
proc kind(event: Event, text: ptr CText) {.importc: "sessiond_plugin_types_method_event_kind", header: header.}
proc role(event: Event, text: ptr CText) {.importc: "sessiond_plugin_types_method_event_role", header: header.}
proc sequence(event: Event, to: ptr uint64): bool {.importc: "sessiond_plugin_types_method_event_sequence", header: header.}
proc texts(event: Event, parts: ptr CParts) {.importc: "sessiond_plugin_types_method_event_texts", header: header.}
proc requestId(text: ptr CText) {.importc: "sessiond_plugin_call_request_id", header: header.}
proc log(level: uint8, line: ptr CText) {.importc: "sessiond_plugin_log_log", header: header.}

# A text of Nim's own; that of the host is freed.
proc take(text: var CText): string =
  result = newString(text.len)
  if text.len > 0: copyMem(addr result[0], text.data, text.len)
  free(addr text)

proc id*(event: Event): string =
  var text: CText
  event.id(addr text)
  take(text)

proc kind*(event: Event): string =
  var text: CText
  event.kind(addr text)
  take(text)

proc role*(event: Event): string =
  var text: CText
  event.role(addr text)
  take(text)

proc sequence*(event: Event): uint64 =
  ## 0 for an event that was not stored yet.
  if not event.sequence(addr result): result = 0

proc texts*(event: Event): seq[TextPart] =
  var parts: CParts
  event.texts(addr parts)
  for at in 0 ..< parts.len.int:
    let text = parts.data[at].text
    var copy = newString(text.len)
    if text.len > 0: copyMem(addr copy[0], text.data, text.len)
    result.add TextPart(text: copy)
  free(addr parts)

proc requestId*(): string =
  var text: CText
  requestId(addr text)
  take(text)

iterator all*(events: ptr CEvents): Event =
  for at in 0 ..< events.len.int: yield borrow(events.data[at])

proc dropAll*(events: ptr CEvents) =
  ## To free a list does not drop the handles in it.
  for at in 0 ..< events.len.int: drop(events.data[at])
  free(events)

proc log*(level: Level, line: string) =
  var text = CText(data: cast[ptr UncheckedArray[char]](line.cstring), len: line.len.csize_t)
  log(level.uint8, addr text)

# The bindings refer to this function to link an object file with the type of the component.
# `wasm-tools component embed` adds the type instead.
proc forceLink() {.exportc: "__component_type_object_force_link_after_append_plugin".} = discard

# What Nim sets up before a program begins, and the initial values of globals.
{.emit: """
extern void NimMain(void);
__attribute__((constructor)) static void sessiondStart(void) { NimMain(); }
""".}
