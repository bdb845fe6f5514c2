#include "plugins/main/ptp/config.hpp"

#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::ptp {

namespace {

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::ip_masq>("ipMasq",
                                  "Masquerade traffic that leaves the container's subnet."),
    schema::key<&Config::ip_masq_backend>(
        "ipMasqBackend",
        "What masquerades; by default iptables, unless only nftables can be used on the host.",
        {.choices = netfilter::kMasqueradeBackends}),
    schema::key<&Config::mtu>("mtu", "MTU of the pair; 0: the kernel's.",
                              {.fallback = "0",
                               .minimum = netlink::kMinMtu,
                               .maximum = netlink::kMaxMtu,
                               .zero_is_default = true}));
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
