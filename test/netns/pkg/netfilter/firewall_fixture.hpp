// Three containers on two bridges, and a host behind the node, for the suites of the firewall in
// nftables; and probes that tell a refusal from silence.
#pragma once

#include <string>
#include <vector>

#include "pkg/netfilter/firewall_backends.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/connect_probe.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

namespace cni::test {

// a1 is 10.1.0.2 and fd00:1::2, a2 is .3 and ::3, both on bridge cni-a; b1 is 10.2.0.2 and
// fd00:2::2, on cni-b. The bridges have .1 and ::1, and the host is 192.0.2.1 and 2001:db8::1 to
// `outside`, 192.0.2.2 and 2001:db8::2, which knows the way back. Frames within a bridge are not
// shown to the hooks of IP unless br_netfilter is asked to.
class FirewallNode {
 public:
  FirewallNode()
      : a1(ns::Netns::open(spaces_.container("a1"))),
        a2(ns::Netns::open(spaces_.container("a2"))),
        b1(ns::Netns::open(spaces_.container("b1"))),
        outside(ns::Netns::open(spaces_.container("outside"))) {
    run_ok({"sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
            "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"});
    add_bridge("cni-a", "10.1.0.1/24", "fd00:1::1/64");
    add_bridge("cni-b", "10.2.0.1/24", "fd00:2::1/64");
    connect("a1", "va1", "cni-a", "10.1.0.2/24", "fd00:1::2/64");
    connect("a2", "va2", "cni-a", "10.1.0.3/24", "fd00:1::3/64");
    connect("b1", "vb1", "cni-b", "10.2.0.2/24", "fd00:2::2/64");
    run_ok({"ip", "link", "add", "vo", "type", "veth", "peer", "name", "eth0", "netns", "outside"});
    set_up({}, "vo", "192.0.2.1/24", "2001:db8::1/64");
    set_up({"-n", "outside"}, "eth0", "192.0.2.2/24", "2001:db8::2/64");
    add_default_route("outside", "192.0.2.1", "2001:db8::1");
    show_bridged_frames_to_ip(false);
  }

  Namespaces& spaces() { return spaces_; }
  const ns::Netns& host() const { return spaces_.host(); }

  // False if this kernel has no br_netfilter.
  static bool show_bridged_frames_to_ip(bool wanted) {
    const std::string value = wanted ? "=1" : "=0";
    return run({"sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables" + value,
                "net.bridge.bridge-nf-call-ip6tables" + value})
        .ok();
  }

 private:
  static void ip_ok(const std::vector<std::string>& where, std::vector<std::string> arguments) {
    std::vector<std::string> argv = {"ip"};
    argv.insert(argv.end(), where.begin(), where.end());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    run_ok(argv);
  }

  static void set_up(const std::vector<std::string>& where, const std::string& link,
                     const std::string& ipv4, const std::string& ipv6) {
    ip_ok(where, {"link", "set", link, "up"});
    ip_ok(where, {"address", "add", ipv4, "dev", link});
    ip_ok(where, {"address", "add", ipv6, "dev", link, "nodad"});
  }

  static void add_default_route(const std::string& name, const std::string& ipv4,
                                const std::string& ipv6) {
    ip_ok({"-n", name}, {"route", "add", "default", "via", ipv4});
    ip_ok({"-n", name}, {"route", "add", "default", "via", ipv6});
  }

  static void add_bridge(const std::string& name, const std::string& ipv4,
                         const std::string& ipv6) {
    ip_ok({}, {"link", "add", name, "type", "bridge"});
    set_up({}, name, ipv4, ipv6);
  }

  static void connect(const std::string& name, const std::string& host_link,
                      const std::string& bridge, const std::string& ipv4, const std::string& ipv6) {
    ip_ok({}, {"link", "add", host_link, "type", "veth", "peer", "name", "eth0", "netns", name});
    ip_ok({}, {"link", "set", host_link, "master", bridge, "up"});
    set_up({"-n", name}, "eth0", ipv4, ipv6);
    const std::string net = bridge == "cni-a" ? "1" : "2";
    add_default_route(name, "10." + net + ".0.1", "fd00:" + net + "::1");
  }

  Namespaces spaces_;

 public:
  ns::Netns a1;
  ns::Netns a2;
  ns::Netns b1;
  ns::Netns outside;
};

// The attachment of the container "a1" and so on.
inline netfilter::FirewallSpec firewall_spec(
    const std::string& container,
    netfilter::IngressPolicy policy = netfilter::IngressPolicy::kOpen) {
  const std::string net = container[0] == 'b' ? "2" : "1";
  const std::string last = container.ends_with('2') ? "3" : "2";
  netfilter::FirewallSpec out;
  out.owner = {"net-" + container.substr(0, 1), container, "eth0"};
  out.addresses = {*Ip::parse("10." + net + ".0." + last), *Ip::parse("fd00:" + net + "::" + last)};
  out.backend = "nftables";
  out.bridge = "cni-" + container.substr(0, 1);
  out.host_links = {"v" + container};
  out.ingress_policy = policy;
  return out;
}

inline netfilter::EgressRule egress_rule(const std::string& network,
                                         std::optional<netfilter::Transport> transport = {},
                                         std::uint16_t first = 0, std::uint16_t last = 0) {
  return {*Prefix::parse(network), transport, first, last};
}

inline void add_nft(const netfilter::FirewallSpec& spec) {
  netfilter::Connection connection;
  netfilter::NftFirewall::sweep(connection.get(),
                                netfilter::NftFirewall::add(connection.get(), spec));
}

inline void remove_nft(const netfilter::FirewallSpec& spec) {
  netfilter::Connection connection;
  netfilter::NftFirewall::remove(connection.get(), spec);
}

// What DEL knows without prevResult and configuration.
inline netfilter::FirewallSpec only_owner(const netfilter::FirewallSpec& spec) {
  netfilter::FirewallSpec out;
  out.owner = spec.owner;
  return out;
}

// Names the first thing that CHECK misses; empty if it is content.
inline std::string nft_check_failure(const netfilter::FirewallSpec& spec) {
  try {
    netfilter::Connection connection;
    netfilter::NftFirewall::check(connection.get(), spec);
    return {};
  } catch (const Error& error) {
    CHECK(error.code == Code::kCheckFailed);
    return error.what();
  }
}

inline std::string ruleset() { return run_ok({"nft", "list", "ruleset"}); }

}  // namespace cni::test
