// A kernel parameter below /proc/sys/net that a configuration names. All of it is of the calling
// thread's network namespace.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/fd.hpp"

namespace cni::tuning {

class Parameter {
 public:
  // Components are separated by "/" or by ".". Behind "conf" and "neigh" stands the name of an
  // interface, which may have dots: as it is where "/" separates, with "/" for each dot or as it is
  // if it is `ifname` where "." separates. The first IFNAME becomes `ifname`. Throws
  // Code::kInvalidNetworkConfig for what is not a parameter below net.
  static Parameter parse(std::string_view key, std::string_view ifname);
  // From name(); absent for anything else.
  static std::optional<Parameter> from_name(std::string_view name);

  // "net/ipv4/conf/eth0.100/arp_notify"
  std::string name() const;
  // "/proc/sys/net/ipv4/conf/eth0.100/arp_notify"
  std::string path() const;
  // Whether it is of one interface.
  bool is_of(std::string_view ifname) const;

  // Without white space at the ends. Throws Code::kSystemCall; ENOENT if the kernel does not have
  // the parameter.
  std::string read() const;
  void write(std::string_view value) const;

  bool operator==(const Parameter& other) const = default;

 private:
  explicit Parameter(std::vector<std::string> components) : components_(std::move(components)) {}
  // Component by component, so that no symbolic link leads elsewhere.
  os::Fd open(int flags) const;

  std::vector<std::string> components_;
};

// Whether two values of a parameter mean the same: the kernel writes tabs where people write
// blanks.
bool is_same_value(std::string_view one, std::string_view other);

}  // namespace cni::tuning
