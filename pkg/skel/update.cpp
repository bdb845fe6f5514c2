#include "pkg/skel/update.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/version.hpp"

namespace cni::skel {
namespace {

using nlohmann::json;

// What every plugin reads, or hands to a delegate.
constexpr std::array<std::string_view, 3> kSharedKeys = {"args", "dns", "ipam"};

constexpr std::string_view kRuntimeConfig = "runtimeconfig";

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

// Says nothing of the attachment.
bool is_about_call(std::string_view key) {
  return key == "prevresult" || key == "capabilities" || key == "type" ||
         key.starts_with("cni.dev/");
}

bool is_nothing(const json* value) {
  return value == nullptr || value->is_null() || (value->is_object() && value->empty());
}

std::string text_of(const json* value) {
  return is_nothing(value) ? std::string()
                           : value->dump(-1, ' ', false, json::error_handler_t::replace);
}

const schema::Key* find_key(const schema::Object& object, std::string_view lower_case_name) {
  for (const schema::Key& key : object.keys) {
    if (lower_case(key.name) == lower_case_name) return &key;
  }
  return nullptr;
}

// Two values of one key, either of which may be absent.
struct Pair {
  std::string name;
  const json* was = nullptr;
  const json* now = nullptr;
};

std::map<std::string, Pair> pairs_of(const json* was, const json* now) {
  std::map<std::string, Pair> out;
  for (const auto& [object, member] : {std::pair(was, &Pair::was), std::pair(now, &Pair::now)}) {
    if (is_nothing(object)) continue;
    for (const auto& [key, value] : object->items()) {
      Pair& pair = out[lower_case(key)];
      pair.name = key;
      pair.*member = &value;
    }
  }
  return out;
}

class Comparison {
 public:
  explicit Comparison(const schema::Description* description) : description_(description) {}

  std::vector<Change> run(const json& was, const json& now) {
    for (const auto& [key, pair] : pairs_of(&was, &now)) {
      if (is_about_call(key)) continue;
      const schema::Key* known = find_known(key);
      if (known == nullptr && !is_shared(key)) continue;
      compare(pair.name, pair, known == nullptr ? nullptr : known->object);
    }
    return std::move(changes_);
  }

 private:
  const schema::Key* find_known(std::string_view key) const {
    if (description_ == nullptr || description_->keys == nullptr) return nullptr;
    // Beside what the plugin reads of it stand arguments for the address manager.
    if (has_manager() && key == kRuntimeConfig) return nullptr;
    return find_key(*description_->keys, key);
  }

  // Counts although the plugin's own tables may not have it.
  bool is_shared(std::string_view key) const {
    if (description_ == nullptr || (has_manager() && key == kRuntimeConfig)) return true;
    return std::find(kSharedKeys.begin(), kSharedKeys.end(), key) != kSharedKeys.end();
  }

  bool has_manager() const {
    return description_ != nullptr && description_->ipam != schema::IpamUse::kNone;
  }

  // `object`: the keys that the plugin reads of these objects; null: any.
  void compare(const std::string& path, const Pair& pair, const schema::Object* object) {
    const bool are_objects = (is_nothing(pair.was) || pair.was->is_object()) &&
                             (is_nothing(pair.now) || pair.now->is_object());
    if (!are_objects) {
      std::string from = text_of(pair.was);
      std::string to = text_of(pair.now);
      if (from != to) changes_.push_back({path, std::move(from), std::move(to)});
      return;
    }
    for (const auto& [key, below] : pairs_of(pair.was, pair.now)) {
      const schema::Key* known = object == nullptr ? nullptr : find_key(*object, key);
      if (object != nullptr && known == nullptr) continue;
      compare(cat(path, '.', below.name), below, known == nullptr ? nullptr : known->object);
    }
  }

