// Puts what is known about a user in front of the conversation: the state of the user, as a message of
// the system. The agent that reads the session need not ask for it.

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "after_get_plugin_cpp.h"

namespace log = sessiond::plugin::log;
namespace call = sessiond::plugin::call;
using sessiond::plugin::types::Event;
using sessiond::plugin::types::Rejection;
using sessiond::plugin::types::Session;
using sessiond::plugin::types::SessionKey;

namespace {

// How much state is told, in bytes of JSON: what is more would cost the agent its context.
constexpr size_t kLimit = 4096;

// A text as it stands in a JSON string.
std::string escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned char byte : text) {
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += byte;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += byte;
    }
  }
  return out;
}

// A line for each key of the user's state, whole or not at all.
std::string note(const Session& session) {
  std::string text;
  for (const auto& [key, value] : session.State("user").get_const_view()) {
    std::string line = key.to_string() + ": " + value.to_string() + "\n";
    if (text.size() + line.size() > kLimit) break;
    text += line;
  }
  return text;
}

std::optional<uint64_t> first_sequence(const Session& session) {
  auto first = session.Events(0, 1);
  return first.empty() ? std::nullopt : first[0].Sequence();
}

}  // namespace

std::expected<void, Rejection> exports::sessiond::plugin::after_get::AfterGet(SessionKey,
                                                                              Session&& session) {
  // A reader of state alone has it before it.
  if (call::Purpose().get_view() == "state") return {};
  std::string text = note(session);
  if (text.empty()) return {};
  std::string body = R"({"role":"system","content":")" +
                     escaped("What is known about the user:\n" + text) + R"("})";
  auto event = Event::Parse(body);
  if (!event) {
    log::Log(log::Level::kError, event.error().message.get_view());
    return {};
  }
  auto inserted = session.Insert(first_sequence(session), std::move(*event));
  if (!inserted) log::Log(log::Level::kError, inserted.error().message.get_view());
  return {};
}

// The bindings refer to this function to link an object file with the type of the component.
// `wasm-tools component embed` adds the type instead.
extern "C" void __component_type_object_force_link_after_get_plugin() {}
