#include "pkg/types/result.hpp"

#include "test/support/json.hpp"

namespace cni {
namespace {

using nlohmann::json;

// One result that uses every field, in each shape. The texts are written by hand from the
// specification.
constexpr const char* kFull11 = R"({
    "cniVersion": "1.1.0",
    "dns": {
        "domain": "example.org",
        "nameservers": [
            "10.1.0.1",
            "2001:db8::53"
        ],
        "options": [
            "ndots:2"
        ],
        "search": [
            "a.example.org",
            "b.example.org"
        ]
    },
    "interfaces": [
        {
            "mac": "02:00:00:00:00:01",
            "mtu": 1400,
            "name": "cni0",
            "pciID": "0000:00:1f.6",
            "socketPath": "/run/socket"
        },
        {
            "mac": "02:00:00:00:00:02",
            "name": "eth0",
            "sandbox": "/run/netns/one"
        }
    ],
    "ips": [
        {
            "address": "10.1.0.5/16",
            "gateway": "10.1.0.1",
            "interface": 0
        },
        {
            "address": "10.2.0.5/16"
        },
        {
            "address": "2001:db8::5/64",
            "gateway": "2001:db8::1",
            "interface": 1
        },
        {
            "address": "2001:db8:1::5/64",
            "interface": 1
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        },
        {
            "advmss": 1340,
            "dst": "2001:db8:2::/48",
            "gw": "2001:db8::1",
            "mtu": 1400,
            "priority": 5,
            "scope": 0,
            "table": 100
        },
        {
            "dst": "192.168.0.0/16",
            "gw": "10.1.0.9"
        }
    ]
})";

constexpr const char* kFull04 = R"({
    "cniVersion": "0.4.0",
    "interfaces": [
        {
            "name": "cni0",
            "mac": "02:00:00:00:00:01"
        },
        {
            "name": "eth0",
            "mac": "02:00:00:00:00:02",
            "sandbox": "/run/netns/one"
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 0,
            "address": "10.1.0.5/16",
            "gateway": "10.1.0.1"
        },
        {
            "version": "4",
            "address": "10.2.0.5/16"
        },
        {
            "version": "6",
            "interface": 1,
            "address": "2001:db8::5/64",
            "gateway": "2001:db8::1"
        },
        {
            "version": "6",
            "interface": 1,
            "address": "2001:db8:1::5/64"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        },
        {
            "dst": "2001:db8:2::/48",
            "gw": "2001:db8::1",
            "mtu": 1400,
            "advmss": 1340,
            "priority": 5,
            "table": 100,
            "scope": 0
        },
        {
            "dst": "192.168.0.0/16",
            "gw": "10.1.0.9"
        }
    ],
    "dns": {
        "nameservers": [
            "10.1.0.1",
            "2001:db8::53"
        ],
        "domain": "example.org",
        "search": [
            "a.example.org",
            "b.example.org"
        ],
        "options": [
            "ndots:2"
        ]
    }
})";

constexpr const char* kFull02 = R"({
    "cniVersion": "0.2.0",
    "ip4": {
        "ip": "10.1.0.5/16",
        "gateway": "10.1.0.1",
        "routes": [
            {
                "dst": "0.0.0.0/0"
            },
            {
                "dst": "192.168.0.0/16",
                "gw": "10.1.0.9"
            }
        ]
    },
    "ip6": {
        "ip": "2001:db8::5/64",
        "gateway": "2001:db8::1",
        "routes": [
            {
                "dst": "2001:db8:2::/48",
                "gw": "2001:db8::1"
            }
        ]
    },
    "dns": {
        "nameservers": [
            "10.1.0.1",
            "2001:db8::53"
        ],
        "domain": "example.org",
        "search": [
            "a.example.org",
            "b.example.org"
        ],
        "options": [
            "ndots:2"
        ]
    }
})";

std::string with_version(const char* text, std::string_view version) {
  std::string out = text;
  const std::string key = "\"cniVersion\": \"";
  const std::size_t at = out.find(key) + key.size();
  return out.replace(at, out.find('"', at) - at, version);
}

Result parsed(const std::string& text, std::string_view default_version = "1.1.0") {
  const json document = json::parse(text);
  return read_result(Reader(document), default_version);
}

template <class Fn>
std::string failure(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.msg);
  }
  return "no error";
}

TEST_CASE("the newest result has every field and prints its keys sorted") {
  const Result result = parsed(kFull11);
  REQUIRE(result.interfaces.size() == 2);
  CHECK(result.interfaces[0].mtu == 1400);
  CHECK(result.interfaces[0].socket_path == "/run/socket");
  CHECK(result.interfaces[0].pci_id == "0000:00:1f.6");
  REQUIRE(result.ips.size() == 4);
  CHECK(result.ips[0].interface == 0);
  CHECK_FALSE(result.ips[1].interface);
  REQUIRE(result.routes.size() == 3);
  CHECK(result.routes[1].scope == 0);
  CHECK(result.routes[1].table == 100);
  CHECK_FALSE(result.routes[0].scope);
  CHECK(result_to_json(result, "1.1.0") == kFull11);
}

