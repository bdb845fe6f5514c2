// Two containers and a host behind the node, for the masquerade suites.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "pkg/netfilter/masquerade.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/udp_probe.hpp"

namespace cni::test {

// c1 is 10.22.0.2 and fd00:22::2, c2 is .3 and ::3, both routed by the host, which is 192.0.2.1 and
// 2001:db8::1 to `outside`, 192.0.2.2 and 2001:db8::2. Outside has no route back.
class MasqueradeNode {
 public:
  MasqueradeNode()
      : c1(ns::Netns::open(spaces_.container("c1"))),
        c2(ns::Netns::open(spaces_.container("c2"))),
        outside(ns::Netns::open(spaces_.container("outside"))) {
    // A router asks for its neighbours from its link-local address, which is not there before DAD.
    run_ok({"sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
            "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"});
    connect("c1", "v1", "2");
    connect("c2", "v2", "3");
    run_ok({"ip", "link", "add", "vo", "type", "veth", "peer", "name", "eth0", "netns", "outside"});
    add_addresses({}, "vo", {"192.0.2.1/24", "2001:db8::1/64"});
    add_addresses({"-n", "outside"}, "eth0", {"192.0.2.2/24", "2001:db8::2/64"});
  }

  Namespaces& spaces() { return spaces_; }
  const ns::Netns& host() const { return spaces_.host(); }

 private:
  static void ip_ok(std::vector<std::string> where, std::vector<std::string> arguments) {
    std::vector<std::string> argv = {"ip"};
    argv.insert(argv.end(), where.begin(), where.end());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    run_ok(argv);
  }

  static void add_addresses(const std::vector<std::string>& where, const std::string& link,
                            const std::vector<std::string>& addresses) {
    ip_ok(where, {"link", "set", link, "up"});
    for (const std::string& address : addresses) {
      std::vector<std::string> arguments = {"address", "add", address, "dev", link};
      if (address.find(':') != std::string::npos) arguments.push_back("nodad");
      ip_ok(where, arguments);
    }
  }

  static void connect(const std::string& name, const std::string& host_link,
                      const std::string& last) {
    ip_ok({}, {"link", "add", host_link, "type", "veth", "peer", "name", "eth0", "netns", name});
    add_addresses({}, host_link, {"10.22.0.1/32", "fd00:22::1/128"});
    ip_ok({}, {"route", "add", "10.22.0." + last + "/32", "dev", host_link});
    ip_ok({}, {"route", "add", "fd00:22::" + last + "/128", "dev", host_link});
    add_addresses({"-n", name}, "eth0", {"10.22.0." + last + "/32", "fd00:22::" + last + "/128"});
    for (const std::string gateway : {"10.22.0.1", "fd00:22::1"}) {
      ip_ok({"-n", name}, {"route", "add", gateway, "dev", "eth0"});
      ip_ok({"-n", name}, {"route", "add", "default", "via", gateway});
    }
  }

  Namespaces spaces_;

 public:
  ns::Netns c1;
  ns::Netns c2;
  ns::Netns outside;
};

inline netfilter::MasqueradeSpec masquerade_spec(std::string backend,
                                                 const std::vector<std::string>& addresses,
                                                 std::string container_id = "cont1",
                                                 std::string ifname = "eth0",
                                                 std::string network = "mynet") {
  netfilter::MasqueradeSpec out;
  out.network = std::move(network);
  out.container_id = std::move(container_id);
  out.ifname = std::move(ifname);
  for (const std::string& address : addresses) out.addresses.push_back(*Prefix::parse(address));
  out.backend = std::move(backend);
  out.search_path = "/usr/sbin:/usr/bin:/sbin:/bin";
  return out;
}

inline netfilter::MasqueradeSpec c1_spec(std::string backend) {
  return masquerade_spec(std::move(backend), {"10.22.0.2/16", "fd00:22::2/64"});
}

inline void add_committed(const netfilter::MasqueradeSpec& spec) {
  os::Undo undo;
  netfilter::add_masquerade(spec, undo);
  undo.commit();
}

// Names the first thing that CHECK misses; empty if it is content.
inline std::string check_failure(const netfilter::MasqueradeSpec& spec) {
  try {
    netfilter::check_masquerade(spec);
    return {};
  } catch (const Error& error) {
    CHECK(error.code == Code::kCheckFailed);
    return error.what();
  }
}

// How often a text is in `nft list ruleset`.
inline int count_in_ruleset(const std::string& text) {
  const std::string ruleset = run_ok({"nft", "list", "ruleset"});
  int out = 0;
  for (std::size_t at = ruleset.find(text); at != std::string::npos;
       at = ruleset.find(text, at + 1)) {
    ++out;
  }
  return out;
}

}  // namespace cni::test
