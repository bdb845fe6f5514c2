#include "pkg/netfilter/port_map_backends.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

Error not_there() {
  return {Code::kMissingKernelFeature, "ports cannot be published with nftables yet"};
}

}  // namespace

void NftPortMap::add(netlink::Socket& /*socket*/, const PortMapSpec& /*spec*/) {
  throw not_there();
}

RemovedPorts NftPortMap::remove(netlink::Socket& /*socket*/, const PortMapSpec& /*spec*/) {
  return {};
}

void NftPortMap::check(netlink::Socket& /*socket*/, const PortMapSpec& /*spec*/) {
  throw not_there();
}

RemovedPorts NftPortMap::gc(netlink::Socket& /*socket*/, std::string_view /*network*/,
                            std::span<const Attachment> /*valid*/) {
  return {};
}

}  // namespace cni::netfilter