  const schema::Description* description_;
  std::vector<Change> changes_;
};

bool is_below(std::string_view path, std::string_view key) {
  const std::string lower_path = lower_case(path);
  const std::string lower_key = lower_case(key);
  return lower_path.starts_with(lower_key) &&
         (lower_path.size() == lower_key.size() || lower_path[lower_key.size()] == '.');
}

const json* update_section(const Request& now) {
  const json& config = *now.config.document;
  const auto it = config.find(kUpdateKey);
  return it == config.end() || !it->is_object() ? nullptr : &*it;
}

std::string text_of_name(const std::string& name) {
  return json(name).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string Change::describe() const {
  const auto shown = [](const std::string& text) {
    return text.empty() ? std::string("nothing") : text;
  };
  return cat(key, ": ", shown(from), " to ", shown(to));
}

std::vector<Change> changes_between(const json& was, const json& now,
                                    const schema::Description* description) {
  return Comparison(description).run(was, now);
}

void require_live(std::string_view plugin, std::span<const Change> changes,
                  std::span<const std::string_view> live_keys) {
  for (const Change& change : changes) {
    const bool is_live = std::any_of(live_keys.begin(), live_keys.end(), [&](std::string_view key) {
      return is_below(change.key, key);
    });
    if (is_live) continue;
    std::string known;
    for (const std::string_view key : live_keys) known += cat(known.empty() ? "" : ", ", key);
    throw Error(
        Code::kCannotUpdate,
        cat("plugin ", plugin, " cannot change ", change.describe(), " of a running attachment"),
        cat(known.empty() ? "it can change nothing" : cat("it can change ", known),
            "; delete and add the attachment for anything else"));
  }
}

Request previous_of(const Request& now) {
  const json* section = update_section(now);
  if (section == nullptr || !section->contains("previous") ||
      !section->at("previous").is_object()) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("UPDATE needs the configuration that the attachment has under the key ",
                    kUpdateKey, ".previous"));
  }
  json previous = section->at("previous");
  const json& config = *now.config.document;
  previous["name"] = now.config.name;
  previous["cniVersion"] = now.config.cni_version;
  previous.erase("prevResult");
  if (config.contains("prevResult")) previous["prevResult"] = config.at("prevResult");
  Request out = now;
  out.stdin_data = previous.dump();
  out.config = NetConf::parse(out.stdin_data);
  out.config.read_shared_keys(Strictness::kStrict);
  return out;
}

bool is_trial(const Request& now) {
  const json* section = update_section(now);
  if (section == nullptr) return false;
  bool out = false;
  Reader(*section, std::string(kUpdateKey)).optional("trial", out);
  return out;
}

std::string update_to_json(const std::vector<Change>& changes, const Result* result,
                           std::string_view version) {
  // Values and result are JSON texts already.
  std::string out = cat("{\n    \"cniVersion\": ", json(version_or_default(version)).dump(),
                        ",\n    \"changed\": [");
  const auto value = [](const std::string& text) { return text.empty() ? "null" : text; };
  for (const Change& each : changes) {
    out += cat(&each == changes.data() ? "" : ", ", "{\"key\": ", text_of_name(each.key),
               ", \"from\": ", value(each.from), ", \"to\": ", value(each.to), '}');
  }
  out += ']';
  if (result != nullptr) out += cat(",\n    \"result\": ", result_to_json(*result, version));
  return out + "\n}\n";
}

Result with_routes(Result result, const std::vector<Route>& was, const std::vector<Route>& now) {
  for (const Route& route : was) {
    // Results of older versions say no more than these two.
    const auto found =
        std::find_if(result.routes.begin(), result.routes.end(), [&](const Route& other) {
          return other.destination == route.destination && other.gateway == route.gateway;
        });
    if (found != result.routes.end()) result.routes.erase(found);
  }
  result.routes.insert(result.routes.end(), now.begin(), now.end());
  return result;
}

Updated update_from_json(std::string_view text) {
  const auto document = parse_json(text, "answer to UPDATE");
  if (!document->is_object() || !document->contains("changed")) {
    throw Error(Code::kDecodingFailure, "answer to UPDATE: missing field changed");
  }
  Updated out;
  for (const Reader& each : Reader(*document).array("changed")) {
    Change change;
    each.optional("key", change.key);
    if (each.has("from")) change.from = text_of(&each.get("from").value());
    if (each.has("to")) change.to = text_of(&each.get("to").value());
    out.changes.push_back(std::move(change));
  }
  if (document->contains("result")) {
    out.result = std::make_shared<const json>(document->at("result"));
  }
  return out;
}

}  // namespace cni::skel
