#include "pkg/netfilter/port_map_reference.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "pkg/netfilter/port_map_layout.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter::published {
namespace {

// The second held rules in an earlier version.
constexpr std::array<std::string_view, 3> kChains = {"hostports", "hostip_hostports",
                                                     "masquerading"};

template <class Predicate>
void delete_rules(netlink::Socket& socket, NftTransaction& transaction, Family family,
                  Predicate&& is_wanted) {
  bool is_first = true;
  for (const std::string_view chain : kChains) {
    for (const NftRuleInfo& rule : nft_list_rules(socket, table(family), chain)) {
      if (!is_wanted(rule.comment)) continue;
      if (is_first) transaction.on(table(family));
      is_first = false;
      transaction.delete_rule(chain, rule.handle);
    }
  }
}

// The result cache's file names, "NETWORK-CONTAINER-IFNAME".
class ResultCache {
 public:
  explicit ResultCache(std::string_view folder) : names_(os::list_directory(std::string(folder))) {}

  bool names(std::string_view container_id) const {
    const std::string part = cat('-', container_id, '-');
    return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) {
      return name.find(part) != std::string::npos;
    });
  }

 private:
  std::vector<std::string> names_;
};

}  // namespace

std::size_t count_reference_rules(netlink::Socket& socket, Family family,
                                  std::string_view container_id) {
  std::size_t out = 0;
  for (const std::string_view chain : {kChains[0], kChains[1]}) {
    const std::vector<NftRuleInfo> rules = nft_list_rules(socket, table(family), chain);
    out += static_cast<std::size_t>(
        std::count_if(rules.begin(), rules.end(),
                      [&](const NftRuleInfo& rule) { return rule.comment == container_id; }));
  }
  return out;
}

void delete_reference_rules(netlink::Socket& socket, NftTransaction& transaction, Family family,
                            std::string_view container_id) {
  delete_rules(socket, transaction, family,
               [&](std::string_view comment) { return comment == container_id; });
}

void gc_reference_rules(netlink::Socket& socket, Family family, std::span<const Attachment> valid,
                        std::string_view cache_folder) {
  const ResultCache cache(cache_folder);
  const bool is_in_use = std::any_of(valid.begin(), valid.end(), [&](const Attachment& one) {
    return cache.names(one.container_id);
  });
  if (!is_in_use) return;
  NftTransaction transaction(table(family));
  delete_rules(socket, transaction, family, [&](std::string_view comment) {
    const bool is_valid = std::any_of(valid.begin(), valid.end(), [&](const Attachment& one) {
      return one.container_id == comment;
    });
    return !comment.empty() && !is_valid && !cache.names(comment);
  });
  transaction.commit(socket, cat("collect garbage in nftables table ", table(family).to_string()));
}

}  // namespace cni::netfilter::published
