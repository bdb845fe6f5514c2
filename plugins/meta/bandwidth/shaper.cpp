#include "plugins/meta/bandwidth/shaper.hpp"

#include <algorithm>
#include <string_view>

#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/qdisc.hpp"
#include "pkg/netlink/tc_filter.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/bandwidth/bucket.hpp"

namespace cni::bandwidth {
namespace {

using netlink::LinkIndex;
using netlink::PacketSide;
using netlink::PrefixFilter;
using netlink::tc_handle;
using netlink::TcHandle;

constexpr TcHandle kRootQdisc = tc_handle(1);
// The class of what is limited, and what it is where that is the default.
constexpr std::uint16_t kLimitedMinor = 0x30;
constexpr TcHandle kLimitedClass = tc_handle(1, kLimitedMinor);
// A fair queue that takes no packet would be none: the largest that the kernel makes of several.
constexpr std::uint32_t kLargestPacket = 64 * 1024;

// One direction, at one link.
struct Flow {
  const Limit& limit;
  std::string_view name;  // of the keys
  PacketSide peer;        // where the address of the container's peer stands

  bool is_limited() const { return limit.rate != 0; }
};

Flow ingress_of(const Config& config) { return {config.ingress, "ingress", PacketSide::kSource}; }
Flow egress_of(const Config& config) { return {config.egress, "egress", PacketSide::kDestination}; }
// What the host's end of a pair sends goes to the container; what the container's interface sends
// comes from it.
Flow sent_by(const Place& place, const Config& config) {
  return place.is_in_container() ? egress_of(config) : ingress_of(config);
}
Flow received_by(const Place& place, const Config& config) {
  return place.is_in_container() ? ingress_of(config) : egress_of(config);
}

std::vector<PrefixFilter> filters_of(const Config& config, const Flow& flow) {
  std::vector<PrefixFilter> out;
  for (const Prefix& network : config.networks) {
    out.push_back({.network = network,
                   .side = flow.peer,
                   .to = config.is_excluded ? kRootQdisc : kLimitedClass});
  }
  return out;
}

std::uint16_t default_class(const Config& config) {
  return config.networks.empty() || config.is_excluded ? kLimitedMinor : 0;
}

netlink::HtbClass class_of(const netlink::Tbf& tbf) {
  return {.rate = tbf.rate, .buffer = tbf.buffer};
}

void add_leaf(netlink::Socket& socket, LinkIndex link, const netlink::Tbf& tbf) {
  try {
    netlink::add_fq_codel(socket, link, kLimitedClass);
  } catch (const Error& error) {
    if (error.code != Code::kMissingKernelFeature) throw;
    netlink::add_fifo(socket, link, kLimitedClass, std::max(tbf.limit, kLargestPacket));
  }
}

void add_htb(netlink::Socket& socket, LinkIndex link, const Config& config, const Flow& flow,
             const netlink::Tbf& tbf) {
  netlink::add_htb_class(socket, link, kLimitedClass, class_of(tbf));
  add_leaf(socket, link, tbf);
  for (const PrefixFilter& filter : filters_of(config, flow)) {
    netlink::add_prefix_filter(socket, link, filter);
  }
}

// What is at the root of a link that is not the kernel's own choice is somebody's.
[[noreturn]] void rethrow_taken(Error& error, const netlink::Link& link) {
  if (error.sys_errno == EEXIST) {
    error.code = Code::kConflict;
    error.add_detail(cat(link.name, " has a queueing discipline already; `tc qdisc show dev ",
                         link.name, "` shows it"));
  }
  throw error;
}

template <class Step>
void push(os::Undo& undo, std::string name, const std::string& netns_path, Step step) {
  undo.push(std::move(name), [netns_path, step] {
    if (auto there = open_place(netns_path)) step(*there);
  });
}

void add_queue(Place& place, const netlink::Link& link, const Config& config, const Flow& flow,
               const netlink::Tbf& tbf, os::Undo& undo) {
  const bool is_htb = config.queue == Queue::kHtb;
  try {
    if (is_htb) {
      netlink::add_htb(place.socket, link.index, default_class(config));
    } else {
      netlink::add_tbf(place.socket, link.index, tbf);
    }
  } catch (Error& error) {
    rethrow_taken(error, link);
  }
  push(undo, cat("remove the queue of ", link.name), place.netns_path,
       [index = link.index](netlink::Socket& socket) {
         (void)netlink::remove_qdisc(socket, index, TcHandle::kRoot);
       });
  if (is_htb) add_htb(place.socket, link.index, config, flow, tbf);
}

void add_ingress(Place& place, const netlink::Link& ifb, os::Undo& undo) {
  try {
    netlink::add_ingress_qdisc(place.socket, place.link.index);
  } catch (Error& error) {
    rethrow_taken(error, place.link);
  }
  push(undo, cat("stop the redirection from ", place.link.name), place.netns_path,
       [index = place.link.index](netlink::Socket& socket) {
         (void)netlink::remove_qdisc(socket, index, TcHandle::kIngress);
       });
  netlink::add_redirection(place.socket, place.link.index, ifb.index);
}

// The plain queue's own bucket; for htb the one of its class.
netlink::Tbf bucket_of(const Place& place, const Config& config, const Flow& flow,
                       std::vector<std::string>& warnings) {
  Bucket bucket =
      bucket_for(flow.limit, place.link.mtu, config.latency, netlink::PacketClock::read());
  if (!bucket.warning.empty()) warnings.push_back(cat(flow.name, "Burst: ", bucket.warning));
  return bucket.tbf;
}

// Packets for an ipvlan of mode l3s come to it only behind the ingress discipline.
void check_can_limit(const Place& place, const Config& config) {
  if (place.link.ipvlan_mode != netlink::IpvlanMode::kL3s || config.ingress.rate == 0) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("ingressRate: what an ipvlan of mode l3s receives cannot be limited (",
                  place.link.name, "): use mode l2 or l3, or egressRate alone"));
}

Error difference(std::string text) { return {Code::kCheckFailed, std::move(text)}; }

std::string number_pair(std::uint64_t is, std::uint64_t wanted) {
  return cat("it is ", is, " and not ", wanted);
}

void compare(const netlink::Tbf& is, const netlink::Tbf& wanted, std::string_view link) {
  if (is.rate != wanted.rate) {
    throw difference(cat("Rate doesn't match: ", number_pair(is.rate, wanted.rate),
                         " bytes a second on ", link));
  }
  if (is.limit != wanted.limit) {
    throw difference(
        cat("Limit doesn't match: ", number_pair(is.limit, wanted.limit), " bytes on ", link));
  }
  if (is.buffer != wanted.buffer) {
    throw difference(
        cat("Buffer doesn't match: ", number_pair(is.buffer, wanted.buffer), " ticks on ", link));
  }
}

void check_htb(netlink::Socket& socket, const netlink::Link& link, const netlink::Qdisc& root,
               const Config& config, const Flow& flow, const netlink::Tbf& wanted) {
  const auto found = netlink::find_htb_class(socket, link.index, kLimitedClass);
  if (!found) throw difference(cat("Failed to find qdisc: ", link.name, " has no htb class 1:30"));
  compare({.rate = found->rate, .limit = wanted.limit, .buffer = found->buffer}, wanted, link.name);
  if (!netlink::find_qdisc(socket, link.index, kLimitedClass)) {
    throw difference(cat("Failed to find qdisc: the htb class of ", link.name, " has no queue"));
  }
  const auto filters = netlink::list_prefix_filters(socket, link.index);
  for (const PrefixFilter& filter : filters_of(config, flow)) {
    if (std::find(filters.begin(), filters.end(), filter) != filters.end()) continue;
    throw difference(
        cat("the filter for ", filter.network.to_string(), " is missing on ", link.name));
  }
  if (root.htb_default == default_class(config)) return;
  throw difference(
      cat("the htb of ", link.name, " sends other traffic to class 1:", root.htb_default));
}

void check_queue(Place& place, const netlink::Link& link, const Config& config, const Flow& flow) {
  std::vector<std::string> warnings;
  const netlink::Tbf wanted = bucket_of(place, config, flow, warnings);
  const std::string_view kind = config.queue == Queue::kHtb ? "htb" : "tbf";
  const auto root = netlink::find_qdisc(place.socket, link.index, TcHandle::kRoot);
  if (!root || root->kind != kind) {
    throw difference(cat("Failed to find qdisc: ", link.name, " has no ", kind,
                         " at its root, which limits ", flow.name));
  }
  if (config.queue == Queue::kHtb) {
    check_htb(place.socket, link, *root, config, flow, wanted);
    return;
  }
  const netlink::Tbf is = root->tbf.value_or(netlink::Tbf{});
  if (is == reference_bucket(flow.limit, netlink::PacketClock::read())) return;
  compare(is, wanted, link.name);
}

void check_redirection(Place& place, const std::optional<netlink::Link>& ifb) {
  if (!ifb) {
    throw difference(
        cat("the ifb device that limits what ", place.link.name, " receives is missing"));
  }
  if (!ifb->is_up()) throw difference(cat("the ifb device ", ifb->name, " is down"));
  const auto targets = netlink::list_redirections(place.socket, place.link.index);
  if (std::find(targets.begin(), targets.end(), ifb->index) != targets.end()) return;
  throw difference(cat("nothing redirects what ", place.link.name, " receives to ", ifb->name));
}

// Whether all filters there are redirections to the device, or to one that is gone.
bool is_redirection(const std::vector<std::optional<LinkIndex>>& targets,
                    const std::optional<netlink::Link>& ifb) {
  const auto is_ours = [&](const std::optional<LinkIndex>& target) {
    return target && (*target == LinkIndex::kNone || (ifb && *target == ifb->index));
  };
  return !targets.empty() && std::all_of(targets.begin(), targets.end(), is_ours);
}

}  // namespace

