#include "plugins/main/host-device/move.hpp"

#include <cerrno>

#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"

namespace cni::host_device {
namespace {

using netlink::Link;
using netlink::LinkChange;

constexpr int kMostNames = 1000;

// "%" in a name makes the kernel take it for a pattern.
bool is_usable_name(const std::string& name) {
  try {
    netlink::check_link_name(name);
  } catch (const Error&) {
    return false;
  }
  return name.find('%') == std::string::npos;
}

// The kernel's numbers do not tell what is in the way.
void explain_refusal(attachment::Sides& sides, const Device& device, const std::string& ifname,
                     Error& error) {
  if (error.sys_errno == EINVAL) {
    error.add_detail(cat("links of type ",
                         device.link.kind.empty() ? "of this driver" : device.link.kind,
                         " may be bound to the namespace that they were made in"));
  } else if (error.sys_errno == EEXIST && netlink::find_link(sides.container, ifname)) {
    error.add_detail("the container has an interface of that name; choose another CNI_IFNAME");
  } else if (error.sys_errno == EEXIST) {
    error.add_detail(
        cat("the container has an interface that is called like an alternative name "
            "of ",
            device.link.name, " (ip link property)"));
  }
}

void send_to_container(attachment::Sides& sides, const Device& device, const std::string& ifname,
                       std::optional<std::uint32_t> tag) {
  LinkChange change;
  change.netns_fd = sides.netns.fd();
  change.name = ifname;
  change.alias = device.name;
  change.tag = tag;
  netlink::change_link(sides.host, device.link.index, change,
                       cat("move ", device.link.name, " to the container as ", ifname));
}

// What the kernel refuses after the move leaves the device there, under the name that it had here.
void take_half_moved_back(attachment::Sides& sides, const Device& device) {
  if (netlink::find_link(sides.host, device.link.index)) return;
  const auto link = netlink::find_link(sides.container, device.link.name);
  if (!link) return;
  move_to_host(sides.container, *link, {.name = device.name, .up = device.link.is_up(), .mac = {}});
}

// Where a device on its way home is, and how to call it there.
class Homecoming {
 public:
  Homecoming(netlink::Socket& container, const Link& link)
      : container_(container),
        link_(link),
        here_(ns::Netns::current()),
        host_(netlink::Socket::open()) {}

  netlink::Socket& host() { return host_; }
  bool is_free(const std::string& name) { return !netlink::find_link(host_, name); }

  // False if the name is taken, or an alternative name of the device.
  bool arrive_as(const std::string& name) {
    LinkChange change;
    change.name = name;
    change.alias = "";
    const std::string operation = cat("move ", link_.name, " to the host as ", name);
    try {
      if (const auto moved = moved_already()) {
        netlink::change_link(host_, moved->index, change, operation);
      } else {
        change.netns_fd = here_.fd();
        netlink::change_link(container_, link_.index, change, operation);
      }
      return true;
    } catch (Error& error) {
      if (error.sys_errno == EEXIST) {
        refusal_ = error;
        return false;
      }
      throw;
    }
  }

  const std::optional<Error>& refusal() const { return refusal_; }

 private:
  // A name that somebody else took meanwhile is refused after the move, which stays done.
  std::optional<Link> moved_already() {
    if (!refusal_ || netlink::find_link(container_, link_.index)) return std::nullopt;
    auto link = netlink::find_link(host_, link_.name);
    if (link && link->alias == link_.alias) return link;
    return std::nullopt;
  }

  netlink::Socket& container_;
  const Link& link_;
  ns::Netns here_;
  netlink::Socket host_;
  std::optional<Error> refusal_;
};

// Under its name, or under the first free one.
std::string arrive(Homecoming& home, const std::string& wanted) {
  if (is_usable_name(wanted) && home.is_free(wanted) && home.arrive_as(wanted)) return wanted;
  for (int number = 0; number < kMostNames; ++number) {
    std::string name = cat("dev", number);
    if (home.is_free(name) && home.arrive_as(name)) return name;
    // Not the name but an alternative one that the device has is taken.
    if (home.refusal() && home.refusal()->details.find("altname") != std::string::npos) break;
  }
  if (home.refusal()) throw *home.refusal();
  throw Error(Code::kConflict, cat("move ", wanted, " to the host: no free name was found"));
}

// Drivers may change the address only of an interface that is down.
void restore_mac(netlink::Socket& container, const Link& link, const Mac& mac) {
  netlink::set_down(container, link.index);
  LinkChange change;
  change.mac = mac;
  netlink::change_link(container, link.index, change,
                       cat("give ", link.name, " its MAC address ", mac.to_string(), " back"));
}

}  // namespace

void require_free_name(netlink::Socket& container, const Device& device,
                       const std::string& ifname) {
  if (!netlink::find_link(container, ifname)) return;
  throw Error(Code::kConflict,
              cat("failed to move ", quote(device.link.name), " to the container: ", quote(ifname),
                  " already exists"),
              "the container has an interface of that name; choose another CNI_IFNAME", EEXIST);
}

Link move_to_container(attachment::Sides& sides, const Device& device, const std::string& ifname,
                       std::uint32_t tag) {
  try {
    try {
      send_to_container(sides, device, ifname, tag);
    } catch (const Error& error) {
      // A link whose MTU is too small for IPv4 has no parameters of it.
      if (error.sys_errno != EAFNOSUPPORT) throw;
      send_to_container(sides, device, ifname, std::nullopt);
    }
  } catch (Error& error) {
    explain_refusal(sides, device, ifname, error);
    take_half_moved_back(sides, device);
    throw;
  }
  return netlink::get_link(sides.container, ifname);
}

void move_to_host(netlink::Socket& container, const Link& link, const Return& wanted) {
  ErrorList errors;
  Homecoming home(container, link);
  if (wanted.mac && link.master == netlink::LinkIndex::kNone) {
    errors.run([&] { restore_mac(container, link, *wanted.mac); });
  }
  errors.run([&] {
    std::string name;
    try {
      name = arrive(home, wanted.name);
    } catch (const Error& error) {
      // Gone with its namespace, or by another DEL at the same time.
      if (error.sys_errno == ENODEV) return;
      throw;
    }
    if (wanted.up) netlink::set_up(home.host(), netlink::get_link(home.host(), name).index);
    if (name == wanted.name) return;
    throw Error(Code::kConflict,
                cat("device ", link.name, " of the container is back on the host as ", quote(name),
                    wanted.name.empty()
                        ? ": its name there is not known"
                        : cat(": its name ", quote(wanted.name),
                              is_usable_name(wanted.name) ? " is taken" : " cannot be used")),
                "it is not lost: rename it when its name is free");
  });
  errors.throw_if_any();
}

void restore_name(netlink::Socket& host, const Link& link, const std::string& name) {
  LinkChange change;
  change.up = false;  // before Linux 6.2 an interface that is up cannot be renamed
  if (link.is_up()) netlink::change_link(host, link.index, change, cat("set ", link.name, " down"));
  change.up = link.is_up();
  change.name = name;
  change.alias = "";
  netlink::change_link(host, link.index, change, cat("rename ", link.name, " to ", name));
}

}  // namespace cni::host_device
