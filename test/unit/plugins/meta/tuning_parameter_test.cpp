// Names of kernel parameters as configurations write them, and their values.
#include "pkg/types/error.hpp"
#include "plugins/meta/tuning/parameter.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using tuning::Parameter;

namespace {

std::string parsed(std::string_view key, std::string_view ifname = "eth0") {
  return Parameter::parse(key, ifname).name();
}

}  // namespace

TEST_CASE("components of a parameter are separated by dots or slashes") {
  CHECK(parsed("net.core.somaxconn") == "net/core/somaxconn");
  CHECK(parsed("net/core/somaxconn") == "net/core/somaxconn");
  CHECK(parsed("/net/core/somaxconn") == "net/core/somaxconn");
  CHECK(parsed("net.ipv4/tcp_rmem") == "net/ipv4/tcp_rmem");
  CHECK(parsed("net/ipv4.tcp_rmem") == "net/ipv4/tcp_rmem");
}

TEST_CASE("IFNAME is one component whatever the interface is called") {
  const std::string wanted = "net/ipv4/conf/a.b.100/arp_filter";
  for (const char* key : {"net.ipv4.conf.IFNAME.arp_filter", "net/ipv4/conf/IFNAME/arp_filter",
                          "net.ipv4.conf.IFNAME/arp_filter", "net/ipv4.conf/IFNAME.arp_filter",
                          "net.ipv4.conf/IFNAME/arp_filter"}) {
    INFO(key);
    CHECK(parsed(key, "a.b.100") == wanted);
  }
  CHECK(parsed("net.ipv6.neigh.IFNAME.gc_stale_time", "a.b") == "net/ipv6/neigh/a.b/gc_stale_time");
  // Only the first one, as the reference has it; an interface may be called so.
  CHECK(parsed("net.ipv4.conf.IFNAME.IFNAME", "x") == "net/ipv4/conf/x/IFNAME");
  CHECK(parsed("net.ipv4.conf.IFNAME.arp_filter", "IFNAME") == "net/ipv4/conf/IFNAME/arp_filter");
}

TEST_CASE("a name with dots can be written where names of interfaces stand") {
  const std::string wanted = "net/ipv4/conf/eth0.100/arp_filter";
  CHECK(parsed("net/ipv4/conf/eth0.100/arp_filter") == wanted);
  CHECK(parsed("net.ipv4.conf.eth0/100.arp_filter") == wanted);
  CHECK(parsed("net.ipv4.conf.eth0.100.arp_filter", "eth0.100") == wanted);
  // The same text means another interface where that is not the container's.
  CHECK(parsed("net.ipv4.conf.eth0.100.arp_filter", "eth0") == "net/ipv4/conf/eth0/100/arp_filter");
}

TEST_CASE("a key that leads out of net is refused") {
  for (const char* key : {"",
                          "/",
                          ".",
                          "net",
                          "net.",
                          "net/",
                          "kernel.hostname",
                          "kernel/hostname",
                          "netfoo.x",
                          "net..ipv4.ip_forward",
                          "net/../kernel/hostname",
                          "../net/ipv4/ip_forward",
                          "net/ipv4/../../kernel/hostname",
                          "net.ipv4.conf..x",
                          "net/ipv4/conf/../ip_forward",
                          "net/ipv4/conf/./arp_filter",
                          "net.ipv4.ip_forward.",
                          "net/ipv4/ip_forward/",
                          "net//ipv4/ip_forward",
                          ".net.ipv4.ip_forward",
                          "vm.swappiness"}) {
    INFO(key);
    try {
      (void)Parameter::parse(key, "eth0");
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.code == Code::kInvalidNetworkConfig);
      CHECK(error.msg.starts_with("invalid net sysctl key: " + quote(key)));
    }
  }
  CHECK_THROWS_AS(Parameter::parse(std::string_view("net.ipv4.x\0y", 12), "eth0"), Error);
}

TEST_CASE("names of backup files are not believed either") {
  CHECK(Parameter::from_name("net/ipv4/conf/a.b/arp_filter")->name() ==
        "net/ipv4/conf/a.b/arp_filter");
  for (const char* name : {"", "net", "kernel/hostname", "net/../kernel/hostname", "/net/ipv4/x",
                           "net//x", "net/ipv4/.."}) {
    INFO(name);
    CHECK_FALSE(Parameter::from_name(name));
  }
}

TEST_CASE("a parameter is of one interface or of the whole namespace") {
  const auto is_of = [](const char* key, const char* ifname) {
    return Parameter::parse(key, "eth0").is_of(ifname);
  };
  CHECK(is_of("net.ipv4.conf.IFNAME.arp_filter", "eth0"));
  CHECK(is_of("net.ipv6.neigh.eth1.gc_stale_time", "eth1"));
  CHECK_FALSE(is_of("net.ipv4.conf.all.arp_filter", "eth0"));
  CHECK_FALSE(is_of("net.core.somaxconn", "somaxconn"));
}

TEST_CASE("values are the same but for their white space") {
  CHECK(tuning::is_same_value("4096\t131072\t6291456\n", "4096 131072 6291456"));
  CHECK(tuning::is_same_value(" 1 ", "1"));
  CHECK(tuning::is_same_value("\n", ""));
  CHECK_FALSE(tuning::is_same_value("1", "01"));
  CHECK_FALSE(tuning::is_same_value("1 2", "12"));
  CHECK_FALSE(tuning::is_same_value("", "0"));
}
