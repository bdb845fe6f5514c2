#include "plugins/ipam/host-local/config.hpp"

#include <algorithm>
#include <optional>

#include "pkg/types/error.hpp"
#include "pkg/types/shared_keys.hpp"
#include "pkg/types/version.hpp"

namespace cni::host_local {
namespace {

// The keys as they are written, before their texts are understood.
struct ConfigKeys {
  std::string data_dir;
  std::string subnet;
  std::string range_start;  // this and the next two: read again, as the keys of a range
  std::string range_end;
  std::string gateway;
  std::vector<std::vector<Reader>> ranges;
  std::vector<Reader> exclude;
  std::vector<Route> routes;
  std::string resolv_conf;
  std::vector<Reader> argument_ips;
  std::vector<Reader> runtime_ips;
  std::vector<std::vector<Reader>> runtime_ranges;
};

constexpr auto kIpamKeys = schema::keys<ConfigKeys>(
    schema::key<&ConfigKeys::data_dir>(
        "dataDir", "Where the reservations are: an absolute path without \"..\".",
        {.format = schema::Format::kPath, .fallback = R"("/var/lib/cni/networks")"}),
    schema::elements<&ConfigKeys::ranges>(
        "ranges", "Range sets: an interface gets an address of one range of each set.",
        kRangeTable),
    schema::key<&ConfigKeys::subnet>(
        "subnet", "Short for one more range set, before those of ranges, with one range.",
        {.format = schema::Format::kPrefix}),
    schema::key<&ConfigKeys::range_start>("rangeStart", "As in a range, for subnet beside it.",
                                          {.format = schema::Format::kIp}),
    schema::key<&ConfigKeys::range_end>("rangeEnd", "As in a range, for subnet beside it.",
                                        {.format = schema::Format::kIp}),
    schema::key<&ConfigKeys::gateway>("gateway", "As in a range, for subnet beside it.",
                                      {.format = schema::Format::kIp}),
    schema::elements<&ConfigKeys::exclude>(
        "exclude", "Addresses, with or without prefix length, that are never handed out.",
        schema::Type::kString, {.format = schema::Format::kIpOrPrefix}),
    schema::objects<&ConfigKeys::routes, kRouteTable>("routes",
                                                      "Routes, given back in the result."),
    schema::key<&ConfigKeys::resolv_conf>(
        "resolvConf", "A file such as /etc/resolv.conf whose settings are the result's dns."));
constexpr schema::Rule kIpamRules[] = {
    {.name = "address-range", .sentence = "rangeStart and rangeEnd lie in subnet and in order"},
    {.name = "range-sets",
     .sentence = "range sets are of one family each, no two overlap, and exclude is of a family"}};
constexpr schema::Table<ConfigKeys> kIpamTable(kIpamKeys, kIpamRules);

constexpr auto kCniKeys = schema::keys<ConfigKeys>(schema::elements<&ConfigKeys::argument_ips>(
    "ips", "Addresses that the container asks for.", schema::Type::kString,
    {.format = schema::Format::kIpOrPrefix}));
constexpr auto kCniTable = schema::open(schema::Table<ConfigKeys>(kCniKeys));
constexpr auto kArgsKeys = schema::keys<ConfigKeys>(
    schema::nested("cni", "Arguments that are meant for CNI plugins.", kCniTable));
constexpr auto kArgsTable = schema::open(schema::Table<ConfigKeys>(kArgsKeys));
constexpr auto kRuntimeKeys = schema::keys<ConfigKeys>(
    schema::elements<&ConfigKeys::runtime_ips>("ips", "Addresses that the container asks for.",
                                               schema::Type::kString,
                                               {.format = schema::Format::kIpOrPrefix}),
    schema::elements<&ConfigKeys::runtime_ranges>(
        "ipRanges", "Range sets, before those of ipam; as ipam.ranges.", kRangeTable));
constexpr auto kRuntimeTable = schema::open(schema::Table<ConfigKeys>(kRuntimeKeys));

constexpr auto kKeys = schema::keys<ConfigKeys>(
    schema::nested("ipam", "Addresses of ranges.", kIpamTable),
    schema::nested("args", "Arguments of the runtime or its user.", kArgsTable),
    schema::nested("runtimeConfig", "Set by the runtime, for the capabilities ips and ipRanges.",
                   kRuntimeTable));
constexpr schema::Rule kRules[] = {
    {.name = "ranges-given",
     .sentence = "ipam has ranges or subnet, or the capability ipRanges is declared"}};
constexpr schema::Table<ConfigKeys> kTable(kKeys, kRules);

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

// Every range set of the configuration in the order of allocation: those of the runtime, the inline
// range, the list.
std::vector<std::vector<Reader>> range_set_readers(const Reader& ipam, const ConfigKeys& keys) {
  std::vector<std::vector<Reader>> out = keys.runtime_ranges;
  if (!keys.subnet.empty()) out.push_back({ipam});
  out.insert(out.end(), keys.ranges.begin(), keys.ranges.end());
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

std::vector<RangeSet> read_range_sets(const Reader& ipam, const ConfigKeys& keys,
                                      std::string_view version) {
  std::vector<RangeSet> sets;
  for (const std::vector<Reader>& readers : range_set_readers(ipam, keys)) {
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

std::vector<Exclusion> read_exclusions(const std::vector<Reader>& exclude,
                                       const std::vector<RangeSet>& sets) {
  std::vector<Exclusion> out;
  for (const Reader& in : exclude) {
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

void read_requested_list(const std::vector<Reader>& items, std::vector<RequestedIp>& out) {
  for (const Reader& item : items) {
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

std::vector<RequestedIp> read_requested(const ConfigKeys& keys, std::string_view args) {
  std::vector<RequestedIp> all;
  read_requested_arguments(args, all);
  read_requested_list(keys.argument_ips, all);
  read_requested_list(keys.runtime_ips, all);
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

constinit const schema::Description kDescription{
    .about = "Hands out addresses of ranges and remembers them in files of the host.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kManager};

Config parse(const skel::Request& request) {
  const Reader root = request.config.root();
  const Reader ipam = ipam_section(root);
  ConfigKeys keys;
  schema::read(root, kTable, keys);
  if (keys.data_dir.empty()) keys.data_dir = kDefaultDataDir;
  check_data_dir(ipam, keys.data_dir);
  Config config;
  config.location = {std::move(keys.data_dir), request.config.name};
  config.requested = read_requested(keys, request.args);
  config.range_sets = read_range_sets(ipam, keys, request.config.cni_version);
  config.exclusions = read_exclusions(keys.exclude, config.range_sets);
  config.routes = std::move(keys.routes);
  config.resolv_conf = std::move(keys.resolv_conf);
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
