#include "plugins/meta/bandwidth/queue.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "pkg/types/error.hpp"
#include "plugins/meta/bandwidth/bucket.hpp"
#include "plugins/meta/bandwidth/place.hpp"

namespace cni::bandwidth {
namespace {

using netlink::LinkIndex;
using netlink::PacketSide;
using netlink::PrefixFilter;
using netlink::tc_handle;
using netlink::TcHandle;

constexpr TcHandle kRootQdisc = tc_handle(1);
// The class of what is limited.
constexpr std::uint16_t kLimitedMinor = 0x30;
constexpr TcHandle kLimitedClass = tc_handle(1, kLimitedMinor);
// The largest packet that the kernel makes of several: a queue has to have room for it.
constexpr std::uint32_t kLargestPacket = 64 * 1024;

std::string_view kind_of(const QueueSpec& spec) { return spec.kind == Queue::kHtb ? "htb" : "tbf"; }

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

void fill_htb(netlink::Socket& socket, LinkIndex link, const QueueSpec& spec) {
  netlink::add_htb_class(socket, link, kLimitedClass, class_of(spec.tbf));
  add_leaf(socket, link, spec.tbf);
  for (const PrefixFilter& filter : spec.filters) {
    netlink::add_prefix_filter(socket, link, filter);
  }
}

Error difference(std::string text) { return {Code::kCheckFailed, std::move(text)}; }

void compare(std::string_view what, std::uint64_t is, std::uint64_t wanted, std::string_view unit,
             const netlink::Link& link) {
  if (is == wanted) return;
  throw difference(
      cat(what, " doesn't match: it is ", is, " and not ", wanted, " ", unit, " on ", link.name));
}

bool has_filters(netlink::Socket& socket, LinkIndex link, const std::vector<PrefixFilter>& wanted) {
  return netlink::list_prefix_filters(socket, link) == wanted;
}

void check_htb(netlink::Socket& socket, const netlink::Link& link, const netlink::Qdisc& root,
               const QueueSpec& spec) {
  const auto found = netlink::find_htb_class(socket, link.index, kLimitedClass);
  if (!found) throw difference(cat("Failed to find qdisc: ", link.name, " has no htb class 1:30"));
  compare("Rate", found->rate, spec.tbf.rate, "bytes a second", link);
  compare("Buffer", found->buffer, spec.tbf.buffer, "ticks", link);
  if (!netlink::find_qdisc(socket, link.index, kLimitedClass)) {
    throw difference(cat("Failed to find qdisc: the htb class of ", link.name, " has no queue"));
  }
  const auto filters = netlink::list_prefix_filters(socket, link.index);
  for (const PrefixFilter& filter : spec.filters) {
    if (std::find(filters.begin(), filters.end(), filter) != filters.end()) continue;
    throw difference(
        cat("the filter for ", filter.network.to_string(), " is missing on ", link.name));
  }
  if (filters.size() != spec.filters.size()) {
    throw difference(cat("there are filters for other networks on ", link.name));
  }
  if (root.htb_default == spec.default_minor) return;
  throw difference(
      cat("the htb of ", link.name, " sends other traffic to class 1:", root.htb_default));
}

// Changes a queue of the same kind. False if it has to be made anew: what htb does with which
// traffic is not changed in one step.
bool change(netlink::Socket& socket, const netlink::Link& link, const netlink::Qdisc& root,
            const QueueSpec& spec) {
  if (root.handle != kRootQdisc || root.kind != kind_of(spec)) return false;
  if (spec.kind == Queue::kTbf) {
    if (root.tbf != spec.tbf) netlink::change_tbf(socket, link.index, spec.tbf);
    return true;
  }
  const bool is_whole = netlink::find_htb_class(socket, link.index, kLimitedClass) &&
                        netlink::find_qdisc(socket, link.index, kLimitedClass);
  if (!is_whole || root.htb_default != spec.default_minor ||
      !has_filters(socket, link.index, spec.filters)) {
    return false;
  }
  netlink::change_htb_class(socket, link.index, kLimitedClass, class_of(spec.tbf));
  return true;
}

}  // namespace

std::string_view to_string(Direction direction) {
  return direction == Direction::kIngress ? "ingress" : "egress";
}

const Limit& limit_of(const Config& config, Direction direction) {
  return direction == Direction::kIngress ? config.ingress : config.egress;
}

QueueSpec queue_spec(const Config& config, Direction direction, std::uint32_t mtu,
                     std::vector<std::string>& warnings) {
  const auto clock = netlink::PacketClock::read();
  const Limit& limit = limit_of(config, direction);
  Bucket bucket = bucket_for(limit, mtu, config.latency, clock);
  if (!bucket.warning.empty()) {
    warnings.push_back(cat(to_string(direction), "Burst: ", bucket.warning));
  }
  QueueSpec out{.direction = direction,
                .kind = config.queue,
                .tbf = bucket.tbf,
                .reference = reference_bucket(limit, clock),
                .filters = {},
                .default_minor = kLimitedMinor};
  if (!config.networks.empty() && !config.is_excluded) out.default_minor = 0;
  // The container's peer is where what it receives comes from.
  const bool is_ingress = direction == Direction::kIngress;
  for (const Prefix& network : config.networks) {
    out.filters.push_back({.network = network,
                           .side = is_ingress ? PacketSide::kSource : PacketSide::kDestination,
                           .to = config.is_excluded ? kRootQdisc : kLimitedClass});
  }
  // As the kernel lists them.
  std::stable_sort(out.filters.begin(), out.filters.end(),
                   [](const PrefixFilter& one, const PrefixFilter& other) {
                     return one.network.address.is_ipv4() && !other.network.address.is_ipv4();
                   });
  return out;
}

void add_queue(netlink::Socket& socket, const std::string& netns_path, const netlink::Link& link,
               const QueueSpec& spec, os::Undo& undo) {
  const bool is_htb = spec.kind == Queue::kHtb;
  explain_taken(link, [&] {
    if (is_htb) {
      netlink::add_htb(socket, link.index, spec.default_minor);
    } else {
      netlink::add_tbf(socket, link.index, spec.tbf);
    }
  });
  undo.push(cat("remove the queue of ", link.name), [netns_path, index = link.index] {
    auto there = open_place(netns_path);
    if (there) (void)netlink::remove_qdisc(*there, index, TcHandle::kRoot);
  });
  if (is_htb) fill_htb(socket, link.index, spec);
}

void set_queue(netlink::Socket& socket, const std::string& netns_path, const netlink::Link& link,
               const QueueSpec& spec, os::Undo& undo) {
  const auto root = netlink::find_qdisc(socket, link.index, TcHandle::kRoot);
  if (root && change(socket, link, *root, spec)) return;
  (void)remove_queue(socket, link.index);
  add_queue(socket, netns_path, link, spec, undo);
}

void check_queue(netlink::Socket& socket, const netlink::Link& link, const QueueSpec& spec) {
  const auto root = netlink::find_qdisc(socket, link.index, TcHandle::kRoot);
  if (!root || root->kind != kind_of(spec)) {
    throw difference(cat("Failed to find qdisc: ", link.name, " has no ", kind_of(spec),
                         " at its root, which limits ", to_string(spec.direction)));
  }
  if (spec.kind == Queue::kHtb) {
    check_htb(socket, link, *root, spec);
    return;
  }
  const netlink::Tbf is = root->tbf.value_or(netlink::Tbf{});
  if (is == spec.reference) return;
  compare("Rate", is.rate, spec.tbf.rate, "bytes a second", link);
  compare("Limit", is.limit, spec.tbf.limit, "bytes", link);
  compare("Buffer", is.buffer, spec.tbf.buffer, "ticks", link);
}

bool remove_queue(netlink::Socket& socket, LinkIndex link) {
  const auto root = netlink::find_qdisc(socket, link, TcHandle::kRoot);
  const bool is_ours =
      root && root->handle == kRootQdisc && (root->kind == "tbf" || root->kind == "htb");
  return is_ours && netlink::remove_qdisc(socket, link, TcHandle::kRoot);
}

}  // namespace cni::bandwidth
