#include "plugins/meta/tuning/backup.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"

namespace cni::tuning {
namespace {

constexpr std::string_view kSuffix = ".json";

// The reference's keys, in its order.
constexpr const char* kMac = "mac";
constexpr const char* kPromiscuous = "promisc";
constexpr const char* kMtu = "mtu";
constexpr const char* kAllMulticast = "allmulti";
constexpr const char* kTxQueueLength = "txQLen";
// Ours.
constexpr const char* kNetwork = "network";
constexpr const char* kContainerId = "containerID";
constexpr const char* kIfname = "ifname";
constexpr const char* kNetnsCookie = "netnsCookie";
constexpr const char* kLinkIndex = "ifindex";
constexpr const char* kSysctl = "sysctl";

std::string to_text(const Backup& backup) {
  nlohmann::ordered_json out;
  const Settings& original = backup.original;
  if (original.mac) out[kMac] = original.mac->to_string();
  if (original.promiscuous) out[kPromiscuous] = *original.promiscuous;
  if (original.mtu) out[kMtu] = *original.mtu;
  if (original.all_multicast) out[kAllMulticast] = *original.all_multicast;
  if (original.tx_queue_length) out[kTxQueueLength] = *original.tx_queue_length;
  out[kNetwork] = backup.network;
  out[kContainerId] = backup.container_id;
  out[kIfname] = backup.ifname;
  out[kNetnsCookie] = backup.netns_cookie;
  out[kLinkIndex] = backup.link_index;
  for (const Sysctl& sysctl : original.sysctls)
    out[kSysctl][sysctl.parameter.name()] = sysctl.value;
  return out.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// In the order of the text, which Reader's documents do not keep.
std::vector<Sysctl> read_sysctls(std::string_view text) {
  std::vector<Sysctl> out;
  const auto document = nlohmann::ordered_json::parse(text, nullptr, false);
  const auto sysctls = document.find(kSysctl);
  if (sysctls == document.end() || !sysctls->is_object()) return out;
  for (const auto& [name, value] : sysctls->items()) {
    auto parameter = Parameter::from_name(name);
    if (parameter && value.is_string()) {
      out.push_back({*std::move(parameter), value.get<std::string>()});
    }
  }
  return out;
}

Backup from_text(const std::string& text) {
  const auto document = parse_json(text, "backup");
  const Reader in(*document);
  Backup out;
  in.optional(kMac, out.original.mac);
  in.optional(kPromiscuous, out.original.promiscuous);
  in.optional(kMtu, out.original.mtu);
  in.optional(kAllMulticast, out.original.all_multicast);
  in.optional(kTxQueueLength, out.original.tx_queue_length);
  in.optional(kNetwork, out.network);
  in.optional(kContainerId, out.container_id);
  in.optional(kIfname, out.ifname);
  in.optional(kNetnsCookie, out.netns_cookie);
  in.optional(kLinkIndex, out.link_index);
  out.original.sysctls = read_sysctls(text);
  return out;
}

// Of files of the reference only the name says whose they are: CONTAINER_IFNAME.json.
class ReferenceFiles {
 public:
  ReferenceFiles(std::span<const Attachment> valid, const std::string& cache_folder)
      : valid_(valid) {
    // Names are NETWORK-CONTAINER-IFNAME. Without any of the valid ones nobody keeps the cache.
    std::vector<std::string> cached = os::list_directory(cache_folder);
    const bool is_kept = std::any_of(valid.begin(), valid.end(), [&](const Attachment& one) {
      return has_entry(cached, one.container_id, one.ifname);
    });
    if (is_kept) cached_ = std::move(cached);
  }

  bool is_gone(std::string_view file) const {
    if (!cached_) return false;
    const std::string_view name = file.substr(0, file.size() - kSuffix.size());
    // Both parts may have the separator in them.
    for (std::size_t at = name.find('_'); at != std::string_view::npos;
         at = name.find('_', at + 1)) {
      const std::string_view container = name.substr(0, at);
      const std::string_view ifname = name.substr(at + 1);
      if (is_valid_attachment({valid_.begin(), valid_.end()}, container, ifname)) return false;
      if (has_entry(*cached_, container, ifname)) return false;
    }
    return true;
  }

 private:
  static bool has_entry(const std::vector<std::string>& cached, std::string_view container,
                        std::string_view ifname) {
    const std::string end = cat('-', container, '-', ifname);
    return std::any_of(cached.begin(), cached.end(),
                       [&](const std::string& name) { return name.ends_with(end); });
  }

  std::span<const Attachment> valid_;
  std::optional<std::vector<std::string>> cached_;
};

std::string name_of(const skel::Request& request) {
  return cat(request.container_id, '_', request.ifname, kSuffix);
}

}  // namespace

bool Backup::is_of_namespace(const Container& container) const {
  const std::uint64_t cookie = container.socket.netns_cookie();
  return netns_cookie == 0 || cookie == 0 || netns_cookie == cookie;
}

bool Backup::is_of_interface(Container& container) const {
  if (link_index == 0) return true;
  const auto link = netlink::find_link(container.socket, container.ifname);
  return link && static_cast<int>(link->index) == link_index;
}

Backup new_backup(const skel::Request& request, Container& container) {
  const auto link = netlink::find_link(container.socket, container.ifname);
  return {.original = {},
          .network = request.config.name,
          .container_id = request.container_id,
          .ifname = request.ifname,
          .netns_cookie = container.socket.netns_cookie(),
          .link_index = link ? static_cast<int>(link->index) : 0};
}

std::string backup_path(const std::string& data_dir, const skel::Request& request) {
  return cat(data_dir, '/', name_of(request));
}

std::optional<Backup> read_backup(const std::string& path) {
  const auto text = os::read_file(path);
  if (!text) return std::nullopt;
  try {
    return from_text(*text);
  } catch (const Error&) {
    // Nothing can be learnt from what is torn or somebody else's.
    return std::nullopt;
  }
}

void write_backup(const std::string& path, const Backup& backup) {
  os::make_directories(os::folder_of(path));
  const std::string text = to_text(backup);
  // Only replacing needs a second name, which a killed ADD would leave.
  if (os::create_file(path, text)) return;
  os::replace_file(path, text, os::Flush::kNo);
}

bool is_shared(const std::string& path, const skel::Request& request, const Parameter& parameter) {
  const std::string folder = os::folder_of(path);
  const std::string prefix = cat(request.container_id, '_');
  for (const std::string& name : os::list_directory(folder)) {
    if (!name.starts_with(prefix) || name == name_of(request)) continue;
    const auto other = read_backup(cat(folder, '/', name));
    if (!other || other->container_id != request.container_id) continue;
    const auto& sysctls = other->original.sysctls;
    if (std::any_of(sysctls.begin(), sysctls.end(),
                    [&](const Sysctl& sysctl) { return sysctl.parameter == parameter; })) {
      return true;
    }
  }
  return false;
}

void collect_garbage(const std::string& data_dir, std::string_view network,
                     std::span<const Attachment> valid, const std::string& cache_folder) {
  const std::vector<Attachment> attachments(valid.begin(), valid.end());
  const ReferenceFiles reference(valid, cache_folder);
  ErrorList errors;
  for (const std::string& name : os::list_directory(data_dir)) {
    if (!name.ends_with(kSuffix)) continue;
    const std::string path = cat(data_dir, '/', name);
    errors.run([&] {
      const auto backup = read_backup(path);
      if (!backup) return;
      const bool is_gone =
          backup->container_id.empty()
              ? reference.is_gone(name)
              : backup->network == network &&
                    !is_valid_attachment(attachments, backup->container_id, backup->ifname);
      if (is_gone) (void)os::remove_file(path);
    });
  }
  errors.throw_if_any();
}

}  // namespace cni::tuning
