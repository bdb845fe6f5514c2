#include "plugins/ipam/static/static_ipam.hpp"

#include <algorithm>
#include <array>

#include "pkg/types/error.hpp"
#include "plugins/ipam/static/config.hpp"

namespace cni::static_ipam {
namespace {

Result add(const skel::Request& request, os::Undo&) {
  const Config config = parse(request);
  Result result;
  for (const Address& entry : config.addresses) {
    result.ips.push_back(
        {.interface = std::nullopt, .address = entry.address, .gateway = entry.gateway});
  }
  result.routes = config.routes;
  result.dns = config.dns;
  return result;
}

// There is no state. The configuration is not even read, so that no mistake in it can stand in the
// way.
void del(const skel::Request&) {}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Result* prev_result = request.config.prev_result();
  if (prev_result == nullptr) {
    throw Error(Code::kInvalidNetworkConfig, "Required prevResult missing");
  }
  const std::vector<IpConfig>& present = prev_result->ips;
  for (const Address& expected : config.addresses) {
    const std::string failure = cat("static: Failed to match addr ", expected.address.to_string(),
                                    " on interface ", request.ifname);
    const auto found = std::find_if(present.begin(), present.end(), [&](const IpConfig& ip) {
      return ip.address == expected.address;
    });
    if (found == present.end()) {
      throw Error(Code::kCheckFailed, cat(failure, ": prevResult does not have it"));
    }
    // Without a gateway here, a main plugin may have added its own.
    if (expected.gateway && found->gateway != expected.gateway) {
      throw Error(Code::kCheckFailed,
                  cat(failure, ": its gateway in prevResult is ",
                      found->gateway ? found->gateway->to_string() : "missing",
                      ", in the configuration ", expected.gateway->to_string()));
    }
  }
}

void status(const skel::Request& request) { (void)parse(request); }

constexpr std::array<std::string_view, 2> kLiveKeys = {"ipam.routes", "ipam.dns"};

void validate_update(const skel::Request& now) { (void)parse(now); }

Result update(const skel::Request& was, const skel::Request& now, os::Undo& /*undo*/) {
  const Config config = parse(now);
  Result out = skel::with_routes(*now.config.prev_result(), parse(was).routes, config.routes);
  out.dns = config.dns;
  return out;
}

constexpr skel::LiveUpdate kUpdate{.keys = kLiveKeys, .validate = validate_update, .apply = update};

}  // namespace

const skel::Plugin plugin{.name = "static",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .update = &kUpdate,
                          .description = &kDescription};

}  // namespace cni::static_ipam
