#include "test/support/connected_container.hpp"

#include <unistd.h>

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
