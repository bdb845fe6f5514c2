// IP masquerade of containers (ipMasq): traffic that leaves a container's subnet gets an address of
// the host. Multicast and traffic within the subnet are left alone. Two backends, iptables and
// nftables; both keep the names that the reference plugins use, so that either side removes what
// the other made.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/backend.hpp"
#include "pkg/netfilter/connection.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/config.hpp"

namespace cni::netfilter {

// The masquerade of one attachment. All functions below work in the calling thread's network
// namespace.
struct MasqueradeSpec {
  std::string network;
  std::string container_id;
  std::string ifname;
  // The container's addresses with the length of their subnet. DEL may leave this empty: unknown.
  std::vector<Prefix> addresses;
  // ipMasqBackend: "iptables", "nftables", or empty: iptables, unless that cannot be used and
  // nftables can.
  std::string backend;
  // PATH of the environment, where iptables' programs are looked for before the usual folders.
  std::string search_path;
};

// Throws Code::kInvalidNetworkConfig `unknown ipmasq backend "x"` for anything but the three values
// above.
void validate_masquerade_backend(std::string_view backend);

// Masquerades the addresses; may be repeated. Only families that have an address are touched.
// Pushes its own undo steps.
void add_masquerade(const MasqueradeSpec& spec, os::Undo& undo);

// Removes everything that add_masquerade, or the reference plugins, made for the attachment, in
// both backends. With known addresses the work does not grow with the number of attachments;
// without, they are found by listing. What is absent is success; a backend that this host does not
// have is skipped.
//
// Keep the connection open while there is other work to do (connection.hpp says why); without one,
// it opens and closes its own.
void remove_masquerade(const MasqueradeSpec& spec, Connection& connection);
void remove_masquerade(const MasqueradeSpec& spec);

// Throws Code::kCheckFailed that names the first thing missing. Without a configured backend either
// one satisfies.
void check_masquerade(const MasqueradeSpec& spec);

// Removes the masquerade of the network's attachments that are not in the list; other networks' are
// left alone.
void gc_masquerade(std::string_view network, std::span<const Attachment> valid,
                   std::string_view search_path);

// For STATUS: throws Code::kPluginNotAvailable if add_masquerade could not work with this backend.
void probe_masquerade(std::string_view backend, std::string_view search_path);

}  // namespace cni::netfilter
