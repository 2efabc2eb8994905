## The contract in the terms of Nim, over the bindings in C, as far as a before-append plugin needs
## it. The files in wit/ say more about each function.

{.passC: "-Ibindings".}
const header = "before_append_plugin.h"

type
  CText* {.importc: "before_append_plugin_string_t", header: header, bycopy.} = object
    data {.importc: "ptr".}: ptr UncheckedArray[char]
    len: csize_t
  CKey* {.importc: "exports_sessiond_plugin_before_append_session_key_t", header: header, bycopy.} = object
    app, user, session: CText
  CPart {.importc: "sessiond_plugin_types_text_part_t", header: header, bycopy.} = object
    index: uint32
    kind, text: CText
  CParts {.importc: "sessiond_plugin_types_list_text_part_t", header: header, bycopy.} = object
    data {.importc: "ptr".}: ptr UncheckedArray[CPart]
    len: csize_t
  CEditError {.importc: "sessiond_plugin_types_edit_error_t", header: header, bycopy.} = object
    code, message: CText
  OwnEvent {.importc: "exports_sessiond_plugin_before_append_own_event_t", header: header, bycopy.} = object
  Event* {.importc: "sessiond_plugin_types_borrow_event_t", header: header, bycopy.} = object
  CEvents* {.importc: "exports_sessiond_plugin_before_append_list_own_event_t", header: header, bycopy.} = object
    data {.importc: "ptr".}: ptr UncheckedArray[OwnEvent]
    len: csize_t
  CReason {.importc: "__typeof__(((exports_sessiond_plugin_before_append_rejection_t*)0)->val)",
      header: header, union, bycopy.} = object
    denied: CText
  CRejection* {.importc: "exports_sessiond_plugin_before_append_rejection_t", header: header, bycopy.} = object
    tag: uint8
    val: CReason

  TextPart* = object
    index*: uint32
    kind*, text*: string
  Level* = enum trace, debug, info, warn, error
  Rejected* = object of CatchableError ## Raised by `reject`.
  EditError* = object of CatchableError ## An edit was refused.

proc dup(to: ptr CText, text: cstring, len: csize_t) {.importc: "before_append_plugin_string_dup_n", header: header.}
proc free(key: ptr CKey) {.importc: "exports_sessiond_plugin_before_append_session_key_free", header: header.}
proc free(events: ptr CEvents) {.importc: "exports_sessiond_plugin_before_append_list_own_event_free", header: header.}
proc free(parts: ptr CParts) {.importc: "sessiond_plugin_types_list_text_part_free", header: header.}
proc free(error: ptr CEditError) {.importc: "sessiond_plugin_types_edit_error_free", header: header.}
proc drop(event: OwnEvent) {.importc: "sessiond_plugin_types_event_drop_own", header: header.}
proc borrow(event: OwnEvent): Event {.importc: "sessiond_plugin_types_borrow_event", header: header.}
proc texts(event: Event, parts: ptr CParts) {.importc: "sessiond_plugin_types_method_event_texts", header: header.}
proc setText(event: Event, index: uint32, text: ptr CText, error: ptr CEditError): bool
  {.importc: "sessiond_plugin_types_method_event_set_text", header: header.}
proc log(level: uint8, line: ptr CText) {.importc: "sessiond_plugin_log_log", header: header.}

proc toNim(text: CText): string =
  result = newString(text.len)
  if text.len > 0: copyMem(addr result[0], text.data, text.len)

# What the host gets to read until the call returns.
proc lend(text: string): CText =
  CText(data: cast[ptr UncheckedArray[char]](text.cstring), len: text.len.csize_t)

proc log*(level: Level, line: string) =
  ## A line in the daemon's log.
  var text = lend(line)
  log(level.uint8, addr text)

proc reject*(text: string) =
  ## Refuses the request; the text goes to the client.
  raise newException(Rejected, text)

proc texts*(event: Event): seq[TextPart] =
  ## The content: messages, reasoning, tool arguments and tool results.
  var parts: CParts
  event.texts(addr parts)
  for at in 0 ..< parts.len.int:
    let part = parts.data[at]
    result.add TextPart(index: part.index, kind: part.kind.toNim, text: part.text.toNim)
  free(addr parts)

proc setText*(event: Event, index: uint32, text: string) =
  ## Replaces the text of a part. Raises EditError.
  var argument = lend(text)
  var refusal: CEditError
  if not event.setText(index, addr argument, addr refusal):
    let message = refusal.message.toNim
    free(addr refusal)
    raise newException(EditError, message)

# The bindings refer to this function to link an object file with the type of the component.
# `wasm-tools component embed` adds the type instead.
proc forceLink() {.exportc: "__component_type_object_force_link_before_append_plugin".} = discard

proc serve*(key: ptr CKey, events, answer: ptr CEvents, refusal: ptr CRejection,
    hook: proc (events: seq[Event]) {.nimcall.}): bool =
  ## Calls a hook, and frees what is not returned. All events go on to the store.
  free(key)
  try:
    var list: seq[Event]
    for at in 0 ..< events.len.int: list.add borrow(events.data[at])
    hook(list)
    # The list and its handles move into the result. To drop an event, take it out of the list and
    # give it to `drop`.
    answer[] = events[]
    return true
  except CatchableError as error:
    for at in 0 ..< events.len.int: drop(events.data[at])
    free(events)
    var text = error.msg
    if not (error of Rejected):
      log(Level.error, text)
      text = "A plugin has failed."
    # 0 is denied, 1 invalid, 2 unavailable: trying again may help.
    refusal.tag = if error of Rejected: 0 else: 2
    dup(addr refusal.val.denied, text.cstring, text.len.csize_t)
    return false

# What Nim sets up before a program begins, and the initial values of globals.
{.emit: """
extern void NimMain(void);
__attribute__((constructor)) static void sessiondStart(void) { NimMain(); }
""".}
