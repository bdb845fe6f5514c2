#include "pkg/netfilter/taken_ports.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "pkg/netfilter/port_map_rules.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

// Who publishes which port already.
class TakenPorts {
 public:
  TakenPorts(NatTable& table, const PortMapSpec& spec, Family family) : table_(table) {
    for (PortMapping& mapping : mappings_of(spec, family)) {
      const Port port{static_cast<std::uint8_t>(mapping.transport), mapping.host_port};
      wanted_.emplace(port, std::move(mapping));
    }
  }

  // Refuses a port that the attachment of such an entry has.
  void refuse_ports_of(const NatRule& entry) const {
    const bool may_have =
        std::any_of(entry.ports.begin(), entry.ports.end(), [&](std::uint16_t port) {
          return wanted_.count({entry.protocol, port}) > 0;
        });
    if (!may_have) return;
    for (const NatRule& rule : table_.rules(entry.target)) {
      if (rule.target == kDnatExtension) refuse_ports_of_rule(entry, rule);
    }
  }

 private:
  using Port = std::pair<std::uint8_t, std::uint16_t>;  // with its protocol

  void refuse_ports_of_rule(const NatRule& entry, const NatRule& rule) const {
    for (const std::uint16_t port : rule.ports) {
      const auto [begin, end] = wanted_.equal_range({rule.protocol, port});
      for (auto it = begin; it != end; ++it) {
        const auto wanted = destination_of(it->second);
        if (wanted && rule.destination && *wanted != *rule.destination) continue;
        throw Error(Code::kConflict,
                    cat("host port ", it->second.to_string(), " is already published for ",
                        describe_port_map_comment(entry.comment),
                        ": choose another hostPort or hostIP, or delete that container"));
      }
    }
  }

  NatTable& table_;
  std::multimap<Port, PortMapping> wanted_;
};

}  // namespace

void refuse_taken_ports(NatTable& table, const PortMapSpec& spec, Family family) {
  const auto& conditions = family == Family::kIpv4 ? spec.conditions_ipv4 : spec.conditions_ipv6;
  if (!conditions.empty()) return;
  const TakenPorts taken(table, spec, family);
  const std::string own = port_map_chain(spec.owner.network, spec.owner.container_id);
  for (const NatRule& entry : table.rules(kPortMapEntries)) {
    if (entry.target != own && !entry.has_more_conditions) taken.refuse_ports_of(entry);
  }
}

}  // namespace cni::netfilter
