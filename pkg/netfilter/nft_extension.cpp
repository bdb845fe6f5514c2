// What iptables' extensions mean that it keeps as they are in nf_tables.
#include <netinet/in.h>
// The kernel's headers leave to it what both declare, if it comes first.
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <cstring>

#include "pkg/netfilter/nft_wire.hpp"

namespace cni::netfilter {

using netlink::Attributes;

namespace {

// How xt_sctp_info begins, whose header is C only.
struct SctpPorts {
  std::uint16_t dpts[2];
};

// The start of an extension's data; absent if there is less of it.
template <class Info>
std::optional<Info> start_of(std::string_view data) {
  if (data.size() < sizeof(Info)) return std::nullopt;
  Info out;
  std::memcpy(&out, data.data(), sizeof out);
  return out;
}

// One port of the matches "tcp", "udp" and "sctp", which keep ranges.
template <class Info>
void read_port(std::string_view data, NftRuleInfo& out) {
  const auto info = start_of<Info>(data);
  if (info && info->dpts[0] == info->dpts[1]) out.ports.push_back(info->dpts[0]);
}

void read_ports(std::string_view data, NftRuleInfo& out) {
  const auto info = start_of<xt_multiport>(data);
  if (!info || info->flags != XT_MULTIPORT_DESTINATION || info->count > XT_MULTI_PORTS) return;
  out.ports.insert(out.ports.end(), info->ports, info->ports + info->count);
}

std::optional<Ip> dnat_address(std::uint32_t revision, std::string_view data, Family family) {
  if (revision == 0) {
    const auto ranges = start_of<nf_nat_ipv4_multi_range_compat>(data);
    if (!ranges) return std::nullopt;
    return Ip::from_bytes(&ranges->range[0].min_ip, sizeof ranges->range[0].min_ip);
  }
  // Later ones only append to it.
  const auto range = start_of<nf_nat_range>(data);
  if (!range) return std::nullopt;
  return Ip::from_bytes(&range->min_addr, family == Family::kIpv4 ? 4 : 16);
}

}  // namespace

void read_iptables_match(const Attributes& match, NftRuleInfo& out) {
  const std::string name = match.text(NFTA_MATCH_NAME);
  const std::string_view data = match.bytes(NFTA_MATCH_INFO);
  out.matches.push_back(name);
  if (name == "comment") {
    out.comment = data.substr(0, data.find('\0'));
  } else if (name == "multiport") {
    read_ports(data, out);
  } else if (name == "tcp") {
    read_port<xt_tcp>(data, out);
  } else if (name == "udp") {
    read_port<xt_udp>(data, out);
  } else if (name == "sctp") {
    read_port<SctpPorts>(data, out);
  } else if (name == "mark") {
    if (const auto mark = start_of<xt_mark_mtinfo1>(data)) out.mark = mark->mark;
  }
}

void read_iptables_target(const Attributes& target, Family family, NftRuleInfo& out) {
  out.extension = target.text(NFTA_TARGET_NAME);
  const std::string_view data = target.bytes(NFTA_TARGET_INFO);
  if (out.extension == "DNAT") {
    out.dnat_address = dnat_address(target.be32(NFTA_TARGET_REV), data, family);
  } else if (out.extension == "MARK") {
    if (const auto mark = start_of<xt_mark_tginfo2>(data)) out.mark = mark->mark;
  }
}

}  // namespace cni::netfilter
