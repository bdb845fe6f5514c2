#include "plugins/meta/firewall/firewall.hpp"

#include <array>

#include "pkg/netfilter/firewall.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/firewall/config.hpp"

namespace cni::firewall {
namespace {

using netfilter::FirewallSpec;

// The first versions whose results tell the host's interfaces, and that have CHECK.
constexpr auto kVersions = versions_from("0.4.0");

FirewallSpec parse_chained(const skel::Request& request) {
  FirewallSpec out = parse(request);
  if (request.config.prev_result() == nullptr) {
    throw Error(Code::kInvalidNetworkConfig,
                "missing prevResult from earlier plugin: firewall stands behind another plugin in "
                "a list, it cannot be called alone");
  }
  return out;
}

Result add(const skel::Request& request, os::Undo& undo) {
  netfilter::add_firewall(parse_chained(request), undo);
  return *request.config.prev_result();
}

void del(const skel::Request& request) { netfilter::remove_firewall(parse_readable(request)); }

void check(const skel::Request& request) { netfilter::check_firewall(parse_chained(request)); }

void reconcile(const skel::Request& request, skel::Restoration& restoration) {
  const FirewallSpec spec = parse(request);
  restoration.ensure(
      "firewall rules", [&] { netfilter::check_firewall(spec); },
      [&](os::Undo& undo) { netfilter::add_firewall(spec, undo); });
}

void status(const skel::Request& request) {
  FirewallSpec spec = parse(request);
  // Which bridge it is about is known at ADD.
  spec.ingress_policy = netfilter::IngressPolicy::kOpen;
  netfilter::probe_firewall(spec);
}

void gc(const skel::Request& request) {
  netfilter::gc_firewall(request.config.name, request.config.valid_attachments,
                         parse_readable(request));
}

constexpr std::array<std::string_view, 3> kLiveKeys = {"ingressPolicy", "egressDeny",
                                                       "egressAllow"};

void validate_update(const skel::Request& now) { (void)parse(now); }

Result update(const skel::Request& was, const skel::Request& now, os::Undo& undo) {
  netfilter::replace_firewall(parse(was), parse(now), undo);
  return *now.config.prev_result();
}

constexpr skel::LiveUpdate kUpdate{.keys = kLiveKeys, .validate = validate_update, .apply = update};

}  // namespace

const skel::Plugin plugin{.name = "firewall",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .reconcile = reconcile,
                          .update = &kUpdate,
                          .versions = kVersions,
                          .description = &kDescription};

}  // namespace cni::firewall
