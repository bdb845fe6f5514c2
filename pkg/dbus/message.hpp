// Messages of D-Bus on the wire: as much of the protocol as it takes to call a method with texts
// and to read a text or a truth value that comes back (docs/decisions/0063).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cni::dbus {

struct MethodCall {
  std::string destination;
  std::string path;
  std::string interface;
  std::string member;
  std::vector<std::string> arguments;
};

// A received message, as far as it answers a call.
struct Message {
  enum class Type : std::uint8_t { kOther, kReturn, kError };
  Type type = Type::kOther;
  std::uint32_t reply_serial = 0;  // of the call that it answers
  std::string error_name;          // "org.freedesktop.DBus.Error.AccessDenied"
  // The first value of the body, if it is of that type.
  std::optional<std::string> text;
  std::optional<bool> flag;
};

// Nothing that we ask for is answered with more than that many octets.
inline constexpr std::size_t kMaxMessage = 65536;

// The call as it is sent. The receiver is not started if it does not run.
std::string encode(const MethodCall& call, std::uint32_t serial);

// How many octets the message has that `data` begins with; absent as long as that cannot be told.
// Throws Code::kDecodingFailure for what is no message, or is longer than kMaxMessage.
std::optional<std::size_t> message_size(std::string_view data);

// Reads one whole message. Throws Code::kDecodingFailure for anything else.
Message decode(std::string_view data);

}  // namespace cni::dbus
