#include "plugins/main/bridge/config.hpp"

#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::bridge {
namespace {

constexpr int kMaxVlan = 4094;  // IEEE 802.1Q: 4095 is reserved

Error not_supported_yet(const Reader& in, std::string_view key, std::string_view value) {
  return Error(Code::kUnsupportedField, cat(in.path_of(key), ": ", value,
                                            " is not supported: this version has no VLANs on "
                                            "the bridge; leave the key out"));
}

void refuse_vlans(const Reader& in) {
  int vlan = 0;
  in.optional("vlan", vlan);
  if (vlan < 0 || vlan > kMaxVlan) {
    throw Error(
        Code::kInvalidNetworkConfig,
        cat("invalid VLAN ID ", vlan, " (must be between 0 and 4094) (", in.path_of("vlan"), ")"));
  }
  if (vlan != 0) throw not_supported_yet(in, "vlan", cat(vlan));
  if (!in.array("vlanTrunk").empty()) throw not_supported_yet(in, "vlanTrunk", "a list of VLANs");
  bool preserve = false;
  in.optional("preserveDefaultVlan", preserve);
  if (preserve) throw not_supported_yet(in, "preserveDefaultVlan", "true");
}

// Lowest precedence first: CNI_ARGS MAC, args.cni.mac, runtimeConfig.mac.
Mac requested_mac(const skel::Request& request, const Reader& in) {
  Mac mac;
  if (const auto argument = skel::mac_argument(request.args)) mac = *argument;
  if (const auto args = in.object("args")) {
    if (const auto cni = args->object("cni")) cni->optional("mac", mac);
  }
  if (const auto runtime = in.object("runtimeConfig")) runtime->optional("mac", mac);
  return mac;
}

void read_keys(const Reader& in, Config& config) {
  in.optional("bridge", config.bridge);
  in.optional("isGateway", config.is_gateway);
  in.optional("isDefaultGateway", config.is_default_gateway);
  in.optional("forceAddress", config.force_address);
  in.optional("ipMasq", config.ip_masq);
  in.optional("ipMasqBackend", config.ip_masq_backend);
  in.optional("mtu", config.mtu);
  in.optional("hairpinMode", config.hairpin_mode);
  in.optional("promiscMode", config.promisc_mode);
  in.optional("macspoofchk", config.mac_spoof_check);
  in.optional("enabledad", config.enable_dad);
  in.optional("disableContainerInterface", config.disable_container_interface);
  in.optional("portIsolation", config.port_isolation);
  if (config.is_default_gateway) config.is_gateway = true;
  if (config.bridge.empty()) config.bridge = Config{}.bridge;
}

void validate(const skel::Request& request, const Reader& in, const Config& config) {
  context(in.path_of("bridge"), [&] { netlink::check_link_name(config.bridge); });
  netlink::check_mtu(config.mtu, in.path_of("mtu"));
  netfilter::validate_masquerade_backend(config.ip_masq_backend);
  if (config.hairpin_mode && config.promisc_mode) {
    throw Error(Code::kInvalidNetworkConfig,
                "cannot set hairpin mode and promiscuous mode at the same time",
                "hairpinMode and promiscMode are both true");
  }
  if (config.disable_container_interface && !request.config.ipam_type.empty()) {
    throw Error(Code::kInvalidNetworkConfig,
                "cannot use IPAM when DisableContainerInterface flag is set",
                cat("disableContainerInterface is true and ipam.type is ",
                    quote(request.config.ipam_type)));
  }
}

}  // namespace

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    read_keys(in, config);
    refuse_vlans(in);
    config.mac = requested_mac(request, in);
    validate(request, in, config);
    return config;
  });
}

}  // namespace cni::bridge
