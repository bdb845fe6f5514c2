#include "plugins/main/bridge/config.hpp"

#include "pkg/attachment/keys.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::bridge {
namespace {

constexpr int kMaxVlan = netlink::kMaxVlan;
constexpr std::size_t kMaxLinkName = 15;

constexpr schema::Details kTrunkId{.minimum = 1, .maximum = kMaxVlan};
constexpr auto kTrunkKeys = schema::keys<TrunkElement>(
    schema::key<&TrunkElement::min_id>("minID", "First VLAN of a range; goes with maxID.",
                                       kTrunkId),
    schema::key<&TrunkElement::max_id>("maxID", "Last VLAN of a range; goes with minID.", kTrunkId),
    schema::key<&TrunkElement::id>("id", "One VLAN; may stand beside a range.", kTrunkId));
constexpr auto kTrunkTable = schema::Table<TrunkElement>(kTrunkKeys);

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
    attachment::ip_masq_key<&Config::ip_masq>(),
    attachment::ip_masq_backend_key<&Config::ip_masq_backend>(),
    attachment::mtu_key<&Config::mtu>(
        "MTU of the container's interface, and of a bridge that is made; 0: the kernel's."),
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
        "vlan",
        "The VLAN of the container's untagged frames, which a bridge with VLAN filtering keeps "
        "apart from others; 0: none.",
        {.fallback = "0", .minimum = 0, .maximum = kMaxVlan}),
    schema::objects<&Config::vlan_trunk, kTrunkTable>(
        "vlanTrunk",
        "VLANs that the container sends and receives tagged; without vlan, its untagged frames "
        "belong to VLAN 1."),
    schema::key<&Config::preserve_default_vlan>(
        "preserveDefaultVlan",
        "With vlan or vlanTrunk: let the port keep the bridge's default VLAN too."),
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

void check_vlan(const Reader& in, int vlan) {
  if (vlan >= 0 && vlan <= kMaxVlan) return;
  throw Error(
      Code::kInvalidNetworkConfig,
      cat("invalid VLAN ID ", vlan, " (must be between 0 and 4094) (", in.path_of("vlan"), ")"));
}

// Adds the VLANs of one element to the trunk. `path` is that of the element.
void add_trunk_element(const TrunkElement& element, const std::string& path, Config& config) {
  const auto refuse = [&](std::string_view sentence, std::string_view more) {
    throw Error(Code::kInvalidNetworkConfig, cat(sentence, " (", path, more, ")"));
  };
  const auto check_id = [&](const std::optional<int>& id, std::string_view key) {
    if (!id || (*id >= 1 && *id <= kMaxVlan)) return;
    refuse(cat("incorrect trunk ", key, " parameter"),
           cat(".", key, ": ", *id, ", must be from 1 to 4094"));
  };
  const auto add = [&](int first, int last) {
    config.trunk.push_back(
        {.first = static_cast<std::uint16_t>(first), .last = static_cast<std::uint16_t>(last)});
  };
  check_id(element.min_id, "minID");
  check_id(element.max_id, "maxID");
  check_id(element.id, "id");
  if (element.min_id && element.max_id) {
    if (*element.min_id > *element.max_id) {
      refuse("minID is greater than maxID in trunk parameter",
             cat(": ", *element.min_id, " and ", *element.max_id));
    }
    add(*element.min_id, *element.max_id);
  } else if (element.min_id || element.max_id) {
    refuse(cat("minID and maxID should be configured simultaneously, ",
               element.min_id ? "maxID" : "minID", " is missing"),
           "");
  }
  if (element.id) add(*element.id, *element.id);
}

void read_trunk(const Reader& in, Config& config) {
  for (std::size_t i = 0; i < config.vlan_trunk.size(); ++i) {
    add_trunk_element(config.vlan_trunk[i], cat(in.path_of("vlanTrunk"), "[", i, "]"), config);
  }
  config.trunk = netlink::merge(std::move(config.trunk));
}

// With another name the kernel would cut it, or another bridge's gateway would have it.
void check_gateway_name(const Reader& in, const Config& config) {
  if (!config.has_vlan_gateway()) return;
  const std::string name = gateway_name(config.bridge, config.vlan);
  if (name.size() <= kMaxLinkName) return;
  throw Error(
      Code::kInvalidNetworkConfig,
      cat(in.path_of("bridge"), ": ", quote(config.bridge),
          " is too long: the gateway interface of VLAN ", config.vlan, " would be ", quote(name),
          ", and names of interfaces have at most ", kMaxLinkName, " characters"),
      "give the bridge a shorter name, or leave isGateway out");
}

void validate(const Reader& in, const Config& config) {
  check_vlan(in, config.vlan);
  context(in.path_of("bridge"), [&] { netlink::check_link_name(config.bridge); });
  netlink::check_mtu(config.mtu, in.path_of("mtu"));
  netfilter::validate_masquerade_backend(config.ip_masq_backend);
  schema::check_rules(in, kTable);
  check_gateway_name(in, config);
}

void complete(Config& config) {
  if (config.is_default_gateway) config.is_gateway = true;
  if (config.bridge.empty()) config.bridge = Config{}.bridge;
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
    complete(config);
    read_trunk(in, config);
    validate(in, config);
    return config;
  });
}

Config parse_what_is_valid(const skel::Request& request) {
  const Reader in = request.config.root();
  Config config;
  schema::read_readable(in, kTable, config);
  complete(config);
  try {
    read_trunk(in, config);
  } catch (const Error&) {
    // ADD reports it; the elements before the one that is wrong count.
  }
  if (config.vlan < 0 || config.vlan > kMaxVlan) config.vlan = 0;
  return config;
}

std::string gateway_name(std::string_view bridge, int vlan) { return cat(bridge, '.', vlan); }

}  // namespace cni::bridge
