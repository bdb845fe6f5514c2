// One network of host-local, for tests in the process.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "pkg/os/file.hpp"
#include "pkg/types/address.hpp"
#include "plugins/ipam/host-local/host_local.hpp"
#include "test/support/catch.hpp"
#include "test/support/run_plugin.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::host_local {

using test::Call;
using test::call_in_process;
using test::Hooks;
using test::json;
using test::PluginRun;

// One network with a store of its own, and a runtime that calls the plugin for it.
class Runtime {
 public:
  // `ipam`: what stands between the braces of the ipam section.
  explicit Runtime(const std::string& ipam) : ipam_(json::parse("{" + ipam + "}")) {
    ipam_["dataDir"] = folder_.path();
  }

  json document(const std::string& version = "1.1.0") const {
    return {{"cniVersion", version}, {"name", "net"}, {"type", "bridge"}, {"ipam", ipam_}};
  }
  PluginRun run_with(const json& config, const std::string& command, const std::string& id,
                     const std::string& args = {}, const Hooks& hooks = {}) const {
    Call call;
    call.command = command;
    call.container_id = id;
    call.netns = "/run/netns/none";
    call.args = args;
    call.input = config.dump();
    return call_in_process(plugin, call, hooks);
  }
  PluginRun run(const std::string& command, const std::string& id,
                const std::string& args = {}) const {
    return run_with(document(), command, id, args);
  }
  // The address that an ADD gave.
  std::string add(const std::string& id, const std::string& args = {}) const {
    const PluginRun result = run("ADD", id, args);
    INFO(result.describe());
    REQUIRE(result.ok());
    return result.document["ips"][0]["address"];
  }
  std::string path(const std::string& file) const { return folder_ / ("net/" + file); }
  std::optional<std::string> content(const std::string& file) const {
    return os::read_file(path(file));
  }
  void write(const std::string& file, const std::string& content) const {
    os::make_directories(folder_ / "net");
    test::write_file(path(file), content);
  }
  // Addresses that files stand for.
  std::size_t held() const {
    std::size_t count = 0;
    for (const std::string& name : os::list_directory(folder_ / "net")) {
      if (Ip::parse(name)) ++count;
    }
    return count;
  }
  json& ipam() { return ipam_; }
  const std::string& data_dir() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
  json ipam_;
};

}  // namespace cni::host_local
