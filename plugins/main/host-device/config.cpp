#include "plugins/main/host-device/config.hpp"

#include "pkg/netlink/link.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::host_device {
namespace {

constexpr auto kRuntimeKeys = schema::keys<Config>(schema::key<&Config::device_id>(
    "deviceID",
    "Id of a PCI or auxiliary device that the runtime has set aside; before pciBusID."));
constexpr auto kRuntimeTable = schema::open(schema::Table<Config>(kRuntimeKeys));

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::device>("device", "The interface, by its name on the host.",
                                 {.format = schema::Format::kLinkName}),
    schema::key<&Config::hwaddr>("hwaddr", "The interface, by its present or permanent MAC."),
    schema::key<&Config::kernel_path>("kernelpath",
                                      "The interface, by its device's folder below /sys/devices.",
                                      {.format = schema::Format::kPath}),
    schema::key<&Config::pci_bus_id>("pciBusID",
                                     "The interface, by its PCI address: 0000:00:1f.6."),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability deviceID.",
                   kRuntimeTable));
constexpr schema::Table<Config> kTable(kKeys);

constexpr std::string_view kDevicesFolder = "/sys/devices/";

Error invalid(std::string_view path, std::string_view value, std::string_view what) {
  return Error(Code::kInvalidNetworkConfig, cat(path, ": ", quote(value), " is not ", what));
}

void check_kernel_path(const std::string& path) {
  if (path.empty()) return;
  const bool below = path.starts_with(kDevicesFolder) && path.size() > kDevicesFolder.size();
  if (below && (path + '/').find("/../") == std::string::npos) return;
  throw Error(
      Code::kInvalidNetworkConfig,
      cat("kernel device path ", quote(path), " must be absolute and begin with /sys/devices/"),
      "\"..\" is not allowed in it");
}

void check_id(std::string_view path, const std::string& id) {
  if (id.empty() || os::is_path_component(id)) return;
  throw invalid(path, id, "the id of a device: it has to be one component of a path");
}

// A value that cannot be used is none.
template <class Check>
void drop_if_invalid(std::string& value, Check&& check) {
  try {
    check();
  } catch (const Error&) {
    value.clear();
  }
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Moves an interface of the host into the container, and back.",
    .keys = &kTable,
    .ipam = schema::IpamUse::kOptional};

Selector Config::selector() const {
  if (!device.empty()) return Selector::kName;
  if (!hwaddr.empty()) return Selector::kHwaddr;
  if (!kernel_path.empty()) return Selector::kKernelPath;
  if (!pci_bus_id.empty()) return Selector::kPci;
  if (!auxiliary_id.empty()) return Selector::kAuxiliary;
  return Selector::kNone;
}

Config parse(const skel::Request& request) {
  return context("failed to load netconf", [&] {
    const Reader in = request.config.root();
    Config config;
    schema::read(in, kTable, config);
    if (config.selector() == Selector::kNone && config.device_id.empty()) {
      throw Error(Code::kInvalidNetworkConfig,
                  R"(specify either "device", "hwaddr", "kernelpath" or "pciBusID")",
                  "or runtimeConfig.deviceID, by the capability deviceID");
    }
    if (!config.device.empty()) {
      context(in.path_of("device"), [&] { netlink::check_link_name(config.device); });
    }
    check_kernel_path(config.kernel_path);
    check_id(in.path_of("pciBusID"), config.pci_bus_id);
    check_id("runtimeConfig.deviceID", config.device_id);
    return config;
  });
}

Config parse_leniently(const skel::Request& request) {
  const Reader in = request.config.root();
  Config config;
  schema::read_readable(in, kTable, config);
  drop_if_invalid(config.device, [&] {
    if (!config.device.empty()) netlink::check_link_name(config.device);
  });
  drop_if_invalid(config.kernel_path, [&] { check_kernel_path(config.kernel_path); });
  drop_if_invalid(config.pci_bus_id, [&] { check_id("", config.pci_bus_id); });
  drop_if_invalid(config.device_id, [&] { check_id("", config.device_id); });
  return config;
}

}  // namespace cni::host_device
