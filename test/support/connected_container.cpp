#include "test/support/connected_container.hpp"

#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/support/ip_json.hpp"

namespace cni::test {
namespace {

// The host's end of a container's link.
std::string host_end(const std::string& container) { return cat("way-", number_of(container)); }

bool has_end_on_host(const Scenario& what) { return what.name != "bandwidth-in-container"; }

}  // namespace

int number_of(const std::string& container) {
  int sum = 0;
  for (const char c : container) {
    const bool is_digit = c >= '0' && c <= '9';
    sum = is_digit ? sum * 10 + (c - '0') : c % 16 + sum;
  }
  return sum;
}

json link_of_chain(const Scenario& what, const std::string& container) {
  json interfaces = json::array();
  if (has_end_on_host(what)) interfaces.push_back({{"name", host_end(container)}});
  interfaces.push_back({{"name", "eth0"}, {"sandbox", "/run/netns/" + container}});
  const int index = static_cast<int>(interfaces.size()) - 1;
  return {{"interfaces", interfaces},
          {"ips", {{{"version", "4"}, {"interface", index}, {"address", "10.79.0.2/24"}}}}};
}

void wait_for_local_route(const std::string& netns, const std::string& address) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (run_ok_in(netns, {"ip", "-6", "route", "show", "table", "local", address}).empty()) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error(address + " has no local route");
    }
  }
}

void make_way_to_containers() {
  (void)ip({"link", "add", "way0", "type", "veth", "peer", "name", "way1"});
  for (const char* link : {"way0", "way1"}) (void)ip({"link", "set", link, "up"});
  (void)ip({"address", "add", "10.80.0.1/16", "dev", "way0"});
  (void)ip({"address", "add", "fd00:80::1/64", "dev", "way0", "nodad"});
  wait_for_local_route("", "fd00:80::1");
}

void make_link_with_addresses(const std::string& container) {
  if (!find_link_json(container, "eth0")) {
    (void)ip({"-n", container, "link", "add", "eth0", "type", "veth", "peer", "name", "wire0"});
    for (const char* link : {"eth0", "wire0"}) {
      (void)ip({"-n", container, "link", "set", link, "up"});
    }
    (void)ip({"-n", container, "address", "add", "10.78.0.5/24", "dev", "eth0"});
    (void)ip({"-n", container, "address", "add", "fd00:78::5/64", "dev", "eth0", "nodad"});
    wait_for_local_route(container, "fd00:78::5");
  }
  const std::string routes =
      "route replace 10.78.0.0/24 dev eth0 proto kernel scope link src 10.78.0.5\n"
      "route replace default via 10.78.0.1 dev eth0 mtu 1400\n"
      "route replace 192.0.2.0/24 via 10.78.0.254 dev eth0 metric 7\n"
      "route replace fd00:78::/64 dev eth0 proto kernel metric 256\n"
      "route replace default via fd00:78::1 dev eth0\n"
      "route replace 2001:db8::/32 via fd00:78::254 dev eth0 metric 7\n";
  (void)run_ok_in(container, {"ip", "-b", "-"}, routes);
}

void connect_container(const Scenario& what, const std::string& container) {
  if (what.plugin != "bandwidth") return;
  std::vector<std::string> pair = {"-n",   container, "link", "add", "eth0",
                                   "type", "veth",    "peer", "name"};
  pair.push_back(has_end_on_host(what) ? host_end(container) : "eth1");
  // This process's namespace is the host's.
  if (has_end_on_host(what)) pair.insert(pair.end(), {"netns", cat(::getpid())});
  (void)ip(pair);
  (void)ip({"-n", container, "link", "set", "eth0", "up"});
  if (has_end_on_host(what)) (void)ip({"link", "set", host_end(container), "up"});
}

void disconnect_container(const Scenario& what, const std::string& container) {
  if (what.plugin != "bandwidth") return;
  if (namespace_exists(container) && find_link_json(container, "eth0")) {
    (void)ip({"-n", container, "link", "del", "eth0"});
  }
}

}  // namespace cni::test
