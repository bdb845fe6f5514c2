#include "plugins/meta/bandwidth/bandwidth.hpp"

#include <algorithm>

#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/veth.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/bandwidth/config.hpp"
#include "plugins/meta/bandwidth/ifb.hpp"
#include "plugins/meta/bandwidth/place.hpp"
#include "plugins/meta/bandwidth/shaper.hpp"

namespace cni::bandwidth {
namespace {

// The first version whose results tell the host's interfaces.
constexpr std::string_view kFirstVersion = "0.3.0";
constexpr auto kVersions =
    std::span(kAllVersions)
        .subspan(static_cast<std::size_t>(
            std::find(kAllVersions.begin(), kAllVersions.end(), kFirstVersion) -
            kAllVersions.begin()));

void warn(const skel::Request& request, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    try {
      os::write_all(request.err, cat("bandwidth: ", warning, "\n"), "write to stderr");
    } catch (const Error&) {
      // Nobody is there to read it.
    }
  }
}

const Result& chained_result(const skel::Request& request, std::string_view complaint) {
  const Result* result = request.config.prev_result();
  if (result != nullptr) return *result;
  throw Error(Code::kInvalidNetworkConfig, cat(complaint, ": prevResult is missing"));
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  Result result = chained_result(request, "must be called as chained plugin");
  if (!config.has_limits()) return result;
  Place place = get_place(request);
  std::vector<std::string> warnings;
  const auto ifb = add_limits(place, config, attachment::veth_owner(request), undo, warnings);
  warn(request, warnings);
  if (ifb) {
    result.interfaces.push_back({.name = ifb->name,
                                 .mac = ifb->mac.to_string(),
                                 .sandbox = place.is_in_container() ? request.netns : ""});
  }
  return result;
}

void remove_ifb(netlink::Socket& socket, const std::optional<netlink::Link>& ifb) {
  if (ifb) (void)netlink::remove_link(socket, ifb->index);
}

void del(const skel::Request& request) {
  const Owner owner = attachment::veth_owner(request);
  const Result* prev_result = request.config.prev_result();
  ErrorList errors;
  netlink::Socket host = netlink::Socket::open();
  const auto host_ifb = find_ifb(host, owner, prev_result);
  errors.run([&] {
    auto place = find_place(request);
    if (!place) return;
    const auto ifb =
        place->is_in_container() ? find_ifb(place->socket, owner, prev_result) : host_ifb;
    remove_queues(*place, ifb);
    if (place->is_in_container()) remove_ifb(place->socket, ifb);
  });
  errors.run([&] { remove_ifb(host, host_ifb); });
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
                          .versions = kVersions,
                          .description = &kDescription};

}  // namespace cni::bandwidth
