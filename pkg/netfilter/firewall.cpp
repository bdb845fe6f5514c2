#include "pkg/netfilter/firewall.hpp"

#include <algorithm>
#include <utility>

#include "pkg/netfilter/backend.hpp"
#include "pkg/netfilter/firewall_backends.hpp"
#include "pkg/netfilter/firewall_state.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Socket;

namespace {

constexpr std::string_view kIptables = kIptablesBackend;
constexpr std::string_view kNftables = kNftablesBackend;
constexpr std::string_view kFirewalld = kFirewallBackends[2];

using Part = IptablesFirewall::Part;

void validate(const FirewallSpec& spec) {
  const bool is_known =
      spec.backend.empty() || std::find(kFirewallBackends.begin(), kFirewallBackends.end(),
                                        spec.backend) != kFirewallBackends.end();
  if (!is_known) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("unknown firewall backend ", quote(spec.backend),
                    " (backend is one of \"iptables\", \"nftables\", \"firewalld\")"));
  }
  const std::string_view egress_key = !spec.egress_deny.empty()    ? "egressDeny"
                                      : !spec.egress_allow.empty() ? "egressAllow"
                                                                   : "";
  if (!egress_key.empty() && !spec.backend.empty() && spec.backend != kNftables) {
    throw Error(
        Code::kInvalidNetworkConfig,
        cat(egress_key, " needs the backend \"nftables\", but backend is ", quote(spec.backend)));
  }
  if (spec.ingress_policy != IngressPolicy::kOpen && spec.bridge.empty()) {
    throw Error(
        Code::kInvalidNetworkConfig,
        cat("interface needs to be set for ingress policy ", quote(to_string(spec.ingress_policy)),
            ", make sure to chain \"firewall\" plugin with \"bridge\""));
  }
}

// The one that is configured, or that what else is configured or runs asks for; empty: iptables if
// it can be used.
std::string_view wanted_backend(const FirewallSpec& spec) {
  if (!spec.backend.empty()) return spec.backend;
  if (!spec.egress_deny.empty() || !spec.egress_allow.empty()) return kNftables;
  return FirewalldFirewall::is_running(spec) ? kFirewalld : std::string_view();
}

// What iptables, or nftables in its place, has to do: all of it, or the policy beside firewalld.
BackendChoice choice_of(const FirewallSpec& spec) {
  BackendChoice out;
  if (spec.backend == kIptables || spec.backend == kNftables) out.backend = spec.backend;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (!addresses_of(spec, family).empty()) out.families.push_back(family);
  }
  out.search_path = spec.search_path;
  return out;
}

std::string undo_name(const FirewallSpec& spec) {
  return cat("remove the firewall rules of ", spec.owner.container_id, ' ', spec.owner.ifname);
}

void add_nftables(const FirewallSpec& spec, os::Undo& undo) {
  Connection connection;
  const auto former = NftFirewall::add(connection.get(), spec);
  undo.push(undo_name(spec), [spec] { remove_firewall(spec); });
  NftFirewall::sweep(connection.get(), former);
}

// What protects a bridge: which policies its attachments other than the owner's have, and which
// ports are theirs.
struct BridgeUse {
  std::vector<IngressPolicy> policies;
  std::vector<std::string> links;
};

BridgeUse use_by_others(std::string_view bridge, const Owner& owner) {
  BridgeUse out;
  for (const FirewallRecord& record : FirewallRecords::others_on(bridge, owner)) {
    if (record.policy != IngressPolicy::kOpen) out.policies.push_back(record.policy);
    out.links.insert(out.links.end(), record.host_links.begin(), record.host_links.end());
  }
  return out;
}

// Whether a container is on the bridge that we do not know: of the reference plugins, or one that
// has no firewall. A pair with both ends on the host is none.
bool has_other_containers(std::string_view bridge, const std::vector<std::string>& known) {
  Socket socket = Socket::open();
  const auto link = netlink::find_link(socket, bridge);
  if (!link) return false;
  const auto pairs = netlink::list_links(socket, "veth");
  return std::any_of(pairs.begin(), pairs.end(), [&](const netlink::Link& port) {
    return port.master == link->index && port.parent_netns_id &&
           std::find(known.begin(), known.end(), port.name) == known.end();
  });
}

// The policies of the bridge that nobody needs once the attachment is gone.
void find_unneeded_policies(const FirewallRecord& record, IptablesFirewall::Removal& out) {
  if (record.bridge.empty() || record.policy == IngressPolicy::kOpen) return;
  BridgeUse use = use_by_others(record.bridge, record.owner);
  use.links.insert(use.links.end(), record.host_links.begin(), record.host_links.end());
  std::vector<IngressPolicy> unneeded;
  for (const IngressPolicy policy : {IngressPolicy::kSameBridge, IngressPolicy::kIsolated}) {
    if (std::find(use.policies.begin(), use.policies.end(), policy) == use.policies.end()) {
      unneeded.push_back(policy);
    }
  }
  if (unneeded.empty() || has_other_containers(record.bridge, use.links)) return;
  out.bridge = record.bridge;
  out.policies = std::move(unneeded);
  out.is_bridge_free = use.policies.empty();
}

