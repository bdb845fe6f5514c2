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

std::vector<Rule> list_rules(Socket& socket, Family family) {
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

}  // namespace cni::netlink
