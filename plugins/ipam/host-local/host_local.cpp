#include "plugins/ipam/host-local/host_local.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "pkg/types/error.hpp"
#include "plugins/ipam/host-local/allocator.hpp"
#include "plugins/ipam/host-local/config.hpp"
#include "plugins/ipam/host-local/resolv_conf.hpp"
#include "plugins/ipam/host-local/store.hpp"

namespace cni::host_local {
namespace {

Owner owner_of(const skel::Request& request) { return {request.container_id, request.ifname}; }

// The requested address of each range set: the first one that it contains. Throws if one is left
// over.
std::vector<std::optional<Ip>> assign_requested(const Config& config) {
  std::vector<RequestedIp> left = config.requested;
  std::vector<std::optional<Ip>> out;
  for (const RangeSet& set : config.range_sets) {
    const auto taken = std::find_if(left.begin(), left.end(), [&](const RequestedIp& requested) {
      return set.find(requested.ip) != nullptr;
    });
    out.push_back(taken == left.end() ? std::nullopt : std::optional(taken->ip));
    if (taken != left.end()) left.erase(taken);
  }
  if (left.empty()) return out;
  std::string text;
  for (const RequestedIp& requested : left) {
    text += cat(" ", requested.ip.to_string(), " (", requested.source, ")");
  }
  throw Error(Code::kAddressUnavailable, cat("failed to allocate all requested IPs:", text),
              "each range set gives one address, and a requested one only from its own ranges");
}

Error not_available(const Ip& ip, const RangeSet& set, std::string_view reason) {
  return Error(Code::kAddressUnavailable,
               cat("requested IP address ", ip.to_string(), " is not available in range set ",
                   set.to_string(), ": ", reason));
}

void check_requestable(const Ip& ip, const RangeSet& set, const Config& config) {
  for (const RangeSet& any : config.range_sets) {
    for (const Range& range : any.ranges) {
      if (ip != range.gateway) continue;
      throw Error(Code::kAddressUnavailable,
                  cat("requested ip ", ip.to_string(), " is subnet's gateway"));
    }
  }
  for (const Exclusion& exclusion : config.exclusions) {
    if (!exclusion.addresses.contains(ip)) continue;
    throw not_available(
        ip, set, cat("excluded by ", exclusion.path, " (", exclusion.addresses.to_string(), ")"));
  }
}

std::string exhausted_sentence(const RangeSet& set, const Config& config, const Blocked& blocked) {
  const std::uint64_t usable = blocked.count_usable(set);
  if (usable == 0) {
    return cat("every address of ", set.subnets(), " between ", set.to_string(),
               " is a gateway or excluded by ipam.exclude");
  }
  return cat("0 of ", usable, usable == 1 ? " address" : " addresses", " left in ", set.subnets(),
             ": all ", usable, " are held in ", config.location.folder(),
             "; delete attachments, run GC, or enlarge the range");
}

// One ADD's work on the store.
class Allocation {
 public:
  Allocation(const Config& config, Owner owner, Store& store, os::Undo& undo)
      : config_(config), owner_(std::move(owner)), store_(store), undo_(undo), blocked_(config) {}

  IpConfig allocate(std::size_t index, const std::optional<Ip>& requested) {
    const RangeSet& set = config_.range_sets[index];
    const Ip ip = requested ? reserve_requested(*requested, set) : reserve_next(index, set);
    undo_.push(cat("release ", ip.to_string()), [location = config_.location, owner = owner_, ip] {
      if (auto store = Store::open(location)) store->release(ip, owner);
    });
    store_.set_last_reserved(index, ip);
    const Range& range = *set.find(ip);
    return {
        .interface = std::nullopt, .address = {ip, range.subnet.length}, .gateway = range.gateway};
  }

 private:
  Ip reserve_requested(const Ip& ip, const RangeSet& set) {
    check_requestable(ip, set, config_);
    if (store_.reserve(ip, owner_)) return ip;
    const auto present = store_.find(ip);
    throw not_available(ip, set, present ? "held by " + present->describe() : "it is held");
  }

  Ip reserve_next(std::size_t index, const RangeSet& set) {
    check_not_held(set);
    const auto free = [this](const Ip& first, const Ip& last) {
      return store_.next_free(first, last);
    };
    while (true) {
      const auto ip = next_address(set, store_.last_reserved(index), blocked_, free);
      if (ip && store_.reserve(*ip, owner_)) return *ip;
      // An address that turns out to be held has been noted now, so this comes to an end.
      if (ip || store_.make_certain()) continue;
      throw Error(Code::kAddressUnavailable,
                  cat("no IP addresses available in range set: ", set.to_string(), "; ",
                      exhausted_sentence(set, config_, blocked_)));
    }
  }

