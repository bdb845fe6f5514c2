#include "pkg/types/json.hpp"

#include <array>

#include "test/support/json.hpp"

namespace cni {
namespace {

using nlohmann::json;

// What an error says, with its code in front.
template <class Fn>
std::string failure(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.msg);
  }
  return "no error";
}

template <class T>
T read(const json& document, const char* key, T value = {}) {
  Reader(document).optional(key, value);
  return value;
}

TEST_CASE("a document that is not JSON gives a decoding failure that starts with what was read") {
  for (const char* text :
       {"", " ", "{", "{\"a\":}", "{\"a\":1}x", "{\"a\":1}{}", "nul", "{'a':1}", "{\"a\":1,}",
        "\"open", "[1,2", "{\"a\":01}", "{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}"}) {
    INFO(text);
    const std::string said = failure([&] { (void)parse_json(text, "stdin"); });
    CHECK(said.rfind("6 stdin: ", 0) == 0);
    CHECK(said.find("json.exception") == std::string::npos);
  }
}

TEST_CASE("a NUL character does not end a document early") {
  const std::string text("{}\0{", 4);
  CHECK(failure([&] { (void)parse_json(text, "stdin"); }) ==
        "6 stdin: the document contains a NUL character");
}

TEST_CASE("nesting is bounded before it can exhaust the stack") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK_NOTHROW(parse_json(nested(512), "stdin"));
  CHECK(failure([&] { (void)parse_json(nested(513), "stdin"); }) ==
        "6 stdin: the document nests deeper than 512 levels");
  CHECK(failure([&] { (void)parse_json(std::string(1000000, '{'), "stdin"); }) ==
        "6 stdin: the document nests deeper than 512 levels");
  // Brackets in texts are no nesting.
  CHECK_NOTHROW(parse_json("\"" + std::string(600, '[') + "\\\"[\"", "stdin"));
}

TEST_CASE("keys match without case but an exact match is preferred") {
  const json document = json::parse(R"({"BandWidth": 1, "MTU": 2, "mtu": 3})");
  CHECK(read(document, "bandwidth", 0) == 1);
  CHECK(read(document, "mtu", 0) == 3);
  CHECK(read(document, "MTU", 0) == 2);
  CHECK(read(document, "absent", 9) == 9);
}

TEST_CASE("the last of equal keys counts") {
  CHECK(read(*parse_json(R"({"mtu":1,"mtu":2})", "stdin"), "mtu", 0) == 2);
}

TEST_CASE("null leaves a value at its default") {
  const json document = json::parse(R"({"mtu": null, "name": null, "list": null, "object": null})");
  CHECK(read(document, "mtu", 7) == 7);
  CHECK(read<std::string>(document, "name", "default") == "default");
  const Reader in(document);
  CHECK_FALSE(in.has("mtu"));
  CHECK_FALSE(in.object("object"));
  CHECK(in.array("list").empty());
}

TEST_CASE("every scalar type is read") {
  const json document = json::parse(
      R"({"b": true, "i": -5, "u": 4294967295, "v": 18446744073709551615, "s": "text", "l": ["a", "b"], "m": {"x": true, "y": false}})");
  CHECK(read(document, "b", false));
  CHECK(read(document, "i", 0) == -5);
  CHECK(read<std::uint32_t>(document, "u") == 4294967295U);
  CHECK(read<std::uint64_t>(document, "v") == 18446744073709551615ULL);
  CHECK(read<std::string>(document, "s") == "text");
  CHECK(read<std::vector<std::string>>(document, "l") == std::vector<std::string>{"a", "b"});
  CHECK(read<std::map<std::string, bool>>(document, "m") ==
        std::map<std::string, bool>{{"x", true}, {"y", false}});
}

TEST_CASE("a wrong type is a decoding failure with path and value") {
  const auto said = [](const char* text, auto value) {
    const json document = json::parse(text);
    return failure([&] { Reader(document, "ipam").optional("key", value); });
  };
  CHECK(said(R"({"key": "1500"})", 0) ==
        "6 ipam.key: expected an integer from -2147483648 to 2147483647, got the string \"1500\"");
  CHECK(said(R"({"key": 1.5})", 0) ==
        "6 ipam.key: expected an integer from -2147483648 to 2147483647, got the number 1.5");
  CHECK(
      said(R"({"key": 2147483648})", 0) ==
      "6 ipam.key: expected an integer from -2147483648 to 2147483647, got the number 2147483648");
  CHECK(said(R"({"key": -1})", std::uint32_t{}) ==
        "6 ipam.key: expected an integer from 0 to 4294967295, got the number -1");
  CHECK(said(R"({"key": 18446744073709551616})", std::uint64_t{})
            .rfind("6 ipam.key: expected an integer", 0) == 0);
  CHECK(said(R"({"key": "true"})", false) ==
        "6 ipam.key: expected true or false, got the string \"true\"");
  CHECK(said(R"({"key": 1})", false) == "6 ipam.key: expected true or false, got the number 1");
  CHECK(said(R"({"key": {}})", std::string()) == "6 ipam.key: expected a string, got an object");
  CHECK(said(R"({"key": []})", std::string()) == "6 ipam.key: expected a string, got an array");
  CHECK(said(R"({"key": "a"})", std::vector<std::string>()) ==
        "6 ipam.key: expected an array, got the string \"a\"");
  CHECK(said(R"({"key": ["a", 1]})", std::vector<std::string>()) ==
        "6 ipam.key[1]: expected a string, got the number 1");
  CHECK(said(R"({"key": {"x": 1}})", std::map<std::string, bool>()) ==
        "6 ipam.key.x: expected true or false, got the number 1");
}

TEST_CASE("a failure of a whole document has a name too") {
  const json document = json::parse("[]");
  CHECK(failure([&] { (void)Reader(document).has("x"); }) ==
        "6 the document: expected an object, got an array");
}

