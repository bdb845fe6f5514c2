#include "schema/json_schema.hpp"

#include <nlohmann/json.hpp>

#include "pkg/types/error.hpp"
#include "pkg/types/shared_keys.hpp"

namespace cni::schema_files {
namespace {

using Json = nlohmann::ordered_json;
using schema::Format;
using schema::IpamUse;
using schema::Key;
using schema::Object;
using schema::Type;
using Plugins = std::span<const skel::Plugin* const>;

constexpr std::string_view kDraft = "http://json-schema.org/draft-07/schema#";
constexpr std::string_view kSpelling =
    " Keys match without regard to case; this is their documented spelling.";
// Keys that are nobody's: comments, what other software keeps in the file, and the schema's name.
constexpr std::string_view kForeignKeys = "^(_|cni\\.dev/|\\$schema$)";

// For editors, which do not know our formats. A text that may be absent may also be empty.
std::string_view pattern_of(Format format) {
  switch (format) {
    case Format::kIp:
      return "^$|^[0-9]{1,3}(\\.[0-9]{1,3}){3}$|^[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*$";
    case Format::kPrefix:
      return "^$|^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)/[0-9]{1,3}$";
    case Format::kIpOrPrefix:
      return "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)(/[0-9]{1,3})?$";
    case Format::kMac:
      return "^$|^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5,19}$|^[0-9A-Fa-f]{4}(\\.[0-9A-Fa-f]{4}){2,9}"
             "$";
    case Format::kLinkName:
      return "^[^/:\\s]{0,15}$";
    case Format::kNetworkName:
      return "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$";
    case Format::kPluginName:
      return "^[^/]*$";
    case Format::kPath:
      return "^$|^/";
    case Format::kBooleanText:
      return "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$";
    case Format::kNone:
      break;
  }
  return "";
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kBoolean:
      return "boolean";
    case Type::kInteger:
      return "integer";
    case Type::kString:
      return "string";
    case Type::kObject:
      return "object";
    case Type::kAny:
      break;
  }
  return "";
}

void put_range(Json& out, const schema::Details& details) {
  Json range = Json::object();
  if (details.minimum) range["minimum"] = *details.minimum;
  if (details.maximum) range["maximum"] = *details.maximum;
  if (details.zero_is_default) {
    out["anyOf"] = Json::array({Json{{"const", 0}}, range});
  } else {
    out.update(range);
  }
}

void put_format(Json& out, const schema::Details& details) {
  if (details.format == Format::kBooleanText) out["type"] = Json::array({"boolean", "string"});
  if (details.format == Format::kNone) return;
  out["format"] = to_string(details.format);
  out["pattern"] = pattern_of(details.format);
}

// The schema of one value of the key, or of an innermost element.
Json value_schema(const Key& key) {
  Json out = Json::object();
  if (key.type == Type::kObject && key.object != nullptr) out = object_schema(*key.object);
  if (key.type != Type::kAny) out["type"] = type_name(key.type);
  put_format(out, key.details);
  put_range(out, key.details);
  for (const std::string_view text : key.details.choices) out["enum"].push_back(text);
  return out;
}

Json key_schema(const Key& key) {
  Json inner = value_schema(key);
  for (unsigned i = 0; i < key.lists; ++i) inner = {{"type", "array"}, {"items", inner}};
  Json out = {{"description", key.about}};
  if (!key.details.fallback.empty()) out["default"] = Json::parse(key.details.fallback);
  out.update(inner);
  if (!key.details.deprecated.empty()) out["deprecationMessage"] = key.details.deprecated;
  if (!key.details.unsupported.empty()) {
    out["x-cni-unsupported"] = key.details.unsupported;
    out["errorMessage"] = key.details.unsupported;
    if (key.lists > 0) {
      out["maxItems"] = 0;
    } else {
      out["const"] = out["default"];
    }
  }
  return out;
}

// What has to be in an object for a condition of a rule to hold.
Json condition_schema(std::string_view path) {
  if (path.empty()) {
    return {
        {"anyOf", Json::array({Json{{"const", true}}, {{"type", "string"}, {"minLength", 1}}})}};
  }
  const std::size_t dot = std::min(path.find('.'), path.size());
  const std::string_view rest = path.substr(std::min(dot + 1, path.size()));
  const std::string name(path.substr(0, dot));
  return {{"properties", {{name, condition_schema(rest)}}}, {"required", Json::array({name})}};
}

void put_rules(Json& out, std::span<const schema::Rule> rules) {
  for (const schema::Rule& rule : rules) {
    if (rule.first_condition.empty()) {
      out["x-cni-rules"].push_back({{"name", rule.name}, {"sentence", rule.sentence}});
      continue;
    }
    out["allOf"].push_back(
        {{"not",
          {{"allOf", Json::array({condition_schema(rule.first_condition),
                                  condition_schema(rule.second_condition)})}}},
         {"errorMessage", rule.sentence},
         {"x-cni-conflict", Json::array({rule.first_condition, rule.second_condition})}});
  }
}

const Key* find_key(const Object& object, std::string_view name) {
  for (const Key& key : object.keys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

bool is_manager(const skel::Plugin& plugin) {
  return plugin.description->ipam == IpamUse::kManager;
}

// if the text under `key` is `name` then `consequence`.
Json when(std::string_view key, std::string_view name, Json consequence) {
  return {
      {"if",
       {{"properties", {{std::string(key), {{"const", name}}}}}, {"required", Json::array({key})}}},
      {"then", std::move(consequence)}};
}

Json plugin_names(Plugins plugins, bool managers) {
  Json out = Json::array();
  for (const skel::Plugin* plugin : plugins) {
    if (plugin->description != nullptr && is_manager(*plugin) == managers) {
      out.push_back(plugin->name);
    }
  }
  return out;
}

// The capabilities of a plugin: what it reads of runtimeConfig.
Json capabilities_schema(const Object* own) {
  Json out = Json::object();
  const Key* runtime = own != nullptr ? find_key(*own, "runtimeConfig") : nullptr;
  if (runtime == nullptr || runtime->object == nullptr) return out;
  for (const Key& key : runtime->object->keys) {
    out[std::string(key.name)] = {{"description", key.about}, {"type", "boolean"}};
  }
  return out;
}

// The ipam section of a plugin that leaves addresses to managers.
Json delegated_ipam(Plugins plugins, bool required) {
  Json out = key_schema(*find_key(kSharedTable, "ipam"));
  out["properties"]["type"]["examples"] = plugin_names(plugins, true);
  if (required) out["required"] = Json::array({"type"});
  for (const Json& name : plugin_names(plugins, true)) {
    const auto text = name.get<std::string>();
    out["allOf"].push_back(when("type", text, {{"$ref", text + ".json#/definitions/ipam"}}));
  }
  return out;
}

// The ipam section of a manager: also what calls it says its type there.
Json manager_ipam(const Object& own) {
  const Key* ipam = find_key(own, "ipam");
  Json out = key_schema(*ipam);
  Json properties = object_schema(*find_key(kSharedTable, "ipam")->object)["properties"];
  properties.update(out["properties"]);
  out["properties"] = properties;
  return out;
}

// What a manager says of the plugin around its ipam: keys that give it arguments, and rules.
Json manager_channels(const Object& own) {
  Json properties = {{"capabilities", {{"properties", capabilities_schema(&own)}}}};
  for (const Key& key : own.keys) {
    if (key.name != "ipam") properties[std::string(key.name)] = key_schema(key);
  }
  Json out = {{"properties", properties}};
  put_rules(out, own.rules);
  return out;
}

Json plugin_properties(const skel::Plugin& plugin, Plugins plugins) {
  const schema::Description& description = *plugin.description;
  Json out = Json::object();
  for (const Object* table : {static_cast<const Object*>(&kIdentityTable),
                              static_cast<const Object*>(&kSharedTable), description.keys}) {
    if (table == nullptr) continue;
    for (const Key& key : table->keys) out[std::string(key.name)] = key_schema(key);
  }
  Json& capabilities = out["capabilities"];
  capabilities["properties"] = capabilities_schema(description.keys);
  capabilities["additionalProperties"] = {{"type", "boolean"}};
  if (description.ipam == IpamUse::kManager) {
    out["ipam"] = {{"$ref", "#/definitions/ipam"}};
  } else if (description.ipam != IpamUse::kNone) {
    out["ipam"] = delegated_ipam(plugins, description.ipam == IpamUse::kRequired);
  }
  return out;
}

Json plugin_file(const skel::Plugin& plugin, Plugins plugins) {
  const schema::Description& description = *plugin.description;
  Json out = {{"$schema", kDraft},
              {"title", cat("CNI plugin ", plugin.name)},
              {"description", cat(description.about, kSpelling)},
              {"type", "object"},
              {"properties", plugin_properties(plugin, plugins)},
              {"patternProperties", {{std::string(kForeignKeys), Json::object()}}},
              {"additionalProperties", false},
              {"required", Json::array({"type"})}};
  const bool has_ipam =
      description.ipam == IpamUse::kRequired || description.ipam == IpamUse::kManager;
  if (has_ipam) out["required"].push_back("ipam");
  if (description.keys != nullptr) put_rules(out, description.keys->rules);
  if (is_manager(plugin)) {
    out["definitions"] = {{"ipam", manager_ipam(*description.keys)},
                          {"channels", manager_channels(*description.keys)}};
  } else if (description.ipam != IpamUse::kNone) {
    for (const Json& name : plugin_names(plugins, true)) {
      const auto text = name.get<std::string>();
      Json rule = when("ipam", text, {{"$ref", text + ".json#/definitions/channels"}});
      rule["if"]["properties"]["ipam"] = when("type", text, {})["if"];
      out["allOf"].push_back(rule);
    }
  }
  return out;
}

Json conf_file(Plugins plugins) {
  Json type = key_schema(*find_key(kSharedTable, "type"));
  type["examples"] = plugin_names(plugins, false);
  Json plugin = {{"type", "object"}, {"properties", {{"type", type}}}, {"required", {"type"}}};
  for (const skel::Plugin* entry : plugins) {
    if (entry->description == nullptr) continue;
    plugin["allOf"].push_back(when("type", entry->name, {{"$ref", cat(entry->name, ".json")}}));
  }
  // What every plugin shares holds for those without a schema too.
  Json known = Json::array();
  for (const skel::Plugin* entry : plugins) {
    if (entry->description != nullptr) known.push_back(entry->name);
  }
  Json shared = object_schema(kSharedTable)["properties"];
  shared.erase("type");
  shared["capabilities"]["additionalProperties"] = {{"type", "boolean"}};
  plugin["allOf"].push_back(
      {{"if", {{"not", {{"properties", {{"type", {{"enum", known}}}}}}}}},
       {"then", {{"title", "CNI plugin without a schema"}, {"properties", std::move(shared)}}}});
  return {{"$schema", kDraft},
          {"title", "CNI configuration of a single plugin"},
          {"description",
           cat("Plugins that have no schema here may have any keys beside the shared ones.",
               kSpelling)},
          {"allOf", Json::array({Json{{"$ref", "#/definitions/plugin"}}})},
          {"properties", object_schema(kIdentityTable)["properties"]},
          {"required", Json::array({"name"})},
          {"definitions", {{"plugin", plugin}}}};
}

// The keys of a configuration list, beside those of every configuration.
constexpr Key kListKeys[] = {
    {.name = "cniVersions",
     .about = "More versions that the list is written for; the highest that is known is used.",
     .type = Type::kString,
     .lists = 1},
    {.name = "disableCheck",
     .about = "The runtime does not call CHECK.",
     .type = Type::kBoolean,
     .details = {.format = Format::kBooleanText, .fallback = "false"}},
    {.name = "disableGC",
     .about = "The runtime does not call GC.",
     .type = Type::kBoolean,
     .details = {.format = Format::kBooleanText, .fallback = "false"}},
    {.name = "loadOnlyInlinedPlugins",
     .about = "Only the plugins of this file, not those of the folder beside it that is named "
              "after the network.",
     .type = Type::kBoolean,
     .details = {.format = Format::kBooleanText, .fallback = "false"}}};

Json conflist_file() {
  Json properties = object_schema(kIdentityTable)["properties"];
  for (const Key& key : kListKeys) properties[std::string(key.name)] = key_schema(key);
  properties["plugins"] = {{"description", "The plugins, in the order in which they add."},
                           {"type", "array"},
                           {"minItems", 1},
                           {"items", {{"$ref", "conf.json#/definitions/plugin"}}}};
  return {{"$schema", kDraft},
          {"title", "CNI configuration list"},
          {"description", cat("A network and the plugins that make it.", kSpelling)},
          {"type", "object"},
          {"properties", properties},
          {"patternProperties", {{std::string(kForeignKeys), Json::object()}}},
          {"additionalProperties", false},
          {"required", Json::array({"name"})}};
}

}  // namespace

Json object_schema(const Object& object) {
  Json out = {{"type", "object"}, {"properties", Json::object()}};
  for (const Key& key : object.keys) {
    out["properties"][std::string(key.name)] = key_schema(key);
    if (key.details.required) out["required"].push_back(key.name);
  }
  if (!object.open) {
    out["patternProperties"] = {{std::string(kForeignKeys), Json::object()}};
    out["additionalProperties"] = false;
  }
  put_rules(out, object.rules);
  return out;
}

std::map<std::string, std::string> write_all(Plugins plugins) {
  std::map<std::string, Json> files = {{"conf.json", conf_file(plugins)},
                                       {"conflist.json", conflist_file()}};
  for (const skel::Plugin* plugin : plugins) {
    if (plugin->description == nullptr) continue;
    files.emplace(cat(plugin->name, ".json"), plugin_file(*plugin, plugins));
  }
  std::map<std::string, std::string> out;
  for (const auto& [name, json] : files) out[name] = json.dump(2) + "\n";
  return out;
}

}  // namespace cni::schema_files
