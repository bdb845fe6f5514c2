#include "plugins/meta/tuning/config.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "pkg/attachment/keys.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/tuning/backup.hpp"

namespace cni::tuning {
namespace {

// The keys as they are written.
struct Keys {
  std::map<std::string, std::string> sysctl;
  Mac mac;
  std::optional<bool> promiscuous;
  std::uint32_t mtu = 0;
  std::optional<bool> all_multicast;
  std::optional<std::uint32_t> tx_queue_length;
  std::string data_dir;
  Mac runtime_mac;
  std::vector<Keys> args;  // those of args.cni, if it is there
};

void read_sysctl(const Reader& in, std::string_view name, Keys& out) {
  const auto object = in.object(name);
  if (!object) return;
  // null counts as an empty text, as in the reference.
  for (const std::string& key : object->keys()) object->optional(key, out.sysctl[key]);
}
// Absent is neither true nor false.
void read_promiscuous(const Reader& in, std::string_view name, Keys& out) {
  in.optional(name, out.promiscuous);
}
void read_all_multicast(const Reader& in, std::string_view name, Keys& out) {
  in.optional(name, out.all_multicast);
}

constexpr auto kSysctl = schema::by<Keys, read_sysctl>(
    {.name = "sysctl",
     .about = "Kernel parameters below net, each with its value as a text; IFNAME stands for the "
              "interface.",
     .type = schema::Type::kObject});
constexpr auto kMac = schema::key<&Keys::mac>("mac", "MAC address of the interface.");
constexpr auto kPromiscuous = schema::by<Keys, read_promiscuous>(
    {.name = "promisc",
     .about = "Switch the interface's promiscuous mode on or off.",
     .type = schema::Type::kBoolean});
constexpr auto kMtu =
    schema::key<&Keys::mtu>("mtu", "MTU of the interface; 0: unchanged.", {.fallback = "0"});
constexpr auto kAllMulticast = schema::by<Keys, read_all_multicast>(
    {.name = "allmulti",
     .about = "Switch on or off that the interface takes all multicast frames.",
     .type = schema::Type::kBoolean});
constexpr auto kTxQueueLength = schema::key<&Keys::tx_queue_length>(
    "txQLen", "Length of the interface's transmit queue, in packets.");

constexpr auto kSettingKeys =
    schema::keys<Keys>(kSysctl, kMac, kPromiscuous, kMtu, kAllMulticast, kTxQueueLength);
constexpr auto kSettingTable = schema::open(schema::Table<Keys>(kSettingKeys));

void read_args(const Reader& in, std::string_view name, Keys& out) {
  const auto args = in.object(name);
  const auto cni = args ? args->object("cni") : std::nullopt;
  if (cni) schema::read(*cni, kSettingTable, out.args.emplace_back());
}

constexpr auto kArgsKeys = schema::keys<Keys>(schema::described<Keys>(
    {.name = "cni",
     .about = "Settings that go before those of the configuration; sysctls are added to them.",
     .type = schema::Type::kObject,
     .object = &kSettingTable}));
constexpr auto kArgsTable = schema::open(schema::Table<Keys>(kArgsKeys));
constexpr auto kRuntimeKeys = schema::keys<Keys>(attachment::runtime_mac_key<&Keys::runtime_mac>());
constexpr auto kRuntimeTable = schema::open(schema::Table<Keys>(kRuntimeKeys));

constexpr auto kKeys = schema::keys<Keys>(
    kSysctl, kMac, kPromiscuous, kMtu, kAllMulticast, kTxQueueLength,
    schema::key<&Keys::data_dir>(
        "dataDir",
        "Where the values from before are kept until DEL: an absolute path without \"..\".",
        {.format = schema::Format::kPath, .fallback = R"("/run/cni/tuning")"}),
    schema::by<Keys, read_args>({.name = "args",
                                 .about = "Arguments of the runtime or its user.",
                                 .type = schema::Type::kObject,
                                 .object = &kArgsTable}),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability mac.", kRuntimeTable));
constexpr schema::Table<Keys> kTable(kKeys);

// A parsed document has only the last of them, so that the text has to be looked at.
void refuse_duplicates(const skel::Request& request) {
  constexpr std::array<std::string_view, 1> kOwn = {"sysctl"};
  constexpr std::array<std::string_view, 3> kArgs = {"args", "cni", "sysctl"};
  for (const std::span<const std::string_view> path :
       {std::span<const std::string_view>(kOwn), std::span<const std::string_view>(kArgs)}) {
    const auto key = find_duplicate_key(request.stdin_data, path);
    if (!key) continue;
    throw Error(Code::kInvalidNetworkConfig,
                cat("duplicated sysctl keys are not allowed: ", quote(*key)));
  }
}

// The sysctls of one object, no two of which may be the same parameter.
std::vector<Sysctl> sysctls_of(const Keys& keys, const std::string& ifname) {
  std::vector<Sysctl> out;
  for (const auto& [key, value] : keys.sysctl) {
    Sysctl sysctl{Parameter::parse(key, ifname), value};
    const bool is_there = std::any_of(out.begin(), out.end(), [&](const Sysctl& other) {
      return other.parameter == sysctl.parameter;
    });
    if (is_there) {
      throw Error(Code::kInvalidNetworkConfig,
                  cat("duplicated sysctl keys are not allowed: ", quote(key),
                      " is written in another way too (", sysctl.parameter.path(), ")"));
    }
    if (value.find('\0') != std::string::npos) {
      throw Error(Code::kInvalidNetworkConfig, cat("sysctl: the value of ", key, " contains NUL"));
    }
    out.push_back(std::move(sysctl));
  }
  return out;
}

Settings settings_of(const Keys& keys, const std::string& ifname) {
  Settings out;
  if (!keys.mac.empty()) out.mac = keys.mac;
  out.promiscuous = keys.promiscuous;
  if (keys.mtu != 0) out.mtu = keys.mtu;
  out.all_multicast = keys.all_multicast;
  out.tx_queue_length = keys.tx_queue_length;
  out.sysctls = sysctls_of(keys, ifname);
  return out;
}

bool has_parent_component(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

void check_data_dir(const std::string& path) {
  if (!path.starts_with('/')) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("dataDir: an absolute path is needed, got ", quote(path)));
  }
  if (has_parent_component(path) || path.find('\0') != std::string::npos) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("dataDir: a path without \"..\" is needed, got ", quote(path)));
  }
}

