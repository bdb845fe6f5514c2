#include "pkg/netlink/tc_filter.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

constexpr TcHandle kFirst = tc_handle(1);
constexpr std::uint16_t kRedirectionPriority = 1;
// Filters of one priority are all of one protocol.
constexpr std::uint16_t kIpv4Priority = 1;
constexpr std::uint16_t kIpv6Priority = 2;

// Where the addresses stand in the headers of IPv4 and IPv6.
constexpr int kIpv4Source = 12;
constexpr int kIpv4Destination = 16;
constexpr int kIpv6Source = 8;
constexpr int kIpv6Destination = 24;

using Key = tc_u32_key;
constexpr std::size_t kKeySize = sizeof(std::uint32_t);

tcmsg header_of(LinkIndex link, TcHandle parent, std::uint16_t priority, std::uint16_t protocol) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(link);
  header.tcm_parent = static_cast<std::uint32_t>(parent);
  header.tcm_info = (static_cast<std::uint32_t>(priority) << 16) | htons(protocol);
  return header;
}

// The selector with the keys behind it, as the kernel takes it.
std::vector<char> selector_of(const std::vector<Key>& keys) {
  std::vector<char> out(sizeof(tc_u32_sel) + keys.size() * sizeof(Key));
  auto* selector = reinterpret_cast<tc_u32_sel*>(out.data());
  selector->flags = TC_U32_TERMINAL;
  selector->nkeys = static_cast<unsigned char>(keys.size());
  std::memcpy(out.data() + sizeof *selector, keys.data(), keys.size() * sizeof(Key));
  return out;
}

int offset_of(Family family, PacketSide side) {
  if (family == Family::kIpv4) return side == PacketSide::kSource ? kIpv4Source : kIpv4Destination;
  return side == PacketSide::kSource ? kIpv6Source : kIpv6Destination;
}

// One key for each four octets of the address that the prefix covers; one that is always true for
// the prefix 0.0.0.0/0 or ::/0.
std::vector<Key> keys_of(const PrefixFilter& filter) {
  const Prefix network = filter.network.network();
  std::vector<Key> out;
  for (unsigned bit = 0; bit == 0 || bit < network.length; bit += 32) {
    const unsigned bits = std::min(32U, network.length - bit);
    Key key{};
    key.mask = bits == 0 ? 0 : htonl(~std::uint32_t{0} << (32 - bits));
    std::memcpy(&key.val, network.address.data() + bit / 8, kKeySize);
    key.off = offset_of(network.address.family(), filter.side) + static_cast<int>(bit / 8);
    out.push_back(key);
  }
  return out;
}

unsigned length_of(std::uint32_t mask) { return static_cast<unsigned>(__builtin_popcount(mask)); }

void create(Socket& socket, Message& message, LinkIndex link, std::string_view option) {
  try {
    socket.request(message, cat("add filter u32 of link ", static_cast<int>(link)));
  } catch (const Error& error) {
    if (error.sys_errno != ENOENT) throw;
    Error named(Code::kMissingKernelFeature,
                cat("the kernel has no u32 filter or no mirred action (", option, ")"),
                error.details, error.sys_errno);
    throw named;
  }
}

void put_redirection(Message& message, LinkIndex to) {
  tc_mirred parameters{};
  parameters.action = TC_ACT_STOLEN;
  parameters.eaction = TCA_EGRESS_REDIR;
  parameters.ifindex = static_cast<std::uint32_t>(to);
  message.nest(1, [&](Message& action) {
    action.put_string(TCA_ACT_KIND, "mirred").nest(TCA_ACT_OPTIONS, [&](Message& options) {
      options.put(TCA_MIRRED_PARMS, &parameters, sizeof parameters);
    });
  });
}

std::optional<LinkIndex> target_of(const nlattr* attribute) {
  const Attributes action(attribute, TCA_ACT_MAX);
  if (action.text(TCA_ACT_KIND) != "mirred") return std::nullopt;
  const Attributes options = action.nested(TCA_ACT_OPTIONS, TCA_MIRRED_MAX);
  const std::string_view bytes = options.bytes(TCA_MIRRED_PARMS);
  tc_mirred parameters{};
  if (bytes.size() < sizeof parameters) return std::nullopt;
  std::memcpy(&parameters, bytes.data(), sizeof parameters);
  if (parameters.eaction != TCA_EGRESS_REDIR) return std::nullopt;
  return LinkIndex{static_cast<int>(parameters.ifindex)};
}

// u32 lists its tables too, which have no selector.
bool is_filter(const Attributes& options) { return options.has(TCA_U32_SEL); }

std::vector<Key> read_keys(std::string_view selector) {
  std::vector<Key> out;
  if (selector.size() < sizeof(tc_u32_sel)) return out;
  selector.remove_prefix(sizeof(tc_u32_sel));
  for (; selector.size() >= sizeof(Key); selector.remove_prefix(sizeof(Key))) {
    Key key{};
    std::memcpy(&key, selector.data(), sizeof key);
    out.push_back(key);
  }
  return out;
}

