## Looks at events before they are stored. What a hook can do is in wit/, which is the manual.

import std/strutils
import sessiond

proc beforeAppend(events: seq[Event]) =
  ## What it lets pass goes on to the store.
  for event in events:
    for part in event.texts:
      if "forbidden" in part.text:
        reject "Leave out what is forbidden."
      if "secret" in part.text:
        try:
          event.setText(part.index, part.text.replace("secret", "[removed]"))
        except EditError as refusal:
          log(error, refusal.msg)
          reject "Leave out the secret."
  log(info, "saw " & $events.len & " events")

proc exported(key: ptr CKey, events, answer: ptr CEvents, refusal: ptr CRejection): bool
    {.exportc: "exports_sessiond_plugin_before_append_before_append".} =
  serve(key, events, answer, refusal, beforeAppend)
