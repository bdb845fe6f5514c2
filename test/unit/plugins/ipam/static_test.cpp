#include "pkg/types/error.hpp"
#include "plugins/ipam/static/static_ipam.hpp"
#include "test/support/catch.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::static_ipam {
namespace {

using test::json;
using test::PluginRun;

PluginRun run(const std::string& command, const json& config, const std::string& args = {}) {
  test::Call call;
  call.command = command;
  call.netns = "/run/netns/none";
  call.args = args;
  call.input = config.dump();
  return test::call_in_process(plugin, call);
}

json config_with(const std::string& ipam, const std::string& version = "1.1.0") {
  return {{"cniVersion", version}, {"name", "net"}, {"ipam", json::parse(ipam)}};
}

constexpr const char* kDual = R"({"type":"static",
  "addresses":[{"address":"10.0.0.5/24","gateway":"10.0.0.1"},{"address":"fd00::5/64"}],
  "routes":[{"dst":"0.0.0.0/0"},{"dst":"192.0.2.0/24","gw":"10.0.0.2","priority":7}],
  "dns":{"nameservers":["192.0.2.1"],"domain":"a.example","search":["b.example"],"options":["rotate"]}})";

TEST_CASE("static ADD prints what the configuration says") {
  const PluginRun result = run("ADD", config_with(kDual));
  CHECK(result.document == json::parse(R"({"cniVersion":"1.1.0",
    "dns":{"nameservers":["192.0.2.1"],"domain":"a.example","search":["b.example"],"options":["rotate"]},
    "ips":[{"address":"10.0.0.5/24","gateway":"10.0.0.1"},{"address":"fd00::5/64"}],
    "routes":[{"dst":"0.0.0.0/0"},{"dst":"192.0.2.0/24","gw":"10.0.0.2","priority":7}]})"));
}

