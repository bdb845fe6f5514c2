#include "pkg/skel/request.hpp"

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

namespace cni::skel {
namespace {

template <class Fn>
std::string failure(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.msg);
  }
  return "no error";
}

// The values of MAC and IP, joined by a bar.
std::string parsed(std::string_view args) {
  std::string mac;
  std::string ip;
  parse_args(args, {{"MAC", &mac}, {"IP", &ip}});
  return cat(mac, "|", ip);
}

TEST_CASE("the last of equal environment variables counts") {
  const std::vector<std::string> environment = {"A=1", "AB=2", "A=3", "B", "EMPTY="};
  CHECK(environment_value(environment, "A") == "3");
  CHECK(environment_value(environment, "AB") == "2");
  CHECK(environment_value(environment, "B").empty());
  CHECK(environment_value(environment, "EMPTY").empty());
  CHECK(environment_value(environment, "NONE").empty());
  CHECK(environment_value({"A=x=y"}, "A") == "x=y");
}

TEST_CASE("CNI_ARGS sets the keys that are known") {
  CHECK(parsed("") == "|");
  CHECK(parsed("MAC=02:00:00:00:00:01;IP=10.0.0.5") == "02:00:00:00:00:01|10.0.0.5");
  CHECK(parsed("IP=1;IP=2") == "|2");
  CHECK(parsed("IP=") == "|");
}

TEST_CASE("malformed pairs in CNI_ARGS are refused") {
  CHECK(failure([] { (void)parsed("A"); }) == "4 ARGS: invalid pair \"A\"");
  CHECK(failure([] { (void)parsed("IP=1;"); }) == "4 ARGS: invalid pair \"\"");
  CHECK(failure([] { (void)parsed(";IP=1"); }) == "4 ARGS: invalid pair \"\"");
  CHECK(failure([] { (void)parsed("IP=1=2"); }) == "4 ARGS: invalid pair \"IP=1=2\"");
}

TEST_CASE("unknown keys in CNI_ARGS need IgnoreUnknown anywhere") {
  CHECK(failure([] { (void)parsed("K8S_POD_NAME=x;IP=1;ip=2"); }) ==
        "4 ARGS: unknown args [\"K8S_POD_NAME=x\" \"ip=2\"]");
  CHECK(parsed("IgnoreUnknown=1;K8S_POD_NAME=x;IP=1") == "|1");
  CHECK(parsed("K8S_POD_NAME=x;IP=1;IgnoreUnknown=TRUE") == "|1");
  CHECK(failure([] { (void)parsed("K=x;IgnoreUnknown=0"); }) == "4 ARGS: unknown args [\"K=x\"]");
  CHECK(failure([] { (void)parsed("K=x;IgnoreUnknown=1;IgnoreUnknown=false"); }) ==
        "4 ARGS: unknown args [\"K=x\"]");
  CHECK(failure([] { (void)parsed("IgnoreUnknown=yes"); }) ==
        "4 ARGS: error parsing value of pair \"IgnoreUnknown=yes\": boolean unmarshal error: "
        "invalid input yes");
}

TEST_CASE("container ids and network names share their letters but not their messages") {
  for (const char* good : {"a", "0", "A1_.-", "test-container", "a.b"}) {
    INFO(good);
    CHECK_NOTHROW(check_container_id(good));
    CHECK_NOTHROW(check_network_name(good));
  }
  CHECK_NOTHROW(check_container_id(std::string(5000, 'a')));
  for (const char* bad : {".a", "-a", "_a", "a/b", "a b", "a\n", "\xc3\xa9"}) {
    INFO(bad);
    CHECK(failure([&] { check_container_id(bad); }) == "4 invalid characters in containerID");
    CHECK(failure([&] { check_network_name(bad); }) ==
          "7 invalid characters found in network name");
  }
  CHECK(failure([] { check_network_name(""); }) == "7 missing network name");
}

TEST_CASE("interface names have up to fifteen octets without separators") {
  for (const char* good :
       {"a", "eth0", "123456789012345", "eth0.100", "a-b_c", "...", "\xc3\xbc"}) {
    INFO(good);
    CHECK_NOTHROW(check_ifname(good));
  }
  CHECK(failure([] { check_ifname(""); }) == "4 interface name is empty");
  CHECK(failure([] { check_ifname("1234567890123456"); }) == "4 interface name is too long");
  CHECK(failure([] { check_ifname("."); }) == "4 interface name is . or ..");
  // Every white space that Unicode knows.
  for (const char* space : {" ", "\t", "\n", "\v", "\f", "\r", "\u0085", "\u00a0", "\u1680",
                            "\u2003", "\u2028", "\u202f", "\u205f", "\u3000"}) {
    CHECK(failure([&] { check_ifname(cat("a", space)); }) ==
          "4 interface name contains / or : or whitespace characters");
  }
}

}  // namespace
}  // namespace cni::skel
