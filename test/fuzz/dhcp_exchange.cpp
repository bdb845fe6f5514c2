// What arrives on the daemon's socket: reading it is total, and what was read says the same once
// it is written.
#include <cstdlib>
#include <string_view>

#include "plugins/ipam/dhcp/exchange.hpp"

using namespace cni;
using namespace cni::dhcp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Throws nothing but the one error that the header promises.
template <class Read>
void check(std::string_view text, Read read) {
  std::string once;
  try {
    once = to_text(read(text));
  } catch (const Error& error) {
    require(error.code == Code::kDecodingFailure);
    return;
  }
  require(to_text(read(once)) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text, read_call);
  check(text, read_answer);
  try {
    const std::size_t length = read_length_prefix(text);
    require(length > 0 && length <= kLongestMessage && length_prefix(length) == text);
  } catch (const Error& error) {
    require(error.code == Code::kDecodingFailure);
  }
  return 0;
}
