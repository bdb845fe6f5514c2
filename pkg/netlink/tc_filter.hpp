// Filters, which say what becomes of a packet at a queueing discipline (tc filter).
#pragma once

#include <optional>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/qdisc.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

// Everything that `from`, which has the ingress discipline, receives goes out of `to` first. Throws
// Code::kMissingKernelFeature if the kernel cannot.
void add_redirection(Socket& socket, LinkIndex from, LinkIndex to);

// Where each filter at the ingress discipline of a link sends what it receives: kNone if that
// interface is gone, absent if the filter does something else.
std::vector<std::optional<LinkIndex>> list_redirections(Socket& socket, LinkIndex from);

enum class PacketSide { kSource, kDestination };

// Packets with an address of these networks go to a class.
struct PrefixFilter {
  Prefix network;
  PacketSide side = PacketSide::kSource;
  TcHandle to = TcHandle::kNone;  // the discipline's own handle: they are not shaped

  bool operator==(const PrefixFilter& other) const = default;
};
// At the root discipline "1:".
void add_prefix_filter(Socket& socket, LinkIndex link, const PrefixFilter& filter);
// In the order of the filters.
std::vector<PrefixFilter> list_prefix_filters(Socket& socket, LinkIndex link);

}  // namespace cni::netlink
