#include "plugins/main/bridge/config.hpp"

#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::bridge {
namespace {

constexpr int kMaxVlan = 4094;  // IEEE 802.1Q: 4095 is reserved
constexpr std::string_view kNoVlans = "this version has no VLANs on the bridge; leave the key out";

constexpr auto kMacKeys = schema::keys<Config>(schema::key<&Config::mac>(
    "mac", "MAC address of the container's interface; that of runtimeConfig goes first."));
constexpr auto kMacTable = schema::open(schema::Table<Config>(kMacKeys));
constexpr auto kArgsKeys = schema::keys<Config>(
    schema::nested("cni", "Arguments that are meant for CNI plugins.", kMacTable));
constexpr auto kArgsTable = schema::open(schema::Table<Config>(kArgsKeys));

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::bridge>("bridge", "Name of the bridge; it is made if it is missing.",
                                 {.format = schema::Format::kLinkName, .fallback = R"("cni0")"}),
    schema::key<&Config::is_gateway>(
        "isGateway",
        "Give the bridge each subnet's gateway address, and let the host forward packets."),
    schema::key<&Config::is_default_gateway>(
        "isDefaultGateway", "As isGateway, and a default route through it for each family."),
    schema::key<&Config::force_address>(
        "forceAddress",
        "Replace another address of the bridge that is in the way of the gateway's."),
    schema::key<&Config::ip_masq>("ipMasq",
                                  "Masquerade traffic that leaves the container's subnet."),
    schema::key<&Config::ip_masq_backend>(
        "ipMasqBackend",
        "What masquerades; by default iptables, unless only nftables can be used on the host.",
        {.choices = netfilter::kMasqueradeBackends}),
    schema::key<&Config::mtu>(
        "mtu", "MTU of the container's interface, and of a bridge that is made; 0: the kernel's.",
        {.fallback = "0",
         .minimum = netlink::kMinMtu,
         .maximum = netlink::kMaxMtu,
         .zero_is_default = true}),
    schema::key<&Config::hairpin_mode>("hairpinMode",
                                       "Let the port send frames back where they came from."),
    schema::key<&Config::promisc_mode>("promiscMode", "Set the bridge promiscuous."),
    schema::key<&Config::mac_spoof_check>(
        "macspoofchk", "Drop frames with another source MAC address than the container's."),
    schema::key<&Config::enable_dad>(
        "enabledad", "Run duplicate address detection on the container's interface and wait."),
    schema::key<&Config::disable_container_interface>("disableContainerInterface",
                                                      "Leave the container's end down."),
    schema::key<&Config::port_isolation>(
        "portIsolation",
        "Isolated ports do not reach each other, only the host and what is behind it."),
    schema::key<&Config::vlan>(
        "vlan", "The VLAN of the port, untagged; 0: none.",
        {.fallback = "0", .minimum = 0, .maximum = kMaxVlan, .unsupported = kNoVlans}),
    schema::elements<&Config::vlan_trunk>("vlanTrunk", "The VLANs that the port carries, tagged.",
                                          schema::Type::kObject, {.unsupported = kNoVlans}),
    schema::key<&Config::preserve_default_vlan>(
        "preserveDefaultVlan", "Keep the port's VLANs when vlan or vlanTrunk is given.",
        {.unsupported = kNoVlans}),
    schema::nested("args", "Arguments of the runtime or its user.", kArgsTable),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability mac.", kMacTable));

constexpr schema::Rule kRules[] = {
    {.name = "hairpin-or-promiscuous",
     .sentence = "cannot set hairpin mode and promiscuous mode at the same time",
     .first_condition = "hairpinMode",
     .second_condition = "promiscMode"},
    {.name = "no-ipam-on-disabled-interface",
     .sentence = "cannot use IPAM when DisableContainerInterface flag is set",
     .first_condition = "disableContainerInterface",
     .second_condition = "ipam.type"}};

constexpr schema::Table<Config> kTable(kKeys, kRules);

void refuse_vlans(const Reader& in, const Config& config) {
  const auto refuse = [&](std::string_view key, std::string_view value) {
    throw Error(Code::kUnsupportedField,
                cat(in.path_of(key), ": ", value, " is not supported: ", kNoVlans));
  };
  if (config.vlan < 0 || config.vlan > kMaxVlan) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("invalid VLAN ID ", config.vlan, " (must be between 0 and 4094) (",
                    in.path_of("vlan"), ")"));
  }
  if (config.vlan != 0) refuse("vlan", cat(config.vlan));
  if (!config.vlan_trunk.empty()) refuse("vlanTrunk", "a list of VLANs");
  if (config.preserve_default_vlan) refuse("preserveDefaultVlan", "true");
}

void validate(const Reader& in, const Config& config) {
  refuse_vlans(in, config);
  context(in.path_of("bridge"), [&] { netlink::check_link_name(config.bridge); });
  netlink::check_mtu(config.mtu, in.path_of("mtu"));
  netfilter::validate_masquerade_backend(config.ip_masq_backend);
  schema::check_rules(in, kTable);
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Connects containers to a bridge of the host.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kOptional};

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    // Lowest precedence first: CNI_ARGS MAC, args.cni.mac, runtimeConfig.mac.
    if (const auto argument = skel::mac_argument(request.args)) config.mac = *argument;
    schema::read(in, kTable, config);
    if (config.is_default_gateway) config.is_gateway = true;
    if (config.bridge.empty()) config.bridge = Config{}.bridge;
    validate(in, config);
    return config;
  });
}

}  // namespace cni::bridge
