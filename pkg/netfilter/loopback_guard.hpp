// Published ports on 127.0.0.1: what the kernel has to be told so that packets from there may leave
// the host towards a container, and what keeps everybody else out.
#pragma once

#include <string_view>

#include "pkg/types/address.hpp"

namespace cni::netfilter {

// Lets packets from 127.0.0.0/8 leave by the interface that leads to the container's IPv4 address
// (route_localnet), so that a connection to a port of 127.0.0.1 can be sent on to it. With that
// parameter alone, neighbours and containers on the interface could reach what listens on 127.0.0.1
// only (CVE-2020-8558): so first a guard is put up that drops what has such an address and
// arrives from any interface but lo. Both are shared by all containers and stay; may be repeated.
// Works in the calling thread's network namespace; iptables, whose programs are looked for in
// search_path first, is used only where the kernel has no nf_tables.
//
// For an IPv6 address, ::1 becomes an address of the host on that interface too (a route of type
// local, behind that of lo), since the kernel asks for one when the answers come back. It needs no
// guard: what arrives with ::1 as source or destination from anywhere but lo is always dropped.
//
// Throws `unable to enable route_localnet: ...`, or what went wrong with the route; without the
// guard the parameter is not set.
void allow_loopback_source(const Ip& container, std::string_view search_path);

// Whether the guard was ever put up here: it may be incomplete.
bool has_loopback_guard(std::string_view search_path);

// Throws Code::kCheckFailed that names what is missing.
void check_loopback_source(const Ip& container, std::string_view search_path);

}  // namespace cni::netfilter
