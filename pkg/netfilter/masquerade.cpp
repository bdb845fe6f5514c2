#include "pkg/netfilter/masquerade.hpp"

#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/masquerade_backends.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Socket;

namespace {

constexpr std::string_view kIptables = kMasqueradeBackends[0];
constexpr std::string_view kNftables = kMasqueradeBackends[1];

std::vector<Family> families_of(const MasqueradeSpec& spec) {
  std::vector<Family> out;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (!addresses_of(spec, family).empty()) out.push_back(family);
  }
  return out;
}

bool is_nft_usable() {
  try {
    Socket socket = Socket::open(netlink::Protocol::kNetfilter);
    return nft_usable(socket);
  } catch (const Error&) {
    return false;  // that it cannot be opened is the answer
  }
}

void add_nftables(const MasqueradeSpec& spec, os::Undo& undo) {
  Connection connection;
  NftMasquerading::add(connection.get(), spec);
  undo.push(cat("remove the masquerade of ", spec.container_id, ' ', spec.ifname), [spec] {
    Connection own;
    NftMasquerading::remove(own.get(), spec);
  });
}

// Removes what iptables has, over netlink and, for its older implementation, with its programs.
void remove_iptables(const MasqueradeSpec& spec) {
  Connection connection;
  IptablesMasquerading::remove(connection.find(), spec);
}

void add_iptables(const MasqueradeSpec& spec, os::Undo& undo) {
  for (const Family family : families_of(spec)) {
    IptablesMasquerading::add(Iptables(family, spec.search_path), family, spec);
    undo.push(cat("remove the masquerade of ", spec.container_id, ' ', spec.ifname),
              [spec] { remove_iptables(spec); });
  }
}

// True if iptables cannot work for a family that is needed. Costs executions: asked only after a
// failure.
bool is_iptables_unusable(const MasqueradeSpec& spec) {
  for (const Family family : families_of(spec)) {
    if (!Iptables(family, spec.search_path).is_usable()) return true;
  }
  return false;
}

void check_iptables(const MasqueradeSpec& spec) {
  for (const Family family : families_of(spec)) {
    IptablesMasquerading::check(Iptables(family, spec.search_path), family, spec);
  }
}

}  // namespace

std::vector<Prefix> addresses_of(const MasqueradeSpec& spec, Family family) {
  std::vector<Prefix> out;
  for (const Prefix& address : spec.addresses) {
    if (address.address.family() == family) out.push_back(address);
  }
  return out;
}

void validate_masquerade_backend(std::string_view backend) {
  if (backend.empty() || backend == kIptables || backend == kNftables) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("unknown ipmasq backend ", quote(backend),
                  " (ipMasqBackend is one of \"iptables\", \"nftables\")"));
}

void add_masquerade(const MasqueradeSpec& spec, os::Undo& undo) {
  validate_masquerade_backend(spec.backend);
  if (spec.addresses.empty()) return;
  if (spec.backend == kNftables) return add_nftables(spec, undo);
  try {
    add_iptables(spec, undo);
  } catch (Error& error) {
    const bool may_choose = spec.backend.empty() && is_iptables_unusable(spec);
    if (!may_choose || !is_nft_usable()) throw;
    // One family may have been done before the other failed.
    remove_iptables(spec);
    add_nftables(spec, undo);
  }
}

void remove_masquerade(const MasqueradeSpec& spec, Connection& connection) {
  Socket* socket = connection.find();
  ErrorList errors;
  if (socket != nullptr) errors.run([&] { NftMasquerading::remove(*socket, spec); });
  errors.run([&] { IptablesMasquerading::remove(socket, spec); });
  errors.throw_if_any();
}

void remove_masquerade(const MasqueradeSpec& spec) {
  Connection connection;
  remove_masquerade(spec, connection);
}

void check_masquerade(const MasqueradeSpec& spec) {
  validate_masquerade_backend(spec.backend);
  if (spec.addresses.empty()) return;
  Connection connection;
  if (spec.backend == kNftables) return NftMasquerading::check(connection.get(), spec);
  if (spec.backend == kIptables || connection.find() == nullptr) return check_iptables(spec);
  Socket& socket = connection.get();
  const bool has_chain =
      IptablesMasquerading::has_chain(socket, spec.addresses[0].address.family(), spec);
  if (!has_chain) return NftMasquerading::check(socket, spec);
  try {
    check_iptables(spec);
  } catch (const Error&) {
    // ADD may have found iptables unusable. If nftables has it neither, iptables' difference is the
    // one to name.
    try {
      NftMasquerading::check(socket, spec);
      return;
    } catch (const Error& other) {
      if (other.code != Code::kCheckFailed) throw;
    }
    throw;
  }
}

void gc_masquerade(std::string_view network, std::span<const Attachment> valid,
                   std::string_view search_path) {
  Connection connection;
  Socket* socket = connection.find();
  ErrorList errors;
  if (socket != nullptr) errors.run([&] { NftMasquerading::gc(*socket, network, valid); });
  errors.run(
      [&] { IptablesMasquerading::gc(socket ? &*socket : nullptr, network, valid, search_path); });
  errors.throw_if_any();
}

void probe_masquerade(std::string_view backend, std::string_view search_path) {
  validate_masquerade_backend(backend);
  const bool may_iptables = backend != kNftables;
  const bool may_nftables = backend != kIptables;
  if (may_nftables && is_nft_usable()) return;
  if (may_iptables && Iptables(Family::kIpv4, search_path).is_usable()) return;
  if (!may_iptables) {
    throw Error(Code::kPluginNotAvailable,
                "masquerading with nftables is not possible: the kernel refuses a NAT chain with "
                "a masquerade rule (nf_tables missing, or no CAP_NET_ADMIN)");
  }
  const std::string_view rest = may_nftables ? ", and nftables is not usable either" : "";
  throw Error(Code::kPluginNotAvailable,
              cat("masquerading with iptables is not possible: iptables and iptables-restore are "
                  "missing in PATH, or cannot list rules",
                  rest));
}

}  // namespace cni::netfilter
