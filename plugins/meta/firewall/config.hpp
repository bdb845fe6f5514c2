// The configuration of the firewall plugin.
#pragma once

#include <string>
#include <vector>

#include "pkg/netfilter/firewall.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::firewall {

// One entry of egressDeny and egressAllow.
struct EgressKeys {
  Prefix to;
  std::string protocol;  // empty: every protocol
  std::string ports;     // "80" or "80-90"; empty: every port
};

struct Config {
  std::string backend;  // empty: chosen at ADD
  std::string admin_chain = "CNI-ADMIN";
  std::string zone = "trusted";
  netfilter::IngressPolicy ingress_policy = netfilter::IngressPolicy::kOpen;
  std::vector<EgressKeys> egress_deny;
  std::vector<EgressKeys> egress_allow;
};

extern const schema::Description kDescription;

// What the configuration, prevResult and the environment say. Throws before anything was touched.
netfilter::FirewallSpec parse(const skel::Request& request);
// The same for DEL and GC: what cannot be read counts as absent.
netfilter::FirewallSpec parse_readable(const skel::Request& request);

}  // namespace cni::firewall