  void check_not_held(const RangeSet& set) {
    for (const Ip& held : store_.held_by(owner_)) {
      if (set.find(held) == nullptr) continue;
      throw Error(Code::kAddressUnavailable,
                  cat(held.to_string(), " has been allocated to ", owner_.container_id,
                      ", duplicate allocation is not allowed"),
                  cat("its interface ", owner_.ifname, " needs a DEL before another ADD"));
    }
  }

  const Config& config_;
  const Owner owner_;
  Store& store_;
  os::Undo& undo_;
  const Blocked blocked_;
};

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  const std::vector<std::optional<Ip>> requested = assign_requested(config);
  Result result;
  result.routes = config.routes;
  if (!config.resolv_conf.empty()) {
    result.dns = context("ipam.resolvConf", [&] { return read_resolv_conf(config.resolv_conf); });
  }
  Store store = Store::create(config.location);
  Allocation allocation(config, owner_of(request), store, undo);
  for (std::size_t i = 0; i < config.range_sets.size(); ++i) {
    result.ips.push_back(context(cat("failed to allocate for range ", i),
                                 [&] { return allocation.allocate(i, requested[i]); }));
  }
  return result;
}

void del(const skel::Request& request) {
  if (auto store = Store::open(parse_location(request))) store->release(owner_of(request));
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  auto store = Store::open(config.location);
  const std::vector<Ip> held = store ? store->held_by(owner_of(request)) : std::vector<Ip>{};
  const std::string failure =
      cat("host-local: Failed to find address added by container ", request.container_id);
  if (held.empty()) {
    throw Error(Code::kCheckFailed, failure,
                cat("nothing is reserved for its interface ", request.ifname, " in ",
                    config.location.folder()));
  }
  const Result* prev_result = request.config.prev_result();
  if (prev_result == nullptr) return;
  for (const IpConfig& expected : prev_result->ips) {
    const Ip& ip = expected.address.address;
    const bool ours = std::any_of(config.range_sets.begin(), config.range_sets.end(),
                                  [&](const RangeSet& set) { return set.find(ip) != nullptr; });
    if (!ours || std::find(held.begin(), held.end(), ip) != held.end()) continue;
    throw Error(Code::kCheckFailed, cat(failure, ": ", ip.to_string(),
                                        " of prevResult is not reserved for its interface ",
                                        request.ifname, " in ", config.location.folder()));
  }
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  const auto demand = [](std::string_view what, auto&& fn) {
    try {
      fn();
    } catch (Error& error) {
      error.code = Code::kPluginNotAvailable;
      error.prepend(what);
      throw;
    }
  };
  demand("host-local: addresses cannot be reserved", [&] { check_writable(config.location); });
  if (!config.resolv_conf.empty()) {
    demand("host-local: ipam.resolvConf", [&] { (void)read_resolv_conf(config.resolv_conf); });
  }
  auto store = Store::open(config.location);
  const Blocked blocked(config);
  // Without a folder nothing is held.
  const auto free = [&store](const Ip& first, const Ip& last) {
    return store ? store->next_free(first, last) : std::optional(first);
  };
  for (const RangeSet& set : config.range_sets) {
    const auto has_free = [&] {
      return next_address(set, std::nullopt, blocked, free).has_value();
    };
    if (has_free() || (store && store->make_certain() && has_free())) continue;
    throw Error(Code::kPluginNotAvailable,
                cat("host-local: ", exhausted_sentence(set, config, blocked)));
  }
}

void gc(const skel::Request& request) {
  auto store = Store::open(parse_location(request));
  if (store) store->release_all_but(request.config.valid_attachments);
}

constexpr std::array<std::string_view, 1> kLiveKeys = {"ipam.routes"};

void validate_update(const skel::Request& now) { (void)parse(now); }

Result update(const skel::Request& was, const skel::Request& now, os::Undo& /*undo*/) {
  return skel::with_routes(*now.config.prev_result(), parse(was).routes, parse(now).routes);
}

constexpr skel::LiveUpdate kUpdate{.keys = kLiveKeys, .validate = validate_update, .apply = update};

}  // namespace

const skel::Plugin plugin{.name = "host-local",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .update = &kUpdate,
                          .description = &kDescription};

}  // namespace cni::host_local
