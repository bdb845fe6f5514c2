#include "plugins/meta/vrf/config.hpp"

#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::vrf {
namespace {

constexpr auto kKeys = schema::keys<Config>(
    schema::by<Config, [](const Reader& in, std::string_view name,
                          Config& out) { in.optional(name, out.name); }>(
        {.name = "vrfname",
         .about = "Name of the VRF, which is made if the container does not have it.",
         .type = schema::Type::kString,
         .details = {.required = true, .format = schema::Format::kLinkName}}),
    schema::key<&Config::table>(
        "table",
        "Routing table of the VRF; by default, or with 0, the first that nobody in the container "
        "uses.",
        {.fallback = "0"}));
constexpr schema::Table<Config> kTable(kKeys);

void check_name(const Reader& in, const std::string& name, std::string_view ifname) {
  if (name.empty()) {
    throw Error(Code::kInvalidNetworkConfig, "configuration is expected to have a valid vrf name",
                cat(in.path_of("vrfname"), " is missing or empty"));
  }
  context(in.path_of("vrfname"), [&] { netlink::check_link_name(name); });
  if (name == ifname) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("Netlink ", name, " is not a VRF: ", in.path_of("vrfname"),
                    " names the container's interface itself"));
  }
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Puts the container's interface into a VRF, behind a plugin that makes the interface.",
    .keys = &kTable};

Config parse(const skel::Request& request) {
  const Reader in = request.config.root();
  Config config;
  context("failed to load netconf", [&] { schema::read(in, kTable, config); });
  check_name(in, config.name, request.ifname);
  return config;
}

Config parse_readable(const skel::Request& request) {
  const Reader in = request.config.root();
  Config config;
  schema::read_readable(in, kTable, config);
  try {
    check_name(in, config.name, request.ifname);
  } catch (const Error&) {
    // ADD has refused it, so that there is no VRF of that name.
    config.name.clear();
  }
  return config;
}

}  // namespace cni::vrf
