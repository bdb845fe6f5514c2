#include "plugins/ipam/dhcp/config.hpp"

#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <climits>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/client.hpp"
#include "plugins/ipam/dhcp/options.hpp"

namespace cni::dhcp {
namespace {

struct ConfigKeys {
  std::string socket_path;
  std::uint32_t priority = 0;
  bool ipv4 = true;
  bool ipv6 = false;
  std::vector<Provide> provide;
  std::vector<Ask> request;
};

constexpr auto kProvideKeys = schema::keys<Provide>(
    schema::key<&Provide::option>("option", "Name or number of the option.", {.required = true}),
    schema::key<&Provide::value>("value", "Its content, at most 255 octets."),
    schema::key<&Provide::from_arg>("fromArg", "Key of CNI_ARGS whose value is its content."));
constexpr schema::Table<Provide> kProvideTable(kProvideKeys);

constexpr auto kAskKeys = schema::keys<Ask>(
    schema::key<&Ask::option>("option", "Name or number of the option."),
    schema::key<&Ask::skip_default>("skipDefault", "Ask for nothing but what ipam.request lists."));
constexpr schema::Table<Ask> kAskTable(kAskKeys);

constexpr auto kIpamKeys = schema::keys<ConfigKeys>(
    schema::key<&ConfigKeys::socket_path>(
        "daemonSocketPath", "Where the daemon listens.",
        {.format = schema::Format::kPath, .fallback = R"("/run/cni/dhcp.sock")"}),
    schema::key<&ConfigKeys::priority>(
        "priority", "Metric of the lease's routes; 0 is the kernel's default.", {.fallback = "0"}),
    schema::key<&ConfigKeys::ipv4>("ipv4", "Lease an IPv4 address.", {.fallback = "true"}),
    schema::key<&ConfigKeys::ipv6>("ipv6", "Lease an IPv6 address (DHCPv6).",
                                   {.fallback = "false"}),
    schema::objects<&ConfigKeys::provide, kProvideTable>("provide",
                                                         "DHCPv4 options that are sent."),
    schema::objects<&ConfigKeys::request, kAskTable>(
        "request", "DHCPv4 options that are asked for, before those that results are made of."));
constexpr schema::Rule kIpamRules[] = {
    {.name = "lease-family", .sentence = "ipv4 or ipv6 is true"}};
constexpr schema::Table<ConfigKeys> kIpamTable(kIpamKeys, kIpamRules);

constexpr auto kKeys = schema::keys<ConfigKeys>(
    schema::nested("ipam", "Addresses that a DHCP server leases.", kIpamTable));
constexpr schema::Table<ConfigKeys> kTable(kKeys);

// Why a path cannot be the socket's; empty if it can.
std::string find_mistake(std::string_view path) {
  if (!path.starts_with('/')) return cat(quote(path), " is not an absolute path");
  if (path.find('\0') != std::string_view::npos) return "it contains a NUL";
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() <= kLongest) return {};
  return cat(quote(path), " has ", path.size(), " octets, and the path of a socket at most ",
             kLongest);
}

LeaseKey key_of(const skel::Request& request) {
  return {.container_id = request.container_id,
          .network = request.config.name,
          .ifname = request.ifname};
}

// The daemon's working directory is another.
std::string absolute_path(const std::string& path) {
  if (path.empty() || path.starts_with('/')) return path;
  std::array<char, PATH_MAX> folder{};
  if (::getcwd(folder.data(), folder.size()) == nullptr) {
    throw system_error(cat("find the working directory for CNI_NETNS ", quote(path)), errno,
                       Code::kInvalidNetns);
  }
  return cat(folder.data(), "/", path);
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Leases addresses from the DHCP servers of the interface's network.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kManager};

Config parse(const skel::Request& request) {
  const Reader root = request.config.root();
  const auto ipam = root.object("ipam");
  if (!ipam) throw Error(Code::kInvalidNetworkConfig, "IPAM config missing 'ipam' key");
  ConfigKeys keys;
  schema::read(root, kTable, keys);
  if (!keys.ipv4 && !keys.ipv6) {
    throw ipam->invalid("ipv4", "false, and ipam.ipv6 is not true: there is nothing to lease");
  }
  Config config;
  config.socket_path = keys.socket_path.empty() ? std::string(kDefaultSocket) : keys.socket_path;
  const std::string mistake = find_mistake(config.socket_path);
  if (!mistake.empty()) throw ipam->invalid("daemonSocketPath", mistake);
  config.lease = {.key = key_of(request),
                  .netns = absolute_path(request.netns),
                  .ipv4 = keys.ipv4,
                  .ipv6 = keys.ipv6,
                  .provide = provided_options(keys.provide, request.args),
                  .request = requested_options(keys.request),
                  .priority = keys.priority};
  return config;
}

Config parse_leniently(const skel::Request& request) {
  ConfigKeys keys;
  schema::read_readable(request.config.root(), kTable, keys);
  Config config;
  config.socket_path = find_mistake(keys.socket_path).empty() ? keys.socket_path : kDefaultSocket;
  config.lease.key = key_of(request);
  return config;
}

}  // namespace cni::dhcp
