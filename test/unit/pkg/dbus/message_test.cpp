// Messages of the message bus: what we send, and what we make of what comes back.
#include "pkg/dbus/message.hpp"

#include "pkg/dbus/connection.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::dbus;

namespace {

std::string octets(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}

// As dbus-daemon answers NameHasOwner: fields reply serial, destination, signature and sender;
// the body is true.
std::string truth() {
  return octets({'l', 2, 1, 1, 4, 0, 0, 0, 3, 0, 0, 0, 61, 0, 0, 0}) +
         octets({5, 1, 'u', 0, 2, 0, 0, 0}) +
         octets({6, 1, 's', 0, 4, 0, 0, 0, ':', '1', '.', '5', 0, 0, 0, 0}) +
         octets({8, 1, 'g', 0, 1, 'b', 0, 0}) + octets({7, 1, 's', 0, 20, 0, 0, 0}) +
         "org.freedesktop.DBus" + octets({0, 0, 0, 0}) + octets({1, 0, 0, 0});
}

// The same of another sender, in the other byte order: an error with a text.
std::string error_in_big_endian() {
  return octets({'B', 3, 1, 1, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 39}) +
         octets({4, 1, 's', 0, 0, 0, 0, 9}) + "a.b.Error" + octets({0, 0, 0, 0, 0, 0, 0}) +
         octets({5, 1, 'u', 0, 0, 0, 0, 7}) + octets({8, 1, 'g', 0, 1, 's', 0, 0}) +
         octets({0, 0, 0, 3, 'N', 'O', '!', 0});
}

bool is_refused(const std::string& data) {
  try {
    (void)decode(data);
    return false;
  } catch (const Error& error) {
    return error.code == Code::kDecodingFailure;
  }
}

}  // namespace

TEST_CASE("a call is written as the specification has it") {
  const std::string sent = encode({.destination = "a.b",
                                   .path = "/p",
                                   .interface = "i.f",
                                   .member = "Get",
                                   .arguments = {"xyz", "q"}},
                                  258);
  CHECK(message_size(sent) == sent.size());
  const std::string fields = octets({1, 1, 'o', 0, 2, 0, 0, 0, '/', 'p', 0, 0, 0, 0, 0, 0}) +
                             octets({6, 1, 's', 0, 3, 0, 0, 0, 'a', '.', 'b', 0, 0, 0, 0, 0}) +
                             octets({2, 1, 's', 0, 3, 0, 0, 0, 'i', '.', 'f', 0, 0, 0, 0, 0}) +
                             octets({3, 1, 's', 0, 3, 0, 0, 0, 'G', 'e', 't', 0, 0, 0, 0, 0}) +
                             octets({8, 1, 'g', 0, 2, 's', 's', 0});
  // The second text starts at a multiple of four.
  const std::string body = octets({3, 0, 0, 0, 'x', 'y', 'z', 0}) + octets({1, 0, 0, 0, 'q', 0});
  CHECK(sent == octets({'l', 1, 2, 1, 14, 0, 0, 0, 2, 1, 0, 0, 72, 0, 0, 0}) + fields + body);
}

TEST_CASE("answers of either byte order are read") {
  const Message flag = decode(truth());
  CHECK(flag.type == Message::Type::kReturn);
  CHECK(flag.reply_serial == 2);
  CHECK(flag.flag == true);
  CHECK_FALSE(flag.text);
  const Message error = decode(error_in_big_endian());
  CHECK(error.type == Message::Type::kError);
  CHECK(error.reply_serial == 7);
  CHECK(error.error_name == "a.b.Error");
  CHECK(error.text == "NO!");
}

TEST_CASE("the size of a message is known from its start on") {
  const std::string whole = truth();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const auto told = message_size(whole.substr(0, size));
    CHECK(told == (size < 16 ? std::nullopt : std::optional(whole.size())));
    CHECK(is_refused(whole.substr(0, size)));
  }
  CHECK(message_size(whole + "more") == whole.size());
}

TEST_CASE("what is no message is refused") {
  CHECK_THROWS_AS(message_size("HTTP/1.1 400 Bad Request"), Error);
  CHECK_THROWS_AS(message_size("x"), Error);
  std::string too_long = truth();
  too_long[6] = 1;  // a body of more than 65536 octets
  CHECK_THROWS_AS(message_size(too_long), Error);
  too_long = truth();
  too_long[15] = '\xff';
  CHECK_THROWS_AS(message_size(too_long), Error);
}

// Whatever an octet is changed to, the answer is a message or an error, and nothing is read beyond
// its end (which the sanitizers see).
TEST_CASE("a damaged message does no harm") {
  int refused = 0;
  for (const std::string& whole : {truth(), error_in_big_endian()}) {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(value);
        if (is_refused(damaged)) ++refused;
      }
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("sockets are found in a bus address") {
  using Names = std::vector<std::string>;
  CHECK(unix_sockets(kSystemBus) == Names{"/run/dbus/system_bus_socket"});
  CHECK(unix_sockets("tcp:host=x,port=1;unix:abstract=/tmp/a,guid=00;unix:path=/b%20c") ==
        Names{"@/tmp/a", "/b c"});
  CHECK(unix_sockets("").empty());
  CHECK(unix_sockets("unix:;;unix:path;:,=").empty());
  CHECK(unix_sockets("unix:path=/50%,x=y") == Names{"/50%"});
}

TEST_CASE("a bus that nobody serves is absent") {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  CHECK_FALSE(Connection::open("unix:path=/no/such/bus", deadline));
  CHECK_FALSE(Connection::open("unix:abstract=cni-no-such-bus", deadline));
  CHECK_THROWS_AS(Connection::open("unix:path=/" + std::string(200, 'x'), deadline), Error);
}