TEST_CASE("a long value is cut in a message") {
  const json document = {{"key", std::string(1000, 'x')}};
  int value = 0;
  const std::string said = failure([&] { Reader(document).optional("key", value); });
  CHECK(said.size() < 250);
  CHECK(said.find("xxx...") != std::string::npos);
}

TEST_CASE("paths lead through objects and arrays") {
  const json document = json::parse(R"({"ranges": [[{"subnet": "x"}], []]})");
  const auto sets = Reader(document, "ipam").array("ranges");
  REQUIRE(sets.size() == 2);
  CHECK(sets[1].path() == "ipam.ranges[1]");
  CHECK(sets[1].elements().empty());
  const Reader range = sets[0].elements().at(0);
  CHECK(range.path() == "ipam.ranges[0][0]");
  CHECK(range.path_of("subnet") == "ipam.ranges[0][0].subnet");
  Prefix subnet;
  CHECK(failure([&] { range.optional("subnet", subnet); }) ==
        "6 ipam.ranges[0][0].subnet: expected an address with prefix length (CIDR notation), got "
        "the string \"x\"");
}

TEST_CASE("address texts are read and an empty text counts as absent") {
  const json document = json::parse(
      R"({"ip": "10.0.0.1", "prefix": "10.0.0.1/8", "mac": "02:00:00:00:00:01", "none": ""})");
  const Reader in(document);
  Ip ip;
  Prefix prefix;
  Mac mac;
  CHECK(in.optional("ip", ip));
  CHECK(in.optional("prefix", prefix));
  CHECK(in.optional("mac", mac));
  CHECK(ip.to_string() == "10.0.0.1");
  CHECK(prefix.to_string() == "10.0.0.1/8");
  CHECK(mac.to_string() == "02:00:00:00:00:01");
  std::optional<Ip> gateway;
  CHECK_FALSE(in.optional("none", gateway));
  CHECK_FALSE(gateway);
  CHECK(in.optional("ip", gateway));
  CHECK(gateway == ip);
  CHECK(failure([&] { in.optional("prefix", ip); }) ==
        "6 prefix: expected an IP address, got the string \"10.0.0.1/8\"");
  CHECK(failure([&] { in.optional("ip", mac); }) ==
        "6 ip: expected a MAC address, got the string \"10.0.0.1\"");
}

TEST_CASE("a required key that is missing is an invalid configuration with its path") {
  const json document = json::object();
  std::string value;
  CHECK(failure([&] { Reader(document, "a[3]").required("dst", value); }) ==
        "7 a[3].dst: this key is required");
  CHECK(failure([&] { throw Reader(document).invalid("mtu", "is too large"); }) ==
        "7 mtu: is too large");
}

TEST_CASE("a choice accepts its texts only and names them") {
  enum class Mode { kBridge, kVepa };
  static constexpr Choice<Mode> kModes[] = {{"bridge", Mode::kBridge}, {"vepa", Mode::kVepa}};
  const std::span<const Choice<Mode>> table(kModes);
  Mode mode = Mode::kBridge;
  const auto choose = [&](const json& document) {
    return Reader(document).choice("mode", mode, table, "macvlan mode");
  };
  CHECK(choose({{"mode", "vepa"}}));
  CHECK(mode == Mode::kVepa);
  CHECK_FALSE(choose({{"mode", ""}}));
  CHECK_FALSE(choose(json::object()));
  CHECK(mode == Mode::kVepa);
  CHECK(failure([&] {
          choose({{"mode", "BRIDGE"}});
        }) == "7 unknown macvlan mode: \"BRIDGE\" (mode; known: bridge, vepa)");
}

TEST_CASE("objects and arrays of the wrong type are refused") {
  const json document = json::parse(R"({"o": [], "a": {}})");
  const Reader in(document);
  CHECK(failure([&] { (void)in.object("o"); }) == "6 o: expected an object, got an array");
  CHECK(failure([&] { (void)in.array("a"); }) == "6 a: expected an array, got an object");
  CHECK(in.keys() == std::vector<std::string>{"a", "o"});
}

TEST_CASE("a key that stands twice is found where it counts") {
  constexpr std::array<std::string_view, 2> kPath = {"a", "b"};
  const auto found = [&](std::string_view text) {
    return find_duplicate_key(text, kPath).value_or("none");
  };
  CHECK(found(R"({"a": {"b": {"x": 1, "y": 2, "x": 1}}})") == "x");
  CHECK(found(R"({"A": {"B": {"x": 1, "x": 1}}})") == "x");
  CHECK(found(R"({"a": {"b": {"x": 1}, "b": {"y": 1}}})") == "b");
  CHECK(found(R"({"a": {"b": {}}, "a": {"B": {}}})") == "B");
  // Keys differ by case, and an escape is but a spelling.
  CHECK(found(R"({"a": {"b": {"x": 1, "X": 1}}})") == "none");
  CHECK(found(R"({"a": {"b": {"x": 1, "\u0078": 1}}})") == "x");
  for (const char* text :
       {R"({"a": {"b": {"x": 1, "y": {"x": 1}}}, "b": {"z": 1, "z": 1}})",
        R"({"a": {"b": {"x": 1}, "c": {"x": 1, "x": 1}}, "c": {"b": {"x": 1}}})",
        R"({"a": {"b": [{"x": 1}, {"x": 1}]}})", R"([{"a": {"b": {"x": 1}}}, {"x": 1}])",
        R"({"a": [{"b": {"x": 1}}, {"b": {"x": 1}}]})", "{}", "[]", "7", "{"}) {
    INFO(text);
    CHECK(found(text) == "none");
  }
}

}  // namespace
}  // namespace cni
