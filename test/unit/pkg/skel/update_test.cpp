#include "pkg/skel/update.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "test/support/catch.hpp"

namespace cni::skel {
namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

struct Keys {
  std::uint32_t rate = 0;
  std::string policy;
};

constexpr auto kRuntimeRows = schema::keys<Keys>(schema::key<&Keys::rate>("rate", "The rate."));
constexpr auto kRuntimeTable = schema::open(schema::Table<Keys>(kRuntimeRows));
constexpr auto kRows =
    schema::keys<Keys>(schema::key<&Keys::policy>("policy", "The policy."),
                       schema::nested("runtimeConfig", "By the runtime.", kRuntimeTable));
constexpr schema::Table<Keys> kTable(kRows);
constexpr schema::Description kDescription{.about = "A test.", .keys = &kTable};
constexpr schema::Description kWithManager{
    .about = "A test.", .keys = &kTable, .ipam = schema::IpamUse::kOptional};

Texts described(const char* was, const char* now,
                const schema::Description* description = &kDescription) {
  Texts out;
  for (const Change& each : changes_between(json::parse(was), json::parse(now), description)) {
    out.push_back(each.describe());
  }
  return out;
}

TEST_CASE("configurations that say the same have no changes") {
  CHECK(described(R"({"policy":"a"})", R"({"Policy":"a"})").empty());
  CHECK(described(R"({"policy":null})", R"({})").empty());
  CHECK(described(R"({"runtimeConfig":{}})", R"({})").empty());
  CHECK(described(R"({"prevResult":{"a":1},"capabilities":{"x":true}})", R"({})").empty());
  CHECK(
      described(R"({"cni.dev/update":{"previous":{}}})", R"({"note":"not a key of it"})").empty());
  CHECK(described(R"({"runtimeConfig":{"mac":"x"}})", R"({"runtimeConfig":{"mac":"y"}})").empty());
}

TEST_CASE("changes name the key with its path and both values") {
  CHECK(described(R"({"policy":"a"})", R"({"policy":"b"})") == Texts{R"(policy: "a" to "b")"});
  CHECK(described(R"({})", R"({"runtimeConfig":{"rate":8}})") ==
        Texts{"runtimeConfig.rate: nothing to 8"});
  CHECK(described(R"({"runtimeConfig":{"rate":8}})", R"({"runtimeConfig":{"rate":[1,2]}})") ==
        Texts{"runtimeConfig.rate: 8 to [1,2]"});
  CHECK(described(R"({"args":{"cni":{"mac":"a"}}})", R"({})") ==
        Texts{R"(args.cni.mac: "a" to nothing)"});
  CHECK(described(R"({"ipam":{"type":"static"}})", R"({"ipam":"x"})") ==
        Texts{R"(ipam: {"type":"static"} to "x")"});
}

TEST_CASE("what an undescribed plugin or an address manager may read counts") {
  CHECK(described(R"({"note":1})", R"({"note":2})", nullptr) == Texts{"note: 1 to 2"});
  CHECK(described(R"({"runtimeConfig":{"ips":["a"]}})", R"({"runtimeConfig":{"ips":["b"]}})",
                  &kWithManager) == Texts{R"(runtimeConfig.ips: ["a"] to ["b"])"});
}

TEST_CASE("a change is refused unless it is below a key that can change") {
  constexpr std::array<std::string_view, 2> kLive = {"runtimeConfig.bandwidth", "rate"};
  const auto refusal = [&](const char* key, std::span<const std::string_view> keys) {
    const std::array<Change, 1> changes = {{{key, "1", "2"}}};
    try {
      require_live("shaper", changes, keys);
      return std::string();
    } catch (const Error& error) {
      CHECK(error.code == Code::kCannotUpdate);
      return std::string(error.what());
    }
  };
  CHECK(refusal("runtimeconfig.bandwidth.ingressRate", kLive).empty());
  CHECK(refusal("rate", kLive).empty());
  CHECK(refusal("Rate", kLive).empty());
  CHECK(refusal("rates", kLive) ==
        "plugin shaper cannot change rates: 1 to 2 of a running attachment; it can change "
        "runtimeConfig.bandwidth, rate; delete and add the attachment for anything else");
  CHECK(refusal("runtimeConfig", kLive) != "");
  CHECK(refusal("rate", {}).find("it can change nothing") != std::string::npos);
}

TEST_CASE("the answer to UPDATE is read as it was written") {
  const std::vector<Change> changes = {{"rate", "", "8"}, {"a.\"b\"", R"("x")", R"({"y":[1]})"}};
  Result result;
  result.ips.push_back({.address = *Prefix::parse("10.0.0.2/24")});
  const Updated with = update_from_json(update_to_json(changes, &result, "1.1.0"));
  REQUIRE(with.changes.size() == 2);
  CHECK(with.changes[0].from.empty());
  CHECK(with.changes[0].to == "8");
  CHECK(with.changes[1].key == "a.\"b\"");
  CHECK(with.changes[1].from == R"("x")");
  CHECK(with.changes[1].to == R"({"y":[1]})");
  REQUIRE(with.result);
  CHECK(with.result->at("ips").at(0).at("address") == "10.0.0.2/24");
  CHECK_FALSE(update_from_json(update_to_json({}, nullptr, "1.1.0")).result);
  CHECK_THROWS_AS(update_from_json(R"({"cniVersion":"1.1.0"})"), Error);
}

TEST_CASE("routes take the place of those that the configuration had") {
  const auto route = [](const char* to, const char* via = nullptr) {
    Route out{.destination = *Prefix::parse(to)};
    if (via != nullptr) out.gateway = Ip::parse(via);
    return out;
  };
  Result result;
  result.routes = {route("0.0.0.0/0", "10.0.0.1"), route("10.1.0.0/16"), route("10.2.0.0/16")};
  Route with_metric = route("10.1.0.0/16");
  with_metric.priority = 7;
  const Result out =
      with_routes(result, {with_metric, route("10.9.0.0/16")}, {route("10.3.0.0/16")});
  REQUIRE(out.routes.size() == 3);
  CHECK(out.routes[0] == route("0.0.0.0/0", "10.0.0.1"));
  CHECK(out.routes[1] == route("10.2.0.0/16"));
  CHECK(out.routes[2] == route("10.3.0.0/16"));
}

}  // namespace
}  // namespace cni::skel
