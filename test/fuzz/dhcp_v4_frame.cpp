// What arrives on the link: finding a message or a conflict in it is total, stays inside the frame,
// and finds what encode_frame made.
#include <algorithm>
#include <cstdlib>

#include "plugins/ipam/dhcp/v4/frame.hpp"

using namespace cni;
using namespace cni::dhcp;
using namespace cni::dhcp::v4;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

using View = std::span<const std::uint8_t>;

void check_inside(const std::optional<View>& payload, View frame) {
  if (!payload) return;
  require(payload->data() >= frame.data() + 42);
  require(payload->data() + payload->size() <= frame.data() + frame.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View frame(data, size);
  const auto strict = find_payload(frame, true);
  const auto lenient = find_payload(frame, false);
  check_inside(strict, frame);
  check_inside(lenient, frame);
  require(!strict || (lenient && lenient->data() == strict->data()));
  const std::uint8_t own[6] = {2, 0, 0, 0, 0, 1};
  const Mac mac = Mac::from_bytes(own, sizeof own);
  (void)is_conflict(frame, mac, *Ip::parse("192.0.2.5"));

  Bytes made = encode_frame(mac, Ip{}, *Ip::parse("255.255.255.255"), frame);
  // It goes to a server's port; an answer differs from it by the ports, which the sum does not tell
  // apart.
  std::swap(made[35], made[37]);
  const auto found = find_payload(made, true);
  require(found && std::equal(found->begin(), found->end(), frame.begin(), frame.end()));
  return 0;
}
