// Whose a rule is, as its comment says.
#include "pkg/netfilter/owner.hpp"

#include <string>
#include <vector>

#include "test/support/catch.hpp"

using cni::netfilter::Owner;

namespace {

const Owner kOwner{"mynet", "cont1", "eth0"};

}  // namespace

TEST_CASE("an owner's comment begins with the digest of the attachment", "[owner]") {
  // The digest is that of plugins that know nothing of ours.
  CHECK(cni::netfilter::owner_comment({"unit-test", "one", "eth0"}) ==
        "6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one");
}

TEST_CASE("an owner's comment is found again though its names are cut", "[owner]") {
  const Owner longest{std::string(100, 'n'), std::string(100, 'c'), "eth0"};
  const std::string comment = cni::netfilter::owner_comment(longest);
  CHECK(comment.size() == 128);
  CHECK(cni::netfilter::is_owned_by(comment, longest));
  CHECK_FALSE(cni::netfilter::is_owned_by(comment, kOwner));
}

TEST_CASE("a comment is told in words", "[owner]") {
  using cni::netfilter::describe_owner;
  CHECK(describe_owner(cni::netfilter::owner_comment(kOwner)) ==
        "container cont1 (network mynet, eth0)");
  CHECK(describe_owner(cni::netfilter::owner_comment({"a, if: b, id: c", "cont1", "eth0"})) ==
        "container cont1 (network a, if: b, id: c, eth0)");
  CHECK(describe_owner("something else") == "\"something else\"");
}

TEST_CASE("a comment is stale if its network's attachment is not valid", "[owner]") {
  const std::vector<cni::Attachment> valid = {{"cont1", "eth0"}, {"cont2", "eth0"}};
  const cni::netfilter::StaleOwners is_stale("mynet", valid);
  CHECK_FALSE(is_stale(cni::netfilter::owner_comment(kOwner)));
  CHECK(is_stale(cni::netfilter::owner_comment({"mynet", "cont1", "eth1"})));
  CHECK(is_stale(cni::netfilter::owner_comment({"mynet", "cont3", "eth0"})));
  CHECK_FALSE(is_stale(cni::netfilter::owner_comment({"other", "cont3", "eth0"})));
  CHECK_FALSE(is_stale("of nobody"));
}
