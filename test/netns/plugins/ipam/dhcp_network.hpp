// A host with a bridge that DHCP servers serve, and what goes over it.
#pragma once

#include <dirent.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/dhcp_server.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/kea.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {

inline std::size_t files_in(const std::string& folder) {
  std::size_t count = 0;
  DIR* entries = ::opendir(folder.c_str());
  if (entries == nullptr) return 0;
  while (const dirent* entry = ::readdir(entries)) count += entry->d_name[0] != '.' ? 1 : 0;
  (void)::closedir(entries);
  return count;
}

inline std::size_t open_files_of(pid_t pid) { return files_in(cat("/proc/", pid, "/fd")); }

// How often a text contains a part.
inline std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

// Waits up to half a minute until fn says true; fails the case otherwise.
inline void await(const char* what, const std::function<bool()>& fn,
                  const std::function<std::string()>& state = {}) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!fn()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      FAIL("not in time: " << what << "; there is: " << (state ? state() : "nothing to tell"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

// What a bridge carries: tcpdump's words for each DHCP message.
class PacketLog {
 public:
  explicit PacketLog(const std::string& link)
      : program_({require_program("tcpdump"), "-i", link, "-n", "-l", "-e", "-v", "-Z", "root",
                  "--immediate-mode", "port 67 or port 68 or port 546 or port 547"},
                 folder_ / "packets") {
    await_text([this] { return program_.output(); }, "listening on ");
  }

  // The packets that have all of these in their words.
  std::vector<std::string> with(const std::vector<std::string>& parts) const {
    std::vector<std::string> found;
    for (const std::string& packet : packets()) {
      bool has_all = true;
      for (const std::string& part : parts) has_all &= packet.find(part) != std::string::npos;
      if (has_all) found.push_back(packet);
    }
    return found;
  }
  // The same, waited for until there are so many.
  std::vector<std::string> await_with(const std::vector<std::string>& parts,
                                      std::size_t count = 1) const {
    std::string sought = "packets:";
    for (const std::string& part : parts) sought += " " + part;
    await(
        sought.c_str(), [&] { return with(parts).size() >= count; },
        [&] { return program_.output(); });
    return with(parts);
  }

 private:
  // A packet is a line and those after it that are indented.
  std::vector<std::string> packets() const {
    std::vector<std::string> out;
    const std::string text = program_.output();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      const std::string line = text.substr(at, end - at);
      at = end;
      const bool goes_on = line[0] == ' ' || line[0] == '\t';
      if (!goes_on || out.empty()) out.emplace_back();
      out.back() += line;
    }
    return out;
  }

  TemporaryFolder folder_;
  BackgroundProgram program_;
};

// Lease times in seconds.
struct LeaseTimes {
  int renew;
  int rebind;
  int valid;
};

inline constexpr std::string_view kFirstRange = "10.9.0.50 - 10.9.0.60";
inline constexpr std::string_view kOtherRange = "10.9.0.150 - 10.9.0.160";

// A subnet with a router for kea-dhcp4.
inline json kea4_config(const LeaseTimes& times, std::string_view range = kFirstRange) {
  return {{"renew-timer", times.renew},
          {"rebind-timer", times.rebind},
          {"valid-lifetime", times.valid},
          {"subnet4",
           {{{"id", 1},
             {"subnet", "10.9.0.0/16"},
             {"option-data", {{{"name", "routers"}, {"data", "10.9.0.1"}}}},
             {"pools", {{{"pool", range}}}}}}}};
}

inline json kea6_config(const LeaseTimes& times) {
  return {{"renew-timer", times.renew},
          {"rebind-timer", times.rebind},
          {"valid-lifetime", times.valid},
          {"preferred-lifetime", times.valid},
          {"subnet6",
           {{{"id", 1},
             {"subnet", "fd00:9::/64"},
             {"interface", "cni0"},
             {"pools", {{{"pool", "fd00:9::50 - fd00:9::60"}}}}}}}};
}

// cni0 is 10.9.0.1 and fd00:9::1. Another host, lan1 in "lan", gives it a carrier, which servers
// want before they listen.
struct DhcpNetwork {
  PluginNode node;

  DhcpNetwork() {
    node.spaces.container("c1");
    node.spaces.container("lan");
    (void)ip({"link", "add", "cni0", "type", "bridge"});
    (void)ip({"address", "add", "10.9.0.1/16", "dev", "cni0"});
    (void)ip({"address", "add", "fd00:9::1/64", "dev", "cni0", "nodad"});
    (void)ip({"link", "add", "lan0", "type", "veth", "peer", "name", "lan1", "netns", "lan"});
    (void)ip({"link", "set", "lan0", "master", "cni0"});
    for (const char* link : {"cni0", "lan0"}) (void)ip({"link", "set", link, "up"});
    (void)ip_in("lan", {"link", "set", "lan1", "up"});
  }

  static json ipam(const DhcpDaemon& daemon, const json& more = json::object()) {
    json out = {{"type", "dhcp"}, {"daemonSocketPath", daemon.socket_path()}};
    out.update(more);
    return out;
  }
  static json config(const DhcpDaemon& daemon, const json& more = json::object()) {
    return {{"type", "bridge"}, {"bridge", "cni0"}, {"ipam", ipam(daemon, more)}};
  }
  // The same network, with the IPAM plugin called by itself.
  static json dhcp_alone(const DhcpDaemon& daemon, const json& more = json::object()) {
    return {{"type", "dhcp"}, {"ipam", ipam(daemon, more)}};
  }
  // Of IPv6 a server hears only once it has an address on the link that no other host has.
  static void await_link_local() {
    await("a link-local address", [] {
      const json there =
          ip({"-j", "-6", "address", "show", "dev", "cni0", "scope", "link", "-tentative"});
      return there.dump().find("fe80") != std::string::npos;
    });
  }
};

inline std::string address_in(const json& result, std::size_t number = 0) {
  return result.at("ips").at(number).at("address");
}
inline std::string without_length(const std::string& address) {
  return address.substr(0, address.find('/'));
}

}  // namespace cni::test
