#include "plugins/ipam/dhcp/lease.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/names.hpp"
#include "plugins/ipam/dhcp/octets.hpp"

namespace cni::dhcp {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestDuid = 130;  // RFC 8415 11.1: two octets of type and 128 more
constexpr std::size_t kLongestName = 255;
// So that adding to what is read cannot overflow; three hundred million years.
constexpr std::uint64_t kLatest = std::uint64_t{1} << 53U;

void put(json& out, std::string_view key, Time time) {
  if (time != kNever) out[std::string(key)] = time.count();
}

json to_json(const Timing& timing) {
  json out = json::object();
  put(out, "renewAt", timing.renew_at);
  put(out, "rebindAt", timing.rebind_at);
  put(out, "expiresAt", timing.expires_at);
  return out;
}

json to_json(const std::vector<Ip>& addresses) {
  json out = json::array();
  for (const Ip& address : addresses) out.push_back(address.to_string());
  return out;
}

json to_json(const std::vector<std::string>& names) {
  json out = json::array();
  for (const std::string& name : names) {
    if (is_domain_name(name)) out.push_back(name);
  }
  return out;
}

json to_json(const Lease4& lease) {
  json routes = json::array();
  for (const LeasedRoute& route : lease.routes) {
    json entry = {{"destination", route.destination.to_string()}};
    if (route.router) entry["router"] = route.router->to_string();
    routes.push_back(std::move(entry));
  }
  return {{"address", lease.address.to_string()},
          {"server", lease.server.to_string()},
          {"routers", to_json(lease.routers)},
          {"routes", std::move(routes)},
          {"classlessRoutes", lease.has_classless_routes},
          {"nameservers", to_json(lease.nameservers)},
          {"domain", is_domain_name(lease.domain) ? lease.domain : ""},
          {"search", to_json(lease.search)},
          {"mtu", lease.mtu},
          {"timing", to_json(lease.timing)}};
}

json to_json(const Lease6& lease) {
  json out = {{"address", lease.address.to_string()},
              {"iaid", lease.iaid},
              {"clientId", to_hex(lease.client_id)},
              {"serverId", to_hex(lease.server_id)},
              {"nameservers", to_json(lease.nameservers)},
              {"search", to_json(lease.search)},
              {"timing", to_json(lease.timing)}};
  put(out, "preferredUntil", lease.preferred_until);
  return out;
}

Error wrong(const Reader& in, std::string_view key, std::string_view sentence) {
  Error error = in.invalid(key, sentence);
  error.code = Code::kDecodingFailure;
  return error;
}

Time read_time(const Reader& in, std::string_view key) {
  std::uint64_t milliseconds = 0;
  if (!in.optional(key, milliseconds)) return kNever;
  if (milliseconds > kLatest) throw wrong(in, key, cat(milliseconds, " is too late a time"));
  return Time(static_cast<Time::rep>(milliseconds));
}

Timing read_timing(const Reader& in) {
  const auto timing = in.object("timing");
  if (!timing) throw in.missing("timing");
  return {.renew_at = read_time(*timing, "renewAt"),
          .rebind_at = read_time(*timing, "rebindAt"),
          .expires_at = read_time(*timing, "expiresAt")};
}

void check_family(const Reader& in, std::string_view key, const Ip& address, Family family) {
  if (address.family() == family) return;
  throw wrong(in, key, cat(address.to_string(), " is not of the lease's address family"));
}

Ip read_address(const Reader& in, std::string_view key, Family family) {
  std::string text;
  in.required(key, text);
  const auto address = Ip::parse(text);
  if (!address) throw wrong(in, key, cat("expected an IP address, got ", quote(text)));
  check_family(in, key, *address, family);
  return *address;
}

Prefix read_prefix(const Reader& in, std::string_view key, Family family) {
  std::string text;
  in.required(key, text);
  const auto prefix = Prefix::parse(text);
  if (!prefix) throw wrong(in, key, cat("expected an address with length, got ", quote(text)));
  check_family(in, key, prefix->address, family);
  return *prefix;
}

std::vector<Ip> read_addresses(const Reader& in, std::string_view key, Family family) {
  std::vector<Ip> out;
  std::vector<std::string> texts;
  in.optional(key, texts);
  for (const std::string& text : texts) {
    const auto address = Ip::parse(text);
    if (!address) throw wrong(in, key, cat("expected IP addresses, got ", quote(text)));
    check_family(in, key, *address, family);
    out.push_back(*address);
  }
  return out;
}

std::vector<std::string> read_names(const Reader& in, std::string_view key) {
  std::vector<std::string> out;
  in.optional(key, out);
  for (const std::string& name : out) {
    if (!is_domain_name(name)) throw wrong(in, key, cat(quote(name), " is no domain name"));
  }
  return out;
}

std::vector<LeasedRoute> read_routes(const Reader& in) {
  std::vector<LeasedRoute> out;
  for (const Reader& element : in.array("routes")) {
    LeasedRoute route{.destination = read_prefix(element, "destination", Family::kIpv4)};
    if (element.has("router")) route.router = read_address(element, "router", Family::kIpv4);
    out.push_back(route);
  }
  return out;
}

std::uint16_t read_mtu(const Reader& in) {
  std::uint32_t mtu = 0;
  in.optional("mtu", mtu);
  if (mtu > std::numeric_limits<std::uint16_t>::max()) {
    throw wrong(in, "mtu", cat(mtu, " is more than the 65535 that the option can say"));
  }
  return static_cast<std::uint16_t>(mtu);
}

Lease4 read_lease4(const Reader& in) {
  Lease4 lease;
  lease.address = read_prefix(in, "address", Family::kIpv4);
  lease.server = read_address(in, "server", Family::kIpv4);
  lease.routers = read_addresses(in, "routers", Family::kIpv4);
  lease.routes = read_routes(in);
  in.optional("classlessRoutes", lease.has_classless_routes);
  lease.nameservers = read_addresses(in, "nameservers", Family::kIpv4);
  in.optional("domain", lease.domain);
  if (!lease.domain.empty() && !is_domain_name(lease.domain)) {
    throw wrong(in, "domain", cat(quote(lease.domain), " is no domain name"));
  }
  lease.search = read_names(in, "search");
  lease.mtu = read_mtu(in);
  lease.timing = read_timing(in);
  return lease;
}

Lease6 read_lease6(const Reader& in) {
  Lease6 lease;
  lease.address = read_address(in, "address", Family::kIpv6);
  in.required("iaid", lease.iaid);
  lease.client_id = read_hex(in, "clientId", kLongestDuid);
  lease.server_id = read_hex(in, "serverId", kLongestDuid);
  lease.nameservers = read_addresses(in, "nameservers", Family::kIpv6);
  lease.search = read_names(in, "search");
  lease.preferred_until = read_time(in, "preferredUntil");
  lease.timing = read_timing(in);
  return lease;
}

Route route_of(const LeasedRoute& leased) {
  Route route;
  route.destination = leased.destination.network();
  // The reference says so of a destination that is on the link, and the kernel takes it for none.
  route.gateway = leased.router.value_or(Ip());
  if (route.gateway->is_unspecified()) route.scope = 253;  // link
  return route;
}

std::vector<Route> routes_of(const Lease4& lease) {
  std::vector<Route> out;
  for (const LeasedRoute& route : lease.routes) out.push_back(route_of(route));
  if (!lease.has_classless_routes && !lease.routers.empty()) {
    Route route;
    route.gateway = lease.routers.front();
    out.push_back(route);
  }
  return out;
}

void add_nameservers(const std::vector<Ip>& addresses, Dns& dns) {
  for (const Ip& address : addresses) dns.nameservers.push_back(address.to_string());
}

void add_search(const std::vector<std::string>& names, Dns& dns) {
  for (const std::string& name : names) {
    const bool known = std::find(dns.search.begin(), dns.search.end(), name) != dns.search.end();
    if (!known && is_domain_name(name)) dns.search.push_back(name);
  }
}

void add_lease(const Lease4& lease, std::uint32_t priority, Result& result) {
  IpConfig ip{.interface = std::nullopt, .address = lease.address, .gateway = std::nullopt};
  if (!lease.routers.empty()) ip.gateway = lease.routers.front();
  result.ips.push_back(ip);
  for (Route& route : routes_of(lease)) {
    route.priority = priority;
    route.mtu = lease.mtu;
    result.routes.push_back(std::move(route));
  }
  add_nameservers(lease.nameservers, result.dns);
  if (is_domain_name(lease.domain)) result.dns.domain = lease.domain;
  add_search(lease.search, result.dns);
}

void add_lease(const Lease6& lease, Result& result) {
  result.ips.push_back(
      {.interface = std::nullopt, .address = Prefix::host(lease.address), .gateway = std::nullopt});
  add_nameservers(lease.nameservers, result.dns);
  add_search(lease.search, result.dns);
}

}  // namespace

bool is_domain_name(std::string_view text) {
  if (text.empty() || text.size() > kLongestName) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c == '.' || is_label_octet(static_cast<std::uint8_t>(c));
  });
}

json to_json(const Lease& lease) {
  json out = json::object();
  if (lease.ipv4) out["ipv4"] = to_json(*lease.ipv4);
  if (lease.ipv6) out["ipv6"] = to_json(*lease.ipv6);
  return out;
}

Lease read_lease(const Reader& in) {
  try {
    Lease lease;
    if (const auto ipv4 = in.object("ipv4")) lease.ipv4 = read_lease4(*ipv4);
    if (const auto ipv6 = in.object("ipv6")) lease.ipv6 = read_lease6(*ipv6);
    return lease;
  } catch (Error& error) {
    error.code = Code::kDecodingFailure;  // it is no configuration in which a key is missing
    throw;
  }
}

Result to_result(const Lease& lease, std::uint32_t priority) {
  Result result;
  if (lease.ipv4) add_lease(*lease.ipv4, priority, result);
  if (lease.ipv6) add_lease(*lease.ipv6, result);
  return result;
}

}  // namespace cni::dhcp
