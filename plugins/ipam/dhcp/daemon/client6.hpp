// Carries out what the DHCPv6 machine of one interface asks for: a socket while it listens, and its
// timer.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "plugins/ipam/dhcp/daemon/loop.hpp"
#include "plugins/ipam/dhcp/daemon/port.hpp"
#include "plugins/ipam/dhcp/v6/machine.hpp"

namespace cni::dhcp {

class Client6 {
 public:
  // As those of Client4.
  struct Owner {
    std::function<std::optional<Port>()> port;
    std::function<void(const Lease6&)> granted;
    std::function<void(const Lease6&, const std::string& reason)> lost;
    std::function<void(const std::string& reason)> gave_up;
    std::function<void(const std::string&)> log;
  };

  Client6(Loop& loop, v6::Settings settings, std::function<std::uint32_t()> random, Owner owner);

  void start() { apply(machine_.start(now())); }
  void resume(const Lease6& lease) { apply(machine_.resume(now(), lease)); }
  void release() { apply(machine_.release(now())); }
  const std::optional<Lease6>& lease() const { return machine_.lease(); }
  bool is_idle() const { return machine_.state() == v6::State::kIdle; }

 private:
  void apply(const v6::Actions& actions);
  void carry_out(const v6::Send& action);
  void carry_out(const v6::Granted& action) { owner_.granted(action.lease); }
  void carry_out(const v6::Lost& action) { owner_.lost(action.lease, action.reason); }
  void carry_out(const v6::GaveUp& action) { owner_.gave_up(action.reason); }
  void send_unsent();
  void receive();
  void settle();

  Loop& loop_;
  v6::Machine machine_;
  Owner owner_;
  std::optional<UdpSocket> socket_;
  Loop::Watch watch_;  // after the socket, so that it ends first
  Loop::Timer timer_;
  // The latest message while there is no address to send it from.
  Bytes unsent_;
  Time give_up_unsent_ = kNever;
  Loop::Timer unsent_timer_;
};

}  // namespace cni::dhcp
