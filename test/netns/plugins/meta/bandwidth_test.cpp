// What bandwidth makes in the kernel, and takes away again.
#include "test/netns/plugins/meta/bandwidth_node.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;
using Names = std::vector<std::string>;

namespace {

std::string ifb_of(const json& result) { return result.at("interfaces").back().at("name"); }

json both_ways() {
  return {{"ingressRate", 8 * kMbit},
          {"ingressBurst", 800000},
          {"egressRate", 16 * kMbit},
          {"egressBurst", 1600000}};
}

json options(std::uint64_t rate, std::uint64_t burst, int latency) {
  return {{"rate", rate}, {"burst", burst}, {"lat", latency}};
}

void check_says(const PluginRun& run, const std::string& start) {
  INFO(run.describe());
  check_error(run, 105, start);
}

}  // namespace

TEST_CASE("bandwidth limits both ends of a veth pair at every version", "[netns][kind:ifb]") {
  const std::string version = GENERATE("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  BandwidthNode node;
  json config = node.config(both_ways());
  config["cniVersion"] = version;
  config["prevResult"]["cniVersion"] = version;
  if (version < "1.0.0") config["prevResult"]["ips"][0]["version"] = "4";
  const Snapshot before = take({"c1"});
  const json result = node.add(config);
  CHECK(root_queue("", "way1").at("options") == options(1000000, 100000, 25000));
  REQUIRE(result.at("interfaces").size() == 3);
  const std::string ifb = ifb_of(result);
  CHECK(root_queue("", ifb).at("options") == options(2000000, 200000, 25000));
  CHECK(has_ingress("", "way1"));
  const json link = find_link_json("", ifb).value();
  CHECK(link.at("address") == result.at("interfaces")[2].at("mac"));
  CHECK(link.at("ifalias") == "cni:testnet:c1:eth0");
  CHECK_FALSE(result.at("interfaces")[2].contains("sandbox"));
  const json checked = node.with_result(config, result);
  if (version >= "0.4.0") CHECK(node.run("CHECK", checked).ok());
  node.del(checked);
  CHECK(diff(before, take({"c1"})) == "");
  node.del(checked);
}

TEST_CASE("bandwidth limits one way only if asked to", "[netns][kind:ifb]") {
  BandwidthNode node;
  const json ingress = node.config({{"ingressRate", 8 * kMbit}});
  const json result = node.add(ingress);
  CHECK(result.at("interfaces").size() == 2);
  CHECK(root_queue("", "way1").at("kind") == "tbf");
  CHECK_FALSE(has_ingress("", "way1"));
  CHECK(ifb_names().empty());
  node.check(ingress, nullptr);
  node.del(ingress);

  const json egress =
      node.config({{"runtimeConfig", {{"bandwidth", {{"egressRate", 8 * kMbit}}}}}});
  CHECK(node.add(egress).at("interfaces").size() == 3);
  CHECK(root_queue("", "way1").is_null());
  CHECK(has_ingress("", "way1"));
  CHECK(ifb_names().size() == 1);
  node.check(egress, nullptr);
  node.del(egress);
  CHECK(ifb_names().empty());
}

TEST_CASE("bandwidth without a burst takes one from the rate", "[netns][kind:ifb]") {
  BandwidthNode node;
  (void)node.add(node.config({{"ingressRate", 16 * kMbit}}));
  CHECK(root_queue("", "way1").at("options") == options(2000000, 80000, 25000));
}

TEST_CASE("bandwidth warns of a burst that would be no limit", "[netns][kind:ifb]") {
  BandwidthNode node;
  const json config = node.config({{"ingressRate", 10 * kMbit}, {"ingressBurst", 2147483647}});
  const PluginRun run = node.run("ADD", config);
  INFO(run.describe());
  REQUIRE(run.ok());
  CHECK(run.err.find("bandwidth: ingressBurst: a burst of 268435455 bytes is more than") == 0);
  CHECK(root_queue("", "way1").at("options") == options(1250000, 50000, 25000));
  node.check(config, nullptr);
}

TEST_CASE("bandwidth keeps to a latency", "[netns][kind:ifb]") {
  BandwidthNode node;
  const json config = node.config({{"ingressRate", 8 * kMbit}, {"latency", 4}});
  (void)node.add(config);
  CHECK(root_queue("", "way1").at("options") == options(1000000, 40000, 4000));
  node.check(config, nullptr);
  check_says(node.run("CHECK", node.config({{"ingressRate", 8 * kMbit}})), "Limit doesn't match");
}

TEST_CASE("bandwidth takes rates beyond 32 bits", "[netns][kind:ifb]") {
  BandwidthNode node;
  const json config = node.config({{"ingressRate", 80'000 * kMbit}});
  (void)node.add(config);
  CHECK(root_queue("", "way1").at("options").at("rate") == 10'000'000'000);
  node.check(config, nullptr);
}

TEST_CASE("CHECK of bandwidth names what is missing or different", "[netns][kind:ifb]") {
  BandwidthNode node;
  json config = node.config(both_ways());
  const json result = node.add(config);
  config = node.with_result(config, result);
  const std::string ifb = ifb_of(result);
  const auto changed = [&](const char* key, const json& value) {
    json other = config;
    other[key] = value;
    return node.run("CHECK", other);
  };
  check_says(changed("ingressRate", 9 * kMbit),
             "Rate doesn't match: it is 1000000 and not 1125000");
  check_says(changed("ingressBurst", 900000), "Limit doesn't match");
  check_says(changed("egressRate", 9 * kMbit), "Rate doesn't match");
  check_says(changed("qdisc", "htb"), "Failed to find qdisc: way1 has no htb");

  (void)ip({"link", "set", ifb, "down"});
  check_says(node.run("CHECK", config), "the ifb device " + ifb + " is down");
  (void)ip({"link", "set", ifb, "up"});
  (void)tc({"qdisc", "del", "dev", "way1", "ingress"});
  check_says(node.run("CHECK", config), "nothing redirects what way1 receives to " + ifb);
  (void)tc({"qdisc", "del", "dev", "way1", "root"});
  check_says(node.run("CHECK", config), "Failed to find qdisc: way1 has no tbf");
  node.del(config);
  config.erase("ingressRate");
  config.erase("ingressBurst");
  check_says(node.run("CHECK", config), "the ifb device that limits what way1 receives is missing");
  (void)node.add(config);
  (void)tc({"qdisc", "replace", "dev", ifb, "root", "handle", "1:", "tbf", "rate", "16mbit",
            "burst", "100000", "latency", "25ms"});
  check_says(node.run("CHECK", config), "Limit doesn't match");
}

TEST_CASE("bandwidth tells the networks apart that are not limited", "[netns][kind:ifb]") {
  BandwidthNode node;
  const bool is_excluded = GENERATE(true, false);
  json config = node.config({{"ingressRate", 8 * kMbit}, {"egressRate", 8 * kMbit}});
  config[is_excluded ? "unshapedSubnets" : "shapedSubnets"] = {"10.0.0.0/8", "fd00:1:2:3::/64",
                                                               "192.0.2.77/25", "::/0"};
  const json result = node.add(config);
  const std::string flow = is_excluded ? "1:" : "1:30";
  const auto filters = [](const std::string& link) {
    std::string out;
    for (const json& filter : tc({"-j", "filter", "show", "dev", link})) {
      if (filter.contains("options") && filter["options"].contains("match")) {
        const json& match = filter["options"]["match"];
        out += filter["protocol"].get<std::string>() + " " + match.value("value", "") + "/" +
               match.value("mask", "") + "@" + std::to_string(match.value("off", 0)) + " to " +
               filter["options"].value("flowid", "") + "\n";
      }
    }
    return out;
  };
  CHECK(filters("way1").find("ip a000000/ff000000@12 to " + flow) == 0);
  CHECK(filters(ifb_of(result)).find("ip a000000/ff000000@16 to " + flow) == 0);
  CHECK(root_queue("", "way1").at("options").at("default") == (is_excluded ? "0x30" : "0"));
  node.check(config, nullptr);
  (void)tc({"filter", "del", "dev", "way1", "parent", "1:", "protocol", "ipv6", "prio", "2"});
  check_says(node.run("CHECK", config), "the filter for fd00:1:2:3::/64 is missing on way1");
  node.del(config);
  CHECK(root_queue("", "way1").is_null());
}

TEST_CASE("bandwidth refuses a link that is somebody else's and leaves it as it was",
          "[netns][kind:ifb]") {
  BandwidthNode node;
  const bool is_root = GENERATE(true, false);
  if (is_root) {
    (void)tc({"qdisc", "add", "dev", "way1", "root", "handle", "7:", "pfifo", "limit", "9"});
  } else {
    (void)tc({"qdisc", "add", "dev", "way1", "clsact"});
  }
  const Snapshot before = take({"c1"});
  const PluginRun run = node.run("ADD", node.config(both_ways()));
  INFO(run.describe());
  check_error(run, 106, "add qdisc ");
  CHECK(run.details().find("way1 has a queueing discipline already") != std::string::npos);
  CHECK(diff(before, take({"c1"})) == "");
  node.del(node.config(both_ways()));
  CHECK(diff(before, take({"c1"})) == "");
}

TEST_CASE("DEL of bandwidth ends the limits without prevResult and without the namespace's path",
          "[netns][kind:ifb]") {
  BandwidthNode node;
  const json config = node.config(both_ways());
  const Snapshot before = take({"c1"});
  const json result = node.add(config);
  json bare = config;
  const bool has_result = GENERATE(true, false);
  if (has_result) {
    bare["prevResult"] = result;
  } else {
    bare.erase("prevResult");
  }
  Call call;
  call.command = "DEL";
  call.container_id = "c1";
  call.netns = has_result ? "" : "/run/netns/c1";
  bare.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}});
  call.input = bare.dump();
  for (int round = 0; round < 2; ++round) {
    const PluginRun run = call_in_process(plugin_named("bandwidth"), call);
    INFO(run.describe());
    CHECK(run.ok());
    CHECK(diff(before, take({"c1"})) == "");
  }
}

TEST_CASE("two interfaces of a container in a network each have their limits",
          "[netns][kind:ifb]") {
  BandwidthNode node;
  node.connect("c1", "way2", "eth1", 1);
  const json first = node.config(both_ways());
  json second = node.config({{"egressRate", 24 * kMbit}});
  second["prevResult"] = node.chain_result("c1", "way2", "eth1");
  Call on_eth1;
  on_eth1.ifname = "eth1";
  const json first_result = node.add(first);
  const json second_result = node.add(second, "c1", on_eth1);
  CHECK(ifb_of(first_result) != ifb_of(second_result));
  CHECK(ifb_names().size() == 2);
  node.check(first, first_result);
  const auto on_second = [&](const char* command) {
    return node.run(command, second, "c1", second_result, on_eth1);
  };
  CHECK(on_second("CHECK").ok());
  const bool is_first_to_go = GENERATE(true, false);
  if (is_first_to_go) {
    node.del(first);
    CHECK(ifb_names() == Names{ifb_of(second_result)});
    CHECK(on_second("CHECK").ok());
  } else {
    CHECK(on_second("DEL").ok());
    CHECK(ifb_names() == Names{ifb_of(first_result)});
    node.check(first, first_result);
  }
}

TEST_CASE("GC of bandwidth removes the devices of attachments that are gone", "[netns][kind:ifb]") {
  BandwidthNode node;
  node.connect("c2", "way2", "eth0", 1);
  json other = node.config(both_ways());
  other["prevResult"] = node.chain_result("c2", "way2");
  const std::string stale = ifb_of(node.add(node.config(both_ways())));
  const std::string valid = ifb_of(node.add(other, "c2"));
  // Another network's, and one of the reference's, which says nothing of its network.
  json elsewhere = other;
  elsewhere["name"] = "othernet";
  node.connect("c3", "way3", "eth0", 2);
  elsewhere["prevResult"] = node.chain_result("c3", "way3");
  const std::string of_other_network = ifb_of(node.add(elsewhere, "c3"));
  (void)ip({"link", "add", "bwp0123456789ab", "up", "type", "ifb"});

  json gc = {
      {"type", "bandwidth"},
      {"cni.dev/valid-attachments", json::array({{{"containerID", "c2"}, {"ifname", "eth0"}}})}};
  const PluginRun run = node.run("GC", gc);
  INFO(run.describe());
  REQUIRE(run.ok());
  Names left = ifb_names();
  std::sort(left.begin(), left.end());
  Names wanted = {valid, of_other_network, "bwp0123456789ab"};
  std::sort(wanted.begin(), wanted.end());
  CHECK(left == wanted);
  CHECK(std::find(left.begin(), left.end(), stale) == left.end());
}

TEST_CASE("STATUS of bandwidth is content where ADD works and touches nothing",
          "[netns][kind:ifb]") {
  BandwidthNode node;
  const Snapshot before = take({"c1"});
  for (const json& more : {json::object(), json({{"qdisc", "htb"}}), both_ways()}) {
    json config = more;
    config["type"] = "bandwidth";
    const PluginRun run = node.run("STATUS", config);
    INFO(run.describe());
    CHECK(run.ok());
  }
  CHECK(diff(before, take({"c1"})) == "");
}

TEST_CASE("bandwidth says that the interface of the container is missing", "[netns][kind:ifb]") {
  BandwidthNode node;
  (void)ip({"-n", "c1", "link", "set", "eth0", "down", "name", "net0"});
  check_error(node.run("ADD", node.config(both_ways())), 7,
              "the container has no interface \"eth0\"");
}
