// What masquerading does to packets, in either backend.
#include "test/netns/pkg/netfilter/masquerade_fixture.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

TEST_CASE("a container's packets get the host's address outside of its subnet", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  CAPTURE(backend);
  MasqueradeNode node;
  const UdpProbe ipv4{.source = {}, .destination = "192.0.2.2", .interface = {}};
  const UdpProbe ipv6{.source = {}, .destination = "2001:db8::2", .interface = {}};
  REQUIRE(source_seen(node.c1, node.outside, ipv4) == "10.22.0.2");
  REQUIRE(source_seen(node.c1, node.outside, ipv6) == "fd00:22::2");

  add_committed(c1_spec(backend));
  CHECK(source_seen(node.c1, node.outside, ipv4) == "192.0.2.1");
  CHECK(source_seen(node.c1, node.outside, ipv6) == "2001:db8::1");
  CHECK(check_failure(c1_spec(backend)).empty());
  CHECK(check_failure(c1_spec("")).empty());

  // Another container has not been masqueraded.
  CHECK(source_seen(node.c2, node.outside, ipv4) == "10.22.0.3");
  CHECK(source_seen(node.c2, node.outside, ipv6) == "fd00:22::3");

  remove_masquerade(c1_spec(""));
  CHECK(source_seen(node.c1, node.outside, ipv4) == "10.22.0.2");
  CHECK(source_seen(node.c1, node.outside, ipv6) == "fd00:22::2");
  CHECK_FALSE(check_failure(c1_spec("")).empty());
}

TEST_CASE("packets within the container's subnet keep their address", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  CAPTURE(backend);
  MasqueradeNode node;
  add_committed(c1_spec(backend));
  CHECK(source_seen(node.c1, node.c2,
                    {.source = {}, .destination = "10.22.0.3", .interface = {}}) == "10.22.0.2");
  CHECK(source_seen(node.c1, node.c2,
                    {.source = {}, .destination = "fd00:22::3", .interface = {}}) == "fd00:22::2");
}

TEST_CASE("packets to multicast groups keep their address", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  CAPTURE(backend);
  MasqueradeNode node;
  // The node itself sends from addresses that are masqueraded: that spares multicast routing.
  run_ok({"ip", "address", "add", "10.22.0.9/32", "dev", "lo"});
  run_ok({"ip", "address", "add", "fd00:22::9/128", "dev", "lo"});
  add_committed(masquerade_spec(backend, {"10.22.0.9/16", "fd00:22::9/64"}));
  const auto seen = [&](const std::string& source, const std::string& destination) {
    const bool is_multicast = Ip::parse(destination)->is_multicast();
    return source_seen(
        node.host(), node.outside,
        {.source = source, .destination = destination, .interface = is_multicast ? "vo" : ""});
  };
  CHECK(seen("10.22.0.9", "192.0.2.2") == "192.0.2.1");
  CHECK(seen("10.22.0.9", "239.1.2.3") == "10.22.0.9");
  CHECK(seen("fd00:22::9", "2001:db8::2") == "2001:db8::1");
  CHECK(seen("fd00:22::9", "ff15::1") == "fd00:22::9");
}

TEST_CASE("an address without a subnet is masqueraded everywhere", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  CAPTURE(backend);
  MasqueradeNode node;
  add_committed(masquerade_spec(backend, {"10.22.0.2/32", "fd00:22::2/128"}));
  CHECK(source_seen(node.c1, node.outside,
                    {.source = {}, .destination = "192.0.2.2", .interface = {}}) == "192.0.2.1");
  CHECK(source_seen(node.c1, node.c2,
                    {.source = {}, .destination = "10.22.0.3", .interface = {}}) == "10.22.0.1");
  CHECK(source_seen(node.c1, node.c2,
                    {.source = {}, .destination = "fd00:22::3", .interface = {}}) == "fd00:22::1");
}

TEST_CASE("each of several addresses of a family is masqueraded outside of its own subnet",
          "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  CAPTURE(backend);
  MasqueradeNode node;
  run_ok({"ip", "-n", "c1", "address", "add", "10.99.0.2/32", "dev", "eth0"});
  add_committed(masquerade_spec(backend, {"10.99.0.2/16", "10.22.0.2/16"}));
  const auto seen = [&](const std::string& source, const ns::Netns& receiver,
                        const std::string& destination) {
    return source_seen(node.c1, receiver,
                       {.source = source, .destination = destination, .interface = {}});
  };
  CHECK(seen("10.22.0.2", node.outside, "192.0.2.2") == "192.0.2.1");
  CHECK(seen("10.99.0.2", node.outside, "192.0.2.2") == "192.0.2.1");
  CHECK(seen("10.22.0.2", node.c2, "10.22.0.3") == "10.22.0.2");
}
