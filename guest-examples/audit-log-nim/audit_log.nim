## Writes a line to the daemon's log for each event that was stored: who, what and how much, and
## nothing of what was said.

import std/strutils
import contract

proc describe(event: Event): string =
  var bytes = 0
  for part in event.texts: bytes += part.text.len
  result = "stored event " & $event.sequence & " id=" & escape(event.id) & " kind=" & event.kind &
    " role=" & escape(event.role) & " bytes=" & $bytes

proc afterAppend(key: ptr CKey, events: ptr CEvents) {.
    exportc: "exports_sessiond_plugin_after_append_after_append".} =
  ## The events are stored already: nothing that happens here can change that.
  let request = requestId()
  for event in events.all:
    log(info, event.describe & " request=" & escape(request))
  dropAll(events)
  free(key)
