#include "pkg/types/hash.hpp"

#include <string>

#include "test/support/catch.hpp"

using namespace cni;

TEST_CASE("SHA-512 gives the digests of FIPS 180-4") {
  CHECK(sha512_hex("") ==
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e");
  CHECK(sha512_hex("abc") ==
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  CHECK(sha512_hex(std::string(1000000, 'a')) ==
        "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
        "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b");
}

TEST_CASE("SHA-512 pads messages around the end of a block rightly") {
  // 111 octets are the most that fit one block with their padding.
  CHECK(sha512_hex(std::string(111, 'a')) ==
        "fa9121c7b32b9e01733d034cfc78cbf67f926c7ed83e82200ef8681819692176"
        "0b4beff48404df811b953828274461673c68d04e297b0eb7b2b4d60fc6b566a2");
  CHECK(sha512_hex(std::string(112, 'a')) ==
        "c01d080efd492776a1c43bd23dd99d0a2e626d481e16782e75d54c2503b5dc32"
        "bd05f0f1ba33e568b88fd2d970929b719ecbb152f58f130a407c8830604b70ca");
  CHECK(sha512_hex(std::string(128, 'a')) ==
        "b73d1929aa615934e61a871596b3f3b33359f42b8175602e89f7e06e5f658a24"
        "3667807ed300314b95cacdd579f3e33abdfbe351909519a846d465c59582f321");
}

TEST_CASE("Names are the reference plugins' names") {
  CHECK(masquerade_chain_name("test", "1234") == "CNI-2bbe0c48b91a7d1b8a6753a8");
  CHECK(masquerade_chain_name("mynet", "cont1") == "CNI-c729ec77c46fa9b53d651af8");
  CHECK(hashed_name("CNI-DN-", "mynetcont1", 28) == "CNI-DN-c729ec77c46fa9b53d651");
  CHECK(hashed_name("bwp", "mynetcont1", 15) == "bwpc729ec77c46f");
  CHECK(attachment_hash("unit-test", "eth0", "one") == "6fd94d501e58f0aa-287fc69eff0574a2");
  CHECK(network_hash("unit-test") == "6fd94d501e58f0aa");
}

TEST_CASE("A prefix as long as the name leaves no room for digits") {
  CHECK(hashed_name("abcdef", "x", 6) == "abcdef");
  CHECK(hashed_name("abcdef", "x", 3) == "abcdef");
}
