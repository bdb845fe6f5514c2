// What the firewall does to packets.
#include "test/netns/plugins/meta/firewall_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// Three containers: a and b on one bridge, c on another.
class Bridges : public FirewallNode {
 public:
  explicit Bridges(const std::string& implementation)
      : FirewallNode(implementation), a(attach("a", 1)), b(attach("b", 1)), c(attach("c", 2)) {}

  void protect(const std::string& policy_of_first, const std::string& policy_of_second) {
    add(config(1, policy_of_first), "a", a);
    add(config(1, policy_of_first), "b", b);
    add(config(2, policy_of_second), "c", c);
  }

  json a;
  json b;
  json c;
};

bool has_bridge_netfilter() {
  return sysctl("", "net/bridge/bridge-nf-call-iptables").value_or("0") == "1";
}

}  // namespace

TEST_CASE("a container's connections pass a FORWARD chain that drops", "[netns]") {
  const std::string implementation = GENERATE("nft", "legacy");
  CAPTURE(implementation);
  FirewallNode node(implementation);
  const json result = node.attach("a", 1);
  node.iptables({"-P", "FORWARD", "DROP"});
  CHECK_FALSE(FirewallNode::connects("a", "outside", "192.0.2.2"));

  node.add(FirewallNode::config(1, "open"), "a", result);
  CHECK(FirewallNode::connects("a", "outside", "192.0.2.2"));
  CHECK(FirewallNode::connects("a", "outside", "2001:db8::2"));
  // Only answers come in.
  CHECK_FALSE(FirewallNode::connects("outside", "a", address_in(result, '4')));
  CHECK_FALSE(FirewallNode::connects("outside", "a", address_in(result, '6')));

  node.del(FirewallNode::config(1, "open"), "a");
  CHECK_FALSE(FirewallNode::connects("a", "outside", "192.0.2.2"));
  CHECK_FALSE(FirewallNode::connects("a", "outside", "2001:db8::2"));
}

TEST_CASE("the operator's rules come before the container's", "[netns]") {
  FirewallNode node;
  const json result = node.attach("a", 1);
  json config = FirewallNode::config(1, "open");
  config["iptablesAdminChainName"] = "OPERATOR";
  node.add(config, "a", result);
  CHECK(FirewallNode::connects("a", "outside", "192.0.2.2"));
  node.iptables({"-A", "OPERATOR", "-p", "tcp", "-j", "DROP"});
  CHECK_FALSE(FirewallNode::connects("a", "outside", "192.0.2.2"));
  node.del(config, "a");
  CHECK(count_of("-A OPERATOR -p tcp -j DROP", node.saved()) == 2);
}

TEST_CASE("same-bridge keeps the containers of other bridges away", "[netns]") {
  const std::string implementation = GENERATE("nft", "legacy");
  CAPTURE(implementation);
  Bridges node(implementation);
  REQUIRE(FirewallNode::connects("c", "a", address_in(node.a, '4')));
  node.protect("same-bridge", "same-bridge");
  for (const char family : {'4', '6'}) {
    CAPTURE(family);
    CHECK(FirewallNode::connects("b", "a", address_in(node.a, family)));
    CHECK_FALSE(FirewallNode::connects("c", "a", address_in(node.a, family)));
    CHECK_FALSE(FirewallNode::connects("a", "c", address_in(node.c, family)));
    CHECK(FirewallNode::connects("a", "outside", family == '4' ? "192.0.2.2" : "2001:db8::2"));
    CHECK(FirewallNode::connects("outside", "a", address_in(node.a, family)));
  }
  // Whichever way it comes: through the other bridge's gateway it is no neighbour either.
  run_ok({"ip", "-n", "c", "route", "add", "10.88.1.1", "dev", "eth0"});
  run_ok({"ip", "-n", "c", "route", "add", "10.88.1.0/24", "via", "10.88.1.1"});
  CHECK_FALSE(FirewallNode::connects("c", "a", address_in(node.a, '4')));
}

TEST_CASE("isolated keeps the containers of the same bridge apart too", "[netns]") {
  Bridges node("nft");
  REQUIRE(FirewallNode::connects("b", "a", address_in(node.a, '4')));
  node.protect("isolated", "same-bridge");
  // Frames between the ports of a bridge are seen by iptables if the kernel hands them over.
  const bool reaches_neighbour = !has_bridge_netfilter();
  for (const char family : {'4', '6'}) {
    CAPTURE(family);
    CHECK(FirewallNode::connects("b", "a", address_in(node.a, family)) == reaches_neighbour);
    CHECK_FALSE(FirewallNode::connects("c", "a", address_in(node.a, family)));
    CHECK_FALSE(FirewallNode::connects("a", "c", address_in(node.c, family)));
    CHECK(FirewallNode::connects("a", "outside", family == '4' ? "192.0.2.2" : "2001:db8::2"));
  }
}

TEST_CASE("a bridge without a policy is open to and from those with one", "[netns]") {
  Bridges node("nft");
  node.protect("same-bridge", "open");
  CHECK(FirewallNode::connects("c", "a", address_in(node.a, '4')));
  CHECK(FirewallNode::connects("a", "c", address_in(node.c, '4')));
}

TEST_CASE("a policy holds until its last container is gone", "[netns]") {
  Bridges node("nft");
  node.protect("same-bridge", "same-bridge");
  node.del(FirewallNode::config(1, "same-bridge"), "b");
  CHECK_FALSE(FirewallNode::connects("c", "a", address_in(node.a, '4')));
  // Its container is still there, but has no firewall any more.
  node.node.del(FirewallNode::bridge_config(1), "b");
  node.del(FirewallNode::config(1, "same-bridge"), "a");
  CHECK(FirewallNode::connects("c", "a", address_in(node.a, '4')));
  CHECK(count_of("cni1", node.saved()) == 0);
  CHECK(count_of("cni2", node.saved()) > 0);
}

TEST_CASE("policies stay in front when the jump to what accepts is made again", "[netns]") {
  Bridges node("nft");
  node.protect("same-bridge", "same-bridge");
  const std::vector<std::string> jump = {
      "FORWARD", "-m", "comment", "--comment", "CNI firewall plugin rules", "-j", "CNI-FORWARD"};
  std::vector<std::string> removal = {"-D"};
  removal.insert(removal.end(), jump.begin(), jump.end());
  node.iptables(removal);
  node.add(FirewallNode::config(1, "open"), "a", node.a);
  CHECK_FALSE(FirewallNode::connects("c", "a", address_in(node.a, '4')));
  CHECK(FirewallNode::connects("a", "outside", "192.0.2.2"));
}
