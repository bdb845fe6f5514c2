#include "plugins/ipam/dhcp/config.hpp"

#include <unistd.h>

#include <array>
#include <climits>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

namespace cni::dhcp {
namespace {

skel::Request request_for(const std::string& ipam, const std::string& args = {}) {
  skel::Request request;
  request.container_id = "c1";
  request.ifname = "eth0";
  request.netns = "/run/netns/c1";
  request.args = args;
  request.config = NetConf::parse(R"({"cniVersion":"1.1.0","name":"net","ipam":{"type":"dhcp")" +
                                  (ipam.empty() ? "" : "," + ipam) + "}}");
  return request;
}

LeaseRequest lease_for(const std::string& ipam, const std::string& args = {}) {
  return parse(request_for(ipam, args)).lease;
}

void check_failure(const std::string& ipam, Code code, std::string_view text,
                   const std::string& args = {}) {
  INFO(ipam);
  try {
    (void)parse(request_for(ipam, args));
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(error.code == code);
    CHECK(error.msg.find(text) != std::string::npos);
    return;
  }
  FAIL("the configuration was accepted");
}

Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

TEST_CASE("dhcp config has the documented defaults") {
  const Config config = parse(request_for(""));
  CHECK(config.socket_path == "/run/cni/dhcp.sock");
  CHECK(config.lease.key == LeaseKey{"c1", "net", "eth0"});
  CHECK(config.lease.netns == "/run/netns/c1");
  CHECK(config.lease.ipv4);
  CHECK_FALSE(config.lease.ipv6);
  CHECK(config.lease.priority == 0);
  CHECK(config.lease.provide.empty());
  CHECK(config.lease.request == Bytes{121, 3, 33, 1, 6, 15, 119, 26});
}

TEST_CASE("dhcp config reads its keys") {
  const Config config = parse(request_for(
      R"("daemonSocketPath":"/x/dhcp.sock","priority":4000000000,"ipv4":false,"ipv6":true)"));
  CHECK(config.socket_path == "/x/dhcp.sock");
  CHECK(config.lease.priority == 4'000'000'000U);
  CHECK_FALSE(config.lease.ipv4);
  CHECK(config.lease.ipv6);
}

TEST_CASE("dhcp config takes an empty socket path for the default") {
  CHECK(parse(request_for(R"("daemonSocketPath":"")")).socket_path == "/run/cni/dhcp.sock");
}

TEST_CASE("dhcp config makes the namespace's path absolute") {
  skel::Request request = request_for("");
  request.netns = "ns/c1";
  std::array<char, PATH_MAX> folder{};
  REQUIRE(::getcwd(folder.data(), folder.size()) != nullptr);
  CHECK(parse(request).lease.netns == std::string(folder.data()) + "/ns/c1");
  request.netns.clear();
  CHECK(parse(request).lease.netns.empty());
}

TEST_CASE("dhcp config refuses what cannot work") {
  check_failure(R"("ipv4":false)", Code::kInvalidNetworkConfig, "ipam.ipv4");
  check_failure(R"("daemonSocketPath":"run/x")", Code::kInvalidNetworkConfig, "\"run/x\"");
  check_failure(R"("daemonSocketPath":"/)" + std::string(120, 'x') + "\"",
                Code::kInvalidNetworkConfig, "121 octets");
  check_failure(R"("daemonSocketPath":"/a\u0000b")", Code::kInvalidNetworkConfig, "NUL");
  check_failure(R"("priority":-1)", Code::kDecodingFailure, "ipam.priority");
  check_failure(R"("provide":[{"value":"x"}])", Code::kInvalidNetworkConfig,
                "ipam.provide[0].option");
  check_failure(R"("provide":{})", Code::kDecodingFailure, "ipam.provide");
  check_failure(R"("request":[{}])", Code::kInvalidNetworkConfig, "ipam.request[0].option");
}

TEST_CASE("dhcp config refuses options that are none or the protocol's own") {
  for (const char* option : {"x", "256", "-1", "+1", "1 ", "", "0x1"}) {
    check_failure(R"("request":[{"option":")" + std::string(option) + "\"}]",
                  Code::kInvalidNetworkConfig,
                  "Can not parse option \"" + std::string(option) + "\": ");
  }
  for (const char* option : {"0", "255", "50", "52", "53", "54", "55", "57"}) {
    check_failure(R"("provide":[{"option":")" + std::string(option) + R"(","value":"x"}])",
                  Code::kInvalidNetworkConfig, "cannot be provided");
  }
  for (const char* option : {"0", "255"}) {
    check_failure(R"("request":[{"option":")" + std::string(option) + "\"}]",
                  Code::kInvalidNetworkConfig, "no content");
  }
}

TEST_CASE("dhcp config knows the reference's names of options") {
  const LeaseRequest lease = lease_for(R"("request":[
    {"option":"dhcp-client-identifier","skipDefault":true},{"option":"subnet-mask"},
    {"option":"routers"},{"option":"host-name"},{"option":"user-class"},
    {"option":"vendor-class-identifier"},{"option":"42"}])");
  CHECK(lease.request == Bytes{61, 1, 3, 12, 77, 60, 42});
}