std::optional<netlink::Link> add_limits(Place& place, const Config& config, const Owner& owner,
                                        os::Undo& undo, std::vector<std::string>& warnings) {
  check_can_limit(place, config);
  const Flow sent = sent_by(place, config);
  const Flow received = received_by(place, config);
  if (sent.is_limited()) {
    add_queue(place, place.link, config, sent, bucket_of(place, config, sent, warnings), undo);
  }
  if (!received.is_limited()) return std::nullopt;
  const netlink::Tbf tbf = bucket_of(place, config, received, warnings);
  const netlink::Link ifb = add_ifb(place.socket, place.netns_path, owner, place.link.mtu, undo);
  add_queue(place, ifb, config, received, tbf, undo);
  add_ingress(place, ifb, undo);
  return ifb;
}

void check_limits(Place& place, const Config& config, const Owner& owner) {
  const Flow sent = sent_by(place, config);
  const Flow received = received_by(place, config);
  if (sent.is_limited()) check_queue(place, place.link, config, sent);
  if (!received.is_limited()) return;
  // The redirection tells whether one without a mark is the attachment's.
  const auto ifb = find_ifb(place.socket, owner, nullptr);
  check_redirection(place, ifb);
  check_queue(place, *ifb, config, received);
}

void remove_queues(Place& place, const std::optional<netlink::Link>& ifb) {
  const LinkIndex link = place.link.index;
  ErrorList errors;
  errors.run([&] {
    if (!is_redirection(netlink::list_redirections(place.socket, link), ifb)) return;
    (void)netlink::remove_qdisc(place.socket, link, TcHandle::kIngress);
  });
  errors.run([&] {
    const auto root = netlink::find_qdisc(place.socket, link, TcHandle::kRoot);
    const bool is_ours =
        root && root->handle == kRootQdisc && (root->kind == "tbf" || root->kind == "htb");
    if (is_ours) (void)netlink::remove_qdisc(place.socket, link, TcHandle::kRoot);
  });
  errors.throw_if_any();
}

void probe_limits(const Config& config) {
  Limit limit{.rate = 8'000'000, .burst = 0};
  Config probed = config;
  if (!probed.has_limits()) probed.ingress = probed.egress = limit;
  const ns::Netns netns = ns::Netns::make();
  netlink::Socket socket = netlink::Socket::open_in(netns);
  netlink::require_link_kind(socket, "ifb");
  const netlink::Link lo = netlink::get_link(socket, "lo");
  Place place{std::move(socket), lo, {}};
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
