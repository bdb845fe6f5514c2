#include "libcni/key_hints.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "pkg/types/error.hpp"

namespace cni::libcni {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool has_property(const nlohmann::json& node, std::string_view key) {
  const auto properties = node.find("properties");
  if (properties == node.end()) return false;
  for (auto item = properties->begin(); item != properties->end(); ++item) {
    if (same_key(item.key(), key)) return true;
  }
  return false;
}

// Where a key of that name stands, as a hint; empty if nowhere.
std::string place_of(SchemaStore& store, std::string_view key, std::string_view plugin,
                     bool in_ipam) {
  const bool known_plugin = SchemaStore::has_plugin(plugin);
  if (in_ipam && known_plugin && has_property(*store.find(cat(plugin, ".json")).node, key)) {
    return cat("it is a key of ", plugin, " itself: move it out of ipam");
  }
  for (const std::string& manager : store.manager_names()) {
    const SchemaNode ipam = store.find(manager + ".json#/definitions/ipam");
    if (!has_property(*ipam.node, key)) continue;
    return in_ipam ? cat("it is a key of ipam with type ", manager)
                   : cat("it is a key of ", manager, ": move it into ipam");
  }
  if (has_property(*store.find("conflist.json").node, key)) {
    return "it is a key of the list: move it out of the plugin";
  }
  std::string others;
  for (const std::string& other : SchemaStore::plugin_names()) {
    if (other == plugin || !has_property(*store.find(other + ".json").node, key)) continue;
    others += cat(others.empty() ? "" : ", ", other);
  }
  return others.empty() ? others : cat("it is a key of ", others);
}

}  // namespace

bool same_key(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool equal = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (equal ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                           lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<std::string> most_similar(std::string_view text,
                                        const std::vector<std::string>& known) {
  // A third of the letters may differ: two of "ipMask", one of "mtu".
  std::size_t limit = std::max<std::size_t>(text.size() / 3, 1);
  std::optional<std::string> best;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(text, candidate);
    if (distance > limit || distance >= candidate.size()) continue;
    if (best && distance == limit) continue;  // the first of equally good ones
    best = candidate;
    limit = distance;
  }
  if (best || text.size() < 3) return best;
  // The start of a known text: "1.0" of "1.0.0".
  for (const std::string& candidate : known) {
    if (same_key(std::string_view(candidate).substr(0, text.size()), text)) return candidate;
  }
  return best;
}

std::string hint_for_key(SchemaStore& store, std::string_view key,
                         const std::vector<std::string>& known, std::string_view plugin,
                         std::string_view path) {
  const bool in_ipam = path.find("ipam.") != std::string_view::npos;
  if (!plugin.empty()) {
    std::string place = place_of(store, key, plugin, in_ipam);
    if (!place.empty()) return place;
  }
  if (const auto similar = most_similar(key, known))
    return cat("did you mean ", quote(*similar), "?");
  return "it is ignored: remove it";
}

}  // namespace cni::libcni