std::vector<Ip> used_by_nobody_else(const std::vector<Ip>& addresses, const Owner& owner) {
  std::vector<Ip> out;
  for (const Ip& address : addresses) {
    if (!FirewallRecords::is_used_by_others(address, owner)) out.push_back(address);
  }
  return out;
}

// The attachment's rules of iptables, without those that others need.
void remove_from_iptables(Socket* socket, const FirewallRecord& record, const FirewallSpec& spec) {
  IptablesFirewall::Removal removal{
      .addresses = used_by_nobody_else(record.addresses, record.owner),
      .search_path = spec.search_path};
  ErrorList errors;
  errors.run([&] { find_unneeded_policies(record, removal); });
  errors.run([&] { IptablesFirewall::remove(socket, removal); });
  errors.throw_if_any();
}

void remove_recorded(Socket* socket, const FirewallRecord& record, const FirewallSpec& spec) {
  ErrorList errors;
  errors.run([&] {
    FirewalldFirewall::remove(spec.bus_address, record.zone,
                              used_by_nobody_else(record.addresses, record.owner));
  });
  errors.run([&] { remove_from_iptables(socket, record, spec); });
  errors.throw_if_any();
}

// The record comes first: a DEL after we are killed removes what it says.
void add_recorded(const FirewallSpec& spec, std::string_view backend, os::Undo& undo) {
  undo.push(undo_name(spec), [spec] { remove_firewall(spec); });
  Connection connection;
  const auto lock = FirewallRecords::lock();
  const bool is_firewalld = backend == kFirewalld;
  const FirewallRecord record =
      FirewallRecords::write({.owner = spec.owner,
                              .backend = std::string(backend),
                              .addresses = spec.addresses,
                              .zone = is_firewalld ? spec.zone : std::string(),
                              .bridge = spec.bridge,
                              .policy = spec.ingress_policy,
                              .host_links = spec.host_links});
  if (is_firewalld) FirewalldFirewall::add(spec);
  const Part part = is_firewalld ? Part::kPolicy : Part::kAll;
  with_backend(
      choice_of(spec),
      {.iptables = [&] { IptablesFirewall::add(connection.find(), spec, part); },
       .take_back_iptables = [&] { remove_from_iptables(connection.find(), record, spec); },
       .nftables =
           [&] {
             NftFirewall::sweep(connection.get(), NftFirewall::add(connection.get(), spec));
             // nftables' elements say themselves whose they are.
             if (!is_firewalld) FirewallRecords::remove(record);
           }});
}

template <class T>
void append_missing(std::vector<T>& to, const std::vector<T>& from) {
  for (const T& value : from) {
    if (std::find(to.begin(), to.end(), value) == to.end()) to.push_back(value);
  }
}

// What the configuration and prevResult say, for an attachment of the reference plugins or with
// nftables, neither of which leave a record.
FirewallRecord record_of(const FirewallSpec& spec) {
  const bool may_firewalld = spec.backend.empty() || spec.backend == kFirewalld;
  return {.owner = spec.owner,
          .backend = spec.backend,
          .addresses = spec.addresses,
          .zone = may_firewalld ? spec.zone : std::string(),
          .bridge = spec.bridge,
          .policy = spec.ingress_policy,
          .host_links = spec.host_links};
}

// Policies that no attachment of ours has, of bridges that have no container.
void remove_forgotten_policies(Socket* socket, const FirewallSpec& spec) {
  for (const std::string& bridge :
       IptablesFirewall::bridges_with_policy(socket, spec.search_path)) {
    const bool is_used = !use_by_others(bridge, {}).policies.empty();
    if (is_used || has_other_containers(bridge, {})) continue;
    IptablesFirewall::remove(socket,
                             {.addresses = {},
                              .bridge = bridge,
                              .policies = {IngressPolicy::kSameBridge, IngressPolicy::kIsolated},
                              .is_bridge_free = true,
                              .search_path = spec.search_path});
  }
}

// The policy beside firewalld, which nftables has if iptables could not be used.
void check_policy(const FirewallSpec& spec, Connection& connection) {
  try {
    IptablesFirewall::check(connection.find(), spec, Part::kPolicy);
  } catch (const Error&) {
    if (connection.find() == nullptr) throw;
    try {
      return NftFirewall::check(connection.get(), spec);
    } catch (const Error&) {
      // iptables is the likelier one: its difference is named.
    }
    throw;
  }
}

