// Caps the results of tools before they are stored: what is longer than LIMIT keeps its beginning,
// and a last line says how much is missing.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "before_append_plugin.h"

// The names of the bindings carry the package and the world. These are the ones used here.
typedef before_append_plugin_string_t string_t;
typedef sessiond_plugin_types_borrow_event_t event_t;
typedef sessiond_plugin_types_text_part_t text_part_t;
typedef sessiond_plugin_types_edit_error_t edit_error_t;

// What a result may measure afterwards, its last line included.
enum { LIMIT = 16 * 1024 };

// Room for the last line, with its line break escaped and a quote after it.
enum { LAST_LINE = 64 };

static bool equals(const string_t *string, const char *other) {
  size_t len = strlen(other);
  return string->len == len && memcmp(string->ptr, other, len) == 0;
}

// How many bytes the UTF-8 character at `p` has. The host hands out valid UTF-8 only.
static size_t char_len(const uint8_t *p) {
  return *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
}

// Writes a character as it stands in a JSON string, and returns how many bytes that took, 6 at
// most.
static size_t escape_char(const uint8_t *p, size_t len, uint8_t *out) {
  if (*p == '"' || *p == '\\') {
    out[0] = '\\';
    out[1] = *p;
    return 2;
  }
  if (*p < 0x20) {
    char escape[7];
    snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*p);
    memcpy(out, escape, 6);
    return 6;
  }
  memcpy(out, p, len);
  return len;
}

// The beginning of `text` and a line that tells how many bytes of it are missing, as it is or as a
// JSON string. The caller frees it.
static string_t shorten(const string_t *text, bool as_json) {
  uint8_t *out = malloc(LIMIT);
  if (out == NULL) abort();
  size_t used = 0;
  if (as_json) out[used++] = '"';

  size_t read = 0;
  while (read < text->len) {
    uint8_t unit[6];
    size_t len = char_len(text->ptr + read);
    size_t unit_len = len;
    if (as_json) {
      unit_len = escape_char(text->ptr + read, len, unit);
    } else {
      memcpy(unit, text->ptr + read, len);
    }
    if (used + unit_len > LIMIT - LAST_LINE) break;
    memcpy(out + used, unit, unit_len);
    used += unit_len;
    read += len;
  }

  used += (size_t)snprintf((char *)out + used, LAST_LINE, "%s[%zu more bytes were cut off]%s",
                           as_json ? "\\n" : "\n", text->len - read, as_json ? "\"" : "");
  return (string_t){out, used};
}

// Sets a part to its shortened text. Returns whether the host took it.
static bool set_shortened(event_t event, const text_part_t *part, bool as_json, edit_error_t *error) {
  string_t text = shorten(&part->text, as_json);
  bool ok = sessiond_plugin_types_method_event_set_text(event, part->index, &text, error);
  before_append_plugin_string_free(&text);
  return ok;
}

// Shortens a part. A result that the client sent as a JSON value must stay one, and the host refuses
// plain text for it as `invalid`. It becomes a JSON string then.
static void cap(event_t event, const text_part_t *part) {
  edit_error_t error;
  if (set_shortened(event, part, false, &error)) return;
  bool is_json = equals(&error.code, "invalid");
  sessiond_plugin_types_edit_error_free(&error);
  if (is_json) {
    if (set_shortened(event, part, true, &error)) return;
    sessiond_plugin_types_edit_error_free(&error);
  }
  // A long result does no harm, so the event goes on as it came.
  string_t message;
  before_append_plugin_string_set(&message, "a long tool result could not be cut");
  sessiond_plugin_log_log(SESSIOND_PLUGIN_LOG_LEVEL_WARN, &message);
}

bool exports_sessiond_plugin_before_append_before_append(
    exports_sessiond_plugin_before_append_session_key_t *key,
    exports_sessiond_plugin_before_append_list_own_event_t *events,
    exports_sessiond_plugin_before_append_list_own_event_t *ret,
    exports_sessiond_plugin_before_append_rejection_t *err) {
  (void)err;
  for (size_t i = 0; i < events->len; i++) {
    event_t event = sessiond_plugin_types_borrow_event(events->ptr[i]);
    sessiond_plugin_types_list_text_part_t parts;
    sessiond_plugin_types_method_event_texts(event, &parts);
    for (size_t j = 0; j < parts.len; j++) {
      const text_part_t *part = &parts.ptr[j];
      if (part->text.len > LIMIT && equals(&part->kind, "tool-result")) cap(event, part);
    }
    sessiond_plugin_types_list_text_part_free(&parts);
  }

  // What came belongs to this function. The key is freed, and the events go back, all of them: the
  // list and its handles move into the result. A plugin that drops an event would have to take it
  // out of the list and call `sessiond_plugin_types_event_drop_own`.
  exports_sessiond_plugin_before_append_session_key_free(key);
  *ret = *events;
  return true;
}

// The bindings refer to this function in order to link an object file that holds the type of the
// component. `wasm-tools component embed` adds the type instead, so no binary has to be committed.
void __component_type_object_force_link_before_append_plugin(void) {}
