#include "config.hpp"

#include <algorithm>

#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"

namespace sample {
namespace {

// The kernel's limit: IFALIASZ in linux/if.h, which counts a NUL too.
constexpr std::size_t kMaxAlias = 255;

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

}  // namespace

Config parse(const cni::skel::Request& request) {
  return cni::context("failed to load netconf", [&] {
    const cni::Reader in = request.config.root();
    Config config;
    in.required("alias", config.alias);
    if (config.alias.empty() || config.alias.size() > kMaxAlias) {
      throw in.invalid(
          "alias", cni::cat("needs 1 to ", kMaxAlias, " octets, but has ", config.alias.size()));
    }
    // It is shown on terminals and in logs as it is.
    if (std::any_of(config.alias.begin(), config.alias.end(), is_control)) {
      throw in.invalid("alias", cni::cat(cni::quote(config.alias), " has control characters"));
    }
    return config;
  });
}

}  // namespace sample
