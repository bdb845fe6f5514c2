#include "plugins/main/ipvlan/config.hpp"

#include <array>

#include "pkg/attachment/keys.hpp"
#include "pkg/types/error.hpp"

namespace cni::ipvlan {
namespace {

using netlink::IpvlanMode;

constexpr std::array kModes = {Choice<IpvlanMode>{"l2", IpvlanMode::kL2},
                               Choice<IpvlanMode>{"l3", IpvlanMode::kL3},
                               Choice<IpvlanMode>{"l3s", IpvlanMode::kL3s}};

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::master>("master",
                                 "The link to stand on; by default the interface of the plugin "
                                 "before this one, or that of the host's default route.",
                                 {.format = schema::Format::kLinkName}),
    schema::choice<&Config::mode, kModes>(
        "mode",
        "Who sends for it: l2: itself; l3: the host, by its routes; l3s: also by its netfilter.",
        {.fallback = R"("l2")", .noun = "ipvlan mode"}),
    attachment::mtu_key<&Config::mtu>("MTU, at most the master's; 0: the master's."),
    attachment::link_in_container_key<&Config::link_in_container>());
constexpr schema::Table<Config> kTable(kKeys);

}  // namespace

constinit const schema::Description kDescription{
    .about = "Gives each container an interface with the MAC address of a link of the host.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kOptional};

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    schema::read(in, kTable, config);
    if (!config.master.empty()) {
      context(in.path_of("master"), [&] { netlink::check_link_name(config.master); });
    }
    netlink::check_mtu(config.mtu, in.path_of("mtu"));
    return config;
  });
}

std::string_view to_string(IpvlanMode mode) {
  for (const auto& row : kModes) {
    if (row.value == mode) return row.text;
  }
  return "unknown";
}

}  // namespace cni::ipvlan