TEST_CASE("dhcp config asks for the configured options first and for each once") {
  const LeaseRequest lease =
      lease_for(R"("request":[{"option":"42"},{"option":"6"},{"option":"42"}])");
  CHECK(lease.request == Bytes{42, 6, 121, 3, 33, 1, 15, 119, 26});
}

TEST_CASE("dhcp config asks for classless routes before routers that are configured") {
  CHECK(lease_for(R"("request":[{"option":"42"},{"option":"3"}])").request ==
        Bytes{42, 121, 3, 33, 1, 6, 15, 119, 26});
  CHECK(lease_for(R"("request":[{"option":"33"}])").request ==
        Bytes{121, 33, 3, 1, 6, 15, 119, 26});
  CHECK(lease_for(R"("request":[{"option":"3"},{"option":"121"}])").request ==
        Bytes{3, 121, 33, 1, 6, 15, 119, 26});
}

TEST_CASE("dhcp config asks for the least if defaults are skipped and nothing is named") {
  CHECK(lease_for(R"("request":[{"skipDefault":true}])").request == Bytes{1, 3, 15, 6});
}

TEST_CASE("dhcp config provides literals and values of CNI_ARGS") {
  const LeaseRequest lease = lease_for(
      R"("provide":[{"option":"vendor-class-identifier","value":"v"},
         {"option":"host-name","fromArg":"NAME"},{"option":"77","value":"u","fromArg":"ABSENT"},
         {"option":"61","fromArg":"ABSENT"}])",
      "odd;NAME=a=b;OTHER=1");
  REQUIRE(lease.provide.size() == 3);
  CHECK(lease.provide[0] == ProvidedOption{12, bytes("a=b")});
  CHECK(lease.provide[1] == ProvidedOption{60, bytes("v")});
  CHECK(lease.provide[2] == ProvidedOption{77, bytes("u")});
}

TEST_CASE("dhcp config lets the argument and the later entry win") {
  CHECK(lease_for(R"("provide":[{"option":"60","value":"literal","fromArg":"A"}])", "A=1;A=2")
            .provide.at(0)
            .value == bytes("2"));
  CHECK(lease_for(R"("provide":[{"option":"60","value":"one"},{"option":"60","value":"two"}])")
            .provide == std::vector<ProvidedOption>{{60, bytes("two")}});
}

TEST_CASE("dhcp config refuses values that an option cannot hold") {
  const std::string longest(255, 'v');
  CHECK(lease_for(R"("provide":[{"option":"60","value":")" + longest + "\"}]")
            .provide.at(0)
            .value.size() == 255);
  check_failure(R"("provide":[{"option":"60","value":")" + longest + "v\"}]",
                Code::kInvalidNetworkConfig, "value too long for option \"60\"");
  check_failure(R"("provide":[{"option":"60","fromArg":"A"}])", Code::kInvalidNetworkConfig,
                "CNI_ARGS A", "A=" + longest + "v");
}

TEST_CASE("dhcp config sends the pod's name as host name") {
  CHECK(lease_for("", "IgnoreUnknown=1;K8S_POD_NAME=web-0").provide ==
        std::vector<ProvidedOption>{{12, bytes("web-0")}});
  CHECK(lease_for(R"("provide":[{"option":"12","value":"own"}])", "K8S_POD_NAME=web-0").provide ==
        std::vector<ProvidedOption>{{12, bytes("own")}});
  CHECK(lease_for(R"("provide":[{"option":"12","fromArg":"ABSENT"}])", "K8S_POD_NAME=web-0")
            .provide == std::vector<ProvidedOption>{{12, bytes("web-0")}});
}

TEST_CASE("dhcp config sends no pod name that is no host name") {
  const std::string label(63, 'a');
  CHECK(lease_for("", "K8S_POD_NAME=" + label + ".b").provide.size() == 1);
  for (const std::string& name :
       {std::string(), std::string("-a"), std::string("a-"), std::string("a..b"), std::string("a."),
        std::string("a_b"), std::string("a b"), label + "a"}) {
    INFO(name);
    CHECK(lease_for("", "K8S_POD_NAME=" + name).provide.empty());
  }
}

TEST_CASE("dhcp reads what can be read of a broken config") {
  const Config config = parse_leniently(request_for(
      R"("daemonSocketPath":"/x/sock","ipv4":7,"provide":[{"option":"nonsense"}],"request":1)"));
  CHECK(config.socket_path == "/x/sock");
  CHECK(config.lease.key == LeaseKey{"c1", "net", "eth0"});
  CHECK(parse_leniently(request_for(R"("daemonSocketPath":7)")).socket_path ==
        "/run/cni/dhcp.sock");
  CHECK(parse_leniently(request_for(R"("daemonSocketPath":"x")")).socket_path ==
        "/run/cni/dhcp.sock");
  skel::Request request = request_for("");
  request.config = NetConf::parse(R"({"cniVersion":"1.1.0","name":"net"})");
  CHECK(parse_leniently(request).socket_path == "/run/cni/dhcp.sock");
}

}  // namespace
}  // namespace cni::dhcp
