#include "pkg/attachment/keys.hpp"

namespace cni::attachment {

Mac chosen_mac(const skel::Request& request, const Mac& configured, const Mac& runtime) {
  const auto argument = skel::mac_argument(request.args);
  if (!runtime.empty()) return runtime;
  return argument.value_or(configured);
}

}  // namespace cni::attachment
