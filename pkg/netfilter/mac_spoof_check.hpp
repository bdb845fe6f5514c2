// MAC spoof check of bridge ports (macspoofchk): frames that arrive from a container with another
// source MAC than its own are dropped. Lives in the nftables table `bridge nat` like the
// reference's rules, but as two sets that two constant rules look up, so that neither a frame nor
// an ADD gets slower with the number of containers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/config.hpp"

namespace cni::netfilter {

// The check of one attachment. All functions below work in the calling thread's network namespace.
struct SpoofCheckSpec {
  std::string network;
  std::string container_id;
  std::string ifname;
  std::string host_veth;  // the bridge port; DEL may leave it empty: unknown
  Mac mac;                // the container's; DEL may leave it empty: unknown
};

// Lets only `mac` pass from host_veth; may be repeated. What is left under that interface's name is
// replaced. Pushes its own undo step.
void add_mac_spoof_check(const SpoofCheckSpec& spec, os::Undo& undo);

// Removes the attachment's check, and what the reference plugins left of it. What is absent is
// success. With host_veth and mac the work does not grow with the number of attachments; without,
// the elements are found by their comment.
//
// Keep the connection open while there is other work to do (connection.hpp says why); without one,
// it opens and closes its own.
void remove_mac_spoof_check(const SpoofCheckSpec& spec, Connection& connection);
void remove_mac_spoof_check(const SpoofCheckSpec& spec);

// Throws Code::kCheckFailed that names the first thing missing. What the reference plugins made
// satisfies too.
void check_mac_spoof_check(const SpoofCheckSpec& spec);

// Removes the checks of the network's attachments that are not in the list, and of host interfaces
// that no longer exist.
void gc_mac_spoof_check(std::string_view network, std::span<const Attachment> valid);

}  // namespace cni::netfilter
