#include "plugins/ipam/host-local/config.hpp"

#include <algorithm>
#include <optional>

#include "pkg/types/error.hpp"
#include "pkg/types/version.hpp"

namespace cni::host_local {
namespace {

Reader ipam_section(const Reader& root) {
  const auto ipam = root.object("ipam");
  if (!ipam) throw Error(Code::kInvalidNetworkConfig, "IPAM config missing 'ipam' key");
  return *ipam;
}

bool has_parent_component(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

void check_data_dir(const Reader& ipam, const std::string& path) {
  if (path[0] != '/') {
    throw ipam.invalid("dataDir", cat("an absolute path is needed, got ", quote(path)));
  }
  if (has_parent_component(path) || path.find('\0') != std::string::npos) {
    throw ipam.invalid("dataDir", cat("a path without \"..\" is needed, got ", quote(path)));
  }
}

std::string read_data_dir(const Reader& ipam) {
  std::string path;
  ipam.optional("dataDir", path);
  if (path.empty()) return std::string(kDefaultDataDir);
  check_data_dir(ipam, path);
  return path;
}

// Every range set of the configuration in the order of allocation: those of the runtime, the inline
// range, the list.
std::vector<std::vector<Reader>> range_set_readers(const Reader& root, const Reader& ipam) {
  std::vector<std::vector<Reader>> out;
  const auto runtime = root.object("runtimeConfig");
  if (runtime) {
    for (const Reader& set : runtime->array("ipRanges")) out.push_back(set.elements());
  }
  std::string subnet;
  ipam.optional("subnet", subnet);
  if (!subnet.empty()) out.push_back({ipam});
  for (const Reader& set : ipam.array("ranges")) out.push_back(set.elements());
  return out;
}

void check_one_per_family(const std::vector<RangeSet>& sets, std::string_view version) {
  if (*Version::parse(version) >= kFirstWithResultList) return;
  const auto of_ipv4 = std::count_if(
      sets.begin(), sets.end(), [](const RangeSet& set) { return set.family() == Family::kIpv4; });
  if (of_ipv4 <= 1 && std::ssize(sets) - of_ipv4 <= 1) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("CNI version ", version, " does not support more than 1 address per family"),
              "each range set gives one address; use cniVersion 0.3.0 or later");
}

std::vector<RangeSet> read_range_sets(const Reader& root, const Reader& ipam,
                                      std::string_view version) {
  std::vector<RangeSet> sets;
  for (const std::vector<Reader>& readers : range_set_readers(root, ipam)) {
    sets.push_back(
        context(cat("invalid range set ", sets.size()), [&] { return read_range_set(readers); }));
  }
  if (sets.empty()) {
    throw Error(Code::kInvalidNetworkConfig, "no IP ranges specified",
                "give ipam.ranges, ipam.subnet or the capability ipRanges");
  }
  check_one_per_family(sets, version);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (std::size_t j = i + 1; j < sets.size(); ++j) {
      if (!sets[i].overlaps(sets[j])) continue;
      throw Error(Code::kInvalidNetworkConfig,
                  cat("range set ", i, " overlaps with ", j, " (", sets[i].to_string(), " and ",
                      sets[j].to_string(), ")"));
    }
  }
  return sets;
}

Exclusion read_exclusion(const Reader& in) {
  const std::string text = in.text();
  std::optional<Prefix> prefix = Prefix::parse(text);
  if (!prefix) {
    const auto ip = Ip::parse(text);
    if (!ip) throw Reader::wrong_type(in, "an IP address or an address with prefix length");
    prefix = Prefix::host(*ip);
  }
  if (*prefix != prefix->network()) {
    throw Error(Code::kInvalidNetworkConfig,
                cat(in.path(), ": ", quote(text), " has host bits set; write ",
                    prefix->network().to_string(), " for the network or ",
                    prefix->address.to_string(), " for the one address"));
  }
  return {*prefix, in.path()};
}

std::vector<Exclusion> read_exclusions(const Reader& ipam, const std::vector<RangeSet>& sets) {
  std::vector<Exclusion> out;
  for (const Reader& in : ipam.array("exclude")) {
    Exclusion exclusion = read_exclusion(in);
    const bool matches = std::any_of(sets.begin(), sets.end(), [&](const RangeSet& set) {
      return set.family() == exclusion.addresses.address.family();
    });
    if (!matches) {
      throw Error(Code::kInvalidNetworkConfig,
                  cat(in.path(), ": no range is of the address family of ", quote(in.text())));
    }
    out.push_back(std::move(exclusion));
  }
  return out;
}

// An address; a prefix length behind it is accepted and means nothing.
std::optional<Ip> parse_requested(std::string_view text) {
  if (const auto prefix = Prefix::parse(text)) return prefix->address;
  return Ip::parse(text);
}

void read_requested_list(const Reader& in, std::vector<RequestedIp>& out) {
  for (const Reader& item : in.array("ips")) {
    const auto ip = parse_requested(item.text());
    if (!ip) throw Reader::wrong_type(item, "an IP address");
    out.push_back({*ip, item.path()});
  }
}

void read_requested_arguments(std::string_view args, std::vector<RequestedIp>& out) {
  std::string text;
  skel::parse_args(args, {{"IP", &text}});
  if (text.empty()) return;
  const auto ip = parse_requested(text);
  if (!ip) {
    throw Error(Code::kInvalidEnvironment, cat("ARGS: error parsing value of pair ",
                                               quote("IP=" + text), ": invalid IP address ", text));
  }
  out.push_back({*ip, "CNI_ARGS"});
}

std::vector<RequestedIp> read_requested(const Reader& root, std::string_view args) {
  std::vector<RequestedIp> all;
  read_requested_arguments(args, all);
  if (const auto arguments = root.object("args")) {
    if (const auto cni = arguments->object("cni")) read_requested_list(*cni, all);
  }
  if (const auto runtime = root.object("runtimeConfig")) read_requested_list(*runtime, all);
  // The same address through two channels is one request.
  std::vector<RequestedIp> out;
  for (RequestedIp& requested : all) {
    const bool known = std::any_of(out.begin(), out.end(), [&](const RequestedIp& earlier) {
      return earlier.ip == requested.ip;
    });
    if (!known) out.push_back(std::move(requested));
  }
  return out;
}

}  // namespace

Config parse(const skel::Request& request) {
  const Reader root = request.config.root();
  const Reader ipam = ipam_section(root);
  Config config;
  config.location = {read_data_dir(ipam), request.config.name};
  config.requested = read_requested(root, request.args);
  config.range_sets = read_range_sets(root, ipam, request.config.cni_version);
  config.exclusions = read_exclusions(ipam, config.range_sets);
  for (const Reader& route : ipam.array("routes")) config.routes.push_back(read_route(route));
  ipam.optional("resolvConf", config.resolv_conf);
  return config;
}

Location parse_location(const skel::Request& request) {
  Location location;
  location.network = request.config.name;
  std::optional<Reader> ipam;
  try {
    ipam = request.config.root().object("ipam");
    std::string path;
    if (ipam) ipam->optional("dataDir", path);
    if (!path.empty()) location.data_dir = path;
  } catch (const Error&) {
    return location;  // no ADD can have succeeded with it, but one may have before the
                      // configuration was changed
  }
  if (ipam) check_data_dir(*ipam, location.data_dir);
  return location;
}

}  // namespace cni::host_local
