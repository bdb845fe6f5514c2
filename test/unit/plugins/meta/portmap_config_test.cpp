// Each key of portmap with a wrong type, value or combination: refused with a code and a sentence
// that names it, before anything is touched.
#include "test/support/catch.hpp"
#include "test/support/refused_config.hpp"

using namespace cni::test;

namespace {

json with_mapping(json mapping) {
  return {{"runtimeConfig", {{"portMappings", json::array({std::move(mapping)})}}}};
}

json with_mappings(const std::vector<json>& mappings) {
  return {{"runtimeConfig", {{"portMappings", mappings}}}};
}

json tcp(const json& host_port, const json& container_port) {
  return {{"hostPort", host_port}, {"containerPort", container_port}, {"protocol", "tcp"}};
}

json with_key(json mapping, const char* key, const json& value) {
  mapping[key] = value;
  return with_mapping(mapping);
}

void check_all(const std::vector<BadConfig>& cases) {
  check_refused("portmap", cases, "failed to parse config: ");
}

constexpr const char* kInteger = "an integer from -2147483648 to 2147483647";
constexpr const char* kFirst = "runtimeConfig.portMappings[0]";

std::string wrong(const std::string& key, const std::string& expected, const std::string& got) {
  return key + ": expected " + expected + ", got " + got;
}

}  // namespace

TEST_CASE("portmap refuses wrong types by key") {
  check_all({
      {{{"backend", 5}}, 6, wrong("backend", "a string", "the number 5")},
      {{{"snat", "yes"}}, 6, wrong("snat", "true or false", "the string \"yes\"")},
      {{{"masqAll", 1}}, 6, wrong("masqAll", "true or false", "the number 1")},
      {{{"markMasqBit", "13"}}, 6, wrong("markMasqBit", kInteger, "the string \"13\"")},
      {{{"externalSetMarkChain", true}},
       6,
       wrong("externalSetMarkChain", "a string", "the boolean true")},
      {{{"conditionsV4", "-s"}}, 6, wrong("conditionsV4", "an array", "the string \"-s\"")},
      {{{"conditionsV6", {1}}}, 6, wrong("conditionsV6[0]", "a string", "the number 1")},
      {{{"runtimeConfig", {{"portMappings", "80"}}}},
       6,
       wrong("runtimeConfig.portMappings", "an array", "the string \"80\"")},
      {with_mapping(tcp("80", 80)), 6,
       wrong(std::string(kFirst) + ".hostPort", kInteger, "the string \"80\"")},
      {with_key(tcp(80, 80), "hostIP", "10.0.0"), 6,
       wrong(std::string(kFirst) + ".hostIP", "an IP address", "the string \"10.0.0\"")},
      {with_key(tcp(80, 80), "sourceRanges", "10.0.0.0/8"), 6,
       wrong(std::string(kFirst) + ".sourceRanges", "an array", "the string \"10.0.0.0/8\"")},
  });
}

TEST_CASE("portmap refuses wrong values and combinations") {
  const std::string options = " backend was requested but configuration contains ";
  check_all({
      {{{"backend", "ipfw"}}, 7, "unrecognized backend \"ipfw\""},
      {{{"markMasqBit", 32}}, 7, "MasqMarkBit must be between 0 and 31"},
      {{{"markMasqBit", -1}}, 7, "MasqMarkBit must be between 0 and 31"},
      {{{"markMasqBit", 1}, {"externalSetMarkChain", "MARK-ME"}},
       7,
       "Cannot specify externalSetMarkChain and markMasqBit"},
      {{{"externalSetMarkChain", "two words"}}, 7, "externalSetMarkChain: \"two words\" cannot be"},
      {{{"externalSetMarkChain", "-j"}}, 7, "externalSetMarkChain: \"-j\" cannot be"},
      {{{"externalSetMarkChain", std::string(29, 'A')}}, 7, "externalSetMarkChain: \"AAA"},
      {{{"conditionsV4", {"-s", "10.0.0.1\n-A INPUT"}}},
       7,
       "conditionsV4: \"10.0.0.1\\n-A INPUT\" has control characters"},
      {{{"backend", "nftables"}, {"conditionsV4", {"-s", "10.0.0.1"}}},
       7,
       "nftables" + options + "iptables-specific options [conditionsV4]"},
      {{{"backend", "iptables"}, {"conditionsV4", {"ip"}}, {"conditionsV6", {"ip6"}}},
       7,
       "iptables" + options + "nftables-specific options [conditionsV4 conditionsV6]"},
      {{{"conditionsV4", {"!", "-s", "10.0.0.1"}}, {"conditionsV6", {"ip6"}}},
       7,
       "iptables" + options + "nftables-specific options [conditionsV6]"},
      {{{"backend", "nftables"}, {"externalSetMarkChain", "MARK-ME"}},
       7,
       "nftables" + options + "iptables-specific options [externalSetMarkChain]"},
  });
}

TEST_CASE("portmap refuses mappings that cannot be") {
  const std::string twice = "host port tcp 80 is mapped twice: to the ports 80 and 81";
  check_all({
      {with_mapping(tcp(0, 80)), 7, "Invalid host port number: 0"},
      {with_mapping(tcp(-1, 80)), 7, "Invalid host port number: -1"},
      {with_mapping(tcp(65536, 80)), 7, "Invalid host port number: 65536"},
      {with_mapping(json{{"containerPort", 80}}), 7, "Invalid host port number: 0"},
      {with_mapping(tcp(80, 0)), 7, "Invalid container port number: 0"},
      {with_mapping(tcp(80, 65536)), 7, "Invalid container port number: 65536"},
      {with_key(tcp(80, 80), "protocol", "icmp"), 7, "unknown protocol: \"icmp\""},
      {with_key(tcp(80, 80), "sourceRanges", {"10.0.0.0/33"}), 7,
       std::string(kFirst) + ".sourceRanges[0]: \"10.0.0.0/33\" is neither"},
      {with_mappings({tcp(80, 80), tcp(90, 80), tcp(80, 81)}), 7, twice},
  });
}

TEST_CASE("portmap takes what runtimes send") {
  const std::vector<json> mappings = {
      {{"hostPort", 80}, {"containerPort", 80}},
      {{"hostPort", 65535}, {"containerPort", 65535}, {"protocol", "UDP"}, {"hostIP", ""}},
      {{"hostPort", 80}, {"containerPort", 80}, {"protocol", "tcp"}},  // the same again
      {{"hostPort", 80}, {"containerPort", 81}, {"protocol", "tcp"}, {"hostIP", "192.0.2.1"}},
      {{"hostPort", 80}, {"containerPort", 80}, {"protocol", "Sctp"}, {"hostIP", "::"}},
      {{"hostPort", 81}, {"containerPort", 1}, {"sourceRanges", {"10.0.0.0/8", "fd00::1"}}}};
  for (const json& config :
       {with_mappings(mappings), json{{"runtimeConfig", nullptr}}, json::object()}) {
    check_error(run_without_netns("portmap", "ADD", config), 7, "must be called as chained plugin");
    check_error(run_without_netns("portmap", "CHECK", config), 7, "Required prevResult missing");
  }
}
