#include "plugins/main/host-device/device.hpp"

#include <linux/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::host_device {
namespace {

constexpr std::string_view kPciDevices = "/sys/bus/pci/devices/";
constexpr std::string_view kAuxiliaryDevices = "/sys/bus/auxiliary/devices/";
constexpr std::string_view kUserSpaceDrivers[] = {"vfio-pci", "uio_pci_generic", "igb_uio"};
constexpr std::size_t kMostListed = 16;

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

std::vector<std::string> sorted_names(const std::string& folder) {
  std::vector<std::string> names = os::list_directory(folder);
  std::sort(names.begin(), names.end());
  return names;
}

std::string last_component(std::string_view path) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

Error not_found(std::string_view why, std::string_view more = {}) {
  return Error(Code::kInvalidNetworkConfig,
               cat("failed to find host device: failed to find physical interface",
                   why.empty() ? "" : ": ", why),
               std::string(more));
}

// The interface of a device's folder: the first, by name, of its folder net.
std::optional<std::string> interface_below(const std::string& folder) {
  const std::vector<std::string> names = sorted_names(folder + "/net");
  if (names.empty()) return std::nullopt;
  return names.front();
}

// A virtio device stands between the PCI device and its interface.
std::vector<std::string> virtio_devices(const std::string& folder) {
  std::vector<std::string> names = sorted_names(folder);
  std::erase_if(names, [](const std::string& name) { return !name.starts_with("virtio"); });
  return names;
}

std::string interface_of_pci(const std::string& id) {
  const std::string folder = cat(kPciDevices, id);
  if (auto name = interface_below(folder)) return *name;
  for (const std::string& virtio : virtio_devices(folder)) {
    if (auto name = interface_below(cat(folder, '/', virtio))) return *name;
  }
  throw Error(Code::kInvalidNetworkConfig,
              cat("failed to find host device: no net directory under pci device ", id),
              exists(folder) ? "its driver has no network interface in the host's namespace"
                             : cat("there is no ", folder));
}

std::string interface_of_auxiliary(const std::string& id) {
  if (auto name = interface_below(cat(kAuxiliaryDevices, id))) return *name;
  throw not_found(cat("no net directory under auxiliary device ", id));
}

// Symbolic links must not lead out of /sys/devices.
std::string interface_of_kernel_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) {
    throw not_found(cat(path, ": ", errno_text(errno)));
  }
  if (!std::string_view(resolved).starts_with("/sys/devices/")) {
    throw not_found(cat(path, " leads to ", resolved, ", which is not below /sys/devices"));
  }
  if (auto name = interface_below(resolved)) return *name;
  throw not_found(cat("no net directory under ", path));
}

// The kernel deletes other links with their namespace, and brings these back.
bool is_hardware(const netlink::Link& link) { return link.kind.empty() || link.kind == "can"; }

// Those that hardware stands behind, which are what somebody looks for.
std::string list_physical(netlink::Socket& host) {
  std::string list;
  std::size_t count = 0;
  (void)netlink::find_link_if(host, [&](const netlink::Link& link) {
    const bool listed = is_hardware(link) && (link.flags & IFF_LOOPBACK) == 0;
    if (listed && ++count <= kMostListed) {
      list += cat(list.empty() ? "" : ", ", link.name, ' ', link.mac.to_string());
    }
    return false;  // all of them
  });
  if (list.empty()) return "the host has no physical interface now";
  return cat("physical interfaces of the host: ", list,
             count > kMostListed ? cat(" and ", count - kMostListed, " more") : "");
}

// Of several interfaces with one address, as a port and its bridge are, hardware comes first, then
// what has the address now.
netlink::Link find_by_hwaddr(netlink::Socket& host, const Mac& mac) {
  std::optional<netlink::Link> best;
  int best_rank = 0;
  (void)netlink::find_link_if(host, [&](const netlink::Link& link) {
    if (link.mac != mac && link.permanent_mac != mac) return false;
    const int rank = (is_hardware(link) ? 2 : 0) + (link.mac == mac ? 1 : 0) + 1;
    if (rank > best_rank) {
      best = link;
      best_rank = rank;
    }
    return false;
  });
  if (best) return *std::move(best);
  throw not_found(cat("no interface of the host has the MAC address ", mac.to_string()),
                  list_physical(host));
}

