#include "plugins/main/ptp/config.hpp"

#include "pkg/attachment/keys.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::ptp {

namespace {

constexpr auto kKeys =
    schema::keys<Config>(attachment::ip_masq_key<&Config::ip_masq>(),
                         attachment::ip_masq_backend_key<&Config::ip_masq_backend>(),
                         attachment::mtu_key<&Config::mtu>("MTU of the pair; 0: the kernel's."));
constexpr schema::Table<Config> kTable(kKeys);

}  // namespace

constinit const schema::Description kDescription{
    .about = "Connects each container with the host by a veth pair of its own.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kRequired};

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    schema::read(in, kTable, config);
    netlink::check_mtu(config.mtu, in.path_of("mtu"));
    netfilter::validate_masquerade_backend(config.ip_masq_backend);
    return config;
  });
}

}  // namespace cni::ptp
