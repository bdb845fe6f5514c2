#include "pkg/netfilter/firewall_backends.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

Error not_there() {
  return {Code::kMissingKernelFeature, "the firewall has no backend \"nftables\" yet"};
}

}  // namespace

void NftFirewall::add(netlink::Socket& /*socket*/, const FirewallSpec& /*spec*/) {
  throw not_there();
}
void NftFirewall::remove(netlink::Socket& /*socket*/, const FirewallSpec& /*spec*/) {}
void NftFirewall::check(netlink::Socket& /*socket*/, const FirewallSpec& /*spec*/) {
  throw not_there();
}
void NftFirewall::gc(netlink::Socket& /*socket*/, std::string_view /*network*/,
                     std::span<const Attachment> /*valid*/) {}

}  // namespace cni::netfilter
