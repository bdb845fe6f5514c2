#include "test/support/publishing_node.hpp"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"

namespace cni::test {
namespace {

constexpr const char* kBridgedFrames = "/proc/sys/net/bridge/bridge-nf-call-iptables";

// The container of that number on networks of /16 and /64.
json static_ipam(const std::string& ipv4, const std::string& ipv6, const std::string& number) {
  return {{"type", "static"},
          {"addresses",
           json::array({{{"address", cat(ipv4, number, "/16")}, {"gateway", cat(ipv4, "1")}},
                        {{"address", cat(ipv6, number, "/64")}, {"gateway", cat(ipv6, "1")}}})},
          {"routes", json::array({{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}})}};
}

json bridge_config(const std::string& bridge, bool hairpin) {
  return {{"type", "bridge"}, {"bridge", bridge}, {"isGateway", true}, {"hairpinMode", hairpin}};
}

json network_config(ContainerNetwork network) {
  if (network == ContainerNetwork::kPtp) return {{"type", "ptp"}};
  return bridge_config("cni0", network == ContainerNetwork::kHairpinBridge);
}

// Sent from global addresses only, which are there at once.
void skip_detection(const std::string& netns) {
  const std::vector<std::string> argv = {"sysctl", "-q", "-w", "net.ipv6.conf.all.accept_dad=0",
                                         "net.ipv6.conf.default.accept_dad=0"};
  if (netns.empty()) {
    run_ok(argv);
  } else {
    run_ok_in(netns, argv);
  }
}

void add_addresses(std::vector<std::string> ip, const std::string& link,
                   const std::vector<std::string>& addresses) {
  const auto run_with = [&ip](const std::vector<std::string>& more) {
    std::vector<std::string> argv = ip;
    argv.insert(argv.end(), more.begin(), more.end());
    run_ok(argv);
  };
  run_with({"link", "set", link, "up"});
  for (const std::string& address : addresses) {
    run_with({"address", "add", address, "dev", link});
  }
}

}  // namespace

std::string to_string(ContainerNetwork network) {
  return network == ContainerNetwork::kPtp      ? "ptp"
         : network == ContainerNetwork::kBridge ? "bridge"
                                                : "bridge with hairpinMode";
}

PublishingNode::PublishingNode(ContainerNetwork network, std::string folder, const json& more)
    : folder_(std::move(folder)) {
  skip_detection({});
  run_ok({"sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
          "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"});
  connect("remote", "up1",
          {"192.0.2.1/24", "192.0.2.101/24", "2001:db8:1::1/64", "2001:db8:1::101/64"},
          {"192.0.2.2/24", "2001:db8:1::2/64"});
  connect("foreign", "up2", {"198.51.100.1/24", "2001:db8:2::1/64"},
          {"198.51.100.2/24", "2001:db8:2::2/64"});
  json own = network_config(network);
  own.update(more);
  own["ipam"] = static_ipam("10.22.0.", "fd00:22::", "2");
  attach("c1", own);
  own["ipam"] = static_ipam("10.22.0.", "fd00:22::", "3");
  attach("c2", own);
  json other = bridge_config("cni1", false);
  other["ipam"] = static_ipam("10.23.0.", "fd00:23::", "2");
  attach("c3", other);

  const bool sctp = has_sctp();
  for (const auto& [name, member] : members_) {
    const bool is_container = results_.contains(name);
    servers_.push_back(std::make_unique<NamedServer>(
        member, name,
        NamedServer::Options{.ports = is_container
                                          ? std::vector<std::uint16_t>{kHostPort, kContainerPort}
                                          : std::vector<std::uint16_t>{kHostPort},
                             .addresses = {},
                             .sctp = sctp}));
  }
  servers_.push_back(std::make_unique<NamedServer>(
      host(), "host", NamedServer::Options{.ports = {kHostPort}, .addresses = {}, .sctp = sctp}));
}

void PublishingNode::connect(const std::string& name, const std::string& link,
                             const std::vector<std::string>& host_addresses,
                             const std::vector<std::string>& addresses) {
  members_.emplace_back(name, ns::Netns::open(spaces_.container(name)));
  skip_detection(name);
  run_ok({"ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name});
  add_addresses({"ip"}, link, host_addresses);
  add_addresses({"ip", "-n", name}, "eth0", addresses);
  for (const std::string& address : {host_addresses.front(), host_addresses.back()}) {
    // The first address of the host in each family is what remote routes to.
    const bool is_ipv4 = address.find(':') == std::string::npos;
    const auto gateway = std::find_if(
        host_addresses.begin(), host_addresses.end(),
        [&](const std::string& one) { return (one.find(':') == std::string::npos) == is_ipv4; });
    run_ok({"ip", "-n", name, "route", "add", "default", "via",
            gateway->substr(0, gateway->find('/'))});
  }
}

void PublishingNode::attach(const std::string& name, const json& config) {
  members_.emplace_back(name, ns::Netns::open(spaces_.container(name)));
  skip_detection(name);
  configs_[name] = config;
  configs_[name]["cniVersion"] = "1.0.0";
  configs_[name]["name"] = "testnet";
  const PluginRun run = call_main("ADD", name);
  INFO(run.describe());
  REQUIRE(run.ok());
  results_[name] = run.document;
}

PluginRun PublishingNode::call_main(std::string_view command, const std::string& container) const {
  const json& config = configs_.at(container);
  Call what;
  what.command = command;
  what.container_id = container;
  what.netns = "/run/netns/" + container;
  what.path = folder_;
  what.input = config.dump();
  return call(cat(folder_, '/', config.at("type").get<std::string>()), what);
}

void PublishingNode::detach(const std::string& container) const {
  const PluginRun run = call_main("DEL", container);
  INFO(run.describe());
  REQUIRE(run.ok());
}

PluginRun PublishingNode::portmap(std::string_view command, const json& config,
                                  const std::string& container) const {
  json whole = config;
  whole["cniVersion"] = "1.0.0";
  whole["name"] = "testnet";
  whole["type"] = "portmap";
  whole["capabilities"] = {{"portMappings", true}};
  whole["prevResult"] = results_.at(container);
  Call what;
  what.command = command;
  what.container_id = container;
  what.netns = "/run/netns/" + container;
  what.path = folder_;
  what.input = whole.dump();
  return call(folder_ + "/portmap", what);
}

void PublishingNode::publish(const json& config, const std::string& container) const {
  const PluginRun run = portmap("ADD", config, container);
  INFO(run.describe());
  REQUIRE(run.ok());
}

void PublishingNode::unpublish(const json& config, const std::string& container) const {
  const PluginRun run = portmap("DEL", config, container);
  INFO(run.describe());
  REQUIRE(run.ok());
}

bool PublishingNode::can_filter_bridged_frames() { return ::access(kBridgedFrames, F_OK) == 0; }

void PublishingNode::filter_bridged_frames(bool on) {
  const std::string value = on ? "1" : "0";
  run_ok({"sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=" + value,
          "net.bridge.bridge-nf-call-ip6tables=" + value});
}

const ns::Netns& PublishingNode::netns(const std::string& name) const {
  if (name == "host") return host();
  for (const auto& [member, netns] : members_) {
    if (member == name) return netns;
  }
  throw std::runtime_error("there is no " + name);
}

json mapping(const std::string& protocol, const std::string& host_ip) {
  json out = {{"hostPort", PublishingNode::kHostPort},
              {"containerPort", PublishingNode::kContainerPort},
              {"protocol", protocol}};
  if (!host_ip.empty()) out["hostIP"] = host_ip;
  return out;
}

int protocol_number(const std::string& protocol) {
  return protocol == "tcp" ? IPPROTO_TCP : protocol == "udp" ? IPPROTO_UDP : IPPROTO_SCTP;
}

}  // namespace cni::test
