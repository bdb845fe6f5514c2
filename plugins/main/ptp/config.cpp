#include "plugins/main/ptp/config.hpp"

#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::ptp {

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    in.optional("ipMasq", config.ip_masq);
    in.optional("ipMasqBackend", config.ip_masq_backend);
    in.optional("mtu", config.mtu);
    netlink::check_mtu(config.mtu, in.path_of("mtu"));
    netfilter::validate_masquerade_backend(config.ip_masq_backend);
    return config;
  });
}

}  // namespace cni::ptp
