#include "plugins/main/host-device/ownership.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"
#include "plugins/main/host-device/device.hpp"

namespace cni::host_device {
namespace {

using netlink::Link;

// The tag is a signed number in /proc/sys: 30 bits for the attachment, and the lowest one.
constexpr std::uint32_t kAttachmentBits = 0x7ffffffe;
constexpr std::uint32_t kHadPermanentMac = 1;

std::uint32_t attachment_bits(const skel::Request& request) {
  const std::string digest =
      sha512_hex(cat("host-device:", request.container_id, ':', request.ifname));
  const auto bits =
      static_cast<std::uint32_t>(std::strtoul(digest.substr(0, 8).c_str(), nullptr, 16));
  return std::max(bits & kAttachmentBits, std::uint32_t{2});
}

bool has_mac(const Link& link, const Mac& mac) {
  return !mac.empty() && (link.permanent_mac == mac || link.mac == mac);
}

// Nothing that a container makes on top of the device has hardware of its own behind it.
bool is_same_hardware(const Evidence& evidence, const Link& link) {
  if (!link.kind.empty()) return false;
  const auto& names = evidence.bus_names;
  const bool same_bus = !link.bus_device.empty() &&
                        std::find(names.begin(), names.end(), link.bus_device) != names.end();
  const bool same_mac = !link.permanent_mac.empty() && (link.permanent_mac == evidence.hwaddr ||
                                                        link.permanent_mac == evidence.prev_mac);
  return same_bus || same_mac;
}

bool is_tagged(const Evidence& evidence, const Link& link) {
  return (link.tag & kAttachmentBits) == evidence.tag;
}

bool is_tagged_by_another(const Evidence& evidence, const Link& link) {
  return link.tag != 0 && !is_tagged(evidence, link);
}

// A vlan, macvlan or bridge of the container's has the device's address too, but stands on it.
bool stands_on_another(const Link& link) {
  return link.parent != netlink::LinkIndex::kNone && !link.parent_netns_id;
}

std::vector<Link> candidates(netlink::Socket& container, const Evidence& evidence) {
  std::vector<Link> links;
  (void)netlink::find_link_if(container, [&](const Link& link) {
    if (!is_tagged_by_another(evidence, link) && !stands_on_another(link)) links.push_back(link);
    return false;  // all of them
  });
  return links;
}

std::string names_of(const std::vector<Link>& links) {
  std::string names;
  for (const Link& link : links) names += cat(names.empty() ? "" : ", ", link.name);
  return names;
}

// By each sign in turn, from the one that is most certain on. Two interfaces with the same sign are
// a doubt.
std::optional<Link> find_renamed(netlink::Socket& container, const Evidence& evidence,
                                 std::string& doubt) {
  const std::function<bool(const Link&)> signs[] = {
      [&](const Link& link) { return is_tagged(evidence, link); },
      [&](const Link& link) { return !evidence.device.empty() && link.alias == evidence.device; },
      [&](const Link& link) { return is_same_hardware(evidence, link); },
      [&](const Link& link) {
        return !link.alias.empty() &&
               (has_mac(link, evidence.hwaddr) || has_mac(link, evidence.prev_mac));
      }};
  const std::vector<Link> links = candidates(container, evidence);
  for (const auto& sign : signs) {
    std::vector<Link> found;
    std::copy_if(links.begin(), links.end(), std::back_inserter(found), sign);
    if (found.size() == 1) return found.front();
    if (found.empty()) continue;
    doubt =
        cat("it cannot be told which of ", names_of(found), " is the device of ", evidence.ifname);
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::uint32_t tag_of(const skel::Request& request, const Link& device) {
  const bool permanent = !device.permanent_mac.empty() && device.mac == device.permanent_mac;
  return attachment_bits(request) | (permanent ? kHadPermanentMac : 0);
}

Evidence evidence_of(const skel::Request& request, const Config& config) {
  Evidence evidence;
  evidence.ifname = request.ifname;
  evidence.tag = attachment_bits(request);
  // Only the selector that counts says anything of the device.
  if (config.selector() == Selector::kName) evidence.device = config.device;
  if (config.selector() == Selector::kHwaddr) evidence.hwaddr = config.hwaddr;
  evidence.bus_names = bus_names(config);
  const Result* prev_result = request.config.prev_result();
  if (prev_result == nullptr) return evidence;
  for (const Interface& interface : prev_result->interfaces) {
    const bool ours = interface.name == request.ifname && !interface.sandbox.empty();
    if (ours) evidence.prev_mac = Mac::parse(interface.mac).value_or(Mac());
  }
  return evidence;
}

std::string contradiction(netlink::Socket& container, const Evidence& evidence, const Link& link) {
  if (is_tagged(evidence, link)) return {};
  if (link.tag != 0) return "it is the device of another attachment";
  if (is_same_hardware(evidence, link)) return {};
  if (link.alias.empty()) {
    return cat("failed to find original ifname for ", quote(link.name), " (alias is not set)");
  }
  if (has_mac(link, evidence.prev_mac) || has_mac(link, evidence.hwaddr)) return {};
  if (!evidence.device.empty() && link.alias != evidence.device) {
    // The configuration may use an alternative name, which the device keeps.
    const auto named = netlink::find_link(container, evidence.device);
    if (named && named->index == link.index) return {};
    return cat("by its alias it is ", quote(link.alias), ", not ", quote(evidence.device));
  }
  if (!evidence.hwaddr.empty() && !link.permanent_mac.empty()) {
    return cat("its permanent MAC address is ", link.permanent_mac.to_string(), ", not ",
               evidence.hwaddr.to_string());
  }
  if (!evidence.bus_names.empty() && !link.bus_device.empty()) {
    return cat("it is device ", link.bus_device, " of its bus, not ", evidence.bus_names.back());
  }
  return {};
}

std::optional<Link> find_in_container(netlink::Socket& container, const Evidence& evidence,
                                      std::string& doubt) {
  auto link = netlink::find_link(container, evidence.ifname);
  if (link && link->name == evidence.ifname) {
    const std::string against = contradiction(container, evidence, *link);
    if (against.empty()) return link;
    doubt = cat(link->name, " is left in the container: ", against);
  }
  auto renamed = find_renamed(container, evidence, doubt);
  if (renamed) doubt.clear();
  return renamed;
}

std::optional<Mac> mac_to_restore(const Evidence& evidence, const Link& link) {
  if (link.permanent_mac.empty() || link.mac == link.permanent_mac) return std::nullopt;
  const bool had_it = is_tagged(evidence, link) ? (link.tag & kHadPermanentMac) != 0
                                                : link.permanent_mac == evidence.prev_mac;
  if (!had_it) return std::nullopt;
  return link.permanent_mac;
}

}  // namespace cni::host_device
