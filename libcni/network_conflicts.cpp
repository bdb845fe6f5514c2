#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/address_rules.hpp"
#include "libcni/validation.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

// One plugin of one network, as far as others can get in its way.
struct Use {
  std::string path;  // "plugins[0]"; empty for a single plugin
  const json* plugin;
  std::string type;
  std::string link;  // the bridge, master or VLAN that it is attached to; empty: the default
                     // route's, or none
  std::optional<std::string> master;  // of the host; empty: the default route's; absent: none, or
                                      // not known before ADD
  std::vector<RangeAt> ranges;

  std::string path_of(std::string_view key) const {
    return path.empty() ? std::string(key) : cat(path, ".", key);
  }
};

struct NetworkUse {
  std::string file;
  std::string name;
  std::shared_ptr<const json> document;
  std::vector<Use> plugins;
};

std::optional<std::string> master_of(const json& plugin, const std::string& type,
                                     const std::string& path) {
  if (type != "macvlan" && type != "ipvlan" && type != "vlan") return std::nullopt;
  if (is_true(plugin, "linkInContainer")) return std::nullopt;
  std::string master = text_member(plugin, "master");
  // An ipvlan behind another plugin takes that one's interface.
  const bool is_first = path.empty() || path == "plugins[0]";
  if (type == "ipvlan" && master.empty() && !is_first) return std::nullopt;
  return master;
}

std::string vlan_of(const json& plugin) {
  const json* id = member(plugin, "vlanId");
  return id == nullptr ? "0" : shown(*id);
}

std::string ipvlan_mode_of(const json& plugin) {
  const std::string mode = text_member(plugin, "mode");
  return mode.empty() ? "l2" : mode;
}

Use read_use(const json& plugin, std::string path) {
  Use out{.path = std::move(path), .plugin = &plugin, .type = text_member(plugin, "type")};
  if (out.type == "bridge") out.link = text_member(plugin, "bridge");
  if (out.type == "bridge" && out.link.empty()) out.link = "cni0";
  out.master = master_of(plugin, out.type, out.path);
  if (out.type == "macvlan" || out.type == "ipvlan") out.link = text_member(plugin, "master");
  if (out.type == "vlan") out.link = cat(text_member(plugin, "master"), " VLAN ", vlan_of(plugin));
  const json* ipam = member(plugin, "ipam");
  if (ipam != nullptr && text_member(*ipam, "type") == "host-local") {
    out.ranges = ranges_of(*ipam, out.path_of("ipam"));
  }
  return out;
}

std::optional<NetworkUse> read_network(const ConfigFile& file) {
  NetworkUse out{.file = file.path};
  try {
    out.document = parse_json(file.text, file.path);
  } catch (const Error&) {
    return std::nullopt;  // validate_config says what is wrong with it
  }
  out.name = text_member(*out.document, "name");
  const json* plugins = member(*out.document, "plugins");
  if (plugins == nullptr || !plugins->is_array()) {
    out.plugins.push_back(read_use(*out.document, ""));
    return out;
  }
  for (std::size_t i = 0; i < plugins->size(); ++i) {
    out.plugins.push_back(read_use((*plugins)[i], cat("plugins[", i, "]")));
  }
  return out;
}

// Whether the host routes to the plugin's subnets, so that no other network may have them.
bool makes_host_routes(const Use& use) {
  if (use.type == "ptp") return true;
  return use.type == "bridge" &&
         (is_true(*use.plugin, "isGateway") || is_true(*use.plugin, "isDefaultGateway"));
}

bool share_link(const Use& one, const Use& other) {
  return one.type == other.type && one.link == other.link && one.type != "ptp";
}

class Comparison {
 public:
  Comparison(const NetworkUse& earlier, const NetworkUse& later, std::vector<FileProblem>& out)
      : earlier_(earlier), later_(later), out_(out) {}

  void run() const {
    if (!later_.name.empty() && earlier_.name == later_.name) {
      say(Severity::kError, "name", quote(later_.name),
          cat("the network ", quote(later_.name), " is also in ", earlier_.file),
          "runtimes take one of the two: choose another name");
      return;  // both would keep their addresses in one place
    }
    for (const Use& one : earlier_.plugins) {
      for (const Use& other : later_.plugins) {
        compare_ranges(one, other);
        compare_bridges(one, other);
        compare_masters(one, other);
      }
    }
  }

 private:
  void say(Severity severity, std::string path, std::string value, std::string sentence,
           std::string hint) const {
    out_.push_back(
        {later_.file,
         {severity, std::move(path), std::move(value), std::move(sentence), std::move(hint)}});
  }

