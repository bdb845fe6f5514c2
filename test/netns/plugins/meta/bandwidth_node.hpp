// A host with containers that a chain's first plugin has connected, for bandwidth.
#pragma once

#include <unistd.h>

#include <chrono>
#include <string>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {

inline constexpr std::uint64_t kMbit = 1'000'000;

class BandwidthNode : public PluginNode {
 public:
  BandwidthNode() {
    require_kind("ifb");
    connect("c1");
  }

  // Makes the container and connects it: "eth0" there, with the addresses 10.70.N.2 and
  // fd00:70:N::2, and `host_end`, with .1 and ::1, on the host.
  void connect(const std::string& container, const std::string& host_end = "way1",
               const std::string& ifname = "eth0", int number = 0) {
    if (!namespace_exists(container)) spaces.container(container);
    (void)ip({"-n", container, "link", "add", ifname, "type", "veth", "peer", "name", host_end,
              "netns", cat(::getpid())});
    (void)ip({"link", "set", host_end, "up"});
    (void)ip({"-n", container, "link", "set", ifname, "up"});
    give_addresses("", host_end, number, 1);
    give_addresses(container, ifname, number, 2);
  }

  static void give_addresses(const std::string& netns, const std::string& link, int number,
                             int host) {
    for (const std::string& address :
         {cat("10.70.", number, ".", host, "/24"), cat("fd00:70:", number, "::", host, "/64")}) {
      std::vector<std::string> words = {"address", "add", address, "dev", link};
      if (address.find(':') != std::string::npos) words.emplace_back("nodad");
      if (!netns.empty()) words.insert(words.begin(), {"-n", netns});
      (void)ip(words);
    }
    // The kernel makes the address's route in the background; snapshots have to have it.
    const std::string ipv6 = cat("fd00:70:", number, "::", host);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (run_ok_in(netns, {"ip", "-6", "route", "show", "table", "local", ipv6}).empty()) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
    }
  }

  static json config(const json& more) {
    json out = {{"type", "bandwidth"}, {"prevResult", chain_result()}};
    out.update(more);
    return out;
  }
  // What the first plugin of the chain has handed on.
  static json chain_result(const std::string& container = "c1",
                           const std::string& host_end = "way1",
                           const std::string& ifname = "eth0") {
    return {
        {"cniVersion", "1.0.0"},
        {"interfaces", json::array({{{"name", host_end}},
                                    {{"name", ifname}, {"sandbox", "/run/netns/" + container}}})},
        {"ips", json::array({{{"address", "10.70.0.2/24"}, {"interface", 1}}})}};
  }
  // For CHECK and DEL: with the result of ADD.
  static json with_result(json config, const json& result) {
    config["prevResult"] = result;
    return config;
  }
};

// The queueing discipline at the root of a link, as `tc -j qdisc` shows it; null without one that
// somebody has put there.
inline json root_queue(const std::string& netns, const std::string& link) {
  std::vector<std::string> words = {"tc", "-j", "qdisc", "show", "dev", link, "root"};
  const json shown = json::parse(run_ok_in(netns, words), nullptr, false);
  if (!shown.is_array() || shown.empty() || shown[0].value("handle", "0:") == "0:") return nullptr;
  return shown[0];
}

inline bool has_ingress(const std::string& netns, const std::string& link) {
  const json shown = json::parse(
      run_ok_in(netns, {"tc", "-j", "qdisc", "show", "dev", link, "ingress"}), nullptr, false);
  return shown.is_array() && !shown.empty();
}

inline json ifbs(const std::string& netns) {
  return json::parse(run_ok_in(netns, {"ip", "-j", "-d", "link", "show", "type", "ifb"}), nullptr,
                     false);
}
// Names of the ifb devices.
inline std::vector<std::string> ifb_names(const std::string& netns = {}) {
  std::vector<std::string> out;
  const json all = ifbs(netns);
  if (!all.is_array()) return out;
  for (const json& link : all) {
    if (link.contains("ifname")) out.push_back(link.at("ifname"));
  }
  return out;
}

}  // namespace cni::test
