#include "pkg/netlink/rule.hpp"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

Message rule_message(int type, int flags, const Rule& rule) {
  const auto table = static_cast<std::uint32_t>(rule.table);
  fib_rule_hdr header{};
  header.family = rule.family == Family::kIpv4 ? AF_INET : AF_INET6;
  header.src_len = rule.source ? static_cast<std::uint8_t>(rule.source->length) : 0;
  header.table = table < 256 ? static_cast<std::uint8_t>(table) : std::uint8_t{RT_TABLE_UNSPEC};
  header.action = FR_ACT_TO_TBL;
  Message message(type, flags);
  message.header(header);
  if (rule.source && rule.source->length != 0) {
    message.put_ip(FRA_SRC, rule.source->network().address);
  }
  if (table >= 256) message.put_u32(FRA_TABLE, table);
  if (rule.priority) message.put_u32(FRA_PRIORITY, *rule.priority);
  return message;
}

std::string describe(const Rule& rule) {
  return cat("from ", rule.source ? rule.source->to_string() : "all", " lookup ",
             static_cast<std::uint32_t>(rule.table));
}

// FRA_PROTOCOL and FRA_SUPPRESS_PREFIXLEN are told of every rule.
bool says_more(const nlattr* attribute) {
  const std::string_view content = payload_of(attribute);
  switch (attribute->nla_type & NLA_TYPE_MASK) {
    case FRA_UNSPEC:
    case FRA_PAD:
    case FRA_SRC:
    case FRA_TABLE:
    case FRA_PRIORITY:
      return false;
    case FRA_PROTOCOL:
      return content.find_first_not_of('\0') != std::string_view::npos;
    case FRA_SUPPRESS_PREFIXLEN:
    case FRA_SUPPRESS_IFGROUP:
      return content.find_first_not_of('\xff') != std::string_view::npos;
    default:
      return true;
  }
}

bool has_more(const nlmsghdr* message, const fib_rule_hdr& header) {
  bool out = header.dst_len != 0 || header.tos != 0 || header.action != FR_ACT_TO_TBL ||
             (header.flags & FIB_RULE_INVERT) != 0;
  constexpr std::size_t kFixed = NLMSG_LENGTH(sizeof header);
  for_each_attribute({reinterpret_cast<const char*>(message) + kFixed, message->nlmsg_len - kFixed},
                     [&](const nlattr* attribute) { out |= says_more(attribute); });
  return out;
}

bool lacks_rules(const Error& error) {
  return error.sys_errno == EAFNOSUPPORT || error.sys_errno == EOPNOTSUPP;
}

Rule read_rule(const nlmsghdr* message) {
  const auto& header = body_of<fib_rule_hdr>(message);
  const Attributes attributes(message, sizeof header, FRA_MAX);
  Rule rule;
  rule.family = header.family == AF_INET ? Family::kIpv4 : Family::kIpv6;
  const std::string_view source = attributes.bytes(FRA_SRC);
  if (const auto ip = Ip::from_bytes(source.data(), source.size())) {
    rule.source = Prefix{*ip, header.src_len};
  }
  rule.table = TableId{attributes.u32(FRA_TABLE, header.table)};
  rule.priority = attributes.u32(FRA_PRIORITY);
  rule.has_more = has_more(message, header);
  return rule;
}

}  // namespace

void add_rule(Socket& socket, const Rule& rule) {
  Message message = rule_message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
  socket.request(message, cat("add rule ", describe(rule)));
}

bool remove_rule(Socket& socket, const Rule& rule) {
  Message message = rule_message(RTM_DELRULE, 0, rule);
  try {
    socket.request(message, cat("delete rule ", describe(rule)));
    return true;
  } catch (const Error& error) {
    if (error.sys_errno == ENOENT) return false;
    throw;
  }
}

namespace {

std::vector<Rule> dump_rules(Socket& socket, Family family) {
  fib_rule_hdr header{};
  header.family = family == Family::kIpv4 ? AF_INET : AF_INET6;
  Message message(RTM_GETRULE, 0);
  message.header(header);
  std::vector<Rule> out;
  socket.dump(
      message, "list rules", [&](const nlmsghdr* reply) { out.push_back(read_rule(reply)); },
      [&] { out.clear(); });
  return out;
}

}  // namespace

std::vector<Rule> list_rules(Socket& socket, Family family) {
  try {
    return dump_rules(socket, family);
  } catch (const Error& error) {
    if (lacks_rules(error)) return {};
    throw;
  }
}

void require_rules(Socket& socket, Family family) {
  try {
    (void)dump_rules(socket, family);
  } catch (const Error& error) {
    if (!lacks_rules(error)) throw;
    throw Error(Code::kMissingKernelFeature,
                cat("the kernel has no policy routing rules for ",
                    family == Family::kIpv4 ? "IPv4 (CONFIG_IP_MULTIPLE_TABLES)"
                                            : "IPv6 (CONFIG_IPV6_MULTIPLE_TABLES)"),
                error.what(), error.sys_errno);
  }
}

}  // namespace cni::netlink
