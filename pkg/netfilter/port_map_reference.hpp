// Published ports as the reference plugins keep them in nftables: rules whose comment is the bare
// container id, in chains of the tables that we share. Private to this folder.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/config.hpp"

namespace cni::netfilter::published {

// How many rules lead connections to the container.
std::size_t count_reference_rules(netlink::Socket& socket, Family family,
                                  std::string_view container_id);

// Deletes all of the container's rules; adds nothing to the transaction if there are none.
void delete_reference_rules(netlink::Socket& socket, NftTransaction& transaction, Family family,
                            std::string_view container_id);

// Deletes the rules of containers that are gone. The rules do not say which network they belong
// to, so a container that is not valid may be another network's: one is taken for gone only if the
// runtime's result cache in `cache_folder`, which has every attachment, names valid ones but not
// that container.
void gc_reference_rules(netlink::Socket& socket, Family family, std::span<const Attachment> valid,
                        std::string_view cache_folder);

// Where runtimes keep it (libcni's default).
inline constexpr std::string_view kResultCache = "/var/lib/cni/results";

}  // namespace cni::netfilter::published
