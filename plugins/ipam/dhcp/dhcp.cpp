#include "plugins/ipam/dhcp/dhcp.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/client.hpp"
#include "plugins/ipam/dhcp/config.hpp"
#include "plugins/ipam/dhcp/daemon/daemon.hpp"
#include "plugins/ipam/dhcp/daemon/state.hpp"

namespace cni::dhcp {
namespace {

// The daemon gives up by itself, after 208 s unless its -resendtimeout says otherwise: this only
// ends the wait for one that hangs.
constexpr std::chrono::seconds kPatienceForLease = std::chrono::minutes(10);
// What needs no server is answered at once; systemd may have to start the daemon first.
constexpr std::chrono::seconds kPatience{20};

constexpr std::string_view kStateFolder = "/var/lib/cni/dhcp";

Answer ask(Verb verb, const Config& config) {
  return ask_daemon(config.socket_path, {.verb = verb, .lease = config.lease, .valid = {}},
                    verb == Verb::kAllocate ? kPatienceForLease : kPatience);
}

// Of an answer to kAllocate or kLook.
Result result_of(const Answer& answer, const Config& config) {
  Result result = to_result(answer.lease, config.lease.priority);
  if (!result.ips.empty()) return result;
  throw Error(Code::kDecodingFailure, "dhcp: the daemon answered without an address");
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  const Answer answer = ask(Verb::kAllocate, config);
  // A lease that an earlier ADD got is that one's.
  if (answer.is_new) {
    undo.push(cat("release the lease of ", config.lease.key.to_string()),
              [config] { (void)ask(Verb::kRelease, config); });
  }
  return result_of(answer, config);
}

// A daemon that starts later would take up the lease of a container that is gone.
void forget(const skel::Request& request, const LeaseKey& key, const NoDaemon& why) {
  skel::warn(request, "dhcp",
             cat("the lease of ", key.to_string(),
                 " is not given back, and ends by itself: ", why.what()));
  (void)os::remove_file(cat(kStateFolder, "/", StateFolder::file_name(key)));
}

void del(const skel::Request& request) {
  const Config config = parse_leniently(request);
  try {
    (void)ask(Verb::kRelease, config);
  } catch (const NoDaemon& error) {
    forget(request, config.lease.key, error);
  }
}

// The addresses of prevResult that are of the same family.
std::string present_addresses(const Result& prev_result, Family family) {
  std::string out;
  for (const IpConfig& ip : prev_result.ips) {
    if (ip.address.address.family() != family) continue;
    out += cat(out.empty() ? "" : ", ", ip.address.to_string());
  }
  return out.empty() ? "no address of that family" : out;
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Result leased = result_of(ask(Verb::kLook, config), config);
  const Result* prev_result = request.config.prev_result();
  if (prev_result == nullptr) return;
  for (const IpConfig& ip : leased.ips) {
    const bool known =
        std::any_of(prev_result->ips.begin(), prev_result->ips.end(),
                    [&](const IpConfig& present) { return present.address == ip.address; });
    if (known) continue;
    throw Error(
        Code::kCheckFailed,
        cat("dhcp: the lease of ", request.ifname, " is ", ip.address.to_string(),
            " now; prevResult has ", present_addresses(*prev_result, ip.address.address.family())),
        "the server has changed the address");
  }
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  try {
    (void)ask(Verb::kStatus, config);
  } catch (Error& error) {
    error.code = Code::kPluginNotAvailable;
    throw;
  }
}

void gc(const skel::Request& request) {
  const Config config = parse_leniently(request);
  (void)ask_daemon(
      config.socket_path,
      {.verb = Verb::kCollect, .lease = config.lease, .valid = request.config.valid_attachments},
      kPatience);
}

int command(int argc, char** argv) {
  if (std::string_view(argv[1]) == "daemon") return run(argc, argv);
  (void)std::fputs(
      "usage: dhcp daemon [FLAG...]; without arguments it is a CNI plugin, which runtimes run\n",
      stderr);
  return 2;
}

}  // namespace

const skel::Plugin plugin{.name = "dhcp",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .command = command,
                          .description = &kDescription};

}  // namespace cni::dhcp
