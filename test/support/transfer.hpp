// How fast data gets from one namespace to another: a sender and a receiver of the test's own.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "pkg/ns/netns.hpp"
#include "pkg/os/fd.hpp"

namespace cni::test {

class Transfer {
 public:
  enum class Kind { kTcp, kUdp };

  // Connects to that address, which is `to`'s. Datagrams are sent at most at `udp_rate` bits a
  // second, since nothing else would slow them down.
  Transfer(Kind kind, const ns::Netns& from, const ns::Netns& to, const std::string& address,
           std::uint64_t udp_rate = 0);

  // Sends as much as can be sent, from the first octet that arrives on for so long; returns how
  // many octets arrived in that time. May be called again and goes on with the connection. Throws
  // if the connection breaks, or nothing arrives for ten seconds.
  std::uint64_t received_in(std::chrono::milliseconds duration);

 private:
  using Clock = std::chrono::steady_clock;

  void connect_tcp();
  void send_what_is_due(Clock::time_point now);
  std::uint64_t receive();

  Kind kind_;
  std::uint64_t udp_rate_;
  os::Fd sender_;
  os::Fd receiver_;
  Clock::time_point started_;
  std::uint64_t sent_ = 0;
};

}  // namespace cni::test
