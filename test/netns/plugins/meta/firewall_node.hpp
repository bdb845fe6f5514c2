// A node with bridges whose containers have a firewall, and a host outside, for the firewall
// suites.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/skip.hpp"

namespace cni::test {

// Where iptables is found. "nft" and "legacy" are folders in which the plain names are that
// implementation's programs. The case is skipped if they are not installed, or the kernel does not
// have what they need.
inline std::string programs_of(Namespaces& spaces, const std::string& implementation) {
  const std::string folder = spaces.folder() + "/" + implementation;
  run_ok({"mkdir", "-p", folder});
  for (const std::string family : {"iptables", "ip6tables"}) {
    for (const std::string end : {"", "-restore", "-save"}) {
      const std::string program = require_program(cat(family, "-", implementation, end));
      run_ok({"ln", "-sf", program, cat(folder, "/", family, end)});
    }
    if (!run({cat(family, "-", implementation), "-S"}).ok()) {
      skip(cat("the kernel has no tables for ", family, "-", implementation));
    }
  }
  return folder;
}

class FirewallNode {
 public:
  explicit FirewallNode(const std::string& implementation = "nft")
      : implementation_(implementation), folder_(programs_of(node.spaces, implementation)) {
    // A router asks for its neighbours from its link-local address, which is not there before DAD.
    run_ok({"sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
            "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"});
    (void)node.spaces.container("outside");
    run_ok({"ip", "link", "add", "vo", "type", "veth", "peer", "name", "eth0", "netns", "outside"});
    for (const std::vector<std::string>& where :
         {std::vector<std::string>{"ip"}, std::vector<std::string>{"ip", "-n", "outside"}}) {
      const bool is_host = where.size() == 1;
      const std::string link = is_host ? "vo" : "eth0";
      const std::string last = is_host ? "1" : "2";
      ip_ok(where, {"link", "set", link, "up"});
      ip_ok(where, {"address", "add", cat("192.0.2.", last, "/24"), "dev", link});
      ip_ok(where, {"address", "add", cat("2001:db8::", last, "/64"), "dev", link, "nodad"});
    }
    ip_ok({"ip", "-n", "outside"}, {"route", "add", "default", "via", "192.0.2.1"});
    ip_ok({"ip", "-n", "outside"}, {"-6", "route", "add", "default", "via", "2001:db8::1"});
  }

  // The bridge cniN of the network netN, which is 10.88.N.0/24 and fd00:88:N::/64.
  static json bridge_config(int number) {
    return {{"type", "bridge"},
            {"name", cat("net", number)},
            {"bridge", cat("cni", number)},
            {"isDefaultGateway", true},
            {"ipam",
             {{"type", "host-local"},
              {"ranges",
               json::array({json::array({{{"subnet", cat("10.88.", number, ".0/24")}}}),
                            json::array({{{"subnet", cat("fd00:88:", number, "::/64")}}})})}}}};
  }

  static json config(int number, const std::string& policy) {
    return {{"type", "firewall"},
            {"name", cat("net", number)},
            {"backend", "iptables"},
            {"ingressPolicy", policy}};
  }

  Call call() const {
    Call out;
    out.more_environment = {"PATH=" + folder_};
    return out;
  }

  // Attaches a fresh container to the network; what the bridge plugin has handed on.
  json attach(const std::string& name, int number) {
    (void)node.spaces.container(name);
    return node.add(bridge_config(number), name);
  }
  PluginRun firewall(std::string_view command, const json& config, const std::string& name,
                     const json& prev_result = nullptr) {
    return node.run(command, config, name, prev_result, call());
  }
  void add(const json& config, const std::string& name, const json& prev_result) {
    expect_ok(firewall("ADD", config, name, prev_result));
  }
  // As a runtime that has lost everything does it.
  void del(const json& config, const std::string& name) {
    expect_ok(firewall("DEL", config, name));
  }
  static void expect_ok(const PluginRun& run) {
    INFO(run.describe());
    REQUIRE(run.ok());
  }

  // `iptables` and `ip6tables` of the node's implementation, both with the same arguments.
  void iptables(const std::vector<std::string>& arguments) const {
    for (const std::string program : {"iptables", "ip6tables"}) {
      std::vector<std::string> argv = {cat(program, "-", implementation_)};
      argv.insert(argv.end(), arguments.begin(), arguments.end());
      run_ok(argv);
    }
  }
  // What both families have in table filter, without counters and comments.
  std::string saved() const {
    std::string out;
    for (const std::string program : {"iptables", "ip6tables"}) {
      std::string line;
      for (const char letter :
           run_ok({cat(program, "-", implementation_, "-save"), "-t", "filter"})) {
        line += letter;
        if (letter != '\n') continue;
        if (line[0] == ':') line = line.substr(0, line.find('[')) + '\n';
        if (line[0] != '#') out += line;
        line.clear();
      }
    }
    return out;
  }

  // Whether a connection is made and answered.
  static bool connects(const std::string& from, const std::string& to, const std::string& address) {
    return !tcp_client_seen(ns::Netns::open("/run/netns/" + from),
                            ns::Netns::open("/run/netns/" + to), address)
                .empty();
  }

  const std::string& folder() const { return folder_; }

  PluginNode node;  // first: it makes the folders that programs_of needs

 private:
  static void ip_ok(std::vector<std::string> argv, const std::vector<std::string>& arguments) {
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    run_ok(argv);
  }

  std::string implementation_;
  std::string folder_;
};

// What a plugin of an earlier place in the list hands on; its links are not made.
inline json result_with(const std::vector<std::string>& addresses,
                        const std::string& bridge = "cni1") {
  json out = {{"cniVersion", "1.1.0"},
              {"interfaces", json::array({{{"name", bridge}},
                                          {{"name", "veth1"}},
                                          {{"name", "eth0"}, {"sandbox", "/run/netns/x"}}})},
              {"ips", json::array()}};
  for (const std::string& address : addresses) {
    out["ips"].push_back({{"interface", 2}, {"address", address}});
  }
  return out;
}

inline const std::vector<std::string> kBoth = {"10.88.1.5/24", "fd00:88:1::5/64"};

// The address of a family ("4", "6") in a result, without its length.
inline std::string address_in(const json& result, char family) {
  for (const json& ip : result.at("ips")) {
    const std::string address = ip.at("address");
    const bool is_ipv6 = address.find(':') != std::string::npos;
    if (is_ipv6 == (family == '6')) return address.substr(0, address.find('/'));
  }
  return {};
}

// How often a text is in another.
inline int count_of(const std::string& text, const std::string& in) {
  int out = 0;
  for (std::size_t at = in.find(text); at != std::string::npos; at = in.find(text, at + 1)) ++out;
  return out;
}

}  // namespace cni::test
