#include "plugins/meta/bandwidth/shaper.hpp"

#include <algorithm>

#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/qdisc.hpp"
#include "pkg/netlink/tc_filter.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/bandwidth/queue.hpp"

namespace cni::bandwidth {
namespace {

using netlink::LinkIndex;
using netlink::TcHandle;

// What the host's end of a pair sends goes to the container; what the container's interface sends
// comes from it.
Direction sent_by(const Place& place) {
  return place.is_in_container() ? Direction::kEgress : Direction::kIngress;
}
Direction received_by(const Place& place) {
  return place.is_in_container() ? Direction::kIngress : Direction::kEgress;
}

// The queue in that direction; absent if it has no rate.
std::optional<QueueSpec> spec_of(const Place& place, const Config& config, Direction direction,
                                 std::vector<std::string>& warnings) {
  if (limit_of(config, direction).rate == 0) return std::nullopt;
  return queue_spec(config, direction, place.link.mtu, warnings);
}

// Packets for an ipvlan of mode l3s come to it only behind the ingress discipline.
void check_can_limit(const Place& place, const Config& config) {
  if (place.link.ipvlan_mode != netlink::IpvlanMode::kL3s || config.ingress.rate == 0) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("ingressRate: what an ipvlan of mode l3s receives cannot be limited (",
                  place.link.name, "): use mode l2 or l3, or egressRate alone"));
}

void add_redirection(Place& place, const netlink::Link& ifb, os::Undo& undo) {
  explain_taken(place.link, [&] { netlink::add_ingress_qdisc(place.socket, place.link.index); });
  undo.push(cat("stop the redirection from ", place.link.name),
            [netns_path = place.netns_path, index = place.link.index] {
              auto there = open_place(netns_path);
              if (there) (void)netlink::remove_qdisc(*there, index, TcHandle::kIngress);
            });
  netlink::add_redirection(place.socket, place.link.index, ifb.index);
}

// For an attachment whose limits are known to be there.
constexpr auto kAnyDevice = [](const netlink::Link& /*unused*/) { return true; };

void check_redirection(Place& place, const std::optional<netlink::Link>& ifb) {
  const auto difference = [](std::string text) {
    return Error(Code::kCheckFailed, std::move(text));
  };
  if (!ifb) {
    throw difference(
        cat("the ifb device that limits what ", place.link.name, " receives is missing"));
  }
  if (!ifb->is_up()) throw difference(cat("the ifb device ", ifb->name, " is down"));
  if (redirects_to(place, *ifb)) return;
  throw difference(cat("nothing redirects what ", place.link.name, " receives to ", ifb->name));
}

// Whether all filters there are redirections to the device, or to one that is gone. None at all is
// what a call leaves that was killed between the two.
bool are_ours(const std::vector<std::optional<LinkIndex>>& targets,
              const std::optional<netlink::Link>& ifb) {
  const auto is_ours = [&](const std::optional<LinkIndex>& target) {
    return target && (*target == LinkIndex::kNone || (ifb && *target == ifb->index));
  };
  return std::all_of(targets.begin(), targets.end(), is_ours);
}

void remove_redirection(Place& place, const std::optional<netlink::Link>& ifb) {
  const LinkIndex link = place.link.index;
  const auto ingress = netlink::find_qdisc(place.socket, link, TcHandle::kIngress);
  if (!ingress || ingress->kind != "ingress") return;
  if (!are_ours(netlink::list_redirections(place.socket, link), ifb)) return;
  (void)netlink::remove_qdisc(place.socket, link, TcHandle::kIngress);
}

// The device that is there, set up and marked as ours, or a new one.
netlink::Link ensure_ifb(Place& place, const Owner& owner, os::Undo& undo) {
  auto ifb = find_ifb(place.socket, owner, kAnyDevice);
  if (ifb && ifb->is_up()) return *std::move(ifb);
  // One over which a call was killed.
  if (ifb) (void)netlink::remove_link(place.socket, ifb->index);
  return add_ifb(place.socket, place.netns_path, owner, place.link.mtu, undo);
}

void ensure_redirection(Place& place, const netlink::Link& ifb, os::Undo& undo) {
  const LinkIndex link = place.link.index;
  if (redirects_to(place, ifb)) return;
  const auto ingress = netlink::find_qdisc(place.socket, link, TcHandle::kIngress);
  if (!ingress) {
    add_redirection(place, ifb, undo);
    return;
  }
  remove_redirection(place, std::nullopt);
  if (netlink::find_qdisc(place.socket, link, TcHandle::kIngress)) {
    netlink::add_redirection(place.socket, link, ifb.index);
  } else {
    add_redirection(place, ifb, undo);
  }
}

}  // namespace

