#include "plugins/main/vlan/config.hpp"

#include "pkg/attachment/keys.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::vlan {
namespace {

constexpr int kMaxVlanId = 4094;  // IEEE 802.1Q: 4095 is reserved

// The message of parse is the one that users know.
void read_master(const Reader& in, std::string_view name, Config& config) {
  (void)in.optional(name, config.master);
}

constexpr auto kKeys = schema::keys<Config>(
    schema::by<Config, read_master>(
        {.name = "master",
         .about = "The link whose VLAN it is.",
         .type = schema::Type::kString,
         .details = {.required = true, .format = schema::Format::kLinkName}}),
    schema::key<&Config::vlan_id>("vlanId",
                                  "The VLAN; 0: frames that carry a priority and no VLAN.",
                                  {.fallback = "0", .minimum = 0, .maximum = kMaxVlanId}),
    attachment::mtu_key<&Config::mtu>("MTU, at most the master's; 0: the master's."),
    attachment::link_in_container_key<&Config::link_in_container>());
constexpr schema::Table<Config> kTable(kKeys);

}  // namespace

constinit const schema::Description kDescription{
    .about = "Gives a container one VLAN of a link of the host.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kRequired};

Config parse(const skel::Request& request) {
  const Reader in = request.config.root();
  Config config;
  context("failed to load netconf", [&] { schema::read(in, kTable, config); });
  if (config.master.empty()) {
    throw Error(Code::kInvalidNetworkConfig,
                "\"master\" field is required. It specifies the host interface name to create the "
                "VLAN for");
  }
  if (config.vlan_id < 0 || config.vlan_id > kMaxVlanId) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("invalid VLAN ID ", config.vlan_id, " (must be between 0 and 4095 inclusive) (",
                    in.path_of("vlanId"), ")"),
                "4095 is reserved too (IEEE 802.1Q)");
  }
  context("failed to load netconf", [&] {
    context(in.path_of("master"), [&] { netlink::check_link_name(config.master); });
    netlink::check_mtu(config.mtu, in.path_of("mtu"));
  });
  return config;
}

}  // namespace cni::vlan