TEST_CASE("static speaks every version") {
  for (const char* version : {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    const PluginRun result = run("ADD", config_with(kDual, version));
    INFO(result.describe());
    CHECK(result.ok());
    CHECK(result.document["cniVersion"] == version);
    CHECK(run("DEL", config_with(kDual, version)).ok());
  }
}

TEST_CASE("static appends the addresses of CNI_ARGS and sets their gateways only") {
  const json config = config_with(R"({"addresses":[{"address":"10.0.0.5/24"}]})");
  const PluginRun result =
      run("ADD", config, "IP=10.0.0.2/24,10.1.0.2/24,fd00::2/64;GATEWAY=10.0.0.1,fd00::1,10.9.0.1");
  CHECK(result.document["ips"] == json::parse(R"([{"address":"10.0.0.5/24"},
    {"address":"10.0.0.2/24","gateway":"10.0.0.1"},{"address":"10.1.0.2/24"},
    {"address":"fd00::2/64","gateway":"fd00::1"}])"));
}

TEST_CASE(
    "static lets the arguments of the configuration and then the runtime replace all addresses") {
  json config = config_with(R"({"addresses":[{"address":"10.0.0.5/24","gateway":"10.0.0.1"}]})");
  config["args"] = {{"cni", {{"ips", json::array({"10.0.0.6/24"})}}}};
  CHECK(run("ADD", config, "IP=10.0.0.9/24").document["ips"] ==
        json::parse(R"([{"address":"10.0.0.6/24"}])"));
  config["runtimeConfig"] = {{"ips", json::array({"10.0.0.7/24", "10.0.0.8/24"})}};
  CHECK(run("ADD", config).document["ips"] ==
        json::parse(R"([{"address":"10.0.0.7/24"},{"address":"10.0.0.8/24"}])"));
  config["runtimeConfig"]["ips"] = json::array();
  CHECK(run("ADD", config).document["ips"].size() == 1);
}

TEST_CASE("static names what is wrong") {
  const int invalid = static_cast<int>(Code::kInvalidNetworkConfig);
  const int decoding = static_cast<int>(Code::kDecodingFailure);
  const auto fails = [](const std::string& ipam, int code, const std::string& text) {
    for (const char* command : {"ADD", "STATUS"}) {
      const PluginRun result = run(command, config_with(ipam));
      INFO(result.describe());
      CHECK(result.code() == code);
      CHECK(result.msg().find(text) == 0);
    }
    CHECK(run("DEL", config_with(ipam)).ok());
  };
  fails(R"({"addresses":[{"address":"10.0.0.5"}]})", invalid,
        "the 'address' field is expected to be in CIDR notation, got: '10.0.0.5' "
        "(ipam.addresses[0].address)");
  fails(R"({"addresses":[{}]})", invalid,
        "the 'address' field is expected to be in CIDR notation, got: ''");
  fails(R"({"addresses":[{"address":5}]})", decoding, "ipam.addresses[0].address: expected");
  fails(R"({"addresses":["10.0.0.5/24"]})", decoding, "ipam.addresses[0]: expected an object");
  fails(R"({"addresses":{}})", decoding, "ipam.addresses: expected an array");
  fails(R"({"addresses":[{"address":"10.0.0.5/24","gateway":"x"}]})", decoding,
        "ipam.addresses[0].gateway: expected an IP address");
  fails(R"({"addresses":[{"address":"10.0.0.5/24","gateway":"fd00::1"}]})", invalid,
        "ipam.addresses[0].gateway: fd00::1 is not of the address family");
  fails(R"({"routes":[{"dst":5}]})", decoding, "ipam.routes[0].dst: expected");
  fails(R"({"routes":5})", decoding, "ipam.routes: expected an array");
  fails(R"({"dns":5})", decoding, "ipam.dns: expected an object");
  fails(R"({"dns":{"search":"x"}})", decoding, "ipam.dns.search: expected an array");
}

TEST_CASE("static refuses arguments that are no addresses") {
  const json config = config_with(kDual);
  CHECK(run("ADD", config, "IP=10.0.0.2")
            .msg()
            .find("the 'ip' field is expected to be in CIDR notation, got: '10.0.0.2'") == 0);
  CHECK(run("ADD", config, "IP=10.0.0.2/24;GATEWAY=x").msg().find("invalid gateway address: x") ==
        0);
  CHECK(run("ADD", config, "FOO=x").msg() == "ARGS: unknown args [\"FOO=x\"]");
  CHECK(run("ADD", config, "FOO=x;IgnoreUnknown=1").ok());
  json with_ips = config;
  with_ips["runtimeConfig"] = {{"ips", json::array({"10.0.0.9"})}};
  const PluginRun result = run("ADD", with_ips);
  CHECK(result.msg() ==
        "an entry in the 'ips' field is NOT in CIDR notation, got: '10.0.0.9' "
        "(runtimeConfig.ips[0])");
}

TEST_CASE("static allows one address per family before version 0.3.0") {
  const char* two = R"({"addresses":[{"address":"10.0.0.5/24"},{"address":"10.0.0.6/24"}]})";
  CHECK(run("ADD", config_with(two, "0.2.0")).msg() ==
        "CNI version 0.2.0 does not support more than 1 address per family");
  CHECK(run("ADD", config_with(two, "0.3.0")).ok());
}

TEST_CASE("static without an ipam section is refused but released") {
  const json config = {{"cniVersion", "1.1.0"}, {"name", "net"}};
  CHECK(run("ADD", config).msg() == "IPAM config missing 'ipam' key");
  CHECK(run("DEL", config).ok());
  CHECK(run("GC", config).ok());
}

TEST_CASE("static CHECK compares every address with prevResult") {
  json config = config_with(kDual);
  CHECK(run("CHECK", config).msg() == "Required prevResult missing");
  config["prevResult"] = run("ADD", config_with(kDual)).document;
  CHECK(run("CHECK", config).ok());
  // A main plugin may give a gateway to an address that has none here.
  config["prevResult"]["ips"][1]["gateway"] = "fd00::1";
  CHECK(run("CHECK", config).ok());
  config["prevResult"]["ips"][0]["gateway"] = "10.0.0.3";
  CHECK(run("CHECK", config).msg() ==
        "static: Failed to match addr 10.0.0.5/24 on interface eth0: its gateway in prevResult is "
        "10.0.0.3, in the configuration 10.0.0.1");
  config["prevResult"]["ips"].erase(0);
  const PluginRun missing = run("CHECK", config);
  CHECK(missing.code() == static_cast<int>(Code::kCheckFailed));
  CHECK(missing.msg() ==
        "static: Failed to match addr 10.0.0.5/24 on interface eth0: prevResult does not have it");
}

}  // namespace
}  // namespace cni::static_ipam
