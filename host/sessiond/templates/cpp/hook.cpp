// Looks at events before they are stored. What a hook can do is in wit/, which is the manual.
//
// Handles and texts are freed by their destructors: nothing is to be released by hand.

#include <expected>
#include <string>
#include <string_view>

#include "before_append_plugin_cpp.h"

namespace log = sessiond::plugin::log;
using sessiond::plugin::types::Event;
using sessiond::plugin::types::Rejection;
using sessiond::plugin::types::SessionKey;

namespace {

std::string replace(std::string text, std::string_view word, std::string_view other) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += other.size()) {
    text.replace(at, word.size(), other);
  }
  return text;
}

// Refuses the request; the text goes to the client. There are Invalid and Unavailable too.
std::unexpected<Rejection> deny(std::string_view text) {
  return std::unexpected(Rejection{Rejection::Denied{wit::string::from_view(text)}});
}

std::expected<void, Rejection> screen(const Event& event) {
  for (const auto& part : event.Texts().get_const_view()) {
    std::string_view text = part.text.get_view();
    if (text.find("forbidden") != text.npos) return deny("Leave out what is forbidden.");
    if (text.find("secret") == text.npos) continue;
    auto edit = event.SetText(part.index, replace(std::string(text), "secret", "[removed]"));
    if (!edit) {
      log::Log(log::Level::kError, edit.error().message.get_view());
      return deny("Leave out the secret.");
    }
  }
  return {};
}

}  // namespace

// Returns the events that go on to the store. An event left out is not stored.
std::expected<wit::vector<Event>, Rejection>
exports::sessiond::plugin::before_append::BeforeAppend(SessionKey, wit::vector<Event> events) {
  for (const auto& event : events.get_const_view()) {
    if (auto screened = screen(event); !screened) {
      return std::unexpected(std::move(screened.error()));
    }
  }
  log::Log(log::Level::kInfo, "saw " + std::to_string(events.size()) + " events");
  return events;
}

// The bindings refer to this function to link an object file with the type of the component.
// `wasm-tools component embed` adds the type instead.
extern "C" void __component_type_object_force_link_before_append_plugin() {}
