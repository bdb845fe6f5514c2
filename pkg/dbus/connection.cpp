#include "pkg/dbus/connection.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/types/error.hpp"

namespace cni::dbus {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kBusName = "org.freedesktop.DBus";
constexpr std::size_t kMaxLine = 1024;

MethodCall bus_call(std::string_view member, std::vector<std::string> arguments) {
  return {std::string(kBusName), "/org/freedesktop/DBus", std::string(kBusName),
          std::string(member), std::move(arguments)};
}

int hex_value(char digit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto lower = static_cast<char>(digit >= 'A' && digit <= 'F' ? digit - 'A' + 'a' : digit);
  const std::size_t at = kDigits.find(lower);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// "%2f" stands for a slash, and so on.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                           hex_value(text[i + 2]) >= 0;
    if (!is_escape) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
    i += 2;
  }
  return out;
}

// Calls fn for each part of a text between separators.
template <class Fn>
void for_each_part(std::string_view text, char separator, Fn&& fn) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    fn(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string hex(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    out.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

Error timed_out() {
  return {Code::kTryAgainLater, "the message bus did not answer in time", {}, ETIMEDOUT};
}

// An empty descriptor if nobody listens there.
os::Fd connect_to(const std::string& name, Clock::time_point deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) {
    throw Error(Code::kInvalidEnvironment,
                cat("the address of the message bus is too long: ", name));
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  std::size_t length = offsetof(sockaddr_un, sun_path) + name.size() + 1;
  if (name.starts_with('@')) {
    address.sun_path[0] = '\0';
    --length;
  }
  os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw system_error("make a socket", errno);
  const int left = std::max(milliseconds_until(deadline), 1);
  const timeval limit{left / 1000, left % 1000 * 1000};
  // For connect, which waits while others are in line, and for send.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(length)) ==
      0) {
    return fd;
  }
  if (errno == ENOENT || errno == ENOTDIR || errno == ECONNREFUSED) return {};
  if (errno == EAGAIN) throw timed_out();
  throw system_error(cat("connect to the message bus at ", name), errno);
}

}  // namespace

std::vector<std::string> unix_sockets(std::string_view bus_address) {
  constexpr std::string_view kUnix = "unix:";
  std::vector<std::string> out;
  for_each_part(bus_address, ';', [&](std::string_view address) {
    if (!address.starts_with(kUnix)) return;
    for_each_part(address.substr(kUnix.size()), ',', [&](std::string_view pair) {
      const std::size_t equals = pair.find('=');
      if (equals == std::string_view::npos) return;
      const std::string_view key = pair.substr(0, equals);
      const std::string value = unescaped(pair.substr(equals + 1));
      if (key == "path") out.push_back(value);
      if (key == "abstract") out.push_back(cat('@', value));
    });
  });
  return out;
}

std::optional<Connection> Connection::open(std::string_view bus_address,
                                           Clock::time_point deadline) {
  for (const std::string& name : unix_sockets(bus_address)) {
    os::Fd fd = connect_to(name, deadline);
    if (!fd) continue;
    Connection out(std::move(fd), deadline);
    context("message bus", [&] { out.authenticate(); });
    return out;
  }
  return std::nullopt;
}

Message Connection::call(const MethodCall& call) {
  const std::uint32_t serial = ++serial_;
  send(encode(call, serial));
  // Signals to everybody come in between.
  while (true) {
    Message message = read_message();
    if (message.reply_serial == serial && message.type != Message::Type::kOther) return message;
  }
}

bool Connection::has_owner(std::string_view name) {
  return call(bus_call("NameHasOwner", {std::string(name)})).flag.value_or(false);
}

// The bus compares what we say with what the kernel says of the socket.
void Connection::authenticate() {
  std::string greeting(1, '\0');
  greeting += cat("AUTH EXTERNAL ", hex(std::to_string(::geteuid())), "\r\n");
  send(greeting);
  const std::string answer = read_line();
  if (!answer.starts_with("OK ")) {
    throw Error(Code::kSystemCall, cat("it does not let us in: ", quote(answer)), {}, EACCES);
  }
  send("BEGIN\r\n");
  const Message hello = call(bus_call("Hello", {}));
  if (hello.type == Message::Type::kError) {
    throw Error(Code::kSystemCall, cat("it does not let us in: ", hello.error_name),
                hello.text.value_or(""), EACCES);
  }
}

void Connection::send(std::string_view data) {
  while (!data.empty()) {
    const ssize_t sent = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) throw timed_out();
    if (sent < 0) throw system_error("send to the message bus", errno);
    data.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Connection::receive() {
  pollfd readable{fd_.get(), POLLIN, 0};
  const int ready = ::poll(&readable, 1, milliseconds_until(deadline_));
  if (ready < 0 && errno == EINTR) return;
  if (ready < 0) throw system_error("wait for the message bus", errno);
  if (ready == 0) throw timed_out();
  char buffer[4096];
  const ssize_t size = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (size < 0 && errno == EINTR) return;
  if (size < 0) throw system_error("receive from the message bus", errno);
  if (size == 0) {
    throw Error(Code::kTryAgainLater, "the message bus closed the connection", {}, ECONNRESET);
  }
  received_.append(buffer, static_cast<std::size_t>(size));
}

std::string Connection::read_line() {
  std::size_t end = 0;
  while ((end = received_.find("\r\n")) == std::string::npos) {
    if (received_.size() > kMaxLine) {
      throw Error(Code::kDecodingFailure, "the answer to the greeting has no end");
    }
    receive();
  }
  std::string out = received_.substr(0, end);
  received_.erase(0, end + 2);
  return out;
}

Message Connection::read_message() {
  while (true) {
    const auto size = message_size(received_);
    if (size && received_.size() >= *size) {
      Message out = decode(std::string_view(received_).substr(0, *size));
      received_.erase(0, *size);
      return out;
    }
    receive();
  }
}

}  // namespace cni::dbus