netlink::Link find_by_name(netlink::Socket& host, const std::string& name) {
  auto link = netlink::find_link(host, name);
  if (link) return *std::move(link);
  throw not_found(cat("the host has no interface ", quote(name)), list_physical(host));
}

Device find_by_selector(netlink::Socket& host, const Config& config) {
  const auto named = [&](const std::string& name) {
    netlink::Link link = find_by_name(host, name);
    std::string real_name = link.name;  // the given one may be an alternative name
    return Device{std::move(link), std::move(real_name)};
  };
  switch (config.selector()) {
    case Selector::kName:
      if (auto link = find_brought_back(host, config)) return {*std::move(link), config.device};
      return named(config.device);
    case Selector::kHwaddr: {
      netlink::Link link = find_by_hwaddr(host, config.hwaddr);
      std::string name = link.name;
      return {std::move(link), std::move(name)};
    }
    case Selector::kKernelPath:
      return named(interface_of_kernel_path(config.kernel_path));
    case Selector::kPci:
      return named(interface_of_pci(config.pci_bus_id));
    case Selector::kAuxiliary:
      return named(interface_of_auxiliary(config.auxiliary_id));
    case Selector::kNone:
      break;
  }
  throw not_found("the configuration names none");
}

}  // namespace

void resolve_device_id(Config& config) {
  if (config.device_id.empty()) return;
  if (exists(cat(kPciDevices, config.device_id))) {
    config.pci_bus_id = config.device_id;
  } else if (exists(cat(kAuxiliaryDevices, config.device_id))) {
    config.pci_bus_id.clear();
    config.auxiliary_id = config.device_id;
  } else {
    throw Error(Code::kInvalidNetworkConfig,
                cat("runtime config DeviceID ", config.device_id, " not found or unsupported"),
                cat("there is neither ", kPciDevices, config.device_id, " nor ", kAuxiliaryDevices,
                    config.device_id));
  }
}

bool is_in_user_space(const Config& config) {
  if (config.selector() != Selector::kPci) return false;
  const std::string path = cat(kPciDevices, config.pci_bus_id, "/driver");
  char target[PATH_MAX];
  // A device without a driver has no link.
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  if (size <= 0) return false;
  const std::string driver = last_component({target, static_cast<std::size_t>(size)});
  return std::find(std::begin(kUserSpaceDrivers), std::end(kUserSpaceDrivers), driver) !=
         std::end(kUserSpaceDrivers);
}

Device find_device(netlink::Socket& host, const Config& config) {
  Device device = find_by_selector(host, config);
  if ((device.link.flags & IFF_LOOPBACK) != 0) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("failed to find host device: ", device.link.name,
                    " is the loopback interface, which every namespace has its own of"));
  }
  if (device.link.master == netlink::LinkIndex::kNone) return device;
  const auto upper = netlink::find_link(host, device.link.master);
  throw Error(Code::kConflict,
              cat("failed to find host device: ", device.link.name, " is a port of ",
                  upper ? cat(upper->kind, ' ', upper->name) : "another interface",
                  ", which would lose it"),
              cat("release it first: ip link set ", device.link.name, " nomaster"));
}

std::optional<netlink::Link> find_brought_back(netlink::Socket& host, const Config& config) {
  if (config.selector() != Selector::kName) return std::nullopt;
  if (netlink::find_link(host, config.device)) return std::nullopt;
  return netlink::find_link_if(host, [&](const netlink::Link& link) {
    return is_hardware(link) && link.alias == config.device;
  });
}

std::vector<std::string> bus_names(const Config& config) {
  switch (config.selector()) {
    case Selector::kKernelPath:
      return {last_component(config.kernel_path)};
    case Selector::kPci: {
      std::vector<std::string> names = virtio_devices(cat(kPciDevices, config.pci_bus_id));
      names.push_back(config.pci_bus_id);
      return names;
    }
    case Selector::kAuxiliary:
      return {config.auxiliary_id};
    default:
      return {};
  }
}

}  // namespace cni::host_device
