#include "test/support/snapshot.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>

#include "pkg/ns/netns.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/support/ip_json.hpp"

namespace cni::test {
namespace {

constexpr const char* kIpv4Sysctls[] = {"arp_notify", "forwarding", "route_localnet", "proxy_arp",
                                        "rp_filter"};
constexpr const char* kIpv6Sysctls[] = {"accept_dad",       "accept_ra",    "disable_ipv6",
                                        "forwarding",       "enhanced_dad", "ndisc_notify",
                                        "keep_addr_on_down"};
// Keys of `ip -j -d` objects whose values change without anybody's doing.
constexpr const char* kVolatile[] = {"ifindex",
                                     "operstate",
                                     "carrier",
                                     "forward_delay_timer",
                                     "hold_timer",
                                     "message_age_timer",
                                     "hello_timer",
                                     "tcn_timer",
                                     "gc_timer",
                                     "cache",
                                     "topology_change_timer",
                                     "valid_life_time",
                                     "preferred_life_time",
                                     "tentative",
                                     "link_index",
                                     "link_netnsid",
                                     "num_tx_queues",
                                     "parentdev",
                                     "root_port",
                                     "topology_change",
                                     "topology_change_detected",
                                     "designated_cost",
                                     "designated_port",
                                     "stable-privacy",
                                     "kernel_ra",
                                     "dynamic",
                                     "mngtmpaddr",
                                     "noprefixroute",
                                     "pref",
                                     "expires",
                                     "age",
                                     "used"};

// Flags that follow from the other end of a link or from a listener come and go.
json lasting_flags(const json& flags) {
  json out = json::array();
  for (const json& flag : flags) {
    if (flag == "UP" || flag == "PROMISC" || flag == "NOARP" || flag == "ALLMULTI") {
      out.push_back(flag);
    }
  }
  return out;
}

void prune(json& value) {
  if (value.is_object()) {
    for (const char* key : kVolatile) value.erase(key);
    if (value.contains("flags")) value["flags"] = lasting_flags(value["flags"]);
  }
  if (value.is_structured()) {
    for (json& each : value) prune(each);
  }
}

bool is_automatic(const std::string& line) {
  return line.find("fe80::") != std::string::npos || line.find("ff00::/8") != std::string::npos;
}

// Output of `ip -b`: one array on a line for each command.
void add_objects(Snapshot& to, const std::string& where, const std::string& text) {
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    json objects = json::parse(text.substr(start, end - start), nullptr, false);
    start = end + 1;
    if (!objects.is_array()) continue;
    for (json& object : objects) {
      json addresses = object.value("addr_info", json::array());
      object.erase("addr_info");
      prune(object);
      if (object.empty()) continue;
      const std::string line = cat(where, object.dump());
      if (!is_automatic(line)) to.lines.insert(line);
      for (json& address : addresses) {
        prune(address);
        std::string text_of =
            cat(where, "address dev ", object.value("ifname", ""), " ", address.dump());
        if (!is_automatic(text_of)) to.lines.insert(std::move(text_of));
      }
    }
  }
}

void add_network(Snapshot& to, const std::string& netns, const std::string& where) {
  add_objects(to, cat(where, "ip "),
              run_ok_in(netns, {"ip", "-d", "-j", "-b", "-"},
                        "addr show\nrule show\nneigh show nud permanent\nroute show table all\n"));
  add_objects(to, cat(where, "ip -6 "),
              run_ok_in(netns, {"ip", "-6", "-d", "-j", "-b", "-"},
                        "rule show\nroute show table all\nneigh show nud permanent\n"));
}

// Queueing disciplines that somebody has put there.
void add_queues(Snapshot& to, const std::string& netns, const std::string& where) {
  json queues = json::parse(run_ok_in(netns, {"tc", "-j", "qdisc", "show"}), nullptr, false);
  if (!queues.is_array()) return;
  for (json& queue : queues) {
    if (queue.value("handle", "0:") == "0:") continue;
    queue.erase("refcnt");
    to.lines.insert(cat(where, "qdisc ", queue.dump()));
  }
}

// Elements of a set or map become lines of their own, like rules.
void add_nft_object(Snapshot& to, const std::string& where, json object) {
  for (auto& [kind, body] : object.items()) {
    if (kind == "metainfo") return;
    if (!body.is_object()) continue;
    body.erase("handle");
    json elements = body.value("elem", json::array());
    body.erase("elem");
    to.lines.insert(cat(where, "nft ", kind, " ", body.dump()));
    for (const json& element : elements) {
      to.lines.insert(cat(where, "nft element of ", body.value("table", ""), " ",
                          body.value("name", ""), ": ", element.dump()));
    }
  }
}

void prune_counters(json& value) {
  if (value.is_object() && value.contains("counter")) value["counter"] = nullptr;
  if (value.is_structured()) {
    for (json& each : value) prune_counters(each);
  }
}

void add_nft(Snapshot& to, const std::string& netns, const std::string& where) {
  if (!find_installed("nft")) return;
  const os::Exit exit = run_in(netns, {"nft", "-j", "list", "ruleset"});
  json ruleset = json::parse(exit.out, nullptr, false);
  if (!exit.ok() || !ruleset.is_object()) {
    to.lines.insert(cat(where, "nft cannot list: ", exit.err));
    return;
  }
  prune_counters(ruleset);
  for (const json& object : ruleset.value("nftables", json::array()))
    add_nft_object(to, where, object);
}

// iptables in its nft form is part of the ruleset above; the old form has a namespace's tables in
// this file.
void add_legacy_iptables(Snapshot& to, const std::string& netns, const std::string& where) {
  for (const char* save : {"iptables-legacy-save", "ip6tables-legacy-save"}) {
    const bool ipv6 = save[2] == '6';
    const std::string names =
        ipv6 ? "/proc/thread-self/net/ip6_tables_names" : "/proc/thread-self/net/ip_tables_names";
    const auto read = [&] { return os::read_file(names).value_or(""); };
    const std::string used = netns.empty() ? read() : ns::Netns::open(netns).run(read);
    if (used.empty() || !find_installed(save)) continue;
    std::string line;
    for (const char letter : run_ok_in(netns, {save})) {
      if (letter != '\n') {
        line += letter;
      } else {
        if (!line.empty() && line[0] != '#' && line[0] != ':')
          to.lines.insert(cat(where, save, " ", line));
        line.clear();
      }
    }
  }
}

std::string value_of(const std::string& path) {
  try {
    return os::read_file(path).value_or("absent");
  } catch (const Error& error) {
    return error.msg;
  }
}

template <std::size_t size>
void read_conf(std::vector<std::string>& lines, const std::string& folder,
               const char* const (&names)[size]) {
  for (const std::string& link : os::list_directory(folder)) {
    for (const char* name : names) {
      std::string value = value_of(cat(folder, "/", link, "/", name));
      while (!value.empty() && value.back() == '\n') value.pop_back();
      lines.push_back(cat(folder, "/", link, "/", name, " = ", value));
    }
  }
}

void add_sysctls(Snapshot& to, const std::string& netns, const std::string& where) {
  const auto read = [] {
    std::vector<std::string> lines;
    std::string forward = value_of("/proc/sys/net/ipv4/ip_forward");
    lines.push_back(cat("/proc/sys/net/ipv4/ip_forward = ", forward.substr(0, forward.find('\n'))));
    read_conf(lines, "/proc/sys/net/ipv4/conf", kIpv4Sysctls);
    read_conf(lines, "/proc/sys/net/ipv6/conf", kIpv6Sysctls);
    return lines;
  };
  const auto lines = netns.empty() ? read() : ns::Netns::open(netns).run(read);
  for (const std::string& line : lines) to.lines.insert(cat(where, "sysctl ", line));
}

// Long contents by their size and a number that changes with them.
std::string shown(const std::string& content) {
  if (content.size() <= 200) return quote(content);
  return cat(content.size(), " octets, hash ", std::hash<std::string>{}(content));
}

void add_files(Snapshot& to, const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  char mode[16];
  (void)std::snprintf(mode, sizeof mode, "%o", static_cast<unsigned>(status.st_mode));
  if (S_ISDIR(status.st_mode)) {
    to.lines.insert(cat("folder ", path, " ", mode));
    for (const std::string& name : os::list_directory(path)) add_files(to, cat(path, "/", name));
  } else if (S_ISREG(status.st_mode)) {
    to.lines.insert(cat("file ", path, " ", mode, " ", shown(value_of(path))));
  } else {
    to.lines.insert(cat("special file ", path, " ", mode));
  }
}

std::string path_of_netns(const std::string& name) {
  return name.find('/') == std::string::npos ? cat("/run/netns/", name) : name;
}

bool has(const std::string& line, const std::string& part) {
  return line.find(part) != std::string::npos;
}

// Names of the bridges in the snapshot, host or container.
std::vector<std::string> bridges_in(const Snapshot& snapshot) {
  std::vector<std::string> out;
  for (const std::string& line : snapshot.lines) {
    const std::size_t brace = line.find('{');
    if (brace == std::string::npos || !has(line, "\"info_kind\":\"bridge\"")) continue;
    const json object = json::parse(line.substr(brace), nullptr, false);
    if (object.is_object()) out.push_back(object.value("ifname", ""));
  }
  return out;
}

// Rules of iptables that lead to published ports; those of one attachment have its chain's name.
bool is_shared_port_map(const std::string& line) {
  return has(line, "CNI-HOSTPORT-") && !has(line, "CNI-DN-");
}

// ::1 on the interface that leads to containers with published ports.
bool is_route_to_loopback(const std::string& line) {
  return has(line, "\"dst\":\"::1\"") && has(line, "\"protocol\":\"boot\"");
}

// Of the nftables firewall: what is of one bridge or network has their name in its own, or in its
// comment.
bool is_shared_firewall(const std::string& line) {
  return !has(line, "uses_") && !has(line, "egress_") && !has(line, "net: ");
}

bool is_shared_nft(const std::string& line) {
  if (has(line, "cni_firewall") && !has(line, "nft element of ")) return is_shared_firewall(line);
  if (has(line, "nft table ") || has(line, "nft chain ") || has(line, "nft set ") ||
      has(line, "nft map ")) {
    return !has(line, "CNI-") || has(line, "CNI-HOSTPORT") || has(line, "CNI-FORWARD") ||
           has(line, "CNI-ADMIN");
  }
  // The firewall's jump to its chain, and from there to the operator's, are like the chains.
  for (const char* chain : {"CNI-FORWARD", "CNI-ADMIN"}) {
    if (has(line, "nft rule ") && has(line, cat("\"target\":\"", chain, "\""))) return true;
    if (has(line, "tables-legacy-save ") && has(line, cat("-j ", chain))) return true;
  }
  if (!has(line, "nft rule ")) return false;
  if (is_shared_port_map(line)) return true;
  // A rule that names an attachment says so in its comment; the fixed rules carry none.
  const bool ours = has(line, "cni_plugins_masquerade") || has(line, "cni-macspoofchk") ||
                    has(line, "cni_hostport");
  return ours && !has(line, "\"comment\"");
}

bool is_shared_file(const std::string& line) {
  return has(line, "/lock ") || has(line, "/last_reserved_ip.") || has(line, "/.cni-index-") ||
         line.rfind("folder ", 0) == 0;
}

bool is_shared_sysctl(const std::string& line) {
  return has(line, "sysctl ") && (has(line, "/forwarding = ") || has(line, "/ip_forward = ") ||
                                  has(line, "/route_localnet = "));
}

bool belongs_to(const std::string& line, const std::string& link) {
  return has(line, cat("\"ifname\":\"", link, "\"")) || has(line, cat("\"dev\":\"", link, "\"")) ||
         has(line, cat("address dev ", link, " ")) || has(line, cat("/conf/", link, "/"));
}

}  // namespace