TEST_CASE("1.0.0 differs from 1.1.0 by its version only") {
  CHECK(result_to_json(parsed(kFull11), "1.0.0") == with_version(kFull11, "1.0.0"));
  CHECK(parsed(with_version(kFull11, "1.0.0")) == parsed(kFull11));
}

TEST_CASE(
    "0.3.0 and 0.3.1 and 0.4.0 have versioned addresses and short interfaces and an empty dns") {
  for (const char* version : {"0.3.0", "0.3.1", "0.4.0"}) {
    CHECK(result_to_json(parsed(kFull11), version) == with_version(kFull04, version));
  }
  CHECK(result_to_json(Result{}, "0.3.1") ==
        "{\n    \"cniVersion\": \"0.3.1\",\n    \"dns\": {}\n}");
}

TEST_CASE("0.1.0 and 0.2.0 have the first address of each family with the routes of the family") {
  for (const char* version : {"0.1.0", "0.2.0"}) {
    CHECK(result_to_json(parsed(kFull11), version) == with_version(kFull02, version));
  }
  CHECK(result_to_json(parsed(kFull11), "") == with_version(kFull02, "0.1.0"));
}

TEST_CASE("an old result has no place for routes of a family without address") {
  Result result;
  result.ips.push_back({std::nullopt, Prefix::parse("10.0.0.2/24").value(), std::nullopt});
  result.routes.emplace_back().destination = Prefix::parse("::/0").value();
  CHECK(result_to_json(result, "0.2.0") == R"({
    "cniVersion": "0.2.0",
    "ip4": {
        "ip": "10.0.0.2/24"
    },
    "dns": {}
})");
}

TEST_CASE("a result without addresses cannot be expressed in 0.1.0 and 0.2.0") {
  Result result;
  result.interfaces.emplace_back().name = "eth0";
  for (const char* version : {"", "0.1.0", "0.2.0"}) {
    CHECK(failure([&] { (void)result_to_json(result, version); }) ==
          "2 cannot convert: no valid IP addresses");
  }
}

TEST_CASE("an empty result of 1.x has nothing but its version") {
  CHECK(result_to_json(Result{}, "1.1.0") == "{\n    \"cniVersion\": \"1.1.0\"\n}");
  CHECK(result_to_json(Result{}, "1.0.0") == "{\n    \"cniVersion\": \"1.0.0\"\n}");
}

TEST_CASE("results of 0.3 and 0.4 are read whatever the version they become") {
  Result expected = parsed(kFull11);
  // What these versions cannot carry.
  expected.interfaces[0].mtu = 0;
  expected.interfaces[0].socket_path.clear();
  expected.interfaces[0].pci_id.clear();
  for (const char* version : {"0.3.0", "0.3.1", "0.4.0"}) {
    const Result result = parsed(with_version(kFull04, version));
    CHECK(result == expected);
    for (const char* target : {"0.3.0", "0.3.1", "0.4.0"}) {
      CHECK(result_to_json(result, target) == with_version(kFull04, target));
    }
    for (const char* target : {"0.1.0", "0.2.0"}) {
      CHECK(result_to_json(result, target) == with_version(kFull02, target));
    }
    const json current = json::parse(result_to_json(result, "1.1.0"));
    CHECK_FALSE(current.at("ips").at(0).contains("version"));
    CHECK(current.at("routes") == json::parse(kFull11).at("routes"));
  }
}

TEST_CASE("results of 0.1.0 and 0.2.0 become the newest with ip4 before ip6") {
  for (const char* version : {"0.1.0", "0.2.0"}) {
    const Result result = parsed(with_version(kFull02, version));
    REQUIRE(result.ips.size() == 2);
    CHECK(result.ips[0].address.to_string() == "10.1.0.5/16");
    CHECK(result.ips[1].address.to_string() == "2001:db8::5/64");
    CHECK_FALSE(result.ips[0].interface);
    REQUIRE(result.routes.size() == 3);
    CHECK(result.routes[1].destination.to_string() == "192.168.0.0/16");
    CHECK(result.routes[2].destination.to_string() == "2001:db8:2::/48");
    for (const char* target : {"0.1.0", "0.2.0"}) {
      CHECK(result_to_json(result, target) == with_version(kFull02, target));
    }
    const json versioned = json::parse(result_to_json(result, "0.4.0"));
    CHECK(versioned.at("ips").at(0) ==
          json({{"version", "4"}, {"address", "10.1.0.5/16"}, {"gateway", "10.1.0.1"}}));
    CHECK(versioned.at("ips").at(1).at("version") == "6");
    const json current = json::parse(result_to_json(result, "1.1.0"));
    CHECK(current.at("ips").at(0) == json({{"address", "10.1.0.5/16"}, {"gateway", "10.1.0.1"}}));
  }
}

