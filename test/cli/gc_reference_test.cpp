// GC over what the reference plugins added: the valid attachment stays whole, the stale one's
// addresses and rules go.
#include <unistd.h>

#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"

namespace cni::test {
namespace {

bool is_reserved(const std::string& address) {
  const std::string path = "/var/lib/cni/networks/" + std::string(kNetworkName) + "/" + address;
  return ::access(path.c_str(), F_OK) == 0;
}

std::string nat_rules() {
  return run_ok({"iptables-save", "-t", "nat"}) + run_ok({"nft", "list", "ruleset"});
}

void check_gc(const std::string& name) {
  const std::string folder = require_reference();
  const Scenario& what = scenario(name);
  require_for(what);
  Namespaces namespaces;
  prepare_host(what);

  json results = json::object();
  for (const char* container : {"one", "two"}) {
    (void)namespaces.container(container);
    Call add = call_of(what, "ADD", container);
    add.path = folder;
    const PluginRun added = call(folder + "/" + what.plugin, add);
    INFO(added.describe());
    REQUIRE(added.ok());
    results[container] = added.document;
  }
  const auto address_of = [&](const char* container) {
    const std::string text = results[container].at("ips")[0].at("address");
    return text.substr(0, text.find('/'));
  };
  // The stale container's namespace is gone, and its DEL never came.
  namespaces.remove_container("two");
  settle();

  Call gc = call_of(what, "GC", "one");
  json config = json::parse(gc.input);
  config["cni.dev/valid-attachments"] = json::array({{{"containerID", "one"}, {"ifname", "eth0"}}});
  gc.input = config.dump();
  const PluginRun collected = call(what.plugin, gc);
  INFO(collected.describe());
  REQUIRE(collected.ok());

  CHECK(is_reserved(address_of("one")));
  CHECK_FALSE(is_reserved(address_of("two")));
  const std::string rules = nat_rules();
  CHECK(rules.find(address_of("two")) == std::string::npos);
  CHECK(rules.find("-two-eth0") == std::string::npos);
  const PluginRun checked =
      call(what.plugin, call_of(what, "CHECK", "one", "1.1.0", results["one"]));
  INFO(checked.describe());
  CHECK(checked.ok());
}

}  // namespace

TEST_CASE("GC removes what the reference added for attachments that are gone", "[netns]") {
  const std::string name = GENERATE("bridge-masquerade-iptables", "bridge-masquerade-nftables",
                                    "ptp-masquerade-iptables", "bridge-spoof-check");
  CAPTURE(name);
  check_gc(name);
}

TEST_CASE("GC leaves the VLAN of an attachment that the reference added", "[netns]") {
  check_gc("bridge-vlan");
}

}  // namespace cni::test