std::optional<PrefixFilter> read_prefix_filter(const Attributes& options, bool is_ipv4) {
  const std::vector<Key> keys = read_keys(options.bytes(TCA_U32_SEL));
  if (keys.empty()) return std::nullopt;
  const Family family = is_ipv4 ? Family::kIpv4 : Family::kIpv6;
  std::array<std::uint8_t, 16> octets{};
  PrefixFilter out;
  const int source = offset_of(family, PacketSide::kSource);
  const std::size_t size = is_ipv4 ? 4 : 16;
  out.side = keys[0].off == source ? PacketSide::kSource : PacketSide::kDestination;
  for (const Key& key : keys) {
    const int at = key.off - offset_of(family, out.side);
    if (at < 0 || static_cast<std::size_t>(at) + kKeySize > size) return std::nullopt;
    std::memcpy(octets.data() + at, &key.val, kKeySize);
    out.network.length += length_of(key.mask);
  }
  out.network.address = Ip::from_bytes(octets.data(), size).value();
  out.to = TcHandle{options.u32(TCA_U32_CLASSID)};
  return out;
}

// Calls fn(header, options) for each u32 filter of a discipline.
template <class Fn>
void for_each_filter(Socket& socket, LinkIndex link, TcHandle parent,
                     const std::function<void()>& restart, Fn&& fn) {
  Message message(RTM_GETTFILTER, 0);
  message.header(header_of(link, parent, 0, 0));
  const auto take = [&](const nlmsghdr* reply) {
    const Attributes attributes(reply, sizeof(tcmsg), TCA_MAX);
    const Attributes options = attributes.nested(TCA_OPTIONS, TCA_U32_MAX);
    fn(body_of<tcmsg>(reply), attributes.text(TCA_KIND), options);
  };
  try {
    socket.dump(message, cat("list filters of link ", static_cast<int>(link)), take, restart);
  } catch (const Error& error) {
    if (error.sys_errno != ENODEV) throw;
    restart();
  }
}

}  // namespace

void add_redirection(Socket& socket, LinkIndex from, LinkIndex to) {
  Message message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL);
  message.header(header_of(from, kIngressQdisc, kRedirectionPriority, ETH_P_ALL))
      .put_string(TCA_KIND, "u32");
  // A key that is true for every packet.
  const std::vector<char> selector = selector_of({Key{}});
  message.nest(TCA_OPTIONS, [&](Message& options) {
    options.put(TCA_U32_SEL, selector.data(), selector.size())
        .put_u32(TCA_U32_CLASSID, static_cast<std::uint32_t>(tc_handle(1, 1)))
        .nest(TCA_U32_ACT, [&](Message& actions) { put_redirection(actions, to); });
  });
  create(socket, message, from, "CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED");
}

std::vector<std::optional<LinkIndex>> list_redirections(Socket& socket, LinkIndex from) {
  std::vector<std::optional<LinkIndex>> out;
  const auto take = [&](const tcmsg& /*unused*/, const std::string& kind,
                        const Attributes& options) {
    if (kind != "u32") out.emplace_back();
    if (kind != "u32" || !is_filter(options)) return;
    std::optional<LinkIndex> target;
    for_each_attribute(options.bytes(TCA_U32_ACT), [&](const nlattr* action) {
      if (!target) target = target_of(action);
    });
    out.push_back(target);
  };
  for_each_filter(
      socket, from, kIngressQdisc, [&] { out.clear(); }, take);
  return out;
}

void add_prefix_filter(Socket& socket, LinkIndex link, const PrefixFilter& filter) {
  const bool is_ipv4 = filter.network.address.is_ipv4();
  Message message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL);
  message
      .header(header_of(link, kFirst, is_ipv4 ? kIpv4Priority : kIpv6Priority,
                        is_ipv4 ? ETH_P_IP : ETH_P_IPV6))
      .put_string(TCA_KIND, "u32");
  const std::vector<char> selector = selector_of(keys_of(filter));
  message.nest(TCA_OPTIONS, [&](Message& options) {
    options.put(TCA_U32_SEL, selector.data(), selector.size())
        .put_u32(TCA_U32_CLASSID, static_cast<std::uint32_t>(filter.to));
  });
  create(socket, message, link, "CONFIG_NET_CLS_U32");
}

std::vector<PrefixFilter> list_prefix_filters(Socket& socket, LinkIndex link) {
  std::vector<PrefixFilter> out;
  const auto take = [&](const tcmsg& header, const std::string& kind, const Attributes& options) {
    if (kind != "u32" || !is_filter(options)) return;
    const bool is_ipv4 = (header.tcm_info & 0xffff) == htons(ETH_P_IP);
    if (auto filter = read_prefix_filter(options, is_ipv4)) out.push_back(*std::move(filter));
  };
  for_each_filter(
      socket, link, kFirst, [&] { out.clear(); }, take);
  return out;
}

}  // namespace cni::netlink
