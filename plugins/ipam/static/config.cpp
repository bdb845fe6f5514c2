#include "plugins/ipam/static/config.hpp"

#include <algorithm>

#include "pkg/types/error.hpp"
#include "pkg/types/shared_keys.hpp"
#include "pkg/types/version.hpp"

namespace cni::static_ipam {
namespace {

// The keys as they are written, before their texts are understood.
struct AddressKeys {
  std::string address;
  std::optional<Ip> gateway;
};

struct ConfigKeys {
  std::vector<Reader> addresses;
  std::vector<Route> routes;
  Dns dns;
  std::vector<std::string> argument_ips;
  std::vector<std::string> runtime_ips;
};

constexpr auto kAddressKeys = schema::keys<AddressKeys>(
    schema::key<&AddressKeys::address>("address", "The address, with prefix length.",
                                       {.format = schema::Format::kPrefix}),
    schema::key<&AddressKeys::gateway>("gateway", "The gateway, of the same family."));
constexpr schema::Rule kAddressRules[] = {
    {.name = "gateway-family", .sentence = "gateway is of the family of address"}};
constexpr schema::Table<AddressKeys> kAddressTable(kAddressKeys, kAddressRules);

constexpr auto kIpamKeys = schema::keys<ConfigKeys>(
    schema::elements<&ConfigKeys::addresses>("addresses", "The addresses of the interface.",
                                             kAddressTable),
    schema::objects<&ConfigKeys::routes, kRouteTable>("routes",
                                                      "Routes, given back in the result."),
    schema::object<&ConfigKeys::dns, kDnsTable>("dns", "DNS settings of the result."));
constexpr schema::Table<ConfigKeys> kIpamTable(kIpamKeys);

constexpr auto kCniKeys = schema::keys<ConfigKeys>(schema::key<&ConfigKeys::argument_ips>(
    "ips", "Addresses with prefix length that take the place of those of ipam.addresses.",
    {.format = schema::Format::kPrefix}));
constexpr auto kCniTable = schema::open(schema::Table<ConfigKeys>(kCniKeys));
constexpr auto kArgsKeys = schema::keys<ConfigKeys>(
    schema::nested("cni", "Arguments that are meant for CNI plugins.", kCniTable));
constexpr auto kArgsTable = schema::open(schema::Table<ConfigKeys>(kArgsKeys));
constexpr auto kRuntimeKeys = schema::keys<ConfigKeys>(schema::key<&ConfigKeys::runtime_ips>(
    "ips", "Addresses with prefix length that take the place of all others.",
    {.format = schema::Format::kPrefix}));
constexpr auto kRuntimeTable = schema::open(schema::Table<ConfigKeys>(kRuntimeKeys));

constexpr auto kKeys = schema::keys<ConfigKeys>(
    schema::nested("ipam", "Addresses that the configuration names.", kIpamTable),
    schema::nested("args", "Arguments of the runtime or its user.", kArgsTable),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability ips.", kRuntimeTable));
constexpr schema::Table<ConfigKeys> kTable(kKeys);

Address read_address(const Reader& in) {
  AddressKeys keys;
  schema::read(in, kAddressTable, keys);
  const auto address = Prefix::parse(keys.address);
  if (!address) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("the 'address' field is expected to be in CIDR notation, got: '", keys.address,
                    "' (", in.path_of("address"), ")"));
  }
  if (keys.gateway && keys.gateway->family() != address->address.family()) {
    throw in.invalid("gateway", cat(keys.gateway->to_string(), " is not of the address family of ",
                                    address->to_string()));
  }
  return {*address, keys.gateway};
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    out.push_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

// IP=cidr[,cidr] and GATEWAY=ip[,ip]: a gateway is that of every given address whose subnet it lies
// in.
std::vector<Address> read_arguments(std::string_view args) {
  std::string ips;
  std::string gateways;
  skel::parse_args(args, {{"IP", &ips}, {"GATEWAY", &gateways}});
  std::vector<Address> out;
  for (const std::string_view text : split_list(ips)) {
    const auto address = Prefix::parse(text);
    if (!address) {
      throw Error(Code::kInvalidEnvironment,
                  cat("the 'ip' field is expected to be in CIDR notation, got: '", text,
                      "' (CNI_ARGS IP)"));
    }
    out.push_back({*address, std::nullopt});
  }
  for (const std::string_view text : split_list(gateways)) {
    const auto gateway = Ip::parse(text);
    if (!gateway) {
      throw Error(Code::kInvalidEnvironment,
                  cat("invalid gateway address: ", text, " (CNI_ARGS GATEWAY)"));
    }
    for (Address& address : out) {
      if (address.address.contains(*gateway)) address.gateway = *gateway;
    }
  }
  return out;
}

// The ips of args.cni or runtimeConfig take the place of all addresses before.
void replace_with_ips(const std::vector<std::string>& ips, std::string_view path,
                      std::vector<Address>& out) {
  if (ips.empty()) return;
  out.clear();
  for (std::size_t i = 0; i < ips.size(); ++i) {
    const auto address = Prefix::parse(ips[i]);
    if (!address) {
      throw Error(Code::kInvalidNetworkConfig,
                  cat("an entry in the 'ips' field is NOT in CIDR notation, got: '", ips[i], "' (",
                      path, "[", i, "])"));
    }
    out.push_back({*address, std::nullopt});
  }
}

void check_one_per_family(const std::vector<Address>& addresses, std::string_view version) {
  if (*Version::parse(version) >= kFirstWithResultList) return;
  const auto of_ipv4 = std::count_if(addresses.begin(), addresses.end(), [](const Address& entry) {
    return entry.address.address.is_ipv4();
  });
  if (of_ipv4 <= 1 && std::ssize(addresses) - of_ipv4 <= 1) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("CNI version ", version, " does not support more than 1 address per family"),
              "use cniVersion 0.3.0 or later");
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Gives an interface the addresses that the configuration names.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kManager};

Config parse(const skel::Request& request) {
  const Reader root = request.config.root();
  if (!root.object("ipam")) {
    throw Error(Code::kInvalidNetworkConfig, "IPAM config missing 'ipam' key");
  }
  ConfigKeys keys;
  schema::read(root, kTable, keys);
  Config config;
  for (const Reader& in : keys.addresses) config.addresses.push_back(read_address(in));
  for (const Address& address : read_arguments(request.args)) config.addresses.push_back(address);
  replace_with_ips(keys.argument_ips, "args.cni.ips", config.addresses);
  replace_with_ips(keys.runtime_ips, "runtimeConfig.ips", config.addresses);
  check_one_per_family(config.addresses, request.config.cni_version);
  config.routes = std::move(keys.routes);
  config.dns = std::move(keys.dns);
  return config;
}

}  // namespace cni::static_ipam
