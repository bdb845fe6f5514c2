#include "plugins/ipam/host-local/allocator.hpp"

#include <limits>
#include <set>

#include "plugins/ipam/host-local/resolv_conf.hpp"
#include "test/support/catch.hpp"

namespace cni::host_local {
namespace {

Ip ip(const char* text) { return Ip::parse(text).value(); }

Config config_for(const std::string& ipam) {
  skel::Request request;
  request.config = NetConf::parse(R"({"cniVersion":"1.1.0","name":"net","ipam":{)" + ipam + "}}");
  return parse(request);
}

// The slow and plain way, for comparison.
FreeAddresses all_but(const std::set<Ip>& held) {
  return [held](const Ip& first, const Ip& last) -> std::optional<Ip> {
    for (Ip at = first;; at = at.next()) {
      if (!held.contains(at)) return at;
      if (at == last) return std::nullopt;
    }
  };
}

std::string next(const Config& config, const std::set<Ip>& held, const char* last = nullptr) {
  const auto found =
      next_address(config.range_sets.at(0), last == nullptr ? std::nullopt : Ip::parse(last),
                   Blocked(config), all_but(held));
  return found ? found->to_string() : "none";
}

TEST_CASE("host-local starts at the first address that is no gateway") {
  CHECK(next(config_for(R"("subnet":"10.1.0.0/24")"), {}) == "10.1.0.2");
  CHECK(next(config_for(R"("subnet":"10.1.0.0/24","gateway":"10.1.0.254")"), {}) == "10.1.0.1");
  CHECK(next(config_for(R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.7")"), {}) == "10.1.0.7");
}

TEST_CASE("host-local goes round its ranges from the last reserved address") {
  const Config config = config_for(R"("ranges":[[
    {"subnet":"10.1.0.0/29"},{"subnet":"10.2.0.0/29"},{"subnet":"10.3.0.0/29"}]])");
  CHECK(next(config, {}, "10.2.0.3") == "10.2.0.4");
  CHECK(next(config, {}, "10.2.0.6") == "10.3.0.2");
  CHECK(next(config, {}, "10.3.0.6") == "10.1.0.2");
  CHECK(next(config, {}, "10.9.0.1") == "10.1.0.2");
  std::set<Ip> held;
  for (const char* net : {"10.1.0.", "10.2.0.", "10.3.0."}) {
    for (int host = 2; host <= 6; ++host) held.insert(ip((net + std::to_string(host)).c_str()));
  }
  CHECK(next(config, held, "10.2.0.3") == "none");
  // The last reserved address itself comes last.
  held.erase(ip("10.2.0.3"));
  CHECK(next(config, held, "10.2.0.3") == "10.2.0.3");
  held.erase(ip("10.2.0.2"));
  CHECK(next(config, held, "10.2.0.3") == "10.2.0.2");
}

TEST_CASE("host-local ends at the end of the range whatever the last bits of the family are") {
  const Config top = config_for(R"("subnet":"255.255.255.0/24","rangeStart":"255.255.255.250")");
  CHECK(next(top, {}, "255.255.255.254") == "255.255.255.250");
  const Config ipv6 = config_for(
      R"("subnet":"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120","rangeStart":"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe")");
  CHECK(next(ipv6, {}, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") ==
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
}

TEST_CASE("host-local never hands out gateways of other sets nor excluded addresses") {
  const Config config = config_for(R"("ranges":[
    [{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.100","rangeEnd":"10.1.0.103"}],
    [{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.50","gateway":"10.1.0.101"}]],
    "exclude":["10.1.0.100","10.1.0.102/31"])");
  CHECK(next(config, {}) == "none");
  const Config one_left = config_for(R"("subnet":"10.1.0.0/24",
    "exclude":["10.1.0.0/25","10.1.0.128/26","10.1.0.192/27","10.1.0.224/28","10.1.0.240/29",
               "10.1.0.248/30","10.1.0.252/31"])");
  CHECK(next(one_left, {}, "10.1.0.20") == "10.1.0.254");
  CHECK(next(one_left, {}, "10.1.0.254") == "10.1.0.254");
}

TEST_CASE("host-local counts the addresses that it can hand out") {
  const auto usable = [](const std::string& ipam) {
    const Config config = config_for(ipam);
    return Blocked(config).count_usable(config.range_sets.at(0));
  };
  CHECK(usable(R"("subnet":"10.1.0.0/24")") == 253);
  CHECK(usable(R"("subnet":"10.1.0.0/30")") == 1);
  CHECK(usable(R"("subnet":"10.22.0.0/16")") == 65533);
  CHECK(usable(R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.20","rangeEnd":"10.1.0.29")") == 10);
  CHECK(usable(R"("subnet":"10.1.0.0/24","exclude":["10.1.0.0/25","10.1.0.4","10.1.0.254"])") ==
        126);
  CHECK(usable(R"("subnet":"10.1.0.0/24","exclude":["10.0.0.0/8"])") == 0);
  CHECK(usable(R"("ranges":[[{"subnet":"10.1.0.0/24"},{"subnet":"10.2.0.0/25"}]])") == 253 + 125);
  CHECK(usable(R"("subnet":"fd00::/112")") == 65534);
  CHECK(usable(R"("subnet":"fd00::/32")") == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("host-local reads resolv.conf as resolvers do") {
  const Dns dns = parse_resolv_conf(
      "# nameserver 9.9.9.9\n"
      "; search no.example\n"
      "nameserver 192.0.2.1 # trailing\n"
      "\tnameserver\t2001:db8::1\r\n"
      "nameserver\n"
      "domain first.example\n"
      "domain second.example\n"
      "search a.example b.example\n"
      "search c.example\n"
      "options ndots:5 rotate\n"
      "sortlist 192.0.2.0\n"
      "options edns0");
  CHECK(dns.nameservers == std::vector<std::string>{"192.0.2.1", "2001:db8::1"});
  CHECK(dns.domain == "second.example");
  CHECK(dns.search == std::vector<std::string>{"a.example", "b.example", "c.example"});
  CHECK(dns.options == std::vector<std::string>{"ndots:5", "rotate", "edns0"});
  CHECK(parse_resolv_conf("").empty());
}

}  // namespace
}  // namespace cni::host_local
