// A container with an interface that tuning changes.
#pragma once

#include <string>
#include <utility>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {

class TuningNode : public PluginNode {
 public:
  explicit TuningNode(std::string ifname = "eth0") : ifname_(std::move(ifname)) {
    (void)spaces.container("c1");
    make_interface();
  }

  void make_interface() const {
    (void)ip_in("c1", {"link", "add", ifname_, "address", "02:00:00:00:01:00", "type", "veth",
                       "peer", "name", "peer0"});
    (void)ip_in("c1", {"link", "set", ifname_, "up"});
  }

  // A call with what a main plugin hands on.
  PluginRun tune(std::string_view command, json config, const Call& more = {}) {
    config["type"] = "tuning";
    Call rest = more;
    rest.ifname = ifname_;
    return run(command, config, "c1", command == "DEL" ? json() : prev_result(), rest);
  }
  json add_tuned(const json& config, const Call& more = {}) {
    const PluginRun run = tune("ADD", config, more);
    INFO(config.dump() << "\n" << run.describe());
    REQUIRE(run.ok());
    return run.document;
  }
  void del_tuned(const json& config) {
    const PluginRun run = tune("DEL", config);
    INFO(config.dump() << "\n" << run.describe());
    CHECK(run.ok());
    CHECK(run.err == "");
  }

  json prev_result() const {
    return {{"cniVersion", "1.1.0"},
            {"interfaces",
             {{{"name", "cni0"}, {"mac", "02:00:00:00:09:00"}},
              {{"name", ifname_}, {"mac", "02:00:00:00:09:01"}},
              {{"name", ifname_},
               {"mac", "02:00:00:00:01:00"},
               {"mtu", 1500},
               {"sandbox", "/run/netns/c1"}}}},
            {"ips", {{{"interface", 2}, {"address", "10.1.0.2/24"}}}}};
  }

  // All that `ip` says of the interface.
  json link() const { return find_link_json("c1", ifname_).value(); }
  std::optional<std::string> value(const std::string& path) const { return sysctl("c1", path); }
  void set(const std::string& path, const std::string& to) const {
    (void)run_ok_in("c1", {"sysctl", "-q", "-w", path + "=" + to});
  }
  std::string backup() const { return "/run/cni/tuning/c1_" + ifname_ + ".json"; }

 private:
  std::string ifname_;
};

}  // namespace cni::test
