#include "pkg/netfilter/backend.hpp"

#include <algorithm>

#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Socket;

namespace {

bool is_nft_usable() {
  try {
    Socket socket = Socket::open(netlink::Protocol::kNetfilter);
    return nft_usable(socket);
  } catch (const Error&) {
    return false;  // that it cannot be opened is the answer
  }
}

bool is_iptables_usable(const BackendChoice& choice) {
  return std::all_of(choice.families.begin(), choice.families.end(), [&](Family family) {
    return Iptables(family, choice.search_path).is_usable();
  });
}

}  // namespace

bool is_backend(std::string_view name) {
  return name.empty() || std::find(kBackends.begin(), kBackends.end(), name) != kBackends.end();
}

void with_backend(const BackendChoice& choice, const BackendActions& actions) {
  if (choice.backend == kNftablesBackend) return actions.nftables();
  try {
    actions.iptables();
  } catch (const Error& error) {
    const bool may_choose = choice.backend.empty() && error.code != Code::kConflict;
    if (!may_choose || is_iptables_usable(choice) || !is_nft_usable()) throw;
    // One family may have been done before the other failed.
    actions.take_back_iptables();
    actions.nftables();
  }
}

void check_backend(const BackendChoice& choice, const BackendChecks& checks) {
  Connection connection;
  if (choice.backend == kNftablesBackend) return checks.nftables(connection.get());
  if (choice.backend == kIptablesBackend || connection.find() == nullptr) return checks.iptables();
  Socket& socket = connection.get();
  if (!checks.has_iptables(socket)) return checks.nftables(socket);
  try {
    checks.iptables();
  } catch (const Error&) {
    // ADD may have found iptables unusable. If nftables has it neither, iptables' difference is the
    // one to name.
    try {
      checks.nftables(socket);
      return;
    } catch (const Error& other) {
      if (other.code != Code::kCheckFailed) throw;
    }
    throw;
  }
}

void probe_backend(const BackendChoice& choice, std::string_view what) {
  const bool may_iptables = choice.backend != kNftablesBackend;
  const bool may_nftables = choice.backend != kIptablesBackend;
  if (may_nftables && is_nft_usable()) return;
  if (may_iptables && is_iptables_usable(choice)) return;
  if (!may_iptables) {
    throw Error(Code::kPluginNotAvailable,
                cat(what,
                    " with nftables is not possible: the kernel refuses a NAT chain with a "
                    "masquerade rule (nf_tables missing, or no CAP_NET_ADMIN)"));
  }
  const std::string_view rest = may_nftables ? ", and nftables is not usable either" : "";
  throw Error(Code::kPluginNotAvailable,
              cat(what,
                  " with iptables is not possible: iptables and iptables-restore are missing in "
                  "PATH, or cannot list rules",
                  rest));
}

}  // namespace cni::netfilter
