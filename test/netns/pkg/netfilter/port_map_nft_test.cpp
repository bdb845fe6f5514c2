// What published ports keep in nftables: layout, removal, repair, garbage collection. nft is the
// oracle.
#include "test/netns/pkg/netfilter/port_map_fixture.hpp"
#include "test/support/at_once.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

std::string ruleset() { return run_ok({"nft", "list", "ruleset"}); }

// How often a text is in `nft list ruleset`.
std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++out;
  }
  return out;
}

// Elements of all sets and maps: each has a comment with an id.
std::size_t element_count() { return count(ruleset(), ", id: "); }

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

PortMapping sctp(PortMapping mapping) {
  mapping.transport = Transport::kSctp;
  return mapping;
}

PortMapping udp(PortMapping mapping) {
  mapping.transport = Transport::kUdp;
  return mapping;
}

}  // namespace

TEST_CASE("nftables has one element for each published port", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  publish(port_map_spec({mapping(8080, 80), udp(mapping(53, 5353, "192.0.2.1"))}));
  const std::string text = run_ok({"nft", "list", "table", "ip", "cni_hostport"});
  const std::string comment =
      "comment \"d23676b4f2d9fe04-f4d01f2ef4b92245, net: mynet, if: eth0, id: c1\"";
  INFO(text);
  CHECK(has(text, "comment \"CNI portmap plugin\""));
  CHECK(has(text, "{ tcp . 8080 " + comment + " : 10.22.0.2 . 80 }"));
  CHECK(has(text, "{ 192.0.2.1 . udp . 53 " + comment + " : 10.22.0.2 . 5353 }"));
  CHECK(has(text, R"(	chain published {
		comment "Connections to the host's own addresses"
		ip daddr . meta l4proto . th dport vmap @guarded_address_ports
		dnat ip to ip daddr . meta l4proto . th dport map @published_address_ports
		meta l4proto . th dport vmap @guarded_ports
		dnat ip to meta l4proto . th dport map @published_ports
	}
)"));
  CHECK(has(text, R"(	chain published_prerouting {
		type nat hook prerouting priority dstnat + 1; policy accept;
		fib daddr type local jump published
	}

	chain published_output {
		type nat hook output priority -99; policy accept;
		fib daddr type local jump published
	}

	chain published_masquerade {
		comment "Connections to containers whose answers would not come back"
		ip daddr @published_from_anywhere masquerade
		ip saddr 127.0.0.0/8 ip daddr @published_from_localhost masquerade
		ip saddr 10.22.0.0/16 ip daddr @published_within_10.22.0.0/16 masquerade
	}

	chain published_postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ct status dnat jump published_masquerade
	}
)"));
  const std::string text6 = run_ok({"nft", "list", "table", "ip6", "cni_hostport"});
  INFO(text6);
  CHECK(has(text6, "{ tcp . 8080 " + comment + " : fd00:22::2 . 80 }"));
  CHECK_FALSE(has(text6, "udp . 53"));
  CHECK(gap(port_map_spec({mapping(8080, 80), udp(mapping(53, 5353, "192.0.2.1"))})).empty());

  // nft reads its own listing back.
  const std::string before = ruleset();
  run_ok({"nft", "flush", "ruleset"});
  run_ok({"nft", "-f", "-"}, before);
  CHECK(ruleset() == before);
}

TEST_CASE("all elements go with what is known of them and without", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  const PortMapSpec other = port_map_spec({mapping(9090, 90)}, "c2", "3");
  publish(other);
  const std::string before = ruleset();
  PortMapSpec spec =
      port_map_spec({mapping(8080, 80), udp(mapping(8080, 80)), sctp(mapping(8080, 80)),
                     mapping(81, 80, "192.0.2.1"), mapping(82, 80, "::1")});
  spec.mappings[1].sources = {*Prefix::parse("192.0.2.0/24")};
  publish(spec);
  CHECK(ruleset() != before);
  PortMapSpec known = spec;
  SECTION("everything is known") {}
  SECTION("only the container is known") {
    known.targets.clear();
    known.mappings.clear();
  }
  SECTION("the configuration has changed") {
    known.snat = false;
    known.mappings[1].sources.clear();
    known.mappings.pop_back();
  }
  const std::vector<UdpDestination> removed = unpublish(known);
  CHECK(ruleset() == before);
  REQUIRE(removed.size() == 2);
  CHECK(removed[0].port == 8080);
  CHECK(unpublish(known).empty());
  CHECK(ruleset() == before);
  CHECK(gap(other).empty());
  unpublish(other);
  CHECK(element_count() == 0);
}

TEST_CASE("a port that another container has is refused with its name", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  publish(port_map_spec({mapping(8080, 80)}));
  const std::string before = ruleset();
  CHECK(refusal(port_map_spec({mapping(8081, 80), mapping(8080, 81)}, "c2", "3")) ==
        "host port tcp 8080 cannot be published for container c2 (network mynet, eth0): container "
        "c1 (network mynet, eth0) has it; choose another host port or hostIP, or stop that "
        "container first");
  CHECK(ruleset() == before);
  // Another protocol or address is another port.
  CHECK(refusal(port_map_spec({udp(mapping(8080, 80)), mapping(8080, 80, "192.0.2.1")}, "c2", "3"))
            .empty());
}

