// What tuning sets: properties of the container's interface, and kernel parameters of its
// namespace. Also their values before that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/result.hpp"
#include "plugins/meta/tuning/parameter.hpp"

namespace cni::tuning {

struct Sysctl {
  Parameter parameter;
  std::string value;

  bool operator==(const Sysctl& other) const = default;
};

// What is not there is not touched.
struct Settings {
  std::optional<Mac> mac;
  std::optional<bool> promiscuous;
  std::optional<std::uint32_t> mtu;
  std::optional<bool> all_multicast;
  std::optional<std::uint32_t> tx_queue_length;
  std::vector<Sysctl> sysctls;  // in the order in which they are written

  bool has_link_settings() const;
  bool empty() const;
  // Takes over what it does not have itself.
  void add_missing(const Settings& other);
  // Those of its settings that the other one has too, or has not, whatever the values.
  Settings common_with(const Settings& other) const;
  Settings without(const Settings& other) const;
  // The key of one of them, as configurations name it; empty if it is empty.
  std::string first_key() const;

  bool operator==(const Settings& other) const = default;

 private:
  Settings selected(const Settings& other, bool is_in_other) const;
};

// The container's side: its namespace, and a socket in it.
struct Container {
  ns::Netns netns;
  netlink::Socket socket;
  std::string ifname;
};
Container open_container(const std::string& netns_path, const std::string& ifname);

// The values that those of `wanted` have now. A parameter that cannot be read, as those that only
// trigger something, is left out. Throws Code::kSystemCall if the interface or a parameter is not
// there.
Settings read_current(Container& container, const Settings& wanted);

// Sets what has another value now. Throws at the first failure. The interface stays up.
void apply(Container& container, const Settings& settings);

// As apply, in the opposite order, and goes on after failures. Without the interface only
// parameters that are not its own are written.
void restore(Container& container, const Settings& settings, ErrorList& errors);

// What is not as it should be; absent if all is.
std::optional<std::string> find_difference(Container& container, const Settings& expected);

// Writes what the container's interface has now into its entries of the result.
void describe_settings(const std::string& ifname, const Settings& settings, Result& result);

}  // namespace cni::tuning
