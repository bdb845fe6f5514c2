// What DEL of sbr removes and what it leaves, and what CHECK says of what is missing.
#include <unistd.h>

#include "test/netns/plugins/meta/sbr_node.hpp"

using namespace cni::test;
using Lines = std::vector<std::string>;

TEST_CASE("DEL without prevResult removes the rules and tables of its interface only", "[netns]") {
  SbrNode node;
  const json eth0 = addresses_of({{"10.1.0.2/24", "10.1.0.1"}, {"fd00:1::2/64", ""}}, "eth0");
  node.succeed("ADD", eth0, json::object(), "eth0");
  node.succeed("ADD", net1_of_two_families());
  node.succeed("DEL", nullptr);
  CHECK(rules_of("-4") == Lines{"10.1.0.2 100"});
  CHECK(rules_of("-6") == Lines{"fd00:1::2 101"});
  CHECK(routes_in("-4", "102").empty());
  CHECK(routes_in("-6", "103").empty());
  node.succeed("CHECK", eth0, json::object(), "eth0");
  node.succeed("DEL", nullptr);
  node.succeed("DEL", nullptr, json::object(), "eth0");
  CHECK(rules_of("-4").empty());
  CHECK(rules_of("-6").empty());
}

TEST_CASE("DEL leaves rules that ask for more than the source", "[netns]") {
  SbrNode node;
  const Lines foreign = {"from 10.2.0.2 fwmark 0x7 lookup 7",
                         "from 10.2.0.2 iif eth0 lookup 7",
                         "from 10.2.0.2 to 192.0.2.0/24 lookup 7",
                         "from 10.2.0.2 uidrange 1000-2000 lookup 7",
                         "from 10.2.0.2 ipproto tcp dport 80 lookup 7",
                         "from 10.2.0.2 lookup 7 suppress_prefixlength 0",
                         "from 10.2.0.2 lookup 7 protocol static",
                         "from 10.2.0.2 prohibit",
                         "from 10.2.0.0/24 lookup 7",
                         "not from 10.2.0.2 lookup 7",
                         "from 10.2.0.2 tos 0x10 lookup 7"};
  for (const std::string& rule : foreign) node.batch("rule add " + rule + "\n");
  const std::string before = run_ok_in("c1", {"ip", "rule", "show"});
  node.succeed("ADD", net1_of_two_families());
  CHECK(run_ok_in("c1", {"ip", "rule", "show"}) != before);
  node.succeed("DEL", net1_of_two_families());
  CHECK(run_ok_in("c1", {"ip", "rule", "show"}) == before);
}

TEST_CASE("DEL removes every rule of one address that leads to a table of the interface",
          "[netns]") {
  SbrNode node;
  node.succeed("ADD", addresses_of({{"10.2.0.2/24", "10.2.0.1"}, {"10.3.0.2/24", ""}}));
  // What a killed ADD leaves: a rule whose table is still empty.
  node.batch("rule add from 10.3.0.2 lookup 107\n");
  node.succeed("DEL", nullptr);
  CHECK(rules_of("-4").empty());
}

TEST_CASE("DEL without the link removes rules that lead nowhere any more", "[netns]") {
  SbrNode node;
  node.succeed("ADD", net1_of_two_families());
  node.batch("link del net1\n");
  node.succeed("DEL", nullptr);  // nobody knows the addresses
  CHECK(rules_of("-4") == Lines{"10.2.0.2 100"});
  node.succeed("DEL", net1_of_two_families());
  CHECK(rules_of("-4").empty());
  CHECK(rules_of("-6").empty());
}

TEST_CASE("DEL without the link leaves rules of an address that came back elsewhere", "[netns]") {
  SbrNode node;
  node.succeed("ADD", net1_of_two_families());
  node.batch("link del net1\naddress add 10.2.0.2/24 dev eth0\n");
  node.succeed("DEL", net1_of_two_families());
  CHECK(rules_of("-4") == Lines{"10.2.0.2 100"});
  CHECK(rules_of("-6").empty());
}