Snapshot take(const std::vector<std::string>& containers, const std::vector<std::string>& folders) {
  Snapshot out;
  std::vector<std::string> all = {""};
  for (const std::string& name : containers) all.push_back(path_of_netns(name));
  for (const std::string& netns : all) {
    const std::string where = netns.empty() ? "host: " : cat(netns, ": ");
    if (!netns.empty() && !ns::Netns::find(netns)) {
      out.lines.insert(cat(where, "no namespace"));
      continue;
    }
    add_network(out, netns, where);
    add_queues(out, netns, where);
    add_nft(out, netns, where);
    add_legacy_iptables(out, netns, where);
    add_sysctls(out, netns, where);
  }
  for (const std::string& folder : folders) add_files(out, folder);
  return out;
}

Snapshot without_shared(const Snapshot& snapshot) {
  const std::vector<std::string> bridges = bridges_in(snapshot);
  Snapshot out;
  for (const std::string& line : snapshot.lines) {
    const bool of_bridge =
        std::any_of(bridges.begin(), bridges.end(),
                    [&](const std::string& name) { return belongs_to(line, name); });
    const bool shared = of_bridge || is_shared_nft(line) || is_shared_file(line) ||
                        is_shared_sysctl(line) || is_route_to_loopback(line) ||
                        (has(line, "-legacy-save ") && is_shared_port_map(line));
    if (!shared) out.lines.insert(line);
  }
  return out;
}

std::string diff(const Snapshot& before, const Snapshot& after) {
  std::vector<std::string> gone;
  std::vector<std::string> added;
  std::set_difference(before.lines.begin(), before.lines.end(), after.lines.begin(),
                      after.lines.end(), std::back_inserter(gone));
  std::set_difference(after.lines.begin(), after.lines.end(), before.lines.begin(),
                      before.lines.end(), std::back_inserter(added));
  std::string out;
  for (const std::string& line : gone) out += cat("- ", line, "\n");
  for (const std::string& line : added) out += cat("+ ", line, "\n");
  return out;
}

}  // namespace cni::test
