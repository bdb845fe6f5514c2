#include "pkg/netfilter/conntrack.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "pkg/netlink/message.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Attributes;
using netlink::Message;
using netlink::Socket;

namespace {

constexpr std::string_view kList = "list UDP flows in connection tracking";
constexpr std::string_view kForget = "delete a UDP flow from connection tracking";

// Which parts of a tuple a dump is to be filtered by (Linux 5.8). The kernel does not export their
// names. The address is not among them: kernels (6.18 for one) keep exactly the wrong flows if they
// are to compare an IPv6 address.
constexpr std::uint32_t kFilterProtocol = 1U << 3;
constexpr std::uint32_t kFilterDestinationPort = 1U << 5;

// Each dump walks the kernel's whole table; for more ports than this, one dump of all UDP
// flows costs less than a filtered one for each.
constexpr std::size_t kMaxFilteredDumps = 4;

std::uint8_t family_number(Family family) { return family == Family::kIpv4 ? AF_INET : AF_INET6; }

Message conntrack_message(int type, Family family) {
  Message out(NFNL_SUBSYS_CTNETLINK << 8 | type, 0);
  out.header(nfgenmsg{family_number(family), NFNETLINK_V0, 0});
  return out;
}

// One flow. What names it to the kernel is kept as the kernel wrote it.
struct Flow {
  Ip destination;
  std::uint16_t port = 0;
  std::string original;  // content of CTA_TUPLE_ORIG
  std::string zone;      // content of CTA_ZONE; empty without one
  std::string id;        // content of CTA_ID
};

// Absent for what is not UDP. Numbers in tuples are in network byte order.
std::optional<Flow> read_flow(const nlmsghdr* message, Family family) {
  const auto& header = netlink::body_of<nfgenmsg>(message);
  const Attributes attributes(message, sizeof header, CTA_MAX);
  const Attributes tuple = attributes.nested(CTA_TUPLE_ORIG, CTA_TUPLE_MAX);
  const Attributes transport = tuple.nested(CTA_TUPLE_PROTO, CTA_PROTO_MAX);
  if (transport.u8(CTA_PROTO_NUM) != IPPROTO_UDP) return std::nullopt;
  const bool is_ipv4 = family == Family::kIpv4;
  const std::string_view address =
      tuple.nested(CTA_TUPLE_IP, CTA_IP_MAX).bytes(is_ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  const auto destination = Ip::from_bytes(address.data(), address.size());
  if (!destination || destination->family() != family) return std::nullopt;
  return Flow{*destination, ntohs(transport.u16(CTA_PROTO_DST_PORT)),
              std::string(attributes.bytes(CTA_TUPLE_ORIG)),
              std::string(attributes.bytes(CTA_ZONE)), std::string(attributes.bytes(CTA_ID))};
}

// A dump of UDP flows, of those to one port if one is given. Older kernels send all flows of the
// family.
Message dump_request(Family family, std::optional<std::uint16_t> port) {
  Message out = conntrack_message(IPCTNL_MSG_CT_GET, family);
  out.nest(CTA_TUPLE_ORIG, [&](Message& tuple) {
    tuple.nest(CTA_TUPLE_PROTO, [&](Message& transport) {
      transport.put_u8(CTA_PROTO_NUM, IPPROTO_UDP);
      if (port) transport.put_u16(CTA_PROTO_DST_PORT, htons(*port));
    });
  });
  out.nest(CTA_FILTER, [&](Message& filter) {
    filter.put_u32(CTA_FILTER_ORIG_FLAGS, kFilterProtocol | (port ? kFilterDestinationPort : 0));
  });
  return out;
}

// Whether the host itself is what an address leads to; asked once for each.
class LocalAddresses {
 public:
  bool contains(const Ip& address) {
    const auto known = known_.find(address);
    if (known != known_.end()) return known->second;
    if (!socket_) socket_.emplace(Socket::open());
    const auto hop = netlink::find_next_hop(*socket_, address);
    return known_[address] = hop && hop->is_local;
  }

 private:
  std::optional<Socket> socket_;
  std::map<Ip, bool> known_;
};

// The destinations of one family.
class Destinations {
 public:
  Destinations(Family family, std::span<const UdpDestination> all) {
    std::copy_if(all.begin(), all.end(), std::back_inserter(list_),
                 [family](const UdpDestination& one) { return one.family == family; });
    std::sort(list_.begin(), list_.end(), [](const auto& a, const auto& b) {
      return std::tie(a.port, a.address) < std::tie(b.port, b.address);
    });
  }

  // Each of them once, sorted.
  std::vector<std::uint16_t> ports() const {
    std::vector<std::uint16_t> out;
    for (const UdpDestination& one : list_) {
      if (out.empty() || out.back() != one.port) out.push_back(one.port);
    }
    return out;
  }

  // Whether one of them is what the flow was begun to.
  bool include(const Flow& flow) {
    auto one = std::lower_bound(list_.begin(), list_.end(), flow.port,
                                [](const auto& a, std::uint16_t port) { return a.port < port; });
    for (; one != list_.end() && one->port == flow.port; ++one) {
      // What passes through this host to the same port of another one is not to be hit.
      if (one->address ? *one->address == flow.destination : local_.contains(flow.destination)) {
        return true;
      }
    }
    return false;
  }

 private:
  std::vector<UdpDestination> list_;  // sorted by port
  LocalAddresses local_;
};

bool is_not_supported(int error) { return error == EINVAL || error == EOPNOTSUPP; }

// Adds the flows that a dump names. False if the kernel did not know what the request asks for.
bool list_flows(Socket& socket, Message request, Family family, std::vector<Flow>& flows) {
  const std::size_t before = flows.size();
  const auto take = [&](const nlmsghdr* message) {
    if (auto flow = read_flow(message, family)) flows.push_back(std::move(*flow));
  };
  try {
    socket.dump(request, kList, take, [&] { flows.resize(before); });
  } catch (const Error& error) {
    if (!is_not_supported(error.sys_errno)) throw;
    return false;
  }
  return true;
}

// The flows of a family that are to go, and some more.
std::vector<Flow> find_candidates(Socket& socket, Family family,
                                  const std::vector<std::uint16_t>& ports) {
  std::vector<Flow> out;
  bool is_filtered = true;
  if (ports.size() > kMaxFilteredDumps) {
    is_filtered = list_flows(socket, dump_request(family, std::nullopt), family, out);
  } else {
    for (const std::uint16_t port : ports) {
      is_filtered = is_filtered && list_flows(socket, dump_request(family, port), family, out);
    }
  }
  // A kernel without connection tracking refuses this too.
  if (!is_filtered) {
    out.clear();
    (void)list_flows(socket, conntrack_message(IPCTNL_MSG_CT_GET, family), family, out);
  }
  return out;
}

// With the flow's id, so that one that took its place meanwhile stays.
void forget(Socket& socket, Family family, const Flow& flow) {
  Message message = conntrack_message(IPCTNL_MSG_CT_DELETE, family);
  message.put(CTA_TUPLE_ORIG | NLA_F_NESTED, flow.original.data(), flow.original.size());
  if (!flow.zone.empty()) message.put(CTA_ZONE, flow.zone.data(), flow.zone.size());
  if (!flow.id.empty()) message.put(CTA_ID, flow.id.data(), flow.id.size());
  try {
    socket.request(message, kForget);
  } catch (const Error& error) {
    if (error.sys_errno != ENOENT) throw;  // it ended meanwhile
  }
}

}  // namespace

void forget_udp_connections(Socket& netfilter, std::span<const UdpDestination> destinations) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Destinations wanted(family, destinations);
    const std::vector<std::uint16_t> ports = wanted.ports();
    if (ports.empty()) continue;
    for (const Flow& flow : find_candidates(netfilter, family, ports)) {
      if (wanted.include(flow)) forget(netfilter, family, flow);
    }
  }
}

}  // namespace cni::netfilter
