// The texts of rules that publish ports, without a kernel.
#include "pkg/netfilter/port_map_rules.hpp"

#include <string>

#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::netfilter;

namespace {

PortMapSpec spec_with(std::vector<PortMapping> mappings) {
  PortMapSpec out;
  out.owner = {"mynet", "cont1", "eth0"};
  out.targets = {*Prefix::parse("10.1.0.2/24")};
  out.mappings = std::move(mappings);
  return out;
}

PortMapping tcp(std::uint16_t host_port) {
  return {.host_port = host_port,
          .container_port = 80,
          .transport = Transport::kTcp,
          .host_ip = {},
          .sources = {}};
}

}  // namespace

TEST_CASE("the chain of a container is the reference plugins'") {
  CHECK(port_map_chain("mynet", "cont1") == "CNI-DN-c729ec77c46fa9b53d651");
}

TEST_CASE("entries have fifteen ports at most") {
  std::vector<PortMapping> mappings;
  for (std::uint16_t port = 1; port <= 31; ++port) mappings.push_back(tcp(port));
  const auto entries = port_map_entries(spec_with(std::move(mappings)), Family::kIpv4);
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].ports.size() == 15);
  CHECK(entries[1].ports.size() == 15);
  CHECK(entries[2].ports == std::vector<std::uint16_t>{31});
}

TEST_CASE("the comment of an entry names container and network") {
  CHECK(describe_port_map_comment(R"(dnat name: "my net" id: "cont1")") ==
        "container cont1 (network my net)");
  CHECK(describe_port_map_comment(R"(dnat name: "a" id: "b" id: "cont1")") ==
        R"(container cont1 (network a" id: "b))");
  // Cut, or somebody else's.
  CHECK(describe_port_map_comment(R"(dnat name: "mynet" id: "con...)") ==
        R"("dnat name: \"mynet\" id: \"con...")");
  CHECK(describe_port_map_comment("") == R"("")");
}

TEST_CASE("a rule is told as iptables prints it") {
  CHECK(printed_port_map_rule("C -p udp --dport 53 -d 10.0.0.1 -s 10.1.0.2/24 -j M") ==
        "C -s 10.1.0.0/24 -d 10.0.0.1/32 -p udp -m udp --dport 53 -j M");
  CHECK(printed_port_map_rule("C -p tcp --dport 80 -s 127.0.0.1 -j M") ==
        "C -s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j M");
  CHECK(printed_port_map_rule("C -p tcp --dport 80 -s 0.0.0.0/0 -j M") ==
        "C -p tcp -m tcp --dport 80 -j M");
  CHECK(printed_port_map_rule("C -p tcp --dport 80 -j DNAT --to-destination [fd00::2]:80") ==
        "C -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::2]:80");
}

TEST_CASE("sources limit who is sent on and who gets the address of the host") {
  PortMapping mapping = tcp(8080);
  mapping.sources = {*Prefix::parse("10.1.0.0/28"), *Prefix::parse("127.0.0.0/8"),
                     *Prefix::parse("fd00::/8")};
  const std::string start = "CNI-DN-c729ec77c46fa9b53d651 -p tcp --dport 8080 -s ";
  const std::vector<std::string> expected = {
      start + "10.1.0.0/28 -j CNI-HOSTPORT-SETMARK", start + "127.0.0.1/32 -j CNI-HOSTPORT-SETMARK",
      start + "10.1.0.0/28 -j DNAT --to-destination 10.1.0.2:80",
      start + "127.0.0.0/8 -j DNAT --to-destination 10.1.0.2:80"};
  CHECK(port_map_rules(spec_with({mapping}), Family::kIpv4) == expected);
  CHECK(port_map_rules(spec_with({mapping}), Family::kIpv6).empty());
}
