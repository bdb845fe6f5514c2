#include "plugins/ipam/static/config.hpp"

#include <algorithm>

#include "pkg/types/error.hpp"
#include "pkg/types/version.hpp"

namespace cni::static_ipam {
namespace {

Address read_address(const Reader& in) {
  std::string text;
  in.optional("address", text);
  const auto address = Prefix::parse(text);
  if (!address) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("the 'address' field is expected to be in CIDR notation, got: '", text, "' (",
                    in.path_of("address"), ")"));
  }
  Address out{*address, std::nullopt};
  in.optional("gateway", out.gateway);
  if (out.gateway && out.gateway->family() != address->address.family()) {
    throw in.invalid("gateway", cat(out.gateway->to_string(), " is not of the address family of ",
                                    address->to_string()));
  }
  return out;
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
void replace_with_ips(const Reader& in, std::vector<Address>& out) {
  const std::vector<Reader> items = in.array("ips");
  if (items.empty()) return;
  out.clear();
  for (const Reader& item : items) {
    const std::string text = item.text();
    const auto address = Prefix::parse(text);
    if (!address) {
      throw Error(Code::kInvalidNetworkConfig,
                  cat("an entry in the 'ips' field is NOT in CIDR notation, got: '", text, "' (",
                      item.path(), ")"));
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

Config parse(const skel::Request& request) {
  const Reader root = request.config.root();
  const auto ipam = root.object("ipam");
  if (!ipam) throw Error(Code::kInvalidNetworkConfig, "IPAM config missing 'ipam' key");
  Config config;
  for (const Reader& in : ipam->array("addresses")) config.addresses.push_back(read_address(in));
  for (const Address& address : read_arguments(request.args)) config.addresses.push_back(address);
  if (const auto arguments = root.object("args")) {
    if (const auto cni = arguments->object("cni")) replace_with_ips(*cni, config.addresses);
  }
  if (const auto runtime = root.object("runtimeConfig"))
    replace_with_ips(*runtime, config.addresses);
  check_one_per_family(config.addresses, request.config.cni_version);
  for (const Reader& route : ipam->array("routes")) config.routes.push_back(read_route(route));
  if (const auto dns = ipam->object("dns")) config.dns = read_dns(*dns);
  return config;
}

}  // namespace cni::static_ipam
