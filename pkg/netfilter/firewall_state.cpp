#include "pkg/netfilter/firewall_state.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

// attachments/ID has the record; by-address/ADDRESS/ID and by-bridge/BRIDGE/ID are empty and lead
// to it.
constexpr std::string_view kFolder = "/run/cni/firewall";

constexpr std::array kPolicies = {std::pair{"open", IngressPolicy::kOpen},
                                  std::pair{"same-bridge", IngressPolicy::kSameBridge},
                                  std::pair{"isolated", IngressPolicy::kIsolated}};

std::string attachments_folder() { return cat(kFolder, "/attachments"); }
std::string record_path(std::string_view id) { return cat(attachments_folder(), '/', id); }
std::string address_folder(const Ip& address) {
  return cat(kFolder, "/by-address/", address.to_string());
}
std::string bridge_folder(std::string_view bridge) { return cat(kFolder, "/by-bridge/", bridge); }

template <class T>
void append_if_absent(std::vector<T>& to, const T& value) {
  if (std::find(to.begin(), to.end(), value) == to.end()) to.push_back(value);
}

// One "key value" on each line.
std::string text_of(const FirewallRecord& record) {
  std::string out = cat("network ", record.owner.network, "\ncontainer ", record.owner.container_id,
                        "\nifname ", record.owner.ifname, "\nbackend ", record.backend, '\n');
  if (!record.zone.empty()) out += cat("zone ", record.zone, '\n');
  for (const Ip& address : record.addresses) out += cat("address ", address.to_string(), '\n');
  if (!record.bridge.empty()) out += cat("bridge ", record.bridge, '\n');
  out += cat("policy ", to_string(record.policy), '\n');
  for (const std::string& link : record.host_links) out += cat("link ", link, '\n');
  return out;
}

void read_line(std::string_view key, std::string value, FirewallRecord& out) {
  const std::pair<std::string_view, std::string*> texts[] = {{"network", &out.owner.network},
                                                             {"container", &out.owner.container_id},
                                                             {"ifname", &out.owner.ifname},
                                                             {"backend", &out.backend},
                                                             {"zone", &out.zone}};
  for (const auto& [name, member] : texts) {
    if (key == name) *member = value;
  }
  if (key == "bridge" && os::is_path_component(value)) {
    out.bridge = std::move(value);
  } else if (key == "address") {
    if (const auto address = Ip::parse(value)) out.addresses.push_back(*address);
  } else if (key == "policy") {
    for (const auto& [text, policy] : kPolicies) {
      if (value == text) out.policy = policy;
    }
  } else if (key == "link") {
    out.host_links.push_back(std::move(value));
  }
}

FirewallRecord parse(std::string_view text) {
  FirewallRecord out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    read_line(line.substr(0, space), std::string(line.substr(space + 1)), out);
  }
  return out;
}

std::optional<FirewallRecord> read(std::string_view id) {
  const auto text = os::read_file(record_path(id));
  if (!text) return std::nullopt;
  return parse(*text);
}

void enter(const std::string& folder, const std::string& id) {
  os::make_directories(folder);
  (void)os::create_file(cat(folder, '/', id), {});  // there already: an earlier ADD's
}

void leave(const std::string& folder, const std::string& id) {
  (void)os::remove_file(cat(folder, '/', id));
  (void)::rmdir(folder.c_str());  // fails unless it was the last
}

}  // namespace

std::string_view to_string(IngressPolicy policy) {
  for (const auto& [text, value] : kPolicies) {
    if (value == policy) return text;
  }
  return "unknown";
}

os::FileLock FirewallRecords::lock() {
  os::make_directories(attachments_folder());
  return os::FileLock(cat(kFolder, "/lock"));
}

std::optional<FirewallRecord> FirewallRecords::find(const Owner& owner) {
  auto out = read(owner_id(owner));
  // The caller knows it better than a file that may be torn.
  if (out) out->owner = owner;
  return out;
}

std::vector<FirewallRecord> FirewallRecords::stale(std::string_view network,
                                                   std::span<const Attachment> valid) {
  const StaleOwners is_stale(network, valid);
  std::vector<FirewallRecord> out;
  for (const std::string& id : os::list_directory(attachments_folder())) {
    if (!is_stale(id)) continue;
    auto record = read(id);
    if (record && owner_id(record->owner) == id) out.push_back(std::move(*record));
  }
  return out;
}

FirewallRecord FirewallRecords::write(FirewallRecord record) {
  const std::string id = owner_id(record.owner);
  if (const auto earlier = read(id)) {
    for (const Ip& address : earlier->addresses) append_if_absent(record.addresses, address);
    for (const std::string& link : earlier->host_links) append_if_absent(record.host_links, link);
    if (record.zone.empty()) record.zone = earlier->zone;
    if (record.bridge.empty()) record.bridge = earlier->bridge;
    // What was made for it is still there.
    if (record.policy == IngressPolicy::kOpen) record.policy = earlier->policy;
    if (earlier->bridge != record.bridge) leave(bridge_folder(earlier->bridge), id);
  }
  const std::string text = text_of(record);
  if (!os::create_file(record_path(id), text)) {
    os::replace_file(record_path(id), text, os::Flush::kNo);
  }
  for (const Ip& address : record.addresses) enter(address_folder(address), id);
  if (!record.bridge.empty()) enter(bridge_folder(record.bridge), id);
  return record;
}

void FirewallRecords::remove(const FirewallRecord& record) {
  const std::string id = owner_id(record.owner);
  for (const Ip& address : record.addresses) leave(address_folder(address), id);
  if (!record.bridge.empty()) leave(bridge_folder(record.bridge), id);
  // Last: a DEL that is killed before this finds the rest again.
  (void)os::remove_file(record_path(id));
}

bool FirewallRecords::is_used_by_others(const Ip& address, const Owner& owner) {
  const std::string id = owner_id(owner);
  const auto users = os::list_directory(address_folder(address));
  return std::any_of(users.begin(), users.end(), [&](const std::string& user) {
    return user != id && os::is_regular_file(record_path(user));
  });
}

std::vector<FirewallRecord> FirewallRecords::others_on(std::string_view bridge,
                                                       const Owner& owner) {
  const std::string own = owner_id(owner);
  std::vector<FirewallRecord> out;
  for (const std::string& id : os::list_directory(bridge_folder(bridge))) {
    if (id == own) continue;
    auto record = read(id);
    if (record) out.push_back(std::move(*record));
  }
  return out;
}

}  // namespace cni::netfilter
