// Real packets: does something that is sent from one namespace arrive in another, is the sender
// told that it may not, or does nobody answer?
#pragma once

#include <cstdint>
#include <string>

#include "pkg/ns/netns.hpp"

namespace cni::test {

enum class Answer { kArrived, kRejected, kNone };
// For Catch.
std::string to_string(Answer answer);

// Connects by TCP to a listener on that port of the other namespace.
Answer connect_tcp(const ns::Netns& from, const ns::Netns& to, const std::string& address,
                   std::uint16_t port);
// Sends datagrams to that port of the other namespace, from a port of the kernel's choice unless
// one is given.
Answer send_udp(const ns::Netns& from, const ns::Netns& to, const std::string& address,
                std::uint16_t port, std::uint16_t source_port = 0);
// Sends ICMP echo requests to an address, wherever it is.
Answer ping(const std::string& from, const std::string& address);

}  // namespace cni::test
