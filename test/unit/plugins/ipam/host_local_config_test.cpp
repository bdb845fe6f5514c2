#include "plugins/ipam/host-local/config.hpp"

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

namespace cni::host_local {
namespace {

skel::Request request_for(const std::string& document, const std::string& args = {}) {
  skel::Request request;
  request.args = args;
  request.config = NetConf::parse(document);
  return request;
}

skel::Request request_with_ipam(const std::string& ipam, const std::string& version = "1.1.0",
                                const std::string& args = {}) {
  return request_for(R"({"cniVersion":")" + version + R"(","name":"net","ipam":{)" + ipam + "}}",
                     args);
}

Error failure(const skel::Request& request) {
  try {
    (void)parse(request);
  } catch (const Error& error) {
    return error;
  }
  FAIL("the configuration was accepted");
  return {Code::kInternal, ""};
}

void check_failure(const std::string& ipam, Code code, const std::string& text) {
  const Error error = failure(request_with_ipam(ipam));
  INFO(ipam);
  INFO(error.what());
  CHECK(error.code == code);
  CHECK(error.msg.find(text) != std::string::npos);
}

TEST_CASE("host-local config has the documented defaults") {
  const Config config = parse(request_with_ipam(R"("subnet":"10.1.0.0/24")"));
  CHECK(config.location.folder() == "/var/lib/cni/networks/net");
  REQUIRE(config.range_sets.size() == 1);
  const Range& range = config.range_sets[0].ranges.at(0);
  CHECK(range.gateway.to_string() == "10.1.0.1");
  CHECK(range.to_string() == "10.1.0.1-10.1.0.254");
  CHECK(config.routes.empty());
  CHECK(config.resolv_conf.empty());
}

TEST_CASE("host-local config keeps the last address of an IPv6 range") {
  const Config config = parse(request_with_ipam(R"("subnet":"fd00::/120")"));
  CHECK(config.range_sets[0].to_string() == "fd00::1-fd00::ff");
}

TEST_CASE("host-local config puts the ranges of the runtime first and the inline one second") {
  const Config config = parse(request_for(R"({"cniVersion":"1.1.0","name":"net",
    "runtimeConfig":{"ipRanges":[[{"subnet":"10.3.0.0/24"}]]},
    "ipam":{"subnet":"10.2.0.0/24","gateway":"10.2.0.254",
            "ranges":[[{"subnet":"10.1.0.0/24"},{"subnet":"10.4.0.0/24"}]]}})"));
  REQUIRE(config.range_sets.size() == 3);
  CHECK(config.range_sets[0].subnets() == "10.3.0.0/24");
  CHECK(config.range_sets[1].subnets() == "10.2.0.0/24");
  CHECK(config.range_sets[1].ranges[0].gateway.to_string() == "10.2.0.254");
  CHECK(config.range_sets[2].to_string() == "10.1.0.1-10.1.0.254,10.4.0.1-10.4.0.254");
}

TEST_CASE("host-local config collects requested addresses from all three channels") {
  const auto request = request_for(R"({"cniVersion":"1.1.0","name":"net",
    "args":{"cni":{"ips":["10.1.0.5/24"]}},"runtimeConfig":{"ips":["10.1.0.6","10.1.0.4"]},
    "ipam":{"subnet":"10.1.0.0/24"}})",
                                   "IP=10.1.0.4;IgnoreUnknown=1;K8S_POD_NAME=x");
  const Config config = parse(request);
  REQUIRE(config.requested.size() == 3);
  CHECK(config.requested[0].ip.to_string() == "10.1.0.4");
  CHECK(config.requested[1].source == "args.cni.ips[0]");
  CHECK(config.requested[2].source == "runtimeConfig.ips[0]");
}