TEST_CASE("a second ADD replaces what the first one published", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  publish(port_map_spec({mapping(8080, 80), mapping(443, 443)}));
  publish(port_map_spec({mapping(8080, 81)}));
  CHECK(has(ruleset(), "10.22.0.2 . 81"));
  CHECK_FALSE(has(ruleset(), "tcp . 443"));
  unpublish(port_map_spec({mapping(8080, 81)}));
  CHECK(element_count() == 0);
}

TEST_CASE("what a container left that is gone gives way to the next with its address",
          "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  PortMapSpec gone = port_map_spec({mapping(8080, 80), mapping(443, 443)}, "gone");
  gone.mappings[1].sources = {*Prefix::parse("192.0.2.0/24")};
  publish(gone);
  const PortMapSpec spec = port_map_spec({mapping(8080, 80)});
  publish(spec);
  CHECK_FALSE(has(ruleset(), "id: gone"));
  CHECK(gap(spec).empty());
  unpublish(spec);
  CHECK(element_count() == 0);
}

TEST_CASE("a port whose container's link is gone goes to the next", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  run_ok({"ip", "link", "add", "v1", "type", "veth", "peer", "name", "v2"});
  netlink::Socket socket = netlink::Socket::open();
  PortMapSpec gone = port_map_spec({mapping(8080, 80)}, "gone", "9");
  gone.host_link = netlink::get_link(socket, "v1").index;
  publish(gone);
  const PortMapSpec spec = port_map_spec({mapping(8080, 80)});
  CHECK(has(refusal(spec), "container gone (network mynet, eth0) has it"));
  run_ok({"ip", "link", "del", "v1"});
  publish(spec);
  CHECK_FALSE(has(ruleset(), "id: gone"));
  CHECK(gap(spec).empty());
}

TEST_CASE("a thousand ports of one container are published at once", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  std::vector<PortMapping> mappings;
  for (std::uint16_t port = 10'000; port < 11'000; ++port) mappings.push_back(mapping(port, port));
  const PortMapSpec spec = port_map_spec(mappings);
  publish(spec);
  CHECK(element_count() == 2 * (1000 + 3));
  CHECK(gap(spec).empty());
  unpublish(spec);
  CHECK(element_count() == 0);
}

TEST_CASE("sources and conditions guard a port", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  PortMapSpec spec = port_map_spec({mapping(8080, 80), mapping(443, 443)});
  spec.mappings[0].sources = {*Prefix::parse("192.0.2.0/24"), *Prefix::parse("2001:db8::/32")};
  spec.conditions_ipv4 = {"iifname", "!=", "\"eth9\""};
  spec.search_path = "/usr/sbin:/usr/bin";
  publish(spec);
  const std::string text = run_ok({"nft", "list", "table", "ip", "cni_hostport"});
  const std::string guard = "guard_d23676b4f2d9fe04-f4d01f2ef4b92245_";
  INFO(text);
  CHECK(has(text, "ip saddr 192.0.2.0/24 goto " + guard + "conditions\n\t\taccept\n"));
  CHECK(has(text, "iifname != \"eth9\" return\n\t\taccept\n"));
  CHECK(has(text, " : jump " + guard + "0"));
  CHECK(has(text, " : jump " + guard + "conditions"));
  CHECK(has(run_ok({"nft", "list", "table", "ip6", "cni_hostport"}),
            "ip6 saddr 2001:db8::/32 return\n\t\taccept\n"));
  CHECK(gap(spec).empty());
  run_ok({"nft", "flush", "chain", "ip", "cni_hostport", guard + "0"});
  CHECK(has(gap(spec), guard + "0 are missing"));
  publish(spec);
  CHECK(gap(spec).empty());
  unpublish(spec);
  CHECK(element_count() == 0);
  CHECK_FALSE(has(ruleset(), guard));
}

TEST_CASE("conditions that nft does not understand are refused in its words", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  PortMapSpec spec = port_map_spec({mapping(8080, 80)});
  spec.conditions_ipv4 = {"no", "such", "thing"};
  spec.search_path = "/usr/sbin:/usr/bin";
  CHECK(has(refusal(spec), "nft refuses the conditions of the published ports (exit status 1)"));
  unpublish(spec);
  CHECK(element_count() == 0);
}

