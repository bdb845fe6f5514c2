#include "pkg/types/address.hpp"

#include <set>

#include "test/support/catch.hpp"

namespace cni {
namespace {

std::string printed(const char* text) {
  const auto ip = Ip::parse(text);
  return ip ? ip->to_string() : "refused";
}

Ip ip(const char* text) { return Ip::parse(text).value(); }
Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

TEST_CASE("IPv4 addresses are four decimal octets without leading zeros") {
  CHECK(printed("192.0.2.1") == "192.0.2.1");
  CHECK(printed("0.0.0.0") == "0.0.0.0");
  CHECK(printed("255.255.255.255") == "255.255.255.255");
  for (const char* text : {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04",
                           "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4",
                           "1.2.3.+4", "0x1.2.3.4", "1.2.3.4/8", "a.b.c.d", "1.2.3.1000"}) {
    INFO(text);
    CHECK_FALSE(Ip::parse(text));
  }
}

// RFC 5952, section 4 and its examples.
TEST_CASE("IPv6 addresses are printed as RFC 5952 demands") {
  CHECK(printed("2001:0db8:0000:0000:0000:0000:0002:0001") == "2001:db8::2:1");
  CHECK(printed("2001:DB8::1") == "2001:db8::1");
  CHECK(printed("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");
  CHECK(printed("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");
  CHECK(printed("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
  CHECK(printed("0:0:0:0:0:0:0:0") == "::");
  CHECK(printed("0:0:0:0:0:0:0:1") == "::1");
  CHECK(printed("1:0:0:0:0:0:0:0") == "1::");
  CHECK(printed("fe80:0:0:0:1:2:3:4") == "fe80::1:2:3:4");
  CHECK(printed("0:1:2:3:4:5:6:7") == "0:1:2:3:4:5:6:7");
  CHECK(printed("64:ff9b::192.0.2.33") == "64:ff9b::c000:221");
  CHECK(printed("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") ==
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

TEST_CASE("IPv6 texts with zones or too many groups or bad parts are refused") {
  for (const char* text : {"fe80::1%eth0", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", ":1",
                           "12345::", "g::", "::1.2.3", "::1.2.3.04", "::256.0.0.1", "[::1]", ":::",
                           "::1 ", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001"}) {
    INFO(text);
    CHECK_FALSE(Ip::parse(text));
  }
  CHECK_FALSE(Ip::parse(std::string_view("::1\0x", 5)));
}

TEST_CASE("an IPv4-mapped address is an IPv4 address") {
  CHECK(printed("::ffff:192.0.2.1") == "192.0.2.1");
  CHECK(ip("::ffff:c000:201") == ip("192.0.2.1"));
  CHECK(ip("::ffff:192.0.2.1").is_ipv4());
}

TEST_CASE("addresses come from 4 or 16 octets") {
  const std::uint8_t bytes[16] = {192, 0, 2, 1};
  CHECK(Ip::from_bytes(bytes, 4)->to_string() == "192.0.2.1");
  CHECK(Ip::from_bytes(bytes, 16)->to_string() == "c000:201::");
  CHECK_FALSE(Ip::from_bytes(bytes, 5));
}

TEST_CASE("addresses know their class") {
  CHECK(ip("0.0.0.0").is_unspecified());
  CHECK(ip("::").is_unspecified());
  CHECK(ip("127.3.2.1").is_loopback());
  CHECK(ip("::1").is_loopback());
  CHECK_FALSE(ip("::2").is_loopback());
  CHECK(ip("224.0.0.1").is_multicast());
  CHECK(ip("239.1.1.1").is_multicast());
  CHECK_FALSE(ip("240.0.0.1").is_multicast());
  CHECK(ip("ff02::1").is_multicast());
  CHECK(ip("169.254.1.1").is_link_local_unicast());
  CHECK(ip("febf::1").is_link_local_unicast());
  CHECK_FALSE(ip("fec0::1").is_link_local_unicast());
  for (const char* global : {"10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"}) {
    INFO(global);
    CHECK(ip(global).is_global_unicast());
  }
  for (const char* other : {"0.0.0.0", "127.0.0.1", "169.254.0.1", "224.0.0.1", "255.255.255.255",
                            "::", "::1", "fe80::1", "ff02::1"}) {
    INFO(other);
    CHECK_FALSE(ip(other).is_global_unicast());
  }
}

TEST_CASE("address arithmetic carries over octets and wraps at the ends") {
  CHECK(ip("10.0.0.255").next().to_string() == "10.0.1.0");
  CHECK(ip("10.0.1.0").previous().to_string() == "10.0.0.255");
  CHECK(ip("255.255.255.255").next().to_string() == "0.0.0.0");
  CHECK(ip("0.0.0.0").previous().to_string() == "255.255.255.255");
  CHECK(ip("2001:db8::ffff:ffff").next().to_string() == "2001:db8::1:0:0");
  CHECK(ip("::").previous().to_string() == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  CHECK(ip("10.0.0.0").plus(65536 + 258).to_string() == "10.1.1.2");
  CHECK(ip("::").plus(0xffffffffffffffffULL).to_string() == "::ffff:ffff:ffff:ffff");
  CHECK(ip("::ffff:ffff:ffff:ffff").plus(1).to_string() == "0:0:0:1::");
  CHECK(ip("10.0.0.7").plus(0) == ip("10.0.0.7"));
}

TEST_CASE("addresses sort by family and then by value") {
  CHECK(ip("10.0.0.2") < ip("10.0.0.10"));
  CHECK(ip("255.255.255.255") < ip("::"));
  CHECK(ip("::1") < ip("2001:db8::"));
}

TEST_CASE("a prefix keeps its host bits and refuses bad lengths") {
  CHECK(prefix("192.0.2.5/24").to_string() == "192.0.2.5/24");
  CHECK(prefix("2001:DB8::5/64").to_string() == "2001:db8::5/64");
  CHECK(prefix("0.0.0.0/0").is_default());
  CHECK(prefix("::/0").is_default());
  CHECK_FALSE(prefix("10.0.0.0/8").is_default());
  CHECK(prefix("::ffff:192.0.2.1/120").to_string() == "192.0.2.1/24");
  for (const char* text : {"192.0.2.5", "192.0.2.5/", "192.0.2.5/33", "::/129", "192.0.2.5/-1",
                           "192.0.2.5/+8", "192.0.2.5/8 ", "/24", "192.0.2.5/24/8",
                           "192.0.2.5/255.255.255.0", "192.0.2.5/1000", "::ffff:192.0.2.1/95"}) {
    INFO(text);
    CHECK_FALSE(Prefix::parse(text));
  }
}

TEST_CASE("a prefix knows its first and last address at every length") {
  CHECK(prefix("192.0.2.77/26").network().to_string() == "192.0.2.64/26");
  CHECK(prefix("192.0.2.77/26").last().to_string() == "192.0.2.127");
  CHECK(prefix("192.0.2.77/32").network().to_string() == "192.0.2.77/32");
  CHECK(prefix("192.0.2.77/32").last() == ip("192.0.2.77"));
  CHECK(prefix("192.0.2.77/0").network().to_string() == "0.0.0.0/0");
  CHECK(prefix("192.0.2.77/0").last().to_string() == "255.255.255.255");
  CHECK(prefix("192.0.2.77/31").last().to_string() == "192.0.2.77");
  CHECK(prefix("2001:db8:ffff::1/35").network().to_string() == "2001:db8:e000::/35");
  CHECK(prefix("2001:db8::1/127").last().to_string() == "2001:db8::1");
  CHECK(Prefix::host(ip("192.0.2.1")).to_string() == "192.0.2.1/32");
  CHECK(Prefix::host(ip("::1")).to_string() == "::1/128");
}

TEST_CASE("prefixes contain and overlap only within a family") {
  CHECK(prefix("10.1.0.0/16").contains(ip("10.1.255.255")));
  CHECK_FALSE(prefix("10.1.0.0/16").contains(ip("10.2.0.0")));
  CHECK_FALSE(prefix("0.0.0.0/0").contains(ip("::1")));
  CHECK(prefix("10.1.0.0/16").contains(prefix("10.1.5.0/24")));
  CHECK_FALSE(prefix("10.1.5.0/24").contains(prefix("10.1.0.0/16")));
  CHECK(prefix("10.1.5.0/24").overlaps(prefix("10.1.0.0/16")));
  CHECK(prefix("10.1.0.0/16").overlaps(prefix("10.1.5.0/24")));
  CHECK_FALSE(prefix("10.1.0.0/16").overlaps(prefix("10.2.0.0/16")));
  CHECK_FALSE(prefix("0.0.0.0/0").overlaps(prefix("::/0")));
}

TEST_CASE("MAC addresses have three spellings and three lengths") {
  CHECK(Mac::parse("02:AB:cd:00:01:ff")->to_string() == "02:ab:cd:00:01:ff");
  CHECK(Mac::parse("02-ab-cd-00-01-ff")->to_string() == "02:ab:cd:00:01:ff");
  CHECK(Mac::parse("02ab.cd00.01ff")->to_string() == "02:ab:cd:00:01:ff");
  CHECK(Mac::parse("02:00:5e:10:00:00:00:01")->size() == 8);
  CHECK(Mac::parse("00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01")->size() == 20);
  CHECK(Mac::parse("0000.0000.fe80.0000.0000.0000.0200.5e10.0000.0001")->size() == 20);
  for (const char* text :
       {"", "02:ab:cd:00:01", "02:ab:cd:00:01:fg", "02:ab-cd:00:01:ff", "02ab:cd00:01ff",
        "02:ab:cd:00:01:ff:", "2:ab:cd:0:1:ff", "02abcd0001ff", "02:ab:cd:00:01:ff:00",
        " 02:ab:cd:00:01:ff", "02ab.cd00.01f", "02:ab:cd:00:01:f"}) {
    INFO(text);
    CHECK_FALSE(Mac::parse(text));
  }
}

TEST_CASE("random MAC addresses are unicast and locally administered and differ") {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const Mac mac = Mac::random();
    REQUIRE(mac.size() == 6);
    CHECK((mac.data()[0] & 1U) == 0);
    CHECK((mac.data()[0] & 2U) == 2);
    seen.insert(mac.to_string());
  }
  CHECK(seen.size() == 100);
  CHECK(Mac().empty());
  CHECK(Mac().to_string().empty());
}

}  // namespace
}  // namespace cni