  void compare_ranges(const Use& one, const Use& other) const {
    const bool certain =
        share_link(one, other) || (makes_host_routes(one) && makes_host_routes(other));
    for (const RangeAt& theirs : one.ranges) {
      for (const RangeAt& ours : other.ranges) {
        const bool same_addresses = ours.overlaps(theirs);
        // Networks on one link may share a subnet as long as they hand out different addresses.
        const bool same_subnet = ours.subnet.overlaps(theirs.subnet) && !share_link(one, other);
        if (!same_addresses && !same_subnet) continue;
        say(certain ? Severity::kError : Severity::kWarning, ours.path + ".subnet",
            quote(ours.subnet.to_string()),
            same_addresses ? cat("range ", ours.to_string(), " overlaps with ", theirs.to_string(),
                                 " of network ", quote(earlier_.name))
                           : cat("the subnet overlaps with ", theirs.subnet.to_string(),
                                 " of network ", quote(earlier_.name)),
            cat("the other one is in ", earlier_.file));
      }
    }
  }

  void compare_bridges(const Use& one, const Use& other) const {
    if (one.type != "bridge" || !share_link(one, other)) return;
    const json* theirs = member(*one.plugin, "mtu");
    const json* ours = member(*other.plugin, "mtu");
    const bool differ = theirs != nullptr && ours != nullptr && *theirs != 0 && *ours != 0;
    if (differ && *theirs != *ours) {
      say(Severity::kError, other.path_of("mtu"), shown(*ours),
          cat("network ", quote(earlier_.name), " has the bridge ", one.link, " with MTU ",
              shown(*theirs)),
          cat("the first container decides which: use one MTU, or a bridge of its own; see ",
              earlier_.file));
    }
    const bool promiscuous = is_true(*other.plugin, "promiscMode");
    if (is_true(*one.plugin, "promiscMode") != promiscuous) {
      say(Severity::kWarning, other.path_of("promiscMode"), promiscuous ? "true" : "false",
          cat("network ", quote(earlier_.name), " has the bridge ", one.link,
              promiscuous ? " not promiscuous" : " promiscuous"),
          cat("it is for both once one container is attached; see ", earlier_.file));
    }
  }

  void compare_masters(const Use& one, const Use& other) const {
    if (!one.master || one.master != other.master) return;
    if (one.type == other.type) {
      if (one.type == "macvlan") compare_macvlans(one, other);
      if (one.type == "ipvlan") compare_ipvlans(one, other);
      if (one.type == "vlan") compare_vlans(one, other);
    } else if (one.type != "vlan" && other.type != "vlan") {
      say_same_master(other, "a link carries macvlans or ipvlans but not both");
    }
  }

  void say_same_master(const Use& other, std::string_view reason) const {
    say(Severity::kError, other.path_of("master"), quote(*other.master),
        cat("the master is also that of network ", quote(earlier_.name)),
        cat(reason, "; see ", earlier_.file));
  }

  void compare_macvlans(const Use& one, const Use& other) const {
    const bool exclusive = text_member(*one.plugin, "mode") == "passthru" ||
                           text_member(*other.plugin, "mode") == "passthru";
    if (exclusive) say_same_master(other, "mode passthru leaves no place for a second interface");
  }

  void compare_ipvlans(const Use& one, const Use& other) const {
    const std::string theirs = ipvlan_mode_of(*one.plugin);
    const std::string ours = ipvlan_mode_of(*other.plugin);
    if (theirs == ours) return;
    say(Severity::kError, other.path_of("mode"), quote(ours),
        cat("network ", quote(earlier_.name), " has ipvlans of mode ", theirs,
            " on the same master"),
        cat("all ipvlans on a link share their mode; see ", earlier_.file));
  }

  void compare_vlans(const Use& one, const Use& other) const {
    const std::string id = vlan_of(*other.plugin);
    if (vlan_of(*one.plugin) != id) return;
    say(Severity::kError, other.path_of("vlanId"), id,
        cat("the VLAN is also that of network ", quote(earlier_.name)),
        cat("only one interface can have a VLAN of a link; see ", earlier_.file));
  }

  const NetworkUse& earlier_;
  const NetworkUse& later_;
  std::vector<FileProblem>& out_;
};

}  // namespace

std::vector<FileProblem> find_conflicts(std::span<const ConfigFile> files) {
  std::vector<NetworkUse> networks;
  for (const ConfigFile& file : files) {
    if (auto network = read_network(file)) networks.push_back(std::move(*network));
  }
  std::vector<FileProblem> out;
  for (std::size_t i = 0; i < networks.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) Comparison(networks[j], networks[i], out).run();
  }
  return out;
}

}  // namespace cni::libcni
