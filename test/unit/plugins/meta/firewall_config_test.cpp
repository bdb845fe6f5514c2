// Each key of firewall with a wrong type or value is refused before anything is touched: there is
// neither a namespace nor a bridge.
#include "pkg/types/error.hpp"
#include "plugins/meta/firewall/config.hpp"
#include "test/support/catch.hpp"
#include "test/support/run_plugin.hpp"

using namespace cni;
using namespace cni::test;

namespace {

json prev_result() {
  return {{"cniVersion", "1.1.0"},
          {"interfaces", json::array({{{"name", "cni0"}},
                                      {{"name", "veth0"}},
                                      {{"name", "eth0"}, {"sandbox", "/no/such/netns"}}})},
          {"ips", json::array({{{"interface", 2}, {"address", "10.1.0.2/16"}},
                               {{"interface", 2}, {"address", "fd00::2/64"}},
                               {{"interface", 2}, {"address", "10.1.0.2/16"}}})}};
}

std::string config_text(const json& more) {
  json config = {{"cniVersion", "1.1.0"},
                 {"name", "testnet"},
                 {"type", "firewall"},
                 {"prevResult", prev_result()}};
  config.update(more);
  return config.dump();
}

PluginRun add(const json& more) {
  Call call;
  call.command = "ADD";
  call.netns = "/no/such/netns";
  call.more_environment = {"PATH=/nowhere"};
  call.input = config_text(more);
  return call_in_process(plugin_named("firewall"), call);
}

void check_refused(const json& more, int code, const std::string& msg_start) {
  const PluginRun run = add(more);
  INFO(more.dump() << "\n" << run.describe());
  check_error(run, code, msg_start);
}

netfilter::FirewallSpec spec_of(const json& more, bool readable = false) {
  skel::Request request;
  request.container_id = "c1";
  request.ifname = "eth0";
  request.environment = {"PATH=/a:/b", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/x"};
  request.config = NetConf::parse(config_text(more));
  request.config.read_shared_keys(readable ? Strictness::kLenient : Strictness::kStrict);
  return readable ? firewall::parse_readable(request) : firewall::parse(request);
}

std::string wrong(const std::string& key, const std::string& expected, const std::string& got) {
  return "failed to load netconf: " + key + ": expected " + expected + ", got " + got;
}

}  // namespace

TEST_CASE("firewall refuses wrong types by key") {
  check_refused({{"backend", 5}}, 6, wrong("backend", "a string", "the number 5"));
  check_refused({{"iptablesAdminChainName", true}}, 6,
                wrong("iptablesAdminChainName", "a string", "the boolean true"));
  check_refused({{"firewalldZone", 1}}, 6, wrong("firewalldZone", "a string", "the number 1"));
  check_refused({{"ingressPolicy", 1}}, 6, "ingressPolicy: expected a string, got the number 1");
  check_refused({{"egressDeny", "10.0.0.0/8"}}, 6, wrong("egressDeny", "an array", "the string"));
  check_refused(
      {{"egressAllow", {{{"to", "10.0.0.0"}}}}}, 6,
      wrong("egressAllow[0].to", "an address with prefix length (CIDR notation)", "the string"));
}

TEST_CASE("firewall refuses values that cannot work") {
  check_refused({{"backend", "ipchains"}}, 7, "unknown firewall backend \"ipchains\"");
  check_refused({{"ingressPolicy", "closed"}}, 7, "unknown ingress policy: \"closed\"");
  const std::string to = "10.0.0.0/8";
  const auto deny = [&](json more) {
    more["to"] = to;
    return json{{"egressDeny", json::array({more})}};
  };
  check_refused({{"egressDeny", {{{"ports", "80"}}}}}, 7,
                "failed to load netconf: egressDeny[0].to");
  check_refused(deny({{"protocol", "icmp"}}), 7,
                "failed to load netconf: egressDeny[0].protocol: unknown protocol \"icmp\"");
  for (const char* ports : {"0", "65536", "80-", "-80", "90-80", "80,90", " 80", "http"}) {
    check_refused(deny({{"protocol", "tcp"}, {"ports", ports}}), 7,
                  "failed to load netconf: egressDeny[0].ports: \"" + std::string(ports) + "\"");
  }
  check_refused(deny({{"ports", "80"}}), 7,
                "failed to load netconf: egressDeny[0].ports: only a protocol has ports");
  json with_iptables = deny(json::object());
  with_iptables["backend"] = "iptables";
  check_refused(with_iptables, 7, "egressDeny needs the backend \"nftables\"");
}

TEST_CASE("firewall refuses names that iptables would take for something else") {
  for (const char* name : {"two words", "line\nbreak", "-F", "!x", ":x", "quo\"te", "back\\slash",
                           "a-name-of-more-than-28-letters"}) {
    check_refused({{"iptablesAdminChainName", name}}, 7,
                  "failed to load netconf: iptablesAdminChainName: ");
  }
  json result = prev_result();
  result["interfaces"][0]["name"] = "cni0 -j ACCEPT";
  check_refused({{"prevResult", result}, {"ingressPolicy", "isolated"}}, 7,
                "prevResult.interfaces[0].name: ");
}

TEST_CASE("firewall wants the result of another plugin") {
  check_refused({{"prevResult", nullptr}}, 7, "missing prevResult from earlier plugin");
  // A policy protects a bridge.
  const std::string message =
      "interface needs to be set for ingress policy \"isolated\", make sure to chain \"firewall\" "
      "plugin with \"bridge\"";
  json result = prev_result();
  result["interfaces"] = json::array();
  result["ips"] = json::array({{{"address", "10.1.0.2/16"}}});
  check_refused({{"prevResult", result}, {"ingressPolicy", "isolated"}}, 7, message);
  result["interfaces"] = json::array({{{"name", "eth0"}, {"sandbox", "/no/such/netns"}}});
  check_refused({{"prevResult", result}, {"ingressPolicy", "isolated"}}, 7, message);
}

TEST_CASE("what firewall is told is what it works with") {
  const auto spec = spec_of(
      {{"egressDeny",
        {{{"to", "10.1.2.3/8"}}, {{"to", "fd00::/8"}, {"protocol", "udp"}, {"ports", "53"}}}},
       {"egressAllow", {{{"to", "10.0.0.1/32"}, {"protocol", "tcp"}, {"ports", "80-90"}}}},
       {"ingressPolicy", "isolated"}});
  CHECK(spec.owner.to_string() == "container c1 (network testnet, eth0)");
  REQUIRE(spec.addresses.size() == 2);  // the third is the first again
  CHECK(spec.addresses[1].to_string() == "fd00::2");
  CHECK(spec.bridge == "cni0");
  CHECK(spec.host_links == std::vector<std::string>{"veth0"});
  CHECK(spec.ingress_policy == netfilter::IngressPolicy::kIsolated);
  CHECK(spec.admin_chain == "CNI-ADMIN");
  CHECK(spec.zone == "trusted");
  CHECK(spec.search_path == "/a:/b");
  CHECK(spec.bus_address == "unix:path=/x");
  REQUIRE(spec.egress_deny.size() == 2);
  CHECK(spec.egress_deny[0].network.to_string() == "10.0.0.0/8");
  CHECK_FALSE(spec.egress_deny[0].transport);
  CHECK(spec.egress_deny[0].first_port == 0);
  CHECK(spec.egress_deny[1].transport == netfilter::Transport::kUdp);
  CHECK(spec.egress_deny[1].last_port == 53);
  REQUIRE(spec.egress_allow.size() == 1);
  CHECK(spec.egress_allow[0].first_port == 80);
  CHECK(spec.egress_allow[0].last_port == 90);
}

TEST_CASE("DEL reads what can be read") {
  json result = prev_result();
  result["interfaces"][0]["name"] = "../../etc";
  const auto spec = spec_of({{"backend", 7},
                             {"ingressPolicy", "closed"},
                             {"firewalldZone", "work"},
                             {"egressDeny", 1},
                             {"prevResult", result}},
                            true);
  CHECK(spec.zone == "work");
  CHECK(spec.ingress_policy == netfilter::IngressPolicy::kOpen);
  CHECK(spec.addresses.size() == 2);
  CHECK(spec.bridge.empty());
}
