#include "pkg/types/result.hpp"

#include <nlohmann/json.hpp>

#include "pkg/types/error.hpp"
#include "pkg/types/shared_keys.hpp"
#include "pkg/types/version.hpp"

namespace cni {
namespace {

using Json = nlohmann::json;             // keys sorted, as results of 1.x print them
using Ordered = nlohmann::ordered_json;  // keys in declared order, as older results print them

// The three shapes that results have had.
enum class Shape { kIp4Ip6, kVersionedIps, kCurrent };

std::optional<Shape> shape_of(std::string_view version) {
  version = version_or_default(version);
  if (version == "0.1.0" || version == "0.2.0") return Shape::kIp4Ip6;
  if (version == "0.3.0" || version == "0.3.1" || version == "0.4.0") return Shape::kVersionedIps;
  if (version == "1.0.0" || version == "1.1.0") return Shape::kCurrent;
  return std::nullopt;
}

Error unsupported_version(std::string_view version) {
  return Error(Code::kIncompatibleVersion, cat("unsupported CNI result version ", quote(version)));
}

std::string supported_by(Shape shape) {
  switch (shape) {
    case Shape::kIp4Ip6:
      return "[0.1.0 0.2.0]";
    case Shape::kVersionedIps:
      return "[0.3.0 0.3.1 0.4.0]";
    case Shape::kCurrent:
      break;
  }
  return "[1.0.0 1.1.0]";
}

std::optional<Ip> read_gateway(const Reader& in, std::string_view key) {
  std::optional<Ip> gateway;
  in.optional(key, gateway);
  return gateway;
}

std::vector<Route> read_routes(const Reader& in) {
  std::vector<Route> out;
  for (const Reader& route : in.array("routes")) out.push_back(read_route(route));
  return out;
}

// One of the ip4 and ip6 objects of 0.1.0 and 0.2.0.
void read_ip_object(const Reader& in, Result& result) {
  IpConfig ip;
  in.required("ip", ip.address);
  ip.gateway = read_gateway(in, "gateway");
  result.ips.push_back(ip);
  for (const Route& route : read_routes(in)) result.routes.push_back(route);
}

Interface read_interface(const Reader& in) {
  Interface out;
  in.optional("name", out.name);
  in.optional("mac", out.mac);
  in.optional("mtu", out.mtu);
  in.optional("sandbox", out.sandbox);
  in.optional("socketPath", out.socket_path);
  in.optional("pciID", out.pci_id);
  return out;
}

IpConfig read_ip(const Reader& in) {
  IpConfig out;
  in.optional("interface", out.interface);
  in.required("address", out.address);
  out.gateway = read_gateway(in, "gateway");
  return out;
}

Result read_shape(const Reader& in, Shape shape) {
  Result out;
  if (shape == Shape::kIp4Ip6) {
    if (const auto ip4 = in.object("ip4")) read_ip_object(*ip4, out);
    if (const auto ip6 = in.object("ip6")) read_ip_object(*ip6, out);
  } else {
    for (const Reader& interface : in.array("interfaces")) {
      out.interfaces.push_back(read_interface(interface));
    }
    for (const Reader& ip : in.array("ips")) out.ips.push_back(read_ip(ip));
    out.routes = read_routes(in);
  }
  if (const auto dns = in.object("dns")) out.dns = read_dns(*dns);
  return out;
}

template <class J>
J dns_json(const Dns& dns) {
  J out = J::object();
  if (!dns.nameservers.empty()) out["nameservers"] = dns.nameservers;
  if (!dns.domain.empty()) out["domain"] = dns.domain;
  if (!dns.search.empty()) out["search"] = dns.search;
  if (!dns.options.empty()) out["options"] = dns.options;
  return out;
}

template <class J>
J route_json(const Route& route) {
  J out = J::object();
  out["dst"] = route.destination.to_string();
  if (route.gateway) out["gw"] = route.gateway->to_string();
  if (route.mtu != 0) out["mtu"] = route.mtu;
  if (route.advmss != 0) out["advmss"] = route.advmss;
  if (route.priority != 0) out["priority"] = route.priority;
  if (route.table) out["table"] = *route.table;
  if (route.scope) out["scope"] = *route.scope;
  return out;
}

template <class J>
J routes_json(const std::vector<Route>& routes) {
  J out = J::array();
  for (const Route& route : routes) out.push_back(route_json<J>(route));
  return out;
}

Json current_json(const Result& result, std::string_view version) {
  Json out = Json::object();
  out["cniVersion"] = version;
  for (const Interface& interface : result.interfaces) {
    Json item = {{"name", interface.name}};
    if (!interface.mac.empty()) item["mac"] = interface.mac;
    if (interface.mtu != 0) item["mtu"] = interface.mtu;
    if (!interface.sandbox.empty()) item["sandbox"] = interface.sandbox;
    if (!interface.socket_path.empty()) item["socketPath"] = interface.socket_path;
    if (!interface.pci_id.empty()) item["pciID"] = interface.pci_id;
    out["interfaces"].push_back(std::move(item));
  }
  for (const IpConfig& ip : result.ips) {
    Json item = Json::object();
    if (ip.interface) item["interface"] = *ip.interface;
    item["address"] = ip.address.to_string();
    if (ip.gateway) item["gateway"] = ip.gateway->to_string();
    out["ips"].push_back(std::move(item));
  }
  if (!result.routes.empty()) out["routes"] = routes_json<Json>(result.routes);
  if (!result.dns.empty()) out["dns"] = dns_json<Json>(result.dns);
  return out;
}

Ordered versioned_ips_json(const Result& result, std::string_view version) {
  Ordered out = Ordered::object();
  out["cniVersion"] = version;
  for (const Interface& interface : result.interfaces) {
    Ordered item = Ordered::object();
    item["name"] = interface.name;
    if (!interface.mac.empty()) item["mac"] = interface.mac;
    if (!interface.sandbox.empty()) item["sandbox"] = interface.sandbox;
    out["interfaces"].push_back(std::move(item));
  }
  for (const IpConfig& ip : result.ips) {
    Ordered item = Ordered::object();
    item["version"] = ip.address.address.is_ipv4() ? "4" : "6";
    if (ip.interface) item["interface"] = *ip.interface;
    item["address"] = ip.address.to_string();
    if (ip.gateway) item["gateway"] = ip.gateway->to_string();
    out["ips"].push_back(std::move(item));
  }
  if (!result.routes.empty()) out["routes"] = routes_json<Ordered>(result.routes);
  out["dns"] = dns_json<Ordered>(result.dns);
  return out;
}

// The ip4 or ip6 object: the family's first address with the routes of the family. Null if there is
// no such address.
Ordered ip_object_json(const Result& result, Family family) {
  for (const IpConfig& ip : result.ips) {
    if (ip.address.address.family() != family) continue;
    Ordered out = Ordered::object();
    out["ip"] = ip.address.to_string();
    if (ip.gateway) out["gateway"] = ip.gateway->to_string();
    for (const Route& route : result.routes) {
      if (route.destination.address.family() != family) continue;
      Ordered item = Ordered::object();
      item["dst"] = route.destination.to_string();
      if (route.gateway) item["gw"] = route.gateway->to_string();
      out["routes"].push_back(std::move(item));
    }
    return out;
  }
  return nullptr;
}

Ordered ip4_ip6_json(const Result& result, std::string_view version) {
  Ordered out = Ordered::object();
  out["cniVersion"] = version;
  Ordered ip4 = ip_object_json(result, Family::kIpv4);
  Ordered ip6 = ip_object_json(result, Family::kIpv6);
  if (ip4.is_null() && ip6.is_null()) {
    throw Error(Code::kUnsupportedField, "cannot convert: no valid IP addresses",
                cat("cniVersion ", version,
                    " cannot express a result without addresses; use 0.3.0 or "
                    "later"));
  }
  if (!ip4.is_null()) out["ip4"] = std::move(ip4);
  if (!ip6.is_null()) out["ip6"] = std::move(ip6);
  out["dns"] = dns_json<Ordered>(result.dns);
  return out;
}

template <class J>
std::string print(const J& json) {
  return json.dump(4, ' ', false, J::error_handler_t::replace);
}

}  // namespace

Route read_route(const Reader& in) {
  Route out;
  schema::read(in, kRouteTable, out);
  return out;
}

Dns read_dns(const Reader& in) {
  Dns out;
  schema::read(in, kDnsTable, out);
  return out;
}

Result read_result(const Reader& in, std::string_view default_version) {
  std::string version;
  if (!in.optional("cniVersion", version) || version.empty()) version = default_version;
  const auto shape = shape_of(version);
  if (!shape) throw unsupported_version(version);
  return read_shape(in, *shape);
}

Result read_prev_result(const Reader& in, std::string_view config_version) {
  return context("could not parse prevResult", [&] {
    const auto config_shape = shape_of(config_version);
    if (!config_shape) throw unsupported_version(config_version);
    std::string version;
    if (!in.optional("cniVersion", version) || version.empty()) version = config_version;
    if (shape_of(version) != config_shape) {
      throw Error(Code::kDecodingFailure, cat("result type supports ", supported_by(*config_shape),
                                              " but unmarshalled CNIVersion is ", quote(version)));
    }
    return read_shape(in, *config_shape);
  });
}

std::string result_to_json(const Result& result, std::string_view version) {
  version = version_or_default(version);
  const auto shape = shape_of(version);
  if (!shape) throw unsupported_version(version);
  switch (*shape) {
    case Shape::kIp4Ip6:
      return print(ip4_ip6_json(result, version));
    case Shape::kVersionedIps:
      return print(versioned_ips_json(result, version));
    case Shape::kCurrent:
      break;
  }
  return print(current_json(result, version));
}

}  // namespace cni
