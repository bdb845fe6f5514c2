#include "plugins/main/macvlan/config.hpp"

#include <array>

#include "pkg/types/error.hpp"

namespace cni::macvlan {
namespace {

using netlink::MacvlanMode;

constexpr std::array kModes = {Choice<MacvlanMode>{"bridge", MacvlanMode::kBridge},
                               Choice<MacvlanMode>{"private", MacvlanMode::kPrivate},
                               Choice<MacvlanMode>{"vepa", MacvlanMode::kVepa},
                               Choice<MacvlanMode>{"passthru", MacvlanMode::kPassthru}};

// Lowest precedence first: mac, CNI_ARGS MAC, runtimeConfig.mac.
Mac requested_mac(const skel::Request& request, const Reader& in) {
  Mac mac;
  in.optional("mac", mac);
  if (const auto argument = skel::mac_argument(request.args)) mac = *argument;
  if (const auto runtime = in.object("runtimeConfig")) runtime->optional("mac", mac);
  return mac;
}

}  // namespace

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    in.optional("master", config.master);
    in.choice("mode", config.mode, std::span<const Choice<MacvlanMode>>(kModes), "macvlan mode");
    in.optional("mtu", config.mtu);
    in.optional("linkInContainer", config.link_in_container);
    in.optional("bcqueuelen", config.bc_queue_len);
    config.mac = requested_mac(request, in);
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
