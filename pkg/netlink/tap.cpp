#include "pkg/netlink/tap.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

#include "pkg/netlink/link.hpp"
#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

constexpr const char* kControl = "/dev/net/tun";
constexpr short kExclusive = static_cast<short>(IFF_TUN_EXCL);  // the highest of its sixteen bits

std::string why_not(int error) {
  switch (error) {
    case ENOENT:
      return "the file is missing (mknod /dev/net/tun c 10 200), or the kernel has no tap support "
             "(CONFIG_TUN)";
    case ENODEV:
    case ENXIO:
      return "the kernel has no tap support (CONFIG_TUN)";
    case EACCES:
    case EPERM:
      return "the plugin is not allowed to use the file, by its mode or by a rule for devices";
    default:
      return {};
  }
}

// The kernel loads the module when it is opened.
os::Fd open_control() {
  os::Fd fd(::open(kControl, O_RDWR | O_CLOEXEC));
  if (fd) return fd;
  const int error = errno;
  const std::string reason = why_not(error);
  const std::string operation = cat("open ", kControl);
  if (reason.empty()) throw system_error(operation, error);
  throw Error(Code::kMissingKernelFeature, cat(operation, ": ", errno_text(error)), reason, error);
}

short flags_of(const TapSpec& spec) {
  int flags = IFF_TAP;
  if (spec.multi_queue) flags |= IFF_MULTI_QUEUE;
  if (spec.vnet_header) flags |= IFF_VNET_HDR;
  if (!spec.packet_info) flags |= IFF_NO_PI;
  return static_cast<short>(flags | kExclusive);
}

void set(const os::Fd& fd, unsigned long request, unsigned long value,
         const std::string& operation) {
  if (::ioctl(fd.get(), request, value) != 0) throw system_error(operation, errno);
}

}  // namespace

void add_tap(const TapSpec& spec) {
  check_link_name(spec.name);
  const os::Fd fd = open_control();
  ifreq request{};
  std::copy(spec.name.begin(), spec.name.end(), request.ifr_name);
  request.ifr_flags = flags_of(spec);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    throw system_error(cat("add tap ", spec.name), errno);
  }
  // Until it is persistent, the device ends with the descriptor.
  if (spec.owner) set(fd, TUNSETOWNER, *spec.owner, cat("set the owner of ", spec.name));
  if (spec.group) set(fd, TUNSETGROUP, *spec.group, cat("set the group of ", spec.name));
  set(fd, TUNSETPERSIST, 1, cat("make ", spec.name, " persistent"));
}

void require_tap() { (void)open_control(); }

}  // namespace cni::netlink
