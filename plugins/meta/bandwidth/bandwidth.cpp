#include "plugins/meta/bandwidth/bandwidth.hpp"

#include <algorithm>
#include <iterator>

#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/veth.hpp"
#include "pkg/skel/update.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/bandwidth/config.hpp"
#include "plugins/meta/bandwidth/ifb.hpp"
#include "plugins/meta/bandwidth/place.hpp"
#include "plugins/meta/bandwidth/shaper.hpp"

namespace cni::bandwidth {
namespace {

// The first version whose results tell the host's interfaces.
constexpr auto kVersions = versions_from("0.3.0");

void warn(const skel::Request& request, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) skel::warn(request, "bandwidth", warning);
}

const Result& chained_result(const skel::Request& request, std::string_view complaint) {
  const Result* result = request.config.prev_result();
  if (result != nullptr) return *result;
  throw Error(Code::kInvalidNetworkConfig, cat(complaint, ": prevResult is missing"));
}

Interface describe(const skel::Request& request, const Place& place, const netlink::Link& ifb) {
  return {.name = ifb.name,
          .mac = ifb.mac.to_string(),
          .sandbox = place.is_in_container() ? request.netns : ""};
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  Result result = chained_result(request, "must be called as chained plugin");
  if (!config.has_limits()) return result;
  Place place = get_place(request);
  std::vector<std::string> warnings;
  const auto ifb = add_limits(place, config, attachment::veth_owner(request), undo, warnings);
  warn(request, warnings);
  if (ifb) result.interfaces.push_back(describe(request, place, *ifb));
  return result;
}

// The result with the device that there is now, and without one that is gone.
Result with_ifb(const skel::Request& request, const Place& place, Result result,
                const std::optional<netlink::Link>& ifb) {
  const Owner owner = attachment::veth_owner(request);
  const std::string names[] = {reference_ifb_name(owner), own_ifb_name(owner)};
  const auto is_old = [&](const Interface& interface) {
    return std::find(std::begin(names), std::end(names), interface.name) != std::end(names) &&
           (!ifb || interface.name != ifb->name);
  };
  auto& interfaces = result.interfaces;
  const auto old = std::find_if(interfaces.begin(), interfaces.end(), is_old);
  if (old != interfaces.end()) {
    const auto index = static_cast<int>(old - interfaces.begin());
    interfaces.erase(old);
    for (IpConfig& ip : result.ips) {
      if (ip.interface && *ip.interface > index) --*ip.interface;
    }
  }
  if (!ifb) return result;
  const Interface wanted = describe(request, place, *ifb);
  const auto found =
      std::find_if(interfaces.begin(), interfaces.end(),
                   [&](const Interface& interface) { return interface.name == wanted.name; });
  if (found == interfaces.end()) {
    interfaces.push_back(wanted);
  } else {
    *found = wanted;
  }
  return result;
}

void put_back(const skel::Request& was) {
  Place place = get_place(was);
  os::Undo none;
  std::vector<std::string> warnings;
  (void)set_limits(place, parse(was), attachment::veth_owner(was), none, warnings);
  none.commit();
}

Result update(const skel::Request& was, const skel::Request& now, os::Undo& undo) {
  const Config config = parse(now);
  Place place = get_place(now);
  undo.push("put the limits back", [was] { put_back(was); });
  std::vector<std::string> warnings;
  const auto ifb = set_limits(place, config, attachment::veth_owner(now), undo, warnings);
  warn(now, warnings);
  return with_ifb(now, place, *now.config.prev_result(), ifb);
}

constexpr std::string_view kLiveKeys[] = {
    "ingressRate",   "ingressBurst",    "egressRate",
    "egressBurst",   "latency",         "qdisc",
    "shapedSubnets", "unshapedSubnets", "runtimeConfig.bandwidth"};
constexpr skel::LiveUpdate kLiveUpdate{
    .keys = kLiveKeys,
    .validate = [](const skel::Request& now) { (void)parse(now); },
    .apply = update};

// A device without a mark is any interface's of the container: this one's if its traffic goes there
// or its result names it, or if there is no way to tell.
std::optional<netlink::Link> find_ifb_to_remove(const skel::Request& request,
                                                netlink::Socket& socket,
                                                std::optional<Place>& place) {
  const Result* result = request.config.prev_result();
  const auto is_named = [&](const netlink::Link& ifb) {
    return std::any_of(result->interfaces.begin(), result->interfaces.end(),
                       [&](const Interface& interface) { return interface.name == ifb.name; });
  };
  return find_ifb(socket, attachment::veth_owner(request), [&](const netlink::Link& ifb) {
    return result == nullptr || is_named(ifb) || (place && redirects_to(*place, ifb));
  });
}

void del(const skel::Request& request) {
  netlink::Socket host = netlink::Socket::open();
  ErrorList errors;
  std::optional<Place> place;
  errors.run([&] { place = find_place(request); });
  const auto remove_in = [&](netlink::Socket& socket, bool is_place) {
    std::optional<netlink::Link> ifb;
    errors.run([&] { ifb = find_ifb_to_remove(request, socket, place); });
    if (is_place) errors.run([&] { remove_queues(*place, ifb); });
    if (ifb) errors.run([&] { (void)netlink::remove_link(socket, ifb->index); });
  };
  const bool is_in_container = place && place->is_in_container();
  if (is_in_container) remove_in(place->socket, true);
  remove_in(host, place && !is_in_container);
  errors.throw_if_any();
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  (void)chained_result(request, "must be called as a chained plugin");
  if (!config.has_limits()) return;
  Place place = get_place(request);
  check_limits(place, config, attachment::veth_owner(request));
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  attachment::require_available([&] { probe_limits(config); });
}

void gc(const skel::Request& request) {
  netlink::Socket host = netlink::Socket::open();
  remove_stale_ifbs(host, request.config.name, request.config.valid_attachments);
}

}  // namespace

const skel::Plugin plugin{.name = "bandwidth",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .update = &kLiveUpdate,
                          .versions = kVersions,
                          .description = &kDescription};

}  // namespace cni::bandwidth
