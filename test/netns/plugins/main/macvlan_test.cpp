#include "test/netns/plugins/main/master_node.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

class MacvlanNode : public MasterNode {
 public:
  MacvlanNode() : MasterNode("macvlan") {}
};

json layer3(const json& more = json::object()) {
  json config = {{"type", "macvlan"},
                 {"master", "master0"},
                 {"ipam", {{"type", "host-local"}, {"subnet", "10.24.0.0/16"}}}};
  config.update(more);
  return config;
}

}  // namespace

TEST_CASE("macvlan connects a container at every version and leaves nothing after DEL",
          "[netns][kind:macvlan]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  MacvlanNode node;
  check_add_and_del(node, layer3({{"cniVersion", version}}), "10.24.0.2/16");
}

TEST_CASE("macvlan sets each of its options", "[netns][kind:macvlan]") {
  MacvlanNode node;
  const auto made = [&](const json& more) {
    const json config = layer3(more);
    const json result = node.add(config);
    json link = find_link_json("c1", "eth0").value();
    CHECK(result.at("interfaces")[0].at("mac") == link.at("address"));
    node.check(config, result);
    node.del(config);
    return link;
  };
  const auto data = [&](const json& more) { return made(more).at("linkinfo").at("info_data"); };
  CHECK(data(json::object()).at("mode") == "bridge");
  for (const std::string mode : {"bridge", "private", "vepa", "passthru"}) {
    CHECK(data({{"mode", mode}}).at("mode") == mode);
  }
  CHECK(made({{"mtu", 1400}}).at("mtu") == 1400);
  CHECK(made({{"mac", "02:00:00:00:00:07"}}).at("address") == "02:00:00:00:00:07");
  CHECK(data({{"bcqueuelen", 2000}}).at("bcqueuelen") == 2000);
}

TEST_CASE("macvlan takes the link of the default route without a master", "[netns][kind:macvlan]") {
  MacvlanNode node;
  const json config = {{"type", "macvlan"}};
  check_error(node.run("ADD", config), 7, "no default route interface found");
  (void)ip({"address", "add", "192.0.2.1/24", "dev", "master0"});
  (void)ip({"route", "add", "default", "via", "192.0.2.254"});
  const json result = node.add(config);
  node.check(config, result);
}

TEST_CASE("macvlan finds its master in the container if asked to", "[netns][kind:macvlan]") {
  MacvlanNode node;
  check_master_in_container(node, layer3());
}

TEST_CASE("macvlan refuses an MTU above its master's", "[netns][kind:macvlan]") {
  MacvlanNode node;
  check_mtu_of_master(node, layer3());
}

TEST_CASE("macvlan says which bridge holds a busy master", "[netns][kind:macvlan]") {
  MacvlanNode node;
  (void)ip({"link", "add", "holder0", "type", "bridge"});
  (void)ip({"link", "set", "master0", "master", "holder0"});
  const PluginRun run = node.run("ADD", layer3());
  INFO(run.describe());
  CHECK(run.code() == 102);
  CHECK(run.msg().find("device or resource busy") != std::string::npos);
  CHECK(run.details().find("master0 is a port of bridge holder0") != std::string::npos);
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("macvlan works with a host that has an interface of that name", "[netns][kind:macvlan]") {
  MacvlanNode node;
  check_same_name_on_host(node, layer3());
}

TEST_CASE("macvlan does not wait for an IPv6 address on a link without carrier",
          "[netns][kind:macvlan]") {
  MacvlanNode node;
  (void)ip({"-n", "wire", "link", "set", "far", "down"});
  json config = layer3();
  config["ipam"] = {{"type", "host-local"}, {"subnet", "fd00:24::/64"}};
  const auto start = std::chrono::steady_clock::now();
  (void)node.add(config);
  // Detection would have gone on until its deadline of five seconds.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
}

TEST_CASE("macvlan waits until its IPv6 address can be used", "[netns][kind:macvlan]") {
  MacvlanNode node;
  json config = layer3();
  config["ipam"] = {{"type", "host-local"}, {"subnet", "fd00:24::/64"}};
  (void)node.add(config);
  const json addresses =
      ip({"-n", "c1", "-j", "-6", "address", "show", "dev", "eth0", "scope", "global"});
  REQUIRE(addresses.size() == 1);
  CHECK_FALSE(addresses[0].at("addr_info")[0].contains("tentative"));
}

TEST_CASE("macvlan reports an IPv6 address that another host has and leaves nothing",
          "[netns][kind:macvlan]") {
  MacvlanNode node;
  (void)ip({"-n", "wire", "address", "add", "fd00:24::2/64", "dev", "far", "nodad"});
  json config = layer3();
  config["ipam"] = {{"type", "host-local"}, {"subnet", "fd00:24::/64"}};
  const Snapshot before = take({"c1"});
  check_error(node.run("ADD", config), 106, "address fd00:24::2 is in use by another host");
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
}

TEST_CASE("macvlan reaches the other hosts on its wire", "[netns][kind:macvlan]") {
  MacvlanNode node;
  (void)ip({"-n", "wire", "address", "add", "10.24.9.9/16", "dev", "far"});
  (void)node.add(layer3());
  CHECK(pings("c1", "10.24.9.9"));
  const auto container = cni::ns::Netns::open("/run/netns/c1");
  const auto wire = cni::ns::Netns::open("/run/netns/wire");
  CHECK(tcp_client_seen(container, wire, "10.24.9.9") == "10.24.0.2");
}

TEST_CASE("macvlan keeps the DNS settings of its ipam plugin unless it has its own",
          "[netns][kind:macvlan]") {
  MacvlanNode node;
  check_ipam_dns(node, layer3());
}

TEST_CASE("macvlan forwards GC to its ipam plugin", "[netns][kind:macvlan]") {
  MacvlanNode node;
  check_gc_reaches_ipam(node, layer3());
}
