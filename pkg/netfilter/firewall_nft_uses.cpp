#include "pkg/netfilter/firewall_nft_uses.hpp"

#include <algorithm>
#include <cctype>

#include "pkg/netfilter/firewall_nft_egress.hpp"
#include "pkg/netfilter/firewall_nft_layout.hpp"
#include "pkg/netfilter/races.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netfilter::filtering {
namespace {

using netlink::Socket;

// What the chains' names begin with.
constexpr std::array<std::string_view, 3> kPrefixes = {"uses_bridge_", "uses_isolated_",
                                                       "uses_egress_"};
// As many characters as an interface's name may have, which is the type of the keys.
constexpr std::size_t kKeyLength = 15;

std::string_view prefix_of(Use use) { return kPrefixes.at(static_cast<std::size_t>(use)); }

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
}

// The name of a chain may have letters, digits and "/_-.", or nft does not read it back; that of a
// bridge everything but "/". So the others become "/" and two digits.
std::string escaped(std::string_view name) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : name) {
    const auto octet = static_cast<unsigned char>(c);
    if (is_plain(c)) {
      out.push_back(c);
    } else {
      out += {'/', kDigits[octet >> 4], kDigits[octet & 15]};
    }
  }
  return out;
}

unsigned digit_value(char c) { return static_cast<unsigned>(c >= 'a' ? c - 'a' + 10 : c - '0'); }

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '/' || i + 2 >= text.size()) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(digit_value(text[i + 1]) << 4 | digit_value(text[i + 2])));
    i += 2;
  }
  return out;
}

// What stands behind the prefix: a bridge's escaped name, or a network's tag.
std::string_view thing_of(std::string_view chain) {
  return chain.substr(prefix_of(use_of_chain(chain)).size());
}

std::string pair_key(std::string_view bridge) {
  return NftKey().ifname(bridge).ifname(bridge).take();
}

}  // namespace

std::vector<Use> uses_of(const FirewallSpec& spec) {
  std::vector<Use> out;
  if (spec.ingress_policy != IngressPolicy::kOpen) out.push_back(Use::kBridge);
  if (spec.ingress_policy == IngressPolicy::kIsolated) out.push_back(Use::kIsolated);
  if (!spec.egress_deny.empty() || !spec.egress_allow.empty()) out.push_back(Use::kEgress);
  return out;
}

std::string holder_key(const Owner& owner, Use use) {
  return NftKey()
      .ifname(hashed_name("", cat(owner_id(owner), ' ', prefix_of(use)), kKeyLength))
      .take();
}

std::string use_chain(const FirewallSpec& spec, Use use) {
  return cat(prefix_of(use),
             use == Use::kEgress ? egress_tag(spec.owner.network) : escaped(spec.bridge));
}

Use use_of_chain(std::string_view chain) {
  const auto found = std::find_if(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) {
    return chain.starts_with(prefix);
  });
  if (found == kPrefixes.end()) {
    throw Error(Code::kConflict, cat("nftables map ", table().to_string(), ' ', kHolders,
                                     " leads to a chain of somebody else: ", chain));
  }
  return kUses.at(static_cast<std::size_t>(found - kPrefixes.begin()));
}

std::vector<SharedElement> shared_elements(std::string_view chain) {
  const Use use = use_of_chain(chain);
  if (use == Use::kEgress) return {};
  const std::string bridge = unescaped(thing_of(chain));
  if (use == Use::kIsolated) return {{kIsolatedBridges, pair_key(bridge)}};
  return {{kBridges, NftKey().ifname(bridge).take()}, {kWithinBridge, pair_key(bridge)}};
}

void add_use(NftTransaction& transaction, std::string_view chain) {
  transaction.on(table());
  transaction.add_chain({std::string(chain), {}, "Empty: counts who needs this"});
  for (const SharedElement& shared : shared_elements(chain)) {
    transaction.add_element(shared.set, {shared.key, {}, {}, {}}, NftCreate::kIfAbsent);
  }
}

void sweep(Socket& socket, NftTransaction& transaction, std::string_view chain) {
  transaction.on(table());
  for (const SharedElement& shared : shared_elements(chain)) {
    if (nft_find_element(socket, table(), shared.set, shared.key)) {
      transaction.delete_element(shared.set, shared.key);
    }
  }
  if (use_of_chain(chain) == Use::kEgress) delete_egress(socket, transaction, thing_of(chain));
  transaction.delete_chain(chain);
}

void sweep_unused(Socket& socket, const std::vector<std::string>& chains) {
  for (const std::string& chain : chains) {
    with_retries([&](int) {
      if (nft_chain_use(socket, table(), chain).value_or(1) != 0) return;
      NftTransaction transaction(table());
      sweep(socket, transaction, chain);
      transaction.commit(socket, cat("remove from nftables table ", table().to_string(),
                                     " what nobody needs any more"));
    });
  }
}

}  // namespace cni::netfilter::filtering