std::optional<netlink::Link> add_limits(Place& place, const Config& config, const Owner& owner,
                                        os::Undo& undo, std::vector<std::string>& warnings) {
  check_can_limit(place, config);
  const auto sent = spec_of(place, config, sent_by(place), warnings);
  const auto received = spec_of(place, config, received_by(place), warnings);
  if (sent) add_queue(place.socket, place.netns_path, place.link, *sent, undo);
  if (!received) return std::nullopt;
  const netlink::Link ifb = add_ifb(place.socket, place.netns_path, owner, place.link.mtu, undo);
  add_queue(place.socket, place.netns_path, ifb, *received, undo);
  add_redirection(place, ifb, undo);
  return ifb;
}

std::optional<netlink::Link> set_limits(Place& place, const Config& config, const Owner& owner,
                                        os::Undo& undo, std::vector<std::string>& warnings) {
  check_can_limit(place, config);
  const auto sent = spec_of(place, config, sent_by(place), warnings);
  const auto received = spec_of(place, config, received_by(place), warnings);
  if (sent) {
    set_queue(place.socket, place.netns_path, place.link, *sent, undo);
  } else {
    (void)remove_queue(place.socket, place.link.index);
  }
  if (!received) {
    const auto ifb = find_ifb(place.socket, owner, kAnyDevice);
    remove_redirection(place, ifb);
    if (ifb) (void)netlink::remove_link(place.socket, ifb->index);
    return std::nullopt;
  }
  const netlink::Link ifb = ensure_ifb(place, owner, undo);
  set_queue(place.socket, place.netns_path, ifb, *received, undo);
  ensure_redirection(place, ifb, undo);
  return ifb;
}

void check_limits(Place& place, const Config& config, const Owner& owner) {
  std::vector<std::string> warnings;
  const auto sent = spec_of(place, config, sent_by(place), warnings);
  const auto received = spec_of(place, config, received_by(place), warnings);
  if (sent) check_queue(place.socket, place.link, *sent);
  if (!received) return;
  // The redirection tells whether one without a mark is the attachment's.
  const auto ifb = find_ifb(place.socket, owner, kAnyDevice);
  check_redirection(place, ifb);
  check_queue(place.socket, *ifb, *received);
}

bool redirects_to(Place& place, const netlink::Link& ifb) {
  const auto targets = netlink::list_redirections(place.socket, place.link.index);
  return std::find(targets.begin(), targets.end(), ifb.index) != targets.end();
}

void remove_queues(Place& place, const std::optional<netlink::Link>& ifb) {
  ErrorList errors;
  errors.run([&] { remove_redirection(place, ifb); });
  errors.run([&] { (void)remove_queue(place.socket, place.link.index); });
  errors.throw_if_any();
}

void probe_limits(const Config& config) {
  constexpr Limit kAny{.rate = 8'000'000, .burst = 0};
  Config probed = config;
  if (!probed.has_limits()) probed.ingress = probed.egress = kAny;
  const ns::Netns netns = ns::Netns::make();
  netlink::Socket socket = netlink::Socket::open_in(netns);
  netlink::require_link_kind(socket, "ifb");
  netlink::Link lo = netlink::get_link(socket, "lo");
  Place place{std::move(socket), std::move(lo), {}};
  // The namespace goes as a whole, and the steps would act on the host's.
  os::Undo undo;
  const Owner owner{.network = "probe", .container_id = "probe", .ifname = "lo"};
  std::vector<std::string> warnings;
  try {
    (void)add_limits(place, probed, owner, undo, warnings);
  } catch (const Error&) {
    undo.commit();
    throw;
  }
  undo.commit();
}

}  // namespace cni::bandwidth