Config validated(const skel::Request& request, Keys keys) {
  if (!keys.sysctl.empty() || !keys.args.empty()) refuse_duplicates(request);
  keys.mac = attachment::chosen_mac(request, keys.mac, keys.runtime_mac);
  Config out;
  // What the runtime's user says goes first.
  for (const Keys& args : keys.args) out.settings = settings_of(args, request.ifname);
  out.settings.add_missing(settings_of(keys, request.ifname));
  std::sort(out.settings.sysctls.begin(), out.settings.sysctls.end(),
            [](const Sysctl& one, const Sysctl& other) {
              return one.parameter.name() < other.parameter.name();
            });
  for (const auto& each : keys.sysctl) out.sysctl_keys.push_back(each.first);
  for (const Keys& args : keys.args) {
    for (const auto& each : args.sysctl) out.sysctl_keys.push_back(each.first);
  }
  out.data_dir = keys.data_dir.empty() ? std::string(kDefaultDataDir) : keys.data_dir;
  check_data_dir(out.data_dir);
  return out;
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Changes the container's interface and kernel parameters of its namespace.",
    .keys = &kTable};

Config parse(const skel::Request& request) {
  Keys keys;
  context("failed to load netconf", [&] { schema::read(request.config.root(), kTable, keys); });
  return validated(request, std::move(keys));
}

std::string parse_data_dir(const skel::Request& request) {
  std::string path;
  try {
    request.config.root().optional("dataDir", path);
    if (!path.empty()) check_data_dir(path);
  } catch (const Error&) {
    path.clear();  // no ADD can have succeeded with it
  }
  return path.empty() ? std::string(kDefaultDataDir) : path;
}

}  // namespace cni::tuning