TEST_CASE("CHECK names what is missing and ADD puts it back", "[netns][nft]") {
  require_program("nft");
  const PortMapSpec spec = port_map_spec({mapping(8080, 80), mapping(443, 443, "192.0.2.1")});
  const PortMapHost host;
  publish(spec);
  const std::string whole = ruleset();
  struct Loss {
    std::vector<std::string> command;
    std::string named;
  };
  const std::vector<Loss> losses = {
      {{"flush", "ruleset"}, "rules of nftables chain ip cni_hostport published"},
      {{"flush", "chain", "ip", "cni_hostport", "published"}, "published_prerouting and"},
      {{"flush", "chain", "ip6", "cni_hostport", "published_output"}, "that jump to it"},
      {{"flush", "chain", "ip", "cni_hostport", "published_postrouting"}, "published_postrouting"},
      {{"flush", "chain", "ip", "cni_hostport", "published_masquerade"}, "looks up published_"},
      {{"flush", "map", "ip", "cni_hostport", "published_ports"}, "tcp 8080 is not in nftables"},
      {{"flush", "map", "ip", "cni_hostport", "published_address_ports"},
       "tcp 192.0.2.1 port 443 is not in nftables set ip cni_hostport published_address_ports"},
      {{"flush", "map", "ip6", "cni_hostport", "published_owners"}, "the attachment is not in"},
      {{"flush", "set", "ip", "cni_hostport", "published_from_localhost"}, "10.22.0.2 is not in"},
  };
  for (const Loss& loss : losses) {
    std::vector<std::string> command = {"nft"};
    command.insert(command.end(), loss.command.begin(), loss.command.end());
    run_ok(command);
    CAPTURE(loss.named);
    CHECK(has(gap(spec), loss.named));
    publish(spec);
    CHECK(gap(spec).empty());
    CHECK(ruleset() == whole);
  }
  run_ok({"nft", "flush", "ruleset"});
  CHECK(unpublish(spec).empty());
  CHECK(ruleset().empty());
}

TEST_CASE("GC removes many attachments at once", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  constexpr int kContainers = 500;
  for (int i = 0; i < kContainers; ++i) {
    const auto port = static_cast<std::uint16_t>(10'000 + i);
    publish(port_map_spec({mapping(port, 80)}, cat("gone", i), std::to_string(i % 200 + 2)));
  }
  // Those with the address of a later one have given way to it.
  CHECK(element_count() == 2 * 4 * 200);
  collect_garbage({});
  CHECK(element_count() == 0);
}

TEST_CASE("GC removes the ports of attachments that are not valid", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  publish(port_map_spec({mapping(1, 1)}, "c1", "2"));
  PortMapSpec stale = port_map_spec({mapping(2, 2)}, "c2", "3");
  stale.mappings[0].sources = {*Prefix::parse("192.0.2.0/24")};
  publish(stale);
  PortMapSpec foreign = port_map_spec({mapping(3, 3)}, "c3", "4");
  foreign.owner.network = "other";
  publish(foreign);
  collect_garbage({{"c1", "eth0"}});
  CHECK(has(ruleset(), "id: c1"));
  CHECK_FALSE(has(ruleset(), "id: c2"));
  CHECK_FALSE(has(ruleset(), "chain guard_"));
  CHECK(has(ruleset(), "id: c3"));
  collect_garbage({});
  collect_garbage({}, "other");
  CHECK(element_count() == 0);
}

TEST_CASE("what the reference left goes by its container id", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  // As it makes them.
  run_ok({"nft", "-f", "-"}, R"(table ip cni_hostport {
 chain hostports {
  tcp dport 8080 dnat to 10.22.0.2:80 comment "c1"
  tcp dport 8081 dnat to 10.22.0.3:80 comment "c2"
 }
 chain masquerading {
  type nat hook postrouting priority 100;
  ip saddr 10.22.0.2 ip daddr 10.22.0.2 masquerade comment "c1"
 }
})");
  const PortMapSpec spec = port_map_spec({mapping(8080, 80)});
  PortMapSpec ipv4 = spec;
  ipv4.targets.pop_back();
  CHECK(gap(ipv4).empty());
  unpublish(spec);
  CHECK_FALSE(has(ruleset(), "comment \"c1\""));
  CHECK(has(ruleset(), "comment \"c2\""));

  // Whether c2 is gone cannot be told without the runtime's own list of attachments.
  collect_garbage({{"c3", "eth0"}});
  CHECK(has(ruleset(), "comment \"c2\""));
  run_ok({"mkdir", "-p", "/var/lib/cni/results"});
  run_ok({"touch", "/var/lib/cni/results/mynet-c3-eth0", "/var/lib/cni/results/other-c2-eth0"});
  collect_garbage({{"c3", "eth0"}});
  CHECK(has(ruleset(), "comment \"c2\""));
  run_ok({"rm", "/var/lib/cni/results/other-c2-eth0"});
  collect_garbage({{"c3", "eth0"}});
  CHECK_FALSE(has(ruleset(), "comment \"c2\""));
}

TEST_CASE("many that publish and remove ports on a cold host at once all succeed", "[netns][nft]") {
  require_program("nft");
  const PortMapHost host;
  constexpr int kProcesses = 64;
  run_at_once(kProcesses, [](int child) {
    const auto port = static_cast<std::uint16_t>(1000 + child);
    const PortMapSpec spec =
        port_map_spec({mapping(port, 80)}, cat("cont", child), std::to_string(child + 2));
    for (int round = 0; round < 3; ++round) {
      publish(spec);
      Connection connection;
      NftPortMap::check(connection.get(), spec);
      if (round < 2 || child % 2 == 0) unpublish(spec);
    }
  });
  CHECK(element_count() == 2 * 4 * kProcesses / 2);
  CHECK(count(ruleset(), "fib daddr") == 4);
}