TEST_CASE("DEL without the link leaves a table that somebody else fills", "[netns]") {
  SbrNode node;
  node.succeed("ADD", net1_of_two_families());
  node.batch("link del net1\nroute add 192.0.2.0/24 via 10.1.0.9 table 100\n");
  node.succeed("DEL", net1_of_two_families());
  CHECK(rules_of("-4") == Lines{"10.2.0.2 100"});
  CHECK(routes_in("-4", "100") == Lines{"192.0.2.0/24 via 10.1.0.9 dev eth0"});
}

TEST_CASE("of two interfaces with one address each DEL takes its own rule", "[netns]") {
  SbrNode node;
  node.batch("address add 10.2.0.2/24 dev eth0\n");
  node.succeed("ADD", addresses_of({{"10.2.0.2/24", ""}}));
  node.succeed("ADD", addresses_of({{"10.2.0.2/24", ""}}, "eth0"), json::object(), "eth0");
  CHECK(rules_of("-4") == Lines{"10.2.0.2 100", "10.2.0.2 101"});
  node.succeed("DEL", nullptr);
  CHECK(rules_of("-4") == Lines{"10.2.0.2 101"});
  CHECK(routes_in("-4", "100").empty());
  node.succeed("DEL", nullptr, json::object(), "eth0");
  CHECK(rules_of("-4").empty());
}

TEST_CASE("DEL into a namespace that is gone makes no file", "[netns]") {
  SbrNode node;
  node.succeed("ADD", net1_of_two_families());
  node.spaces.remove_container("c1");
  node.succeed("DEL", net1_of_two_families());
  CHECK(::access("/run/netns/c1", F_OK) != 0);
}

TEST_CASE("CHECK of sbr names the first difference", "[netns]") {
  struct {
    const char* change;
    const char* message;
  } const cases[] = {
      {"rule del from 10.2.0.2\n", "no rule leads packets from 10.2.0.2 to a table of its own"},
      {"rule del from fd00:2::2\n", "no rule leads packets from fd00:2::2 to a table of its own"},
      {"route del default table 100\n",
       "the table 100, which packets from 10.2.0.2 are routed by, has no default route via "
       "10.2.0.1 "
       "over net1"},
      {"route replace default via 10.2.0.77 dev net1 table 100\n",
       "the table 100, which packets from 10.2.0.2 are routed by, has no default route"},
      {"route flush table 100\n",
       "the table 100, which packets from 10.2.0.2 are routed by, has no routes over net1"},
      {"route del default table 101\n",
       "the table 101, which packets from fd00:2::2 are routed by, has no default route via "
       "fd00:2::1"},
      {"route del 192.0.2.0/24 table 100\n",
       "the table 100, which packets from 10.2.0.2 are routed by, has no route to 192.0.2.0/24 via "
       "10.2.0.9"},
      {"route append default via 10.2.0.1 dev net1 onlink\n",
       "the main table has a default route over net1"}};
  for (const auto& [change, message] : cases) {
    CAPTURE(change);
    SbrNode node;
    node.batch("route add 192.0.2.0/24 via 10.2.0.9\n");
    json result = net1_of_two_families();
    result["routes"] = {{{"dst", "0.0.0.0/0"}}, {{"dst", "192.0.2.0/24"}, {"gw", "10.2.0.9"}}};
    node.succeed("ADD", result);
    node.succeed("CHECK", result);
    if (std::string(message).find("fd00:") == std::string::npos) {
      node.batch(change);
    } else {
      node.batch6(change);
    }
    check_error(node.sbr("CHECK", result), 105, message);
  }
}

TEST_CASE("CHECK of sbr misses a rule to the configured table and the link", "[netns]") {
  SbrNode node;
  const json config = {{"table", 5}};
  node.batch("rule add from 10.2.0.2 lookup 6\n");
  check_error(node.sbr("CHECK", net1_of_two_families(), config), 105,
              "no rule leads packets from 10.2.0.2 to the table 5");
  node.batch("link del net1\n");
  check_error(node.sbr("CHECK", net1_of_two_families(), config), 105,
              "Container Interface name in prevResult: net1 not found");
}