TEST_CASE("host-local config refuses what cannot be allocated from and says where it is") {
  const Code invalid = Code::kInvalidNetworkConfig;
  check_failure("", invalid, "no IP ranges specified");
  check_failure(R"("ranges":[])", invalid, "no IP ranges specified");
  check_failure(R"("ranges":[[]])", invalid, "invalid range set 0: empty range set");
  check_failure(R"("ranges":[[{}]])", invalid, "ipam.ranges[0][0].subnet: this key is required");
  for (const char* length : {"/31", "/32"}) {
    check_failure(std::string(R"("subnet":"10.1.0.0)") + length + "\"", invalid,
                  std::string("invalid range set 0: Network 10.1.0.0") + length +
                      " too small to allocate from (ipam.subnet)");
  }
  check_failure(R"("subnet":"fd00::/127")", invalid, "Network fd00::/127 too small");
  check_failure(R"("ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"10.1.0.5/24"}]])", invalid,
                "invalid range set 1: Network has host bits set. For a subnet mask of length 24 "
                "the network address is 10.1.0.0 (ipam.ranges[1][0].subnet)");
  check_failure(R"("subnet":"10.1.0.0/24","rangeStart":"10.2.0.1")", invalid,
                "RangeStart 10.2.0.1 not in network 10.1.0.0/24");
  check_failure(R"("subnet":"10.1.0.0/24","rangeEnd":"fd00::1")", invalid,
                "RangeEnd fd00::1 not in network 10.1.0.0/24");
  check_failure(R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.9","rangeEnd":"10.1.0.3")", invalid,
                "RangeStart 10.1.0.9 not in network 10.1.0.0/24");
  check_failure(R"("subnet":"10.1.0.0/24","rangeEnd":"10.1.0.0")", invalid,
                "RangeEnd 10.1.0.0 not in network 10.1.0.0/24");
  check_failure(R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.255")", invalid,
                "RangeStart 10.1.0.255 not in network 10.1.0.0/24");
  check_failure(R"("subnet":"10.1.0.0/24","gateway":"fd00::1")", invalid, "(ipam.gateway)");
  check_failure(R"("ranges":[[{"subnet":"10.1.0.0/24"},{"subnet":"fd00::/64"}]])", invalid,
                "invalid range set 0: mixed address families (ipam.ranges[0][1].subnet)");
  check_failure(R"("ranges":[[{"subnet":"10.1.0.0/24"},{"subnet":"10.1.0.0/25"}]])", invalid,
                "subnets 10.1.0.1-10.1.0.254 and 10.1.0.1-10.1.0.126 overlap");
  check_failure(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.1.0.0/25"}]])", invalid,
                "range set 0 overlaps with 1");
}

TEST_CASE("host-local config accepts disjoint parts of one subnet") {
  const Config config = parse(request_with_ipam(
      R"("ranges":[[{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.99"}],
                   [{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.100"}]])"));
  CHECK(config.range_sets.size() == 2);
}

TEST_CASE("host-local config allows one address per family before version 0.3.0") {
  const std::string two = R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/24"}]])";
  const std::string dual = R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])";
  for (const char* version : {"0.1.0", "0.2.0"}) {
    const Error error = failure(request_with_ipam(two, version));
    CHECK(error.msg == std::string("CNI version ") + version +
                           " does not support more than 1 address per family");
    CHECK(parse(request_with_ipam(dual, version)).range_sets.size() == 2);
  }
  CHECK(parse(request_with_ipam(two, "0.3.0")).range_sets.size() == 2);
}

TEST_CASE("host-local config names the key that has the wrong type") {
  const std::string subnet = R"("subnet":"10.1.0.0/24",)";
  const Code decoding = Code::kDecodingFailure;
  check_failure(R"("subnet":5)", decoding, "ipam.subnet: expected");
  check_failure(R"("subnet":"x")", decoding, "ipam.subnet: expected");
  check_failure(R"("ranges":{})", decoding, "ipam.ranges: expected an array");
  check_failure(R"("ranges":[{"subnet":"10.1.0.0/24"}])", decoding,
                "ipam.ranges[0]: expected an array");
  check_failure(R"("ranges":[["10.1.0.0/24"]])", decoding, "ipam.ranges[0][0]: expected an object");
  check_failure(subnet + R"("rangeStart":"10.1.0")", decoding, "ipam.rangeStart: expected");
  check_failure(subnet + R"("rangeEnd":true)", decoding, "ipam.rangeEnd: expected");
  check_failure(subnet + R"("gateway":[])", decoding, "ipam.gateway: expected");
  check_failure(subnet + R"("dataDir":7)", decoding, "ipam.dataDir: expected a string");
  check_failure(subnet + R"("resolvConf":7)", decoding, "ipam.resolvConf: expected a string");
  check_failure(subnet + R"("routes":"10.0.0.0/8")", decoding, "ipam.routes: expected an array");
  check_failure(subnet + R"("routes":[{"dst":"x"}])", decoding, "ipam.routes[0].dst: expected");
  check_failure(subnet + R"("exclude":"10.1.0.5")", decoding, "ipam.exclude: expected an array");
  check_failure(subnet + R"("exclude":[5])", decoding, "ipam.exclude[0]: expected a string");
}