// Without a configured backend: the record tells which one ADD chose. Without a record it was
// nftables, or the reference plugins.
void check_unnamed(const FirewallSpec& spec, Connection& connection) {
  const auto record = FirewallRecords::find(spec.owner);
  Socket* socket = connection.find();
  FirewallSpec named = spec;
  if (record) {
    named.backend = record->backend;
    return check_firewall(named);
  }
  if (FirewalldFirewall::is_running(spec)) {
    named.backend = kFirewalld;
  } else {
    const bool has_rules = IptablesFirewall::has_rules(socket, spec.addresses[0].family());
    named.backend = has_rules ? kIptables : kNftables;
  }
  try {
    check_firewall(named);
  } catch (const Error&) {
    if (socket == nullptr || named.backend == kNftables) throw;
    // If nftables has it neither, the likelier backend's difference is the one to name.
    try {
      return NftFirewall::check(*socket, spec);
    } catch (const Error&) {
      // Thrown below is what the other one has said.
    }
    throw;
  }
}

}  // namespace

void add_firewall(const FirewallSpec& spec, os::Undo& undo) {
  validate(spec);
  if (spec.addresses.empty()) return;
  const std::string_view backend = wanted_backend(spec);
  if (backend == kNftables) return add_nftables(spec, undo);
  add_recorded(spec, backend.empty() ? kIptables : backend, undo);
}

namespace {

void replace(const FirewallSpec& was, const FirewallSpec& now) {
  os::Undo unused;
  // What is recorded is with another backend. An ADD of nftables takes the place of what is there.
  const bool is_nftables =
      wanted_backend(now) == kNftables && !FirewallRecords::find(now.owner).has_value();
  if (!is_nftables) remove_firewall(was);
  add_firewall(now, unused);
  unused.commit();
}

}  // namespace

void replace_firewall(const FirewallSpec& was, const FirewallSpec& now, os::Undo& undo) {
  validate(now);
  if (now.addresses.empty()) return;
  undo.push(
      cat("the firewall rules of ", now.owner.container_id, ' ', now.owner.ifname, " as before"),
      [was, now] { replace(now, was); });
  replace(was, now);
}

void remove_firewall(const FirewallSpec& spec, Connection& connection) {
  Socket* socket = connection.find();
  auto record = FirewallRecords::find(spec.owner);
  FirewallSpec known = spec;
  if (record) append_missing(known.addresses, record->addresses);

  ErrorList errors;
  if (socket != nullptr) errors.run([&] { NftFirewall::remove(*socket, known); });
  errors.run([&] {
    std::optional<os::FileLock> lock;
    // Policies are of many attachments.
    if (record || spec.ingress_policy != IngressPolicy::kOpen) {
      lock.emplace(FirewallRecords::lock());
    }
    FirewallRecord what = record ? *record : record_of(spec);
    append_missing(what.addresses, spec.addresses);
    append_missing(what.host_links, spec.host_links);
    remove_recorded(socket, what, spec);
    if (record) FirewallRecords::remove(*record);
  });
  errors.throw_if_any();
}

void remove_firewall(const FirewallSpec& spec) {
  Connection connection;
  remove_firewall(spec, connection);
}

void check_firewall(const FirewallSpec& spec) {
  validate(spec);
  if (spec.addresses.empty()) return;
  Connection connection;
  const bool has_egress = !spec.egress_deny.empty() || !spec.egress_allow.empty();
  if (spec.backend == kNftables || has_egress) {
    return NftFirewall::check(connection.get(), spec);
  }
  if (spec.backend.empty()) return check_unnamed(spec, connection);
  if (spec.backend == kFirewalld) {
    FirewalldFirewall::check(spec);
    return check_policy(spec, connection);
  }
  IptablesFirewall::check(connection.find(), spec, Part::kAll);
}

void gc_firewall(std::string_view network, std::span<const Attachment> valid,
                 const FirewallSpec& spec) {
  Connection connection;
  Socket* socket = connection.find();
  ErrorList errors;
  if (socket != nullptr) errors.run([&] { NftFirewall::gc(*socket, network, valid); });
  for (const FirewallRecord& record : FirewallRecords::stale(network, valid)) {
    errors.run([&] {
      const auto lock = FirewallRecords::lock();
      remove_recorded(socket, record, spec);
      FirewallRecords::remove(record);
    });
  }
  errors.run([&] { remove_forgotten_policies(socket, spec); });
  errors.throw_if_any();
}

void probe_firewall(const FirewallSpec& spec) {
  validate(spec);
  const std::string_view backend = wanted_backend(spec);
  if (backend == kFirewalld) {
    if (FirewalldFirewall::is_running(spec)) return;
    throw Error(Code::kPluginNotAvailable,
                "firewalld does not run: nobody has the name org.fedoraproject.FirewallD1 on the "
                "system's message bus");
  }
  BackendChoice choice = choice_of(spec);
  choice.backend = backend;
  choice.families = {Family::kIpv4};  // which ones the containers have is known at ADD
  probe_backend(choice, "a firewall");
}

}  // namespace cni::netfilter
