#include "test/support/scenario.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "pkg/types/error.hpp"
#include "test/support/connected_container.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/skip.hpp"

namespace cni::test {
namespace {

json host_local(const char* subnet) {
  return {{"type", "host-local"},
          {"ranges", json::array({json::array({{{"subnet", subnet}}})})},
          {"routes", json::array({{{"dst", "0.0.0.0/0"}}})}};
}

json bridge_with(const json& more) {
  json config = {{"type", "bridge"},
                 {"bridge", "cni0"},
                 {"isGateway", true},
                 {"ipam", host_local("10.88.0.0/16")}};
  config.update(more);
  return config;
}

json ptp_with(const json& more) {
  json config = {{"type", "ptp"}, {"ipam", host_local("10.89.0.0/16")}};
  config.update(more);
  return config;
}

json macvlan_with(const json& more) {
  json config = {{"type", "macvlan"}, {"master", "master0"}};
  config.update(more);
  return config;
}

json host_device_with(const json& more) {
  json config = {{"type", "host-device"}, {"device", "nic0"}};
  config.update(more);
  return config;
}

json tap_with(const json& more) {
  json config = {{"type", "tap"}, {"mtu", 1400}, {"mac", "02:00:00:00:92:00"}, {"owner", 1000}};
  config.update(more);
  return config;
}

json static_addresses() {
  return {{"type", "static"},
          {"addresses", json::array({{{"address", "10.87.0.5/24"}, {"gateway", "10.87.0.1"}},
                                     {{"address", "fd00:87::5/64"}, {"gateway", "fd00:87::1"}}})},
          {"routes", json::array({{{"dst", "0.0.0.0/0"}}})},
          {"dns", {{"nameservers", {"10.87.0.1"}}}}};
}

json dual_stack() {
  return {{"type", "host-local"},
          {"ranges", json::array({json::array({{{"subnet", "10.86.0.0/16"}}}),
                                  json::array({{{"subnet", "fd00:86::/64"}}})})},
          {"routes", json::array({{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}})}};
}

json ipvlan_with(const json& more) {
  json config = {{"type", "ipvlan"}};
  config.update(more);
  return config;
}

// What a plugin that brings a link of the host and addresses for it hands on.
json link_from_chain() {
  return {{"interfaces", json::array({{{"name", "master0"}}})},
          {"ips", json::array({{{"address", "10.84.0.5/24"}, {"gateway", "10.84.0.1"}}})},
          {"routes", json::array({{{"dst", "0.0.0.0/0"}}})}};
}

json vlan_with(const json& more) {
  json config = {{"type", "vlan"}, {"master", "master0"}, {"vlanId", 5}};
  config.update(more);
  return config;
}

// What bridge hands on; its links are not made.
json bridge_from_chain() {
  return {{"interfaces",
           json::array(
               {{{"name", "cni0"}, {"mac", "02:00:00:00:81:00"}},
                {{"name", "veth81"}, {"mac", "02:00:00:00:81:01"}},
                {{"name", "eth0"}, {"mac", "02:00:00:00:81:02"}, {"sandbox", "/run/netns/one"}}})},
          {"ips", json::array({{{"interface", 2}, {"address", "10.81.0.5/24"}},
                               {{"interface", 2}, {"address", "fd00:81::5/64"}}})}};
}

json firewall_with(const json& more) {
  json config = {{"type", "firewall"}, {"prevResult", bridge_from_chain()}};
  config.update(more);
  return config;
}

// What a plugin in front hands on, in the form of the version.
json addresses_from_chain(std::string_view version, const std::string& container) {
  const int number = number_of(container);
  const std::string ipv4 = cat("10.80.", number / 250, ".", number % 250 + 2, "/16");
  const std::string ipv6 = cat("fd00:80::", number + 2, "/64");
  if (version == "0.1.0" || version == "0.2.0" || version.empty()) {
    return {{"ip4", {{"ip", ipv4}}}, {"ip6", {{"ip", ipv6}}}};
  }
  return {{"interfaces",
           {{{"name", "cni0"}}, {{"name", "eth0"}, {"sandbox", "/run/netns/" + container}}}},
          {"ips",
           {{{"version", "4"}, {"interface", 1}, {"address", ipv4}},
            {{"version", "6"}, {"interface", 1}, {"address", ipv6}}}}};
}

// Each container has its own ports of the host, and its own addresses.
json portmap_of(json config, std::string_view version, const std::string& container) {
  const int port = 10000 + number_of(container);
  config["runtimeConfig"]["portMappings"] = {
      {{"hostPort", port}, {"containerPort", 80}, {"protocol", "tcp"}},
      {{"hostPort", port}, {"containerPort", 53}, {"protocol", "udp"}}};
  config["prevResult"] = addresses_from_chain(version, container);
  return config;
}

// What the plugin that made the link of prepare_container hands on, in the form of the version.
json link_with_addresses(std::string_view version, const std::string& container) {
  if (version == "0.1.0" || version == "0.2.0" || version.empty()) {
    return {{"ip4", {{"ip", "10.78.0.5/24"}, {"gateway", "10.78.0.1"}}},
            {"ip6", {{"ip", "fd00:78::5/64"}, {"gateway", "fd00:78::1"}}}};
  }
  return {
      {"interfaces", {{{"name", "eth0"}, {"sandbox", "/run/netns/" + container}}}},
      {"ips",
       {{{"version", "4"}, {"interface", 0}, {"address", "10.78.0.5/24"}, {"gateway", "10.78.0.1"}},
        {{"version", "6"},
         {"interface", 0},
         {"address", "fd00:78::5/64"},
         {"gateway", "fd00:78::1"}}}},
      {"routes", {{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}}}};
}

// Every property of the interface, to values that it does not have.
json tuned_link() {
  return {{"type", "tuning"}, {"mac", "02:00:00:00:79:02"}, {"promisc", true},
          {"mtu", 1400},      {"allmulti", true},           {"txQLen", 777}};
}

json tuned_all() {
  json config = tuned_link();
  config["sysctl"] = {{"net.ipv4.conf.IFNAME.arp_notify", "1"},
                      {"net/ipv6/conf/IFNAME/accept_ra", "0"},
                      {"net.ipv4.conf.all.proxy_arp", "1"}};
  return config;
}

// The interface is there already, with the addresses and routes of what a plugin in front hands on.
json vrf_of(json config, std::string_view version, const std::string& container) {
  config["prevResult"] = addresses_from_chain(version, container);
  config["prevResult"]["routes"] = {{{"dst", "0.0.0.0/0"}, {"gw", "10.80.0.1"}}};
  return config;
}

json bandwidth_with(const json& more) {
  json config = {{"type", "bandwidth"},
                 {"ingressRate", 8000000},
                 {"ingressBurst", 800000},
                 {"egressRate", 16000000},
                 {"egressBurst", 1600000}};
  config.update(more);
  return config;
}

std::vector<Scenario> make_scenarios() {
  const json iptables = {{"ipMasq", true}, {"ipMasqBackend", "iptables"}};
  const json nftables = {{"ipMasq", true}, {"ipMasqBackend", "nftables"}};
  return {
      {"loopback", "loopback", {{"type", "loopback"}}},
      {"bridge", "bridge", bridge_with(json::object())},
      {"bridge-layer2", "bridge", {{"type", "bridge"}, {"bridge", "cni0"}}},
      {"bridge-dual-stack", "bridge",
       bridge_with({{"ipam", dual_stack()}, {"ipMasq", true}, {"ipMasqBackend", "nftables"}})},
      {"bridge-masquerade-nftables", "bridge", bridge_with(nftables)},
      {"bridge-masquerade-iptables", "bridge", bridge_with(iptables)},
      {"bridge-spoof-check", "bridge", bridge_with({{"macspoofchk", true}})},
      {"bridge-vlan", "bridge", bridge_with({{"vlan", 100}})},
      {"bridge-vlan-trunk", "bridge",
       bridge_with({{"vlanTrunk", {{{"minID", 200}, {"maxID", 300}}, {{"id", 400}}}}})},
      {"ptp", "ptp", ptp_with(json::object())},
      {"ptp-masquerade-nftables", "ptp", ptp_with(nftables)},
      {"ptp-masquerade-iptables", "ptp", ptp_with(iptables)},
      {"macvlan", "macvlan", macvlan_with({{"ipam", host_local("10.90.0.0/16")}})},
      {"macvlan-layer2", "macvlan", macvlan_with(json::object())},
      {"ipvlan", "ipvlan",
       ipvlan_with({{"master", "master0"}, {"ipam", host_local("10.85.0.0/16")}})},
      {"ipvlan-chained", "ipvlan", ipvlan_with({{"prevResult", link_from_chain()}})},
      {"vlan", "vlan", vlan_with({{"ipam", host_local("10.83.0.0/16")}})},
      {"dummy", "dummy", {{"type", "dummy"}, {"ipam", host_local("10.82.0.0/16")}}},
      {"host-device", "host-device", host_device_with({{"ipam", host_local("10.91.0.0/16")}})},
      {"host-device-layer2", "host-device", host_device_with(json::object())},
      {"tap", "tap", tap_with({{"ipam", host_local("10.92.0.0/16")}})},
      {"tap-layer2", "tap", tap_with({{"group", 1000}})},
      {"firewall-iptables", "firewall", firewall_with({{"backend", "iptables"}})},
      {"firewall-same-bridge", "firewall",
       firewall_with({{"backend", "iptables"}, {"ingressPolicy", "same-bridge"}})},
      {"firewall-isolated", "firewall",
       firewall_with({{"backend", "iptables"}, {"ingressPolicy", "isolated"}})},
      {"firewall-nftables", "firewall",
       firewall_with(
           {{"backend", "nftables"},
            {"ingressPolicy", "isolated"},
            {"egressDeny", json::array({{{"to", "192.0.2.0/24"}}})},
            {"egressAllow",
             json::array({{{"to", "192.0.2.2/32"}, {"protocol", "tcp"}, {"ports", "80-90"}}})}})},
      {"host-local", "host-local", {{"type", "bridge"}, {"ipam", dual_stack()}}},
      {"static", "static", {{"type", "bridge"}, {"ipam", static_addresses()}}},
      {"portmap-iptables", "portmap", {{"type", "portmap"}, {"backend", "iptables"}}},
      {"portmap-nftables", "portmap", {{"type", "portmap"}, {"backend", "nftables"}}},
      {"bandwidth", "bandwidth", bandwidth_with(json::object())},
      {"bandwidth-htb", "bandwidth",
       bandwidth_with({{"unshapedSubnets", {"10.0.0.0/8", "fd00::/8"}}})},
      {"bandwidth-in-container", "bandwidth", bandwidth_with(json::object())},
      {"sbr", "sbr", {{"type", "sbr"}}},
      {"sbr-hints", "sbr", {{"type", "sbr"}, {"addSourceHints", true}}},
      {"sbr-table", "sbr", {{"type", "sbr"}, {"table", 1000}}},
      {"tuning", "tuning", tuned_all()},
      {"tuning-interface", "tuning", tuned_link()},
      {"vrf", "vrf", {{"type", "vrf"}, {"vrfname", "blue"}}},
  };
}

// A device that can be lent, which is down as one that comes back. It ends with the namespace that
// it is in, unlike hardware, and is then made again.
void make_device() {
  if (find_link_json("", "nic0")) return;
  (void)ip({"link", "add", "nic0", "address", "02:00:00:00:91:00", "type", "veth", "peer", "name",
            "wire0", "address", "02:00:00:00:91:01"});
}

// An interface as a plugin in front leaves it, and the rule that the kernel makes in a namespace
// with the first VRF and never removes. One execution of `ip`, since machines are emulated that
// have VRFs.
void make_interface_for_vrf(const std::string& container) {
  const json ips = addresses_from_chain("1.1.0", container).at("ips");
  const std::string ipv4 = ips.at(0).at("address");
  const std::string ipv6 = ips.at(1).at("address");
  std::string lines;
  if (has_kind("vrf")) lines += "link add first type vrf table 1\nlink del first\n";
  if (find_link_json(container, "eth0")) lines += "link del eth0\n";
  lines += cat("link add eth0 address 02:00:00:00:78:00 type veth peer name peer0 address ",
               "02:00:00:00:78:01\nlink set peer0 up\nlink set eth0 up\naddress add ", ipv4,
               " dev eth0\naddress add ", ipv6, " dev eth0 nodad\n",
               "route add default via 10.80.0.1 mtu 1300\nroute add 192.0.2.0/24 dev eth0\n",
               "route add default via fd00:80::1\n");
  (void)run_ok({"ip", "-n", container, "-b", "-"}, lines);
  wait_for_local_route("/run/netns/" + container, ipv6.substr(0, ipv6.find('/')));
}

bool mentions(const Scenario& what, std::string_view word) {
  return what.name.find(word) != std::string::npos;
}

// Not every kernel has the link types of these plugins, which are called like them.
bool needs_kind(const Scenario& what) {
  constexpr std::array kPlugins = {"bridge", "dummy", "ipvlan", "macvlan", "tap", "vlan", "vrf"};
  return std::find(kPlugins.begin(), kPlugins.end(), what.plugin) != kPlugins.end();
}

bool needs_ifb(const Scenario& what) { return what.plugin == "bandwidth"; }

bool needs_bridge_vlans(const Scenario& what) {
  return what.plugin == "bridge" && mentions(what, "-vlan");
}

bool needs_iptables(const Scenario& what) {
  const auto says_so = [&](const char* key) { return what.config.value(key, "") == "iptables"; };
  return says_so("ipMasqBackend") || says_so("backend");
}

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> kAll = make_scenarios();
  return kAll;
}

const Scenario& scenario(std::string_view name) {
  const auto found = std::find_if(scenarios().begin(), scenarios().end(),
                                  [&](const Scenario& each) { return each.name == name; });
  if (found == scenarios().end()) throw std::runtime_error("no scenario of that name");
  return *found;
}

void require_for(const Scenario& what) {
  if (needs_bridge_vlans(what)) require_bridge_vlans();
  if (needs_kind(what)) require_kind(what.plugin);
  if (needs_ifb(what)) require_kind("ifb");
  if (needs_iptables(what)) (void)require_program("iptables");
}

bool works_here(const Scenario& what) {
  if (needs_kind(what) && !has_kind(what.plugin)) return false;
  if (needs_ifb(what) && !has_kind("ifb")) return false;
  if (needs_bridge_vlans(what) && !has_bridge_vlans()) return false;
  return !needs_iptables(what) || find_installed("iptables").has_value();
}

bool makes_link(const Scenario& what) {
  constexpr std::array kWithout = {"loopback", "sbr", "tuning"};
  return std::find(kWithout.begin(), kWithout.end(), what.plugin) == kWithout.end();
}

bool stands_on_master(const Scenario& what) {
  return what.plugin == "macvlan" || what.plugin == "ipvlan" || what.plugin == "vlan";
}

void prepare_host(const Scenario& what) {
  if (what.plugin == "host-device") make_device();
  if (what.plugin == "portmap") make_way_to_containers();
  if (!stands_on_master(what)) return;
  (void)ip({"link", "add", "master0", "type", "veth", "peer", "name", "master1"});
  (void)ip({"link", "set", "master0", "up"});
  (void)ip({"link", "set", "master1", "up"});
}

bool hands_on_result(const Scenario& what) {
  constexpr std::array kChained = {"bandwidth", "sbr", "tuning", "vrf"};
  return std::find(kChained.begin(), kChained.end(), what.plugin) != kChained.end();
}

void renew_interface(const Scenario& what, const std::string& container) {
  if (what.plugin == "sbr") make_link_with_addresses(container);
  if (what.plugin == "vrf") make_interface_for_vrf(container);
}

void prepare_container(const Scenario& what, const std::string& container) {
  renew_interface(what, container);
  if (what.plugin == "tuning") {
    (void)ip({"-n", container, "link", "add", "eth0", "address", "02:00:00:00:79:00", "type",
              "veth", "peer", "name", "peer0", "address", "02:00:00:00:79:01"});
    (void)ip({"-n", container, "link", "set", "eth0", "up"});
  }
  if (what.plugin != "loopback") return;
  (void)ip({"-n", container, "link", "set", "lo", "up"});
  (void)ip({"-n", container, "link", "set", "lo", "down"});
}

std::string config_text(const Scenario& what, std::string_view version, const json& prev_result,
                        const std::string& container) {
  json config = what.config;
  config["name"] = kNetworkName;
  if (what.plugin == "portmap") config = portmap_of(std::move(config), version, container);
  if (what.plugin == "bandwidth") config["prevResult"] = link_of_chain(what, container);
  if (what.plugin == "sbr") {
    config["prevResult"] = link_with_addresses(version, container);
    // The reference takes a result without for one of the first version.
    if (!version.empty()) config["prevResult"]["cniVersion"] = version;
  }
  if (what.plugin == "tuning") config["prevResult"] = addresses_from_chain(version, container);
  if (what.plugin == "vrf") config = vrf_of(std::move(config), version, container);
  if (!version.empty()) config["cniVersion"] = version;
  if (!prev_result.is_null()) config["prevResult"] = prev_result;
  return config.dump();
}

Call call_of(const Scenario& what, std::string command, const std::string& container,
             std::string_view version, const json& prev_result) {
  Call call;
  call.command = std::move(command);
  call.container_id = container;
  call.netns = "/run/netns/" + container;
  call.input = config_text(what, version, prev_result, container);
  // What a chain hands on is for ADD: a runtime may have lost it when it comes to the others.
  const bool is_chained = what.config.contains("prevResult") || hands_on_result(what);
  if (call.command != "ADD" && prev_result.is_null() && is_chained) {
    json config = json::parse(call.input);
    config.erase("prevResult");
    call.input = config.dump();
  }
  return call;
}

}  // namespace cni::test
