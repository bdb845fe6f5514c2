#include "test/support/frame_capture.hpp"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "pkg/ns/netns.hpp"

namespace cni::test {

os::Fd open_capture(const std::string& netns) {
  return ns::Netns::open("/run/netns/" + netns).run([] {
    return os::Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
  });
}

bool captures(const os::Fd& capture, std::size_t offset, const Bytes& wanted) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end) {
    pollfd polled{capture.get(), POLLIN, 0};
    if (::poll(&polled, 1, 100) != 1) continue;
    std::array<std::uint8_t, 2048> frame{};
    const ssize_t got = ::recv(capture.get(), frame.data(), frame.size(), 0);
    if (got >= static_cast<ssize_t>(offset + wanted.size()) &&
        std::equal(wanted.begin(), wanted.end(), frame.begin() + static_cast<long>(offset))) {
      return true;
    }
  }
  return false;
}

}  // namespace cni::test
