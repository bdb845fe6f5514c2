#include "pkg/netfilter/loopback_guard.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Socket;

namespace {

constexpr std::string_view kFailure = "unable to enable route_localnet";

constexpr std::string_view kChain = "loopback_guard";
constexpr std::string_view kComment = "127.0.0.0/8 does not arrive from outside";
// NF_IP_PRI_RAW: before connection tracking.
constexpr std::int32_t kPriority = -300;
constexpr std::uint32_t kRules = 2;

// The metric of our route to ::1, so that it never comes before lo's own.
constexpr std::uint32_t kBehindLo = 1U << 20;

constexpr std::string_view kIptablesChain = "CNI-LOOPBACK-GUARD";
constexpr std::string_view kIptablesJump = "-A PREROUTING ! -i lo -j CNI-LOOPBACK-GUARD";
constexpr std::array<std::string_view, 2> kIptablesRules = {
    "-A CNI-LOOPBACK-GUARD -s 127.0.0.0/8 -j DROP", "-A CNI-LOOPBACK-GUARD -d 127.0.0.0/8 -j DROP"};

NftTable table() { return {NftFamily::kIpv4, "cni_hostport"}; }

// `ip saddr 127.0.0.0/8 iifname != "lo" drop`, with the test first that most packets fail.
NftRule drop_rule(NftField address) {
  return nft_rule({{NftLoad{address}, NftMask{std::string("\xff\0\0\0", 4)},
                    NftCompare{std::string("\x7f\0\0\0", 4), true}, NftLoad{NftField::kIifname},
                    NftCompare{nft_ifname("lo"), false}, NftVerdict{NftVerdict::Kind::kDrop, {}}}});
}

bool has_nft_guard(Socket& socket) {
  return nft_chain_use(socket, table(), kChain).value_or(0) >= kRules;
}

// In one transaction with the flush, so that the chain never has too few rules or too many,
// whoever else does it at the same time.
void add_nft_guard(Socket& socket) {
  if (has_nft_guard(socket)) return;
  NftTransaction transaction(table());
  transaction.add_table({});
  transaction.add_chain({std::string(kChain), NftHook{"filter", NF_INET_PRE_ROUTING, kPriority},
                         std::string(kComment)});
  transaction.flush_chain(kChain);
  transaction.append_rule(kChain, drop_rule(NftField::kIpv4Source));
  transaction.append_rule(kChain, drop_rule(NftField::kIpv4Destination));
  transaction.commit(socket, cat("add chain ", kChain, " to nftables table ", table().to_string()));
}

// The older implementation, where it can be chosen: the other one needs nf_tables too.
Iptables iptables(std::string_view search_path) {
  return Iptables(Family::kIpv4, search_path, IptablesVariant::kLegacy);
}

// What of the guard's rules is missing; the jump comes last.
std::vector<std::string> missing_iptables_rules(const Iptables& programs) {
  const std::vector<std::string> present = programs.list("raw", {});
  std::vector<std::string> out;
  for (const std::string_view rule : {kIptablesRules[0], kIptablesRules[1], kIptablesJump}) {
    if (std::find(present.begin(), present.end(), rule) == present.end()) out.emplace_back(rule);
  }
  return out;
}

// Of two that do it at once both may add the jump; a second one changes nothing.
void add_iptables_guard(const Iptables& programs) {
  const std::vector<std::string> missing = missing_iptables_rules(programs);
  if (missing.empty()) return;
  // This line makes the chain, or empties it.
  std::vector<std::string> lines = {cat(':', kIptablesChain, " - [0:0]")};
  lines.insert(lines.end(), kIptablesRules.begin(), kIptablesRules.end());
  if (missing.back() == kIptablesJump) lines.emplace_back(kIptablesJump);
  const os::Exit exit = programs.restore("raw", lines);
  if (exit.ok()) return;
  throw Error(Code::kDelegateFailed,
              cat("add chain ", kIptablesChain, " to iptables' table raw: ", exit.describe()),
              exit.err);
}

// The interface by which the kernel reaches the container.
netlink::LinkIndex link_to(Socket& socket, const Ip& container) {
  const auto hop = netlink::find_next_hop(socket, container);
  if (!hop || hop->link == netlink::LinkIndex::kNone) {
    throw system_error(cat("find the interface that leads to ", container.to_string()),
                       ENETUNREACH);
  }
  return hop->link;
}

std::string interface_to(const Ip& container) {
  Socket socket = Socket::open();
  return netlink::get_link(socket, link_to(socket, container)).name;
}

Ip loopback() { return *Ip::parse("::1"); }

bool takes_loopback(Socket& socket, netlink::LinkIndex link) {
  const auto hop = netlink::find_next_hop(socket, loopback(), link);
  return hop && hop->is_local;
}

// Answers are looked up with the interface on which they arrive, which has to have ::1 then.
void take_loopback(const Ip& container) {
  Socket socket = Socket::open();
  const netlink::LinkIndex link = link_to(socket, container);
  if (takes_loopback(socket, link)) return;
  try {
    netlink::add_route(socket, {.destination = Prefix::host(loopback()),
                                .gateway = {},
                                .source = {},
                                .link = link,
                                .table = netlink::TableId::kLocal,
                                .scope = {},
                                .priority = kBehindLo,
                                .is_local = true});
  } catch (const Error& error) {
    if (error.sys_errno != EEXIST) throw;  // another ADD did it just now
  }
}

void check_takes_loopback(const Ip& container) {
  Socket socket = Socket::open();
  const netlink::LinkIndex link = link_to(socket, container);
  if (takes_loopback(socket, link)) return;
  throw Error(Code::kCheckFailed,
              cat("the route local ::1 dev ", netlink::get_link(socket, link).name,
                  " is missing: ports published on ::1 do not reach ", container.to_string()));
}

}  // namespace

void allow_loopback_source(const Ip& container, std::string_view search_path) {
  if (!container.is_ipv4()) return take_loopback(container);
  context(kFailure, [&] {
    const std::string interface = interface_to(container);
    Connection connection;
    if (Socket* socket = connection.find()) {
      add_nft_guard(*socket);
    } else {
      add_iptables_guard(iptables(search_path));
    }
    os::write_sysctl({"net", "ipv4", "conf", interface, "route_localnet"}, "1");
  });
}

bool has_loopback_guard(std::string_view search_path) {
  Connection connection;
  if (Socket* socket = connection.find()) {
    return nft_chain_use(*socket, table(), kChain).has_value();
  }
  return !iptables(search_path).list("raw", kIptablesChain).empty();
}

void check_loopback_source(const Ip& container, std::string_view search_path) {
  if (!container.is_ipv4()) return check_takes_loopback(container);
  const std::string interface = interface_to(container);
  if (os::read_sysctl({"net", "ipv4", "conf", interface, "route_localnet"}) != "1") {
    throw Error(Code::kCheckFailed, cat("net.ipv4.conf.", interface,
                                        ".route_localnet is not 1: ports published on "
                                        "127.0.0.1 do not reach ",
                                        container.to_string()));
  }
  Connection connection;
  Socket* socket = connection.find();
  if (socket != nullptr ? has_nft_guard(*socket)
                        : missing_iptables_rules(iptables(search_path)).empty()) {
    return;
  }
  throw Error(Code::kCheckFailed,
              cat("rules that drop 127.0.0.0/8 from outside are missing (",
                  socket != nullptr ? cat("nftables chain ", table().to_string(), ' ', kChain)
                                    : cat("chain ", kIptablesChain, " of iptables' table raw"),
                  "), with net.ipv4.conf.", interface, ".route_localnet set"));
}

}  // namespace cni::netfilter
