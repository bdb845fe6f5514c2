// Kernel parameters below /proc/sys, addressed by components so that names with dots work. They are
// those of the calling thread's network namespace.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace cni::os {

// {"net", "ipv4", "conf", "eth0.100", "arp_notify"}
using SysctlKey = std::initializer_list<std::string_view>;

// "/proc/sys/net/ipv4/conf/eth0.100/arp_notify". Throws Code::kInvalidNetworkConfig for a component
// that is no file name.
std::string sysctl_path(SysctlKey key);

// The value without its newline; absent if the kernel does not have the parameter.
std::optional<std::string> read_sysctl(SysctlKey key);

// Writes the value unless it holds already, so that a read-only /proc/sys with the right values is
// enough. Throws Code::kSystemCall; ENOENT (in sys_errno) means that the kernel does not have the
// parameter.
void write_sysctl(SysctlKey key, std::string_view value);

// For parameters that only improve things: returns false where write_sysctl throws.
bool try_write_sysctl(SysctlKey key, std::string_view value);

}  // namespace cni::os
