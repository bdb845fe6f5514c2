// Queueing disciplines, which decide when an interface sends what it was given (tc qdisc, tc
// class).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netlink {

// What tc writes as "1:" (a discipline) or "1:30" (a class), in hexadecimal digits.
enum class TcHandle : std::uint32_t {
  kNone = 0,
  kRoot = 0xffffffff,     // where a discipline is put that handles all that an interface sends
  kIngress = 0xfffffff1,  // where one is put that sees all that an interface receives
};
constexpr TcHandle tc_handle(std::uint16_t major, std::uint16_t minor = 0) {
  return TcHandle{(static_cast<std::uint32_t>(major) << 16) | minor};
}
// The handle that the ingress discipline always has: "ffff:".
inline constexpr TcHandle kIngressQdisc = tc_handle(0xffff);

// The unit in which the kernel counts the time that a bucket lasts.
class PacketClock {
 public:
  // What /proc/net/psched says, or without it what all kernels since 2.6.31 say.
  static PacketClock read();
  PacketClock() = default;
  // As /proc/net/psched: nanoseconds of a microsecond, and of a tick.
  PacketClock(std::uint32_t microsecond, std::uint32_t tick)
      : microsecond_(microsecond), tick_(tick) {}

  // Rounded down.
  std::uint64_t ticks(std::uint64_t microseconds) const {
    return microseconds * microsecond_ / tick_;
  }

 private:
  std::uint32_t microsecond_ = 1000;
  std::uint32_t tick_ = 64;
};

// A token bucket: `rate` octets a second pass, and after a pause as many at once as the rate passes
// in `buffer` ticks. What has to wait is queued, up to `limit` octets.
struct Tbf {
  std::uint64_t rate = 0;
  std::uint32_t limit = 0;
  std::uint32_t buffer = 0;

  bool operator==(const Tbf& other) const = default;
};

// The only class of an htb discipline; the same bucket, whose queue is a discipline of its own.
struct HtbClass {
  std::uint64_t rate = 0;
  std::uint32_t buffer = 0;

  bool operator==(const HtbClass& other) const = default;
};

struct Qdisc {
  std::string kind;  // "tbf"
  TcHandle handle = TcHandle::kNone;
  std::optional<Tbf> tbf;
  std::uint32_t htb_default = 0;  // minor number of the class for what no filter sends elsewhere
};

// Each add_... throws with EEXIST if there is a discipline with a handle of its own already, and
// Code::kMissingKernelFeature if the kernel does not have the kind.

// At the root, as "1:".
void add_tbf(Socket& socket, LinkIndex link, const Tbf& tbf);
// Changes the one of add_tbf. What is queued stays.
void change_tbf(Socket& socket, LinkIndex link, const Tbf& tbf);

// At the root, as "1:". What no filter sends to a class goes to the one with that minor number; to
// none, and out at once, if that is 0.
void add_htb(Socket& socket, LinkIndex link, std::uint16_t default_minor);
// A class below "1:".
void add_htb_class(Socket& socket, LinkIndex link, TcHandle id, const HtbClass& htb_class);
// Changes the one of add_htb_class. What is queued stays.
void change_htb_class(Socket& socket, LinkIndex link, TcHandle id, const HtbClass& htb_class);
// Absent if there is no such class.
std::optional<HtbClass> find_htb_class(Socket& socket, LinkIndex link, TcHandle id);

// The queue of a class.
void add_fq_codel(Socket& socket, LinkIndex link, TcHandle parent);
// First in, first out, up to `limit` octets.
void add_fifo(Socket& socket, LinkIndex link, TcHandle parent, std::uint32_t limit);

// As "ffff:"; filters of tc_filter.hpp do what is to be done.
void add_ingress_qdisc(Socket& socket, LinkIndex link);

// What is put there: at kRoot, at kIngress or at a class. Absent also if it is the kernel's own
// choice, which has no handle, or the link is gone.
std::optional<Qdisc> find_qdisc(Socket& socket, LinkIndex link, TcHandle parent);

// Removes what is put at kRoot or kIngress. False if there is nothing, or no such link.
bool remove_qdisc(Socket& socket, LinkIndex link, TcHandle parent);

}  // namespace cni::netlink