TEST_CASE("a result without version has the default one") {
  const std::string bare =
      R"({"ips":[{"address":"10.0.0.2/24","version":"4"}],"ip4":{"ip":"10.0.0.3/24"}})";
  CHECK(parsed(bare, "1.0.0").ips.at(0).address.to_string() == "10.0.0.2/24");
  CHECK(parsed(bare, "0.4.0").ips.at(0).address.to_string() == "10.0.0.2/24");
  CHECK(parsed(bare, "").ips.at(0).address.to_string() == "10.0.0.3/24");
  CHECK(parsed(R"({"cniVersion":"","ip4":{"ip":"10.0.0.3/24"}})", "0.2.0").ips.size() == 1);
}

TEST_CASE("an unknown version is refused when reading and when printing") {
  CHECK(failure([] { (void)parsed(R"({"cniVersion":"9.0.0"})"); }) ==
        "1 unsupported CNI result version \"9.0.0\"");
  CHECK(failure([] { (void)parsed(R"({"cniVersion":"1.0"})"); }) ==
        "1 unsupported CNI result version \"1.0\"");
  CHECK(failure([] { (void)result_to_json(Result{}, "0.5.0"); }) ==
        "1 unsupported CNI result version \"0.5.0\"");
}

TEST_CASE("prevResult has to be of the family of the configuration") {
  const auto read = [](const std::string& text, std::string_view version) {
    const json document = json::parse(text);
    return read_prev_result(Reader(document), version);
  };
  CHECK(read(kFull11, "1.0.0") == parsed(kFull11));
  CHECK(read(kFull04, "0.3.0") == parsed(kFull04));
  CHECK(read(kFull02, "") == parsed(kFull02));
  CHECK(read(R"({"ips":[{"address":"10.0.0.2/24"}]})", "1.1.0").ips.size() == 1);
  CHECK(failure([&] { (void)read(kFull04, "1.1.0"); }) ==
        "6 could not parse prevResult: result type supports [1.0.0 1.1.0] but unmarshalled "
        "CNIVersion is \"0.4.0\"");
  CHECK(failure([&] { (void)read("{}", "7.0.0"); }) ==
        "1 could not parse prevResult: unsupported CNI result version \"7.0.0\"");
}

TEST_CASE("what is wrong in a result is named by its path") {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {R"({"ips":[{"address":"10.0.0.2"}]})",
       "6 ips[0].address: expected an address with prefix length (CIDR notation), got the string "
       "\"10.0.0.2\""},
      {R"({"ips":[{}]})", "7 ips[0].address: this key is required"},
      {R"({"ips":{}})", "6 ips: expected an array, got an object"},
      {R"({"ips":[{"address":"10.0.0.2/8","gateway":"x"}]})",
       "6 ips[0].gateway: expected an IP address, got the string \"x\""},
      {R"({"ips":[{"address":"10.0.0.2/8","interface":"0"}]})",
       "6 ips[0].interface: expected an integer from -2147483648 to 2147483647, got the string "
       "\"0\""},
      {R"({"interfaces":[{"name":5}]})",
       "6 interfaces[0].name: expected a string, got the number 5"},
      {R"({"interfaces":[{"mtu":-1}]})",
       "6 interfaces[0].mtu: expected an integer from 0 to 4294967295, got the number -1"},
      {R"({"routes":[{"gw":"10.0.0.1"}]})", "7 routes[0].dst: this key is required"},
      {R"({"routes":[{"dst":"10.0.0.0/8","table":"main"}]})",
       "6 routes[0].table: expected an integer from -2147483648 to 2147483647, got the string "
       "\"main\""},
      {R"({"dns":[]})", "6 dns: expected an object, got an array"},
      {R"({"cniVersion":"0.2.0","ip4":{"gateway":"10.0.0.1"}})", "7 ip4.ip: this key is required"},
      {R"({"cniVersion":1})", "6 cniVersion: expected a string, got the number 1"},
  };
  for (const auto& each : cases) {
    INFO(each.text);
    CHECK(failure([&] { (void)parsed(each.text); }) == each.message);
  }
}

TEST_CASE("keys of a result match without case and unknown ones pass") {
  const Result result = parsed(R"({"IPs":[{"Address":"10.0.0.2/24","more":1}],"more":{}})");
  CHECK(result.ips.at(0).address.to_string() == "10.0.0.2/24");
}

TEST_CASE("texts that are not UTF-8 are printed all the same") {
  Result result;
  result.interfaces.emplace_back().name = "eth\xff";
  CHECK(result_to_json(result, "1.1.0").find("eth\xef\xbf\xbd") != std::string::npos);
}

}  // namespace
}  // namespace cni
