#include "pkg/os/sysctl.hpp"

#include <cerrno>

#include "pkg/types/error.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

namespace cni::os {
namespace {

TEST_CASE("a sysctl path keeps the dots of an interface name") {
  CHECK(sysctl_path({"net", "ipv4", "conf", "eth0.100", "arp_notify"}) ==
        "/proc/sys/net/ipv4/conf/eth0.100/arp_notify");
}

TEST_CASE("a component that leads elsewhere is refused") {
  for (const char* component : {"", ".", "..", "a/b", "../../kernel"}) {
    INFO(component);
    CHECK_THROWS_AS(sysctl_path({"net", component}), Error);
  }
}

TEST_CASE("sysctls are read and written in the namespace of the thread") {
  const test::Namespaces namespaces;
  (void)test::ip({"link", "add", "v0.5", "type", "veth", "peer", "name", "v1"});
  CHECK(read_sysctl({"net", "ipv4", "conf", "v0.5", "arp_notify"}) == "0");
  write_sysctl({"net", "ipv4", "conf", "v0.5", "arp_notify"}, "1");
  CHECK(test::sysctl("", "net/ipv4/conf/v0.5/arp_notify") == "1");
  CHECK(test::sysctl("", "net/ipv4/conf/v1/arp_notify") == "0");
  write_sysctl({"net", "ipv4", "conf", "v0.5", "arp_notify"}, "1");
  CHECK(try_write_sysctl({"net", "ipv4", "conf", "v0.5", "arp_notify"}, "0"));
  CHECK(test::sysctl("", "net/ipv4/conf/v0.5/arp_notify") == "0");
}

TEST_CASE("a sysctl that the kernel lacks reads as absent and fails to be written") {
  const test::Namespaces namespaces;
  CHECK_FALSE(read_sysctl({"net", "ipv4", "conf", "none0", "arp_notify"}));
  CHECK_FALSE(try_write_sysctl({"net", "ipv4", "conf", "none0", "arp_notify"}, "1"));
  try {
    write_sysctl({"net", "ipv4", "conf", "none0", "arp_notify"}, "1");
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.sys_errno == ENOENT);
    CHECK(error.msg ==
          "set /proc/sys/net/ipv4/conf/none0/arp_notify to 1: no such file or directory");
  }
}

TEST_CASE("a value that the kernel refuses is an error") {
  const test::Namespaces namespaces;
  CHECK_THROWS_AS(write_sysctl({"net", "ipv4", "ip_forward"}, "many"), Error);
}

}  // namespace
}  // namespace cni::os
