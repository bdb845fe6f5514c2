// What netfilter's text forms look like, without a kernel.
#include <string>

#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::netfilter;

TEST_CASE("a comment that nft accepts is left as it is") {
  CHECK(nft_comment("macspoofchk-cont1-eth0") == "macspoofchk-cont1-eth0");
  CHECK(nft_comment(std::string(128, 'a')) == std::string(128, 'a'));
}

TEST_CASE("a longer comment is cut and stays different from others that begin alike") {
  const std::string first = nft_comment(std::string(200, 'a') + "1");
  const std::string second = nft_comment(std::string(200, 'a') + "2");
  CHECK(first.size() == 128);
  CHECK(second.size() == 128);
  CHECK(first != second);
  CHECK(first == nft_comment(std::string(200, 'a') + "1"));
}

TEST_CASE("a word for iptables-restore is quoted and escaped") {
  CHECK(iptables_quoted("plain") == "\"plain\"");
  CHECK(iptables_quoted("name: \"mynet\" id: \"a\\b\"") ==
        "\"name: \\\"mynet\\\" id: \\\"a\\\\b\\\"\"");
}

TEST_CASE("the parts of a concatenated key are padded to multiples of four") {
  const std::string key = NftKey().ifname("veth0").mac(*Mac::parse("02:00:00:00:00:01")).take();
  CHECK(key == std::string("veth0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\0\x01\0\0", 24));
  CHECK(NftKey().ip(*Ip::parse("192.0.2.1")).take() == std::string("\xc0\0\x02\x01", 4));
}

TEST_CASE("the longest interface name leaves room for its end in a key") {
  CHECK(NftKey().ifname("abcdefghijklmno").take() == std::string("abcdefghijklmno\0", 16));
}

TEST_CASE("an unknown masquerade backend is refused by name") {
  CHECK_NOTHROW(validate_masquerade_backend(""));
  CHECK_NOTHROW(validate_masquerade_backend("iptables"));
  CHECK_NOTHROW(validate_masquerade_backend("nftables"));
  try {
    validate_masquerade_backend("ipfw");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == Code::kInvalidNetworkConfig);
    CHECK(error.msg.starts_with("unknown ipmasq backend \"ipfw\""));
  }
}
