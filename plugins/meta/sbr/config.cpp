#include "plugins/meta/sbr/config.hpp"

#include <string>
#include <vector>

#include "pkg/types/error.hpp"

namespace cni::sbr {
namespace {

// The keys as they are written, before they are understood.
struct ConfigKeys {
  std::optional<std::uint32_t> table;
  std::vector<std::string> gateways;
  bool add_source_hints = false;
};

constexpr auto kKeys = schema::keys<ConfigKeys>(
    schema::key<&ConfigKeys::table>(
        "table",
        "The table that the rules lead to, which somebody else fills; by default each address gets "
        "one of its own, filled with the interface's routes.",
        {.minimum = 1}),
    schema::key<&ConfigKeys::gateways>(
        "gateways",
        "Where the default routes lead instead of what the addresses say: one of each family.",
        {.format = schema::Format::kIp}),
    schema::key<&ConfigKeys::add_source_hints>(
        "addSourceHints",
        "Leave the interface's subnets in the main table, each with the address to send from."));
constexpr schema::Table<ConfigKeys> kTable(kKeys);

Error invalid(std::string message) { return {Code::kInvalidNetworkConfig, std::move(message)}; }

std::optional<netlink::TableId> table_of(const ConfigKeys& keys) {
  if (!keys.table) return std::nullopt;
  return netlink::TableId{*keys.table};
}

void take_gateway(const std::string& text, Config& out) {
  const auto gateway = Ip::parse(text);
  if (!gateway) {
    throw invalid(cat("invalid static gateway IP address: ", text, " (in gateways)"));
  }
  std::optional<Ip>& place = gateway->is_ipv4() ? out.gateway_ipv4 : out.gateway_ipv6;
  if (place) {
    throw invalid(cat("gateways list contains multiple ", gateway->is_ipv4() ? "IPv4" : "IPv6",
                      " addresses: ", place->to_string(), " and ", gateway->to_string()));
  }
  place = gateway;
}

Config validated(const ConfigKeys& keys) {
  constexpr std::size_t kMaxGateways = 2;
  Config out;
  if (keys.table == 0U) {
    throw invalid(
        "table: 0 is no table of its own, the kernel would choose one; leave the key out "
        "to have one chosen");
  }
  out.table = table_of(keys);
  if (keys.gateways.size() > kMaxGateways) {
    throw invalid("gateways list cannot contain more than 2 entries (one IPv4, one IPv6)");
  }
  for (const std::string& gateway : keys.gateways) take_gateway(gateway, out);
  out.add_source_hints = keys.add_source_hints;
  return out;
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Routes by source address: packets leave by the interface whose address they carry.",
    .keys = &kTable};

Config parse(const skel::Request& request) {
  return context("failed to parse network configuration", [&] {
    ConfigKeys keys;
    schema::read(request.config.root(), kTable, keys);
    return validated(keys);
  });
}

std::optional<netlink::TableId> readable_table(const skel::Request& request) {
  ConfigKeys keys;
  schema::read_readable(request.config.root(), kTable, keys);
  if (keys.table == 0U) return std::nullopt;
  return table_of(keys);
}

}  // namespace cni::sbr
