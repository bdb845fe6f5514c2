#include "test/bench/kernel_floor.hpp"

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/route.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;
namespace netlink = cni::netlink;

constexpr const char* kBridge = "floor0";
constexpr const char* kHostVeth = "vethfloor";

void attach(netlink::Socket& host, netlink::Socket& container, const Node& node,
            netlink::LinkIndex bridge) {
  netlink::add_veth(container, {.name = "eth0",
                                .mac = {},
                                .peer_name = kHostVeth,
                                .peer_netns_fd = node.host().netns().fd()});
  const auto host_veth = netlink::get_link(host, kHostVeth);
  netlink::change_link(host, host_veth.index, {.up = true, .master = bridge}, "attach");
  const auto eth0 = netlink::get_link(container, "eth0");
  netlink::add_address(container, eth0.index, cni::Prefix::parse("10.99.0.2/16").value(),
                       netlink::Dad::kSkip);
  netlink::set_up(container, eth0.index);
  netlink::add_route(container, {.destination = cni::Prefix::parse("0.0.0.0/0").value(),
                                 .gateway = cni::Ip::parse("10.99.0.1"),
                                 .link = eth0.index});
}

}  // namespace

KernelFloor measure_kernel_floor(const Node& node) {
  auto host = netlink::Socket::open_in(node.host().netns());
  auto container = netlink::Socket::open_in(node.container().netns());
  (void)netlink::ensure_bridge(host, {.name = kBridge, .mac = {}});
  const auto bridge = netlink::get_link(host, kBridge).index;
  netlink::set_up(host, bridge);

  const auto start = Clock::now();
  attach(host, container, node, bridge);
  const auto attached = Clock::now();
  (void)netlink::remove_link(container, "eth0");
  return {.add = attached - start, .del = Clock::now() - attached};
}

}  // namespace bench
