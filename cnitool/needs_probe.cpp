// Whether this host has what the plugins need.
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

#include "cnitool/needs.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/bridge_vlan.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/qdisc.hpp"
#include "pkg/netlink/rule.hpp"
#include "pkg/netlink/tap.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/fd.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

constexpr std::string_view kNotAskable = "cannot be asked for without CAP_NET_ADMIN";

bool has_capability(unsigned number) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return false;
  return (sets[CAP_TO_INDEX(number)].effective & CAP_TO_MASK(number)) != 0;
}

std::string missing_capability(std::string_view name) {
  const unsigned number = name == "CAP_SYS_ADMIN" ? CAP_SYS_ADMIN : CAP_NET_ADMIN;
  return has_capability(number) ? "" : "this process does not have it; run as root";
}

// What fn throws, as a sentence; empty if it does not.
template <class Fn>
std::string complaint(Fn&& fn) {
  try {
    fn();
    return {};
  } catch (const Error& error) {
    return error.details.empty() ? error.msg : cat(error.msg, "; ", error.details);
  }
}

std::string missing_link_type(std::string_view kind) {
  if (!has_capability(CAP_NET_ADMIN)) return std::string(kNotAskable);
  return complaint([&] {
    netlink::Socket socket = netlink::Socket::open();
    netlink::require_link_kind(socket, kind);
  });
}

// Asked in a namespace that nobody sees.
std::string missing_qdisc(std::string_view kind) {
  if (!has_capability(CAP_NET_ADMIN)) return std::string(kNotAskable);
  return complaint([&] {
    const ns::Netns fresh = ns::Netns::make();
    netlink::Socket socket = netlink::Socket::open_in(fresh);
    const netlink::LinkIndex lo = netlink::get_link(socket, "lo").index;
    if (kind == "tbf") {
      netlink::add_tbf(socket, lo, {.rate = 1'000'000, .limit = 100'000, .buffer = 1'000'000});
    } else if (kind == "htb") {
      netlink::add_htb(socket, lo, 0);
    } else {
      netlink::add_ingress_qdisc(socket, lo);
    }
  });
}

std::string missing_bridge_vlans() {
  if (!has_capability(CAP_NET_ADMIN)) return std::string(kNotAskable);
  return complaint([] {
    netlink::Socket socket = netlink::Socket::open();
    if (!netlink::kernel_has_bridge_vlans(socket)) throw netlink::no_bridge_vlans();
  });
}

std::string missing_rules(Family family) {
  return complaint([&] {
    netlink::Socket socket = netlink::Socket::open();
    netlink::require_rules(socket, family);
  });
}

std::string missing_sysctl(std::string_view argument) {
  const std::size_t equals = argument.find('=');
  const std::string path = cat("/proc/sys/", argument.substr(0, equals));
  std::optional<std::string> value = os::read_file(path);
  if (!value) return "the kernel does not have it";
  while (!value->empty() && value->back() == '\n') value->pop_back();
  if (*value == argument.substr(equals + 1)) return {};
  if (::access(path.c_str(), W_OK) == 0) return {};
  return cat("it is ", *value, " and cannot be written: ", errno_text(errno));
}

// The folder, or the one above in which it would be made.
std::string missing_folder(std::string path) {
  while (path.size() > 1 && ::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    path = os::folder_of(path);
  }
  if (::access(path.c_str(), W_OK | X_OK) == 0) return {};
  return cat(path, " cannot be written: ", errno_text(errno));
}

// Whether somebody listens; a daemon that systemd starts for it says nothing of itself.
std::string missing_daemon(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return "the path is too long for a socket";
  path.copy(address.sun_path, path.size());
  const os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return cat("cannot be asked for: ", errno_text(errno));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  // A full queue (EAGAIN) is somebody's too.
  if (::connect(fd.get(), generic, sizeof address) == 0 || errno == EAGAIN) return {};
  return cat(errno_text(errno), "; run `systemctl enable --now cni-dhcp.socket` or `dhcp daemon`");
}

}  // namespace

std::string missing_here(const Need& need, const json& config, std::string_view search_path) {
  const auto masquerade = [&](std::string_view backend) {
    return complaint([&] { netfilter::probe_masquerade(backend, search_path); });
  };
  switch (need.what) {
    case Needed::kCapability:
      return missing_capability(need.argument);
    case Needed::kLinkType:
      return missing_link_type(need.argument);
    case Needed::kQdisc:
      return missing_qdisc(need.argument);
    case Needed::kBridgeVlans:
      return missing_bridge_vlans();
    case Needed::kTunDevice:
      return complaint([] { netlink::require_tap(); });
    case Needed::kRoutingRules:
      return missing_rules(need.argument == "IPv4" ? Family::kIpv4 : Family::kIpv6);
    case Needed::kNftables:
      return masquerade("nftables");
    case Needed::kIptables:
      return masquerade("iptables");
    case Needed::kMasquerade:
      return masquerade("");
    case Needed::kSysctl:
      return missing_sysctl(need.argument);
    case Needed::kDhcpDaemon:
      return missing_daemon(argument_of(need, config));
    case Needed::kFolder:
      break;
  }
  return missing_folder(argument_of(need, config));
}

}  // namespace cni::cnitool
