#include "plugins/main/macvlan/config.hpp"

#include <array>

#include "pkg/attachment/keys.hpp"
#include "pkg/types/error.hpp"

namespace cni::macvlan {
namespace {

using netlink::MacvlanMode;

constexpr std::array kModes = {Choice<MacvlanMode>{"bridge", MacvlanMode::kBridge},
                               Choice<MacvlanMode>{"private", MacvlanMode::kPrivate},
                               Choice<MacvlanMode>{"vepa", MacvlanMode::kVepa},
                               Choice<MacvlanMode>{"passthru", MacvlanMode::kPassthru}};

constexpr auto kRuntimeKeys =
    schema::keys<Config>(attachment::runtime_mac_key<&Config::runtime_mac>());
constexpr auto kRuntimeTable = schema::open(schema::Table<Config>(kRuntimeKeys));

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::master>(
        "master", "The link to stand on; by default that of the host's default route.",
        {.format = schema::Format::kLinkName}),
    schema::choice<&Config::mode, kModes>(
        "mode", "Whom the interface reaches: bridge also the others on the same master.",
        {.fallback = R"("bridge")", .noun = "macvlan mode"}),
    attachment::mtu_key<&Config::mtu>("MTU, at most the master's; 0: the master's."),
    attachment::link_in_container_key<&Config::link_in_container>(),
    schema::key<&Config::bc_queue_len>(
        "bcqueuelen", "Length of the queue for broadcasts; 0: the kernel's.", {.fallback = "0"}),
    attachment::mac_key<&Config::mac>(),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability mac.", kRuntimeTable));
constexpr schema::Table<Config> kTable(kKeys);

}  // namespace

constinit const schema::Description kDescription{
    .about = "Gives each container a MAC address of its own on a link of the host.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kOptional};

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    schema::read(in, kTable, config);
    config.mac = attachment::chosen_mac(request, config.mac, config.runtime_mac);
    if (!config.master.empty()) {
      context(in.path_of("master"), [&] { netlink::check_link_name(config.master); });
    }
    netlink::check_mtu(config.mtu, in.path_of("mtu"));
    return config;
  });
}

std::string_view to_string(MacvlanMode mode) {
  for (const auto& row : kModes) {
    if (row.value == mode) return row.text;
  }
  return "unknown";
}

}  // namespace cni::macvlan
