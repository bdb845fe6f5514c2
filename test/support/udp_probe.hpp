// Real packets: which source address does a receiver see?
#pragma once

#include <optional>
#include <string>

#include "pkg/ns/netns.hpp"

namespace cni::test {

struct UdpProbe {
  std::string source;       // the sender's address; empty: the kernel's choice
  std::string destination;  // may be a multicast address, which the receiver then joins
  std::string interface;    // where multicast leaves the sender
  std::string receiver_interface = "eth0";
};

// Sends datagrams from one namespace until one arrives in the other, and returns the source address
// seen there; absent if none does for two seconds.
std::optional<std::string> source_seen(const ns::Netns& sender, const ns::Netns& receiver,
                                       const UdpProbe& probe);

}  // namespace cni::test
