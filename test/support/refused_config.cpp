#include "test/support/refused_config.hpp"

#include "test/support/catch.hpp"

namespace cni::test {

PluginRun run_without_netns(const std::string& plugin, const char* command, json config) {
  config.update({{"type", plugin}, {"cniVersion", "1.1.0"}, {"name", "testnet"}});
  Call call;
  call.command = command;
  call.netns = "/no/such/netns";
  call.input = config.dump();
  return call_in_process(plugin_named(plugin), call);
}

void check_refused(const std::string& plugin, const std::vector<BadConfig>& cases,
                   const std::string& prefix) {
  for (const BadConfig& bad : cases) {
    for (const char* command : {"ADD", "CHECK", "STATUS"}) {
      const PluginRun run = run_without_netns(plugin, command, bad.config);
      INFO(command << " " << bad.config.dump() << "\n" << run.describe());
      check_error(run, bad.code, prefix + bad.msg_start);
    }
  }
}

}  // namespace cni::test
