#include "libcni/cache.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/base64.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

constexpr const char* kKind = "cniCacheV1";

json to_json(const CachedAttachment& attachment) {
  json out = {{"kind", kKind},
              {"containerId", attachment.container_id},
              {"config", to_base64(attachment.network_text)},
              {"ifName", attachment.ifname},
              {"networkName", attachment.network}};
  if (!attachment.netns.empty()) out["netns"] = attachment.netns;
  for (const auto& [name, value] : attachment.arguments) {
    out["cniArgs"].push_back(json::array({name, value}));
  }
  if (!attachment.capability_args.empty()) {
    out["capabilityArgs"] = *parse_json(attachment.capability_args, "capability arguments");
  }
  if (!attachment.result.empty()) out["result"] = *parse_json(attachment.result, "result");
  return out;
}

Arguments read_arguments(const Reader& in) {
  Arguments out;
  for (const Reader& pair : in.array("cniArgs")) {
    const std::vector<Reader> both = pair.elements();
    if (both.size() != 2) throw Reader::wrong_type(pair, "a name and a value");
    out.emplace_back(both[0].text(), both[1].text());
  }
  return out;
}

// Absent if it is not an attachment's file but, perhaps, a bare result.
std::optional<CachedAttachment> from_json(const json& document) {
  const Reader in(document);
  if (!document.is_object() || document.value("kind", json()) != kKind) return std::nullopt;
  CachedAttachment out;
  in.optional("containerId", out.container_id);
  in.optional("ifName", out.ifname);
  in.optional("networkName", out.network);
  in.optional("netns", out.netns);
  std::string config;
  in.optional("config", config);
  out.network_text = from_base64(config).value_or("");
  out.arguments = read_arguments(in);
  if (const auto capability_args = in.object("capabilityArgs")) {
    out.capability_args = capability_args->value().dump();
  }
  if (const auto result = in.object("result")) out.result = result->value().dump();
  return out;
}

std::optional<CachedAttachment> read_attachment(const std::string& path) {
  const auto text = os::read_file(path);
  if (!text) return std::nullopt;
  return context(path, [&] {
    const auto document = parse_json(*text, "cached attachment");
    auto out = from_json(*document);
    if (!out) {
      out.emplace();
      out->result = *text;
    }
    out->file = path;
    return out;
  });
}

}  // namespace

Cache::Cache(std::string folder) : folder_(std::move(folder)) {}

void Cache::store(const CachedAttachment& attachment) const {
  const std::string path = path_of(attachment.network, attachment.container_id, attachment.ifname);
  os::make_directories(cat(folder_, "/results"));
  os::replace_file(path, to_json(attachment).dump(-1, ' ', false, json::error_handler_t::replace),
                   os::Flush::kYes);
}

std::optional<CachedAttachment> Cache::load(std::string_view network, std::string_view container_id,
                                            std::string_view ifname) const {
  return read_attachment(path_of(network, container_id, ifname));
}

std::optional<os::FileLock> Cache::lock(std::string_view network, std::string_view container_id,
                                        std::string_view ifname) const {
  return os::FileLock::find(path_of(network, container_id, ifname));
}

bool Cache::remove(std::string_view network, std::string_view container_id,
                   std::string_view ifname) const {
  return os::remove_file(path_of(network, container_id, ifname));
}

std::vector<CachedAttachment> Cache::list(std::vector<std::string>* unreadable) const {
  const std::string folder = cat(folder_, "/results");
  std::vector<std::string> names = os::list_directory(folder);
  std::sort(names.begin(), names.end());
  std::vector<CachedAttachment> out;
  for (const std::string& name : names) {
    const std::string path = cat(folder, '/', name);
    std::optional<CachedAttachment> attachment;
    try {
      attachment = read_attachment(path);
      if (!attachment) continue;  // it has just been removed
    } catch (const Error&) {
      // Said below; the caller can look closer at it with load.
    }
    if (attachment && !attachment->network.empty() && !attachment->ifname.empty()) {
      out.push_back(*std::move(attachment));
    } else if (unreadable != nullptr) {
      unreadable->push_back(path);
    }
  }
  return out;
}

std::string Cache::path_of(std::string_view network, std::string_view container_id,
                           std::string_view ifname) const {
  if (network.empty() || container_id.empty() || ifname.empty()) {
    throw Error(Code::kInvalidEnvironment,
                cat("cache file path requires network name (", network, "), container ID (",
                    container_id, "), and interface name (", ifname, ")"));
  }
  std::string name = cat(network, '-', container_id, '-', ifname);
  if (!os::is_path_component(name)) {
    throw Error(Code::kInvalidEnvironment,
                cat("the attachment ", quote(name), " cannot be the name of a cache file"));
  }
  return cat(folder_, "/results/", name);
}

}  // namespace cni::libcni