TEST_CASE("host-local config validates what is excluded") {
  const std::string subnet = R"("subnet":"10.1.0.0/24","exclude":)";
  const Config config = parse(request_with_ipam(subnet + R"(["10.1.0.5","10.1.0.16/28"])"));
  REQUIRE(config.exclusions.size() == 2);
  CHECK(config.exclusions[0].addresses.to_string() == "10.1.0.5/32");
  CHECK(config.exclusions[1].path == "ipam.exclude[1]");
  check_failure(subnet + R"(["10.1.0.5","nonsense"])", Code::kDecodingFailure,
                R"(ipam.exclude[1]: expected an IP address or an address with prefix length, got)");
  check_failure(subnet + R"(["10.1.0.17/28"])", Code::kInvalidNetworkConfig,
                R"(ipam.exclude[0]: "10.1.0.17/28" has host bits set; write 10.1.0.16/28)");
  check_failure(subnet + R"(["fd00::1"])", Code::kInvalidNetworkConfig,
                "ipam.exclude[0]: no range is of the address family of \"fd00::1\"");
}

TEST_CASE("host-local config refuses folders that lead elsewhere") {
  const std::string subnet = R"("subnet":"10.1.0.0/24","dataDir":)";
  const Code invalid = Code::kInvalidNetworkConfig;
  check_failure(subnet + R"("relative/folder")", invalid, "ipam.dataDir: an absolute path");
  check_failure(subnet + R"("/var/lib/../etc")", invalid, "ipam.dataDir: a path without \"..\"");
  check_failure(subnet + R"("/..")", invalid, "ipam.dataDir: a path without \"..\"");
  const Config config = parse(request_with_ipam(subnet + R"("/var/a..b")"));
  CHECK(config.location.folder() == "/var/a..b/net");
}

TEST_CASE("host-local config refuses requested addresses that are none") {
  const Error argument = failure(request_with_ipam(R"("subnet":"10.1.0.0/24")", "1.1.0", "IP=foo"));
  CHECK(argument.code == Code::kInvalidEnvironment);
  CHECK(argument.msg == R"(ARGS: error parsing value of pair "IP=foo": invalid IP address foo)");
  const Error unknown = failure(request_with_ipam(R"("subnet":"10.1.0.0/24")", "1.1.0", "A=b"));
  CHECK(unknown.msg == R"(ARGS: unknown args ["A=b"])");
  const Error listed = failure(request_for(
      R"({"cniVersion":"1.1.0","name":"net","args":{"cni":{"ips":["10.1.0.5",""]}},
          "ipam":{"subnet":"10.1.0.0/24"}})"));
  CHECK(listed.msg.find("args.cni.ips[1]: expected an IP address") == 0);
}

TEST_CASE("host-local config without an ipam section is refused") {
  const Error error = failure(request_for(R"({"cniVersion":"1.1.0","name":"net"})"));
  CHECK(error.msg == "IPAM config missing 'ipam' key");
  CHECK(error.code == Code::kInvalidNetworkConfig);
}

TEST_CASE("host-local finds the store for a release whatever else is wrong") {
  const auto folder = [](const std::string& ipam) {
    return parse_location(request_for(R"({"name":"net",)" + ipam + "}")).folder();
  };
  CHECK(folder(R"("ipam":{"dataDir":"/x","subnet":5,"ranges":"no"})") == "/x/net");
  CHECK(folder(R"("ipam":{"dataDir":5})") == "/var/lib/cni/networks/net");
  CHECK(folder(R"("ipam":"no")") == "/var/lib/cni/networks/net");
  CHECK(folder(R"("type":"x")") == "/var/lib/cni/networks/net");
  CHECK_THROWS_AS(folder(R"("ipam":{"dataDir":"/x/../y"})"), Error);
  CHECK_THROWS_AS(folder(R"("ipam":{"dataDir":"x"})"), Error);
}

}  // namespace
}  // namespace cni::host_local
