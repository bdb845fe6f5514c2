// The queue of one direction, at the root of a link.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/qdisc.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/netlink/tc_filter.hpp"
#include "pkg/os/undo.hpp"
#include "plugins/meta/bandwidth/config.hpp"

namespace cni::bandwidth {

// As seen from the container.
enum class Direction { kIngress, kEgress };
std::string_view to_string(Direction direction);
const Limit& limit_of(const Config& config, Direction direction);

struct QueueSpec {
  Direction direction = Direction::kIngress;
  Queue kind = Queue::kTbf;
  netlink::Tbf tbf;        // of htb without its limit
  netlink::Tbf reference;  // what the reference plugin makes of the configuration
  std::vector<netlink::PrefixFilter> filters;
  std::uint16_t default_minor = 0;  // of htb: the class for what no filter takes
};

// What the configuration asks for in a direction that has a rate, on a link of that MTU. `warnings`
// gets what is not as the configuration has it.
QueueSpec queue_spec(const Config& config, Direction direction, std::uint32_t mtu,
                     std::vector<std::string>& warnings);

// Puts the queue there; pushes its removal. Throws Code::kConflict if the link has one already.
void add_queue(netlink::Socket& socket, const std::string& netns_path, const netlink::Link& link,
               const QueueSpec& spec, os::Undo& undo);

// The same for a link that may have a queue of ours. One of the same kind is changed, and keeps
// what it holds.
void set_queue(netlink::Socket& socket, const std::string& netns_path, const netlink::Link& link,
               const QueueSpec& spec, os::Undo& undo);

// CHECK: throws Code::kCheckFailed with the first difference.
void check_queue(netlink::Socket& socket, const netlink::Link& link, const QueueSpec& spec);

// False if there is none of ours, or of the reference.
bool remove_queue(netlink::Socket& socket, netlink::LinkIndex link);

}  // namespace cni::bandwidth
