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
// search_path first, is used only where the kernel has no nf_tables. An IPv6 address needs nothing.
//
// Throws `unable to enable route_localnet: ...`; without the guard the parameter is not set.
void allow_loopback_source(const Ip& container, std::string_view search_path);

// Throws Code::kCheckFailed that names what is missing.
void check_loopback_source(const Ip& container, std::string_view search_path);

}  // namespace cni::netfilter
