// Carries out what the DHCPv4 machine of one interface asks for: sockets while it listens, and its
// timer.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "plugins/ipam/dhcp/daemon/loop.hpp"
#include "plugins/ipam/dhcp/daemon/port.hpp"
#include "plugins/ipam/dhcp/v4/machine.hpp"

namespace cni::dhcp {

class Client4 {
 public:
  // None of them may end the client while it runs (see Loop::later).
  struct Owner {
    // The interface, looked for anew; absent if it is gone or another one by now.
    std::function<std::optional<Port>()> port;
    std::function<void(const Lease4&)> granted;
    std::function<void(const Lease4&, const std::string& reason)> lost;
    std::function<void(const std::string& reason)> gave_up;
    std::function<void(const std::string&)> log;
  };

  Client4(Loop& loop, v4::Settings settings, std::function<std::uint32_t()> random, Owner owner);

  void start() { apply(machine_.start(now())); }
  void resume(const Lease4& lease) { apply(machine_.resume(now(), lease)); }
  void release();
  const std::optional<Lease4>& lease() const { return machine_.lease(); }
  bool is_idle() const { return machine_.state() == v4::State::kIdle; }

 private:
  void apply(const v4::Actions& actions);
  void carry_out(const v4::SendBroadcast& action);
  void carry_out(const v4::SendUnicast& action);
  void carry_out(const v4::Probe& action);
  void carry_out(const v4::Granted& action) { owner_.granted(action.lease); }
  void carry_out(const v4::Lost& action) { owner_.lost(action.lease, action.reason); }
  void carry_out(const v4::GaveUp& action) { owner_.gave_up(action.reason); }
  void send_frame(const Port& port, std::span<const std::uint8_t> frame);
  bool send_from_lease(const Port& port, const v4::SendUnicast& action);
  void listen(const Port& port);
  void receive();
  void receive_arp();
  void settle();

  Loop& loop_;
  Mac mac_;
  v4::Machine machine_;
  Owner owner_;
  // Each watch after its socket, so that it ends first.
  std::optional<PacketSocket> packets_;
  Loop::Watch packets_watch_;
  std::optional<PacketSocket> arp_;
  Loop::Watch arp_watch_;
  // Not read: while it is there the kernel does not answer that nobody listens on the port.
  std::optional<UdpSocket> udp_;
  Ip probed_;
  bool is_released_on_link_ = false;  // the server that is told of it is a neighbour
  Loop::Timer timer_;
};

}  // namespace cni::dhcp
