#include "test/bench/kernel_floor.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <stdexcept>

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

// As `ip link del` does, which waits until the kernel has freed the link (remove_link does not).
void delete_and_wait(const Node& node, netlink::LinkIndex link) {
  struct {
    nlmsghdr header;
    ifinfomsg body;
  } request{};
  request.header = {.nlmsg_len = sizeof request,
                    .nlmsg_type = RTM_DELLINK,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                    .nlmsg_seq = 1,
                    .nlmsg_pid = 0};
  request.body.ifi_index = static_cast<int>(link);
  const cni::os::Fd socket(node.container().netns().run(
      [] { return ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }));
  struct {
    nlmsghdr header;
    nlmsgerr body;
    std::array<char, 256> more;
  } answer{};
  const bool sent = ::send(socket.get(), &request, sizeof request, 0) == sizeof request;
  if (!sent || ::recv(socket.get(), &answer, sizeof answer, 0) < 0 || answer.body.error != 0) {
    throw std::runtime_error("the link of the measurement cannot be deleted");
  }
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
  delete_and_wait(node, netlink::get_link(container, "eth0").index);
  return {.add = attached - start, .del = Clock::now() - attached};
}

}  // namespace bench
