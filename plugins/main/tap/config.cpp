#include "plugins/main/tap/config.hpp"

#include "pkg/attachment/keys.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::tap {
namespace {

constexpr auto kRuntimeKeys =
    schema::keys<Config>(attachment::runtime_mac_key<&Config::runtime_mac>());
constexpr auto kRuntimeTable = schema::open(schema::Table<Config>(kRuntimeKeys));

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::multi_queue>("multiQueue",
                                      "Several programs or threads may open the device at once."),
    attachment::mtu_key<&Config::mtu>("MTU of the interface; 0: the kernel's."),
    attachment::mac_key<&Config::mac>(),
    schema::key<&Config::owner>("owner",
                                "Id of the only user who may open the device, beside root."),
    schema::key<&Config::group>("group",
                                "Id of the group whose users may open the device, and no others."),
    schema::key<&Config::selinux_context>("selinuxContext",
                                          "The SELinux context that the device is made in."),
    schema::key<&Config::bridge>("bridge",
                                 "A bridge in the container that the interface becomes a port of.",
                                 {.format = schema::Format::kLinkName}),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability mac.", kRuntimeTable));
constexpr schema::Table<Config> kTable(kKeys);

}  // namespace

constinit const schema::Description kDescription{
    .about = "Gives the container a tap device for a program that handles Ethernet frames.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kOptional};

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    schema::read(in, kTable, config);
    config.mac = attachment::chosen_mac(request, config.mac, config.runtime_mac);
    netlink::check_mtu(config.mtu, in.path_of("mtu"));
    if (!config.bridge.empty()) {
      context(in.path_of("bridge"), [&] { netlink::check_link_name(config.bridge); });
    }
    return config;
  });
}

// The two ways in which the reference makes a device leave it with other headers in front of its
// frames. A program that opens it chooses its own, but can look at these first.
netlink::TapSpec tap_spec(const Config& config, const std::string& name) {
  const bool by_netlink = config.owner && config.group && config.selinux_context.empty();
  return {.name = name,
          .multi_queue = config.multi_queue,
          .packet_info = by_netlink && !config.multi_queue,
          .vnet_header = by_netlink,
          .owner = config.owner,
          .group = config.group};
}

}  // namespace cni::tap
