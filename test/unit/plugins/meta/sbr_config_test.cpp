// Each key of sbr with a wrong type, value or combination: refused with a code and a sentence that
// names it, before anything is touched.
#include "test/support/catch.hpp"
#include "test/support/refused_config.hpp"

using namespace cni::test;

namespace {

void check_refused(const json& config, int code, const std::string& msg_start) {
  cni::test::check_refused("sbr", {{config, code, msg_start}},
                           "failed to parse network configuration: ");
}

json gateways(const std::vector<std::string>& texts) { return {{"gateways", texts}}; }

const json kOneAddress = {{"cniVersion", "1.1.0"},
                          {"interfaces", {{{"name", "net1"}, {"sandbox", "/no/such/netns"}}}},
                          {"ips", {{{"interface", 0}, {"address", "10.1.0.2/24"}}}}};

}  // namespace

TEST_CASE("sbr refuses wrong types by key") {
  check_refused({{"table", "100"}}, 6,
                "table: expected an integer from 0 to 4294967295, got the string \"100\"");
  check_refused({{"table", -1}}, 6, "table: expected an integer from 0 to 4294967295, got");
  check_refused({{"table", 4294967296}}, 6, "table: expected an integer from 0 to 4294967295, got");
  check_refused({{"gateways", "10.1.0.1"}}, 6,
                "gateways: expected an array, got the string \"10.1.0.1\"");
  check_refused({{"gateways", {1}}}, 6, "gateways[0]: expected a string, got the number 1");
  check_refused({{"addSourceHints", "yes"}}, 6,
                "addSourceHints: expected true or false, got the string \"yes\"");
}

TEST_CASE("sbr refuses a table that is none") {
  check_refused({{"table", 0}}, 7, "table: 0 is no");
}

TEST_CASE("sbr refuses gateways that cannot be") {
  check_refused(gateways({"10.1.0"}), 7, "invalid static gateway IP address: 10.1.0");
  check_refused(gateways({""}), 7, "invalid static gateway IP address: ");
  check_refused(gateways({"10.1.0.1/24"}), 7, "invalid static gateway IP address: 10.1.0.1/24");
  check_refused(gateways({"10.1.0.1", "10.1.0.2"}), 7,
                "gateways list contains multiple IPv4 addresses: 10.1.0.1 and 10.1.0.2");
  check_refused(gateways({"fd00::1", "fd00::2"}), 7,
                "gateways list contains multiple IPv6 addresses: fd00::1 and fd00::2");
  check_refused(gateways({"10.1.0.1", "fd00::1", "10.1.0.2"}), 7,
                "gateways list cannot contain more than 2 entries (one IPv4, one IPv6)");
}

TEST_CASE("sbr takes what it knows and what it does not") {
  for (const json& config :
       {json::object(), json{{"table", nullptr}}, json{{"table", 4294967295}},
        gateways({"fd00::1", "10.1.0.1"}), json{{"addSourceHints", true}, {"vrfname", 7}}}) {
    INFO(config.dump());
    check_error(run_without_netns("sbr", "ADD", config), 7,
                "This plugin must be called as chained plugin");
    check_error(run_without_netns("sbr", "CHECK", config), 7, "Required prevResult missing");
  }
}

TEST_CASE("sbr refuses a result without an address of its interface") {
  for (const char* command : {"ADD", "CHECK"}) {
    check_error(run_without_netns("sbr", command, {{"prevResult", kOneAddress}}), 7,
                "No IP addresses supplied on interface: eth0");
  }
}
