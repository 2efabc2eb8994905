// Looks at events before they are stored. What a hook can do is in wit/, which is the manual.
//
// Three rules hold for all of C: what comes in as an argument belongs to the hook, which frees it or
// moves it into the result; what a call of the host returns is freed with the function of its type;
// and to free a list does not drop the handles in it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "before_append_plugin.h"

// The names of the bindings carry the package and the world. These are the ones used here.
typedef before_append_plugin_string_t string_t;
typedef sessiond_plugin_types_borrow_event_t event_t;
typedef sessiond_plugin_types_edit_error_t edit_error_t;
typedef exports_sessiond_plugin_before_append_rejection_t rejection_t;

static void log_line(sessiond_plugin_log_level_t level, const char *line) {
  string_t text = {(uint8_t *)line, strlen(line)};
  sessiond_plugin_log_log(level, &text);
}

// Where `word` begins in a text from `from` on; the length of the text if it is not there.
static size_t find(const string_t *text, const char *word, size_t from) {
  size_t len = strlen(word);
  for (; from + len <= text->len; from++) {
    if (memcmp(text->ptr + from, word, len) == 0) return from;
  }
  return text->len;
}

// A copy of a text with another word in the place of each `word`. The caller frees it.
static string_t replace(const string_t *text, const char *word, const char *other) {
  size_t word_len = strlen(word), other_len = strlen(other), room = text->len;
  for (size_t at = find(text, word, 0); at < text->len; at = find(text, word, at + word_len)) {
    room += other_len;
  }
  string_t copy = {malloc(room + 1), 0};
  if (copy.ptr == NULL) abort();
  size_t from = 0;
  while (from < text->len) {
    size_t at = find(text, word, from);
    memcpy(copy.ptr + copy.len, text->ptr + from, at - from);
    copy.len += at - from;
    if (at < text->len) {
      memcpy(copy.ptr + copy.len, other, other_len);
      copy.len += other_len;
      at += word_len;
    }
    from = at;
  }
  return copy;
}

// Screens an event. Returns why it is refused, or NULL.
static const char *screen(event_t event) {
  const char *refusal = NULL;
  sessiond_plugin_types_list_text_part_t parts;
  sessiond_plugin_types_method_event_texts(event, &parts);
  for (size_t i = 0; i < parts.len && refusal == NULL; i++) {
    const string_t *text = &parts.ptr[i].text;
    if (find(text, "forbidden", 0) < text->len) {
      refusal = "Leave out what is forbidden.";
    } else if (find(text, "secret", 0) < text->len) {
      string_t clean = replace(text, "secret", "[removed]");
      edit_error_t error;
      if (!sessiond_plugin_types_method_event_set_text(event, parts.ptr[i].index, &clean, &error)) {
        log_line(SESSIOND_PLUGIN_LOG_LEVEL_ERROR, "an edit was refused");
        sessiond_plugin_types_edit_error_free(&error);
        refusal = "Leave out the secret.";
      }
      before_append_plugin_string_free(&clean);
    }
  }
  sessiond_plugin_types_list_text_part_free(&parts);
  return refusal;
}

static void drop_all(exports_sessiond_plugin_before_append_list_own_event_t *events) {
  for (size_t i = 0; i < events->len; i++) sessiond_plugin_types_event_drop_own(events->ptr[i]);
  exports_sessiond_plugin_before_append_list_own_event_free(events);
}

// Returns true and sets `ret` to the events that go on to the store. Returns false and sets `err` to
// refuse the whole request: the text goes to the client.
bool exports_sessiond_plugin_before_append_before_append(
    exports_sessiond_plugin_before_append_session_key_t *key,
    exports_sessiond_plugin_before_append_list_own_event_t *events,
    exports_sessiond_plugin_before_append_list_own_event_t *ret, rejection_t *err) {
  exports_sessiond_plugin_before_append_session_key_free(key);
  for (size_t i = 0; i < events->len; i++) {
    const char *refusal = screen(sessiond_plugin_types_borrow_event(events->ptr[i]));
    if (refusal != NULL) {
      drop_all(events);
      err->tag = SESSIOND_PLUGIN_TYPES_REJECTION_DENIED;
      before_append_plugin_string_dup(&err->val.denied, refusal);
      return false;
    }
  }
  char line[64];
  snprintf(line, sizeof line, "saw %zu events", events->len);
  log_line(SESSIOND_PLUGIN_LOG_LEVEL_INFO, line);

  // The list and its handles move into the result. To drop an event, take it out of the list and
  // give it to sessiond_plugin_types_event_drop_own.
  *ret = *events;
  return true;
}

// The bindings refer to this function to link an object file with the type of the component.
// `wasm-tools component embed` adds the type instead.
void __component_type_object_force_link_before_append_plugin(void) {}
