// A container's interface as the daemon uses it: sockets in the container's network namespace, made
// without the daemon's thread ever leaving its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/fd.hpp"
#include "pkg/types/address.hpp"
#include "plugins/ipam/dhcp/lease.hpp"

namespace cni::dhcp {

// What identifies an interface for as long as it lives.
struct PortIdentity {
  std::uint64_t netns_cookie = 0;  // 0: a kernel without them
  int link_index = 0;
  Mac mac;

  // An interface may be given another MAC address, as the plugin tuning does; only on a kernel
  // without cookies that makes it another one.
  bool is_same(const PortIdentity& other) const;

  bool operator==(const PortIdentity& other) const = default;
};

// Nothing is kept open in the namespace between calls but what listens.
class Port {
 public:
  // Throws Code::kInvalidNetns without a namespace, and names the interface if that is absent.
  static Port open(const std::string& netns, const std::string& ifname);
  // Absent if the namespace or the interface is gone.
  static std::optional<Port> find(const std::string& netns, const std::string& ifname);

  const std::string& netns() const { return netns_; }
  const std::string& ifname() const { return ifname_; }
  const PortIdentity& identity() const { return identity_; }
  const Mac& mac() const { return identity_.mac; }
  // Whether the link shares its MAC address with others (ipvlan), so that answers have to be
  // broadcast to arrive.
  bool shares_mac() const { return shares_mac_; }

  void set_up() const;
  void set_down() const;
  // Exchanges the address of an earlier lease, and the routes that came with it, for those of a new
  // one.
  void replace(const Lease4& before, const Lease4& after, std::uint32_t priority) const;
  void replace(const Lease6& before, const Lease6& after) const;
  void remove_address(const Prefix& address) const;

 private:
  Port() = default;
  std::string netns_;
  std::string ifname_;
  PortIdentity identity_;
  bool shares_mac_ = false;
};

// Raw IPv4 and ARP on a link. Closing one does not wait for the kernel.
class PacketSocket {
 public:
  enum class Kind { kDhcp, kArp };  // kDhcp: a kernel filter passes UDP to port 68 alone
  static PacketSocket open(const Port& port, Kind kind);
  PacketSocket(PacketSocket&&) noexcept = default;
  PacketSocket& operator=(PacketSocket&&) noexcept;
  ~PacketSocket();

  int fd() const { return fd_.get(); }
  // False if it cannot be sent now: the link is down or gone, its queue is full.
  bool send(std::span<const std::uint8_t> frame) const;
  // One frame; absent if there is none. Errors of the link (it went down) count as none.
  struct Frame {
    std::span<const std::uint8_t> data;
    bool checksum_is_known;
  };
  std::optional<Frame> receive(std::span<std::uint8_t> buffer) const;

 private:
  PacketSocket() = default;
  os::Fd fd_;
};

// A UDP socket bound to a port and the interface.
class UdpSocket {
 public:
  // From the lease's address and port 68, for what is sent to a server itself. Throws if the
  // interface does not have the address.
  static UdpSocket open_ipv4(const Port& port, const Ip& source);
  // Port 546, on all of the link's addresses.
  static UdpSocket open_ipv6(const Port& port);
  UdpSocket(UdpSocket&&) noexcept = default;
  UdpSocket& operator=(UdpSocket&&) noexcept = default;

  int fd() const { return fd_.get(); }
  // False if it cannot be sent now: no route, no source address.
  bool send(const Ip& destination, std::uint16_t port, std::span<const std::uint8_t> data) const;
  std::optional<std::span<const std::uint8_t>> receive(std::span<std::uint8_t> buffer) const;

 private:
  UdpSocket() = default;
  os::Fd fd_;
  int link_index_ = 0;
};

}  // namespace cni::dhcp
