#include "plugins/meta/tuning/settings.hpp"

#include <algorithm>
#include <cerrno>

namespace cni::tuning {
namespace {

using netlink::Link;
using netlink::LinkChange;

template <class T>
void add_if_missing(std::optional<T>& to, const std::optional<T>& from) {
  if (!to) to = from;
}

// What is to be changed if a value is wanted and another one is there.
template <class T>
std::optional<T> change_to(const std::optional<T>& wanted, const T& current) {
  return wanted && *wanted != current ? wanted : std::nullopt;
}

bool has(const std::vector<Sysctl>& sysctls, const Parameter& parameter) {
  return std::any_of(sysctls.begin(), sysctls.end(),
                     [&](const Sysctl& sysctl) { return sysctl.parameter == parameter; });
}

std::string_view on_or_off(bool value) { return value ? "on" : "off"; }

// One request for each setting, so that an error says which one the kernel refuses.
std::vector<std::pair<LinkChange, std::string>> changes_of(const Link& link,
                                                           const Settings& wanted) {
  std::vector<std::pair<LinkChange, std::string>> out;
  if (const auto mac = change_to(wanted.mac, link.mac)) {
    out.push_back(
        {{.mac = mac}, cat("set the MAC address of ", link.name, " to ", mac->to_string())});
  }
  if (const auto on = change_to(wanted.promiscuous, link.is_promiscuous())) {
    out.push_back(
        {{.promiscuous = on}, cat("set promiscuous mode of ", link.name, ' ', on_or_off(*on))});
  }
  if (const auto mtu = change_to(wanted.mtu, link.mtu)) {
    out.push_back({{.mtu = mtu}, cat("set the MTU of ", link.name, " to ", *mtu)});
  }
  if (const auto on = change_to(wanted.all_multicast, link.is_all_multicast())) {
    out.push_back(
        {{.all_multicast = on}, cat("set all-multicast mode of ", link.name, ' ', on_or_off(*on))});
  }
  if (const auto length = change_to(wanted.tx_queue_length, link.tx_queue_length)) {
    out.push_back({{.tx_queue_length = length},
                   cat("set the transmit queue length of ", link.name, " to ", *length)});
  }
  return out;
}

void change(netlink::Socket& socket, const Link& link, const LinkChange& wanted,
            const std::string& operation) {
  try {
    netlink::change_link(socket, link.index, wanted, operation);
  } catch (Error& error) {
    if (wanted.mac && error.sys_errno == EBUSY) {
      error.add_detail(
          "the driver changes the address only of an interface that is down, which would lose its "
          "routes: let the plugin that makes the interface set it");
    }
    throw;
  }
}

// The parameter's value; absent if it cannot be read although it is there.
std::optional<std::string> readable_value(const Parameter& parameter) {
  try {
    return parameter.read();
  } catch (const Error& error) {
    if (error.sys_errno == ENOENT || error.sys_errno == ENOTDIR) throw;
    return std::nullopt;
  }
}

// A value that holds is not written, so that a read-only /proc/sys with the right values will do.
void write_unless_it_holds(const Sysctl& sysctl) {
  const auto current = readable_value(sysctl.parameter);
  if (current && is_same_value(*current, sysctl.value)) return;
  sysctl.parameter.write(sysctl.value);
}

std::string differs(std::string_view what, std::string_view wanted, std::string_view current) {
  return cat("Error: Tuning configured ", what, " is ", wanted, ", current value is ", current);
}

std::string_view true_or_false(bool value) { return value ? "true" : "false"; }

std::optional<std::string> find_link_difference(const Link& link, const Settings& expected) {
  if (change_to(expected.mac, link.mac)) {
    return differs(cat("Ethernet of ", link.name), expected.mac->to_string(), link.mac.to_string());
  }
  if (change_to(expected.promiscuous, link.is_promiscuous())) {
    return cat("Error: Tuning link ", link.name, " configured promisc is ",
               true_or_false(*expected.promiscuous), ", current value is ",
               true_or_false(link.is_promiscuous()));
  }
  if (change_to(expected.mtu, link.mtu)) {
    return differs(cat("MTU of ", link.name), std::to_string(*expected.mtu),
                   std::to_string(link.mtu));
  }
  if (change_to(expected.all_multicast, link.is_all_multicast())) {
    return differs(cat("all-multicast mode of ", link.name), true_or_false(*expected.all_multicast),
                   true_or_false(link.is_all_multicast()));
  }
  if (change_to(expected.tx_queue_length, link.tx_queue_length)) {
    return differs(cat("Transmit Queue Length of ", link.name),
                   std::to_string(*expected.tx_queue_length), std::to_string(link.tx_queue_length));
  }
  return std::nullopt;
}

// A parameter that can only be written is not compared.
std::optional<std::string> find_sysctl_difference(const std::vector<Sysctl>& expected) {
  for (const Sysctl& sysctl : expected) {
    try {
      const auto current = readable_value(sysctl.parameter);
      if (!current || is_same_value(*current, sysctl.value)) continue;
      return differs(cat("value of ", sysctl.parameter.path()), sysctl.value, *current);
    } catch (const Error& error) {
      return error.msg;
    }
  }
  return std::nullopt;
}

}  // namespace

bool Settings::has_link_settings() const {
  return mac || promiscuous || mtu || all_multicast || tx_queue_length;
}

bool Settings::empty() const { return !has_link_settings() && sysctls.empty(); }

void Settings::add_missing(const Settings& other) {
  add_if_missing(mac, other.mac);
  add_if_missing(promiscuous, other.promiscuous);
  add_if_missing(mtu, other.mtu);
  add_if_missing(all_multicast, other.all_multicast);
  add_if_missing(tx_queue_length, other.tx_queue_length);
  for (const Sysctl& theirs : other.sysctls) {
    if (!has(sysctls, theirs.parameter)) sysctls.push_back(theirs);
  }
}

Settings Settings::common_with(const Settings& other) const { return selected(other, true); }
Settings Settings::without(const Settings& other) const { return selected(other, false); }

std::string Settings::first_key() const {
  if (mac) return "mac";
  if (promiscuous) return "promisc";
  if (mtu) return "mtu";
  if (all_multicast) return "allmulti";
  if (tx_queue_length) return "txQLen";
  return sysctls.empty() ? std::string() : cat("sysctl ", sysctls.front().parameter.name());
}

Settings Settings::selected(const Settings& other, bool is_in_other) const {
  Settings out = *this;
  const auto keep_if = [&](auto& ours, const auto& theirs) {
    if (theirs.has_value() != is_in_other) ours.reset();
  };
  keep_if(out.mac, other.mac);
  keep_if(out.promiscuous, other.promiscuous);
  keep_if(out.mtu, other.mtu);
  keep_if(out.all_multicast, other.all_multicast);
  keep_if(out.tx_queue_length, other.tx_queue_length);
  std::erase_if(out.sysctls, [&](const Sysctl& ours) {
    return has(other.sysctls, ours.parameter) != is_in_other;
  });
  return out;
}

Container open_container(const std::string& netns_path, const std::string& ifname) {
  ns::Netns netns = ns::Netns::open(netns_path);
  netlink::Socket socket = netlink::Socket::open_in(netns);
  return {std::move(netns), std::move(socket), ifname};
}

Settings read_current(Container& container, const Settings& wanted) {
  Settings out;
  if (wanted.has_link_settings()) {
    const Link link = netlink::get_link(container.socket, container.ifname);
    if (wanted.mac) out.mac = link.mac;
    if (wanted.promiscuous) out.promiscuous = link.is_promiscuous();
    if (wanted.mtu) out.mtu = link.mtu;
    if (wanted.all_multicast) out.all_multicast = link.is_all_multicast();
    if (wanted.tx_queue_length) out.tx_queue_length = link.tx_queue_length;
  }
  if (wanted.sysctls.empty()) return out;
  out.sysctls = container.netns.run([&] {
    std::vector<Sysctl> current;
    for (const Sysctl& sysctl : wanted.sysctls) {
      auto value = readable_value(sysctl.parameter);
      if (value) current.push_back({sysctl.parameter, *std::move(value)});
    }
    return current;
  });
  return out;
}

void apply(Container& container, const Settings& settings) {
  if (!settings.sysctls.empty()) {
    container.netns.run([&] {
      for (const Sysctl& sysctl : settings.sysctls) write_unless_it_holds(sysctl);
    });
  }
  if (!settings.has_link_settings()) return;
  const Link link = netlink::get_link(container.socket, container.ifname);
  for (const auto& [wanted, operation] : changes_of(link, settings)) {
    change(container.socket, link, wanted, operation);
  }
}

void restore(Container& container, const Settings& settings, ErrorList& errors) {
  const auto link = netlink::find_link(container.socket, container.ifname);
  if (link) {
    for (const auto& [wanted, operation] : changes_of(*link, settings)) {
      errors.run([&] { change(container.socket, *link, wanted, operation); });
    }
  }
  if (settings.sysctls.empty()) return;
  container.netns.run([&] {
    for (auto sysctl = settings.sysctls.rbegin(); sysctl != settings.sysctls.rend(); ++sysctl) {
      if (!link && sysctl->parameter.is_of(container.ifname)) continue;
      errors.run([&] { write_unless_it_holds(*sysctl); });
    }
  });
}

std::optional<std::string> find_difference(Container& container, const Settings& expected) {
  if (!expected.sysctls.empty()) {
    auto difference = container.netns.run([&] { return find_sysctl_difference(expected.sysctls); });
    if (difference) return difference;
  }
  if (!expected.has_link_settings()) return std::nullopt;
  const auto link = netlink::find_link(container.socket, container.ifname);
  if (!link) return cat("Error: Tuning link ", container.ifname, " not found");
  return find_link_difference(*link, expected);
}

void describe_settings(const std::string& ifname, const Settings& settings, Result& result) {
  for (Interface& interface : result.interfaces) {
    if (interface.name != ifname || interface.sandbox.empty()) continue;
    if (settings.mac) interface.mac = settings.mac->to_string();
    if (settings.mtu && interface.mtu != 0) interface.mtu = *settings.mtu;
  }
}

}  // namespace cni::tuning
