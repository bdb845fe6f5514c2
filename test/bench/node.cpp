#include "test/bench/node.hpp"

#include <sched.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace bench {
namespace {

cni::ns::Netns make_namespace() {
  if (::unshare(CLONE_NEWNET) != 0) throw std::runtime_error("cannot make a network namespace");
  auto socket = cni::netlink::Socket::open();
  cni::netlink::set_up(socket, cni::netlink::get_link(socket, "lo").index);
  return cni::ns::Netns::current();
}

}  // namespace

Namespace::Namespace() : netns_(make_namespace()) {}

std::string Namespace::path() const { return cni::cat("/proc/", ::getpid(), "/fd/", netns_.fd()); }

void Namespace::enter() const {
  if (::setns(netns_.fd(), CLONE_NEWNET) != 0) throw std::runtime_error("cannot enter a namespace");
}

Node::Node(std::string plugin_folder) : plugin_folder_(std::move(plugin_folder)) {}

Call Node::call(const std::string& plugin, const std::string& command, const std::string& config,
                const std::string& programs) const {
  return {
      .path = plugin_folder_ + "/" + plugin,
      .environment = {"CNI_COMMAND=" + command, "CNI_CONTAINERID=bench", "CNI_IFNAME=eth0",
                      "CNI_NETNS=" + container_.path(), "CNI_PATH=" + plugin_folder_,
                      "PATH=" + programs},
      .input = config,
  };
}

Duration Node::run(const Call& call, std::string* output) const {
  host_.enter();
  return time_of(call, output);
}

void load_iptables(const Node& node, const std::string& rules) {
  (void)node.run({"/usr/sbin/iptables-restore", {cni::cat("PATH=", kPrograms)}, rules});
}

void load_nftables(const Node& node, const std::string& rules) {
  // A shell, since a Call has no arguments.
  (void)node.run({"/bin/sh",
                  {cni::cat("PATH=", kPrograms)},
                  cni::cat("exec nft -f - <<'END'\n", rules, "END\n")});
}

}  // namespace bench
