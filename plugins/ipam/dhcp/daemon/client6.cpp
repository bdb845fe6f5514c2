#include "plugins/ipam/dhcp/daemon/client6.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <variant>

#include "pkg/types/error.hpp"

namespace cni::dhcp {
namespace {

// The largest UDP payload; buffers of that size are few and short-lived.
constexpr std::size_t kLongestDatagram = 65536;
constexpr int kMostAtOnce = 32;

// A link-local address is tentative for one to two seconds after the link came up (RFC 4862 5.4),
// and the machine's own repetitions come at growing distances.
constexpr Time kUnsentStep{100};
constexpr Time kUnsentPatience{3000};

const Ip& servers() {
  static const Ip kAll = Ip::parse(v6::kServers).value_or(Ip());
  return kAll;
}

}  // namespace

Client6::Client6(Loop& loop, v6::Settings settings, std::function<std::uint32_t()> random,
                 Owner owner)
    : loop_(loop), machine_(std::move(settings), std::move(random)), owner_(std::move(owner)) {}

void Client6::apply(const v6::Actions& actions) {
  for (const v6::Action& action : actions) {
    // What cannot be sent is sent again by the machine's timer.
    try {
      std::visit([this](const auto& what) { carry_out(what); }, action);
    } catch (const Error& error) {
      owner_.log(error.what());
    }
  }
  settle();
}

void Client6::settle() {
  if (!machine_.is_listening()) {
    watch_.reset();
    socket_.reset();
    unsent_timer_.reset();
  }
  timer_.reset();
  const std::optional<Time> deadline = machine_.deadline();
  if (!deadline) return;
  // Never at once: whatever the machine says, others get their turn.
  timer_ = loop_.at(std::max(*deadline, now() + Time(1)), [this] { apply(machine_.timer(now())); });
}

void Client6::carry_out(const v6::Send& action) {
  unsent_timer_.reset();
  unsent_ = v6::encode(action.message);
  give_up_unsent_ = now() + kUnsentPatience;
  send_unsent();
}

void Client6::send_unsent() {
  const std::optional<Port> port = owner_.port();
  if (!port) return;
  if (!socket_) {
    socket_ = UdpSocket::open_ipv6(*port);
    watch_ = loop_.watch(socket_->fd(), EPOLLIN, [this](std::uint32_t) { receive(); });
  }
  if (socket_->send(servers(), v6::kServerPort, unsent_)) return;
  if (now() >= give_up_unsent_) return;
  unsent_timer_ = loop_.at(now() + kUnsentStep, [this] { send_unsent(); });
}

void Client6::receive() {
  std::array<std::uint8_t, kLongestDatagram> buffer{};
  // What one message does may close the socket.
  for (int i = 0; i < kMostAtOnce && socket_; ++i) {
    const auto data = socket_->receive(buffer);
    if (!data) return;
    const std::optional<v6::Message> message = v6::decode(*data);
    if (message) apply(machine_.received(now(), *message));
  }
}

}  // namespace cni::dhcp
