// Real packets: the frames that reach the interfaces of a namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pkg/os/fd.hpp"

namespace cni::test {

using Bytes = std::vector<std::uint8_t>;

// Captures from now on what all interfaces of /run/netns/NAME send and receive.
os::Fd open_capture(const std::string& netns);

// True if a frame that has `wanted` at `offset` arrives within two seconds.
bool captures(const os::Fd& capture, std::size_t offset, const Bytes& wanted);

}  // namespace cni::test
