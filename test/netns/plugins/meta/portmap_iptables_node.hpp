// Ports published with iptables, by us and by the reference plugins, and what both leave in the
// kernel.
#pragma once

#include <string>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/netns/pkg/netfilter/masquerade_fixture.hpp"
#include "test/support/json.hpp"
#include "test/support/named_server.hpp"
#include "test/support/run_plugin.hpp"
#include "test/support/skip.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::test {

// iptables over nf_tables, or its older implementation, which has the plain names then.
enum class IptablesKind { kNft, kLegacy };

inline json tcp_port(int host_port, int container_port) {
  return {{"hostPort", host_port}, {"containerPort", container_port}, {"protocol", "tcp"}};
}

inline json port_on(const std::string& protocol, int host_port, int container_port,
                    const std::string& host_ip) {
  return {{"hostPort", host_port},
          {"containerPort", container_port},
          {"protocol", protocol},
          {"hostIP", host_ip}};
}

// A configuration with these mappings, for iptables unless `more` says otherwise.
inline json portmap_config(const std::vector<json>& mappings, const json& more = json::object()) {
  json config = {{"type", "portmap"},
                 {"cniVersion", "1.1.0"},
                 {"name", "testnet"},
                 {"backend", "iptables"},
                 {"runtimeConfig", {{"portMappings", mappings}}}};
  config.update(more);
  return config;
}

// c1 and c2 as in MasqueradeNode; the host is 192.0.2.1 and 2001:db8::1 to `outside`.
class PortmapNode : public MasqueradeNode {
 public:
  explicit PortmapNode(IptablesKind kind = IptablesKind::kNft) : kind_(kind) {
    require_program("iptables-save");
    const std::string suffix = kind == IptablesKind::kNft ? "-nft" : "-legacy";
    require_program("iptables" + suffix);
    if (!test::run({"iptables" + suffix, "-t", "nat", "-S"}).ok()) skip("not in this kernel");
    for (const std::string name : {"iptables", "ip6tables"}) {
      for (const std::string end : {"", "-restore"}) {
        use(name + end, "exec /usr/sbin/" + name + suffix + end + " \"$@\"");
      }
    }
  }

  // Puts a script in the place of a program, for the plugins.
  void use(const std::string& program, const std::string& script) {
    const std::string path = cat(spaces().folder(), "/", program);
    write_file(path, cat("#!/bin/sh\n", script, "\n"));
    run_ok({"chmod", "0755", path});
  }

  // What a plugin in front of portmap hands on.
  static json prev_result(const std::string& container, const std::string& ifname = "eth0") {
    const std::string last = container == "c1" ? "2" : "3";
    return {{"cniVersion", "1.1.0"},
            {"interfaces",
             {{{"name", "cni0"}}, {{"name", ifname}, {"sandbox", "/run/netns/" + container}}}},
            {"ips",
             {{{"interface", 1}, {"address", cat("10.22.0.", last, "/16")}},
              {{"interface", 1}, {"address", cat("fd00:22::", last, "/64")}}}}};
  }

  Call call_for(const std::string& command, json config, const std::string& container,
                const std::string& ifname = "eth0") {
    if (!config.contains("prevResult")) config["prevResult"] = prev_result(container, ifname);
    if (config["prevResult"].is_null()) config.erase("prevResult");
    Call call;
    call.command = command;
    call.container_id = container;
    call.netns = "/run/netns/" + container;
    call.ifname = ifname;
    call.input = config.dump();
    call.more_environment = {cat("PATH=", spaces().folder(), ":/usr/sbin:/usr/bin:/sbin:/bin")};
    return call;
  }

  // Ours, in this process.
  PluginRun run(const std::string& command, const json& config, const std::string& container = "c1",
                const std::string& ifname = "eth0") {
    return call_in_process(plugin_named("portmap"), call_for(command, config, container, ifname));
  }
  // The same with success demanded.
  void ok(const std::string& command, const json& config, const std::string& container = "c1",
          const std::string& ifname = "eth0") {
    const PluginRun result = run(command, config, container, ifname);
    INFO(command << " " << container << ": " << result.describe());
    REQUIRE(result.ok());
  }
  // Go takes the first of two variables of one name.
  Call reference_call(const std::string& command, const json& config,
                      const std::string& container) {
    Call out = call_for(command, config, container);
    out.wrapper = {"env", out.more_environment.back()};
    return out;
  }
  void reference_ok(const std::string& command, const json& config,
                    const std::string& container = "c1") {
    const PluginRun result =
        call(require_reference() + "/portmap", reference_call(command, config, container));
    INFO("reference " << command << ": " << result.describe());
    REQUIRE(result.ok());
  }

  // Both families' rules of table nat, as iptables-save prints them without dates and counters.
  std::string rules() const {
    const std::string suffix = kind_ == IptablesKind::kNft ? "-nft" : "-legacy";
    std::string out;
    for (const std::string name : {"iptables", "ip6tables"}) {
      std::string text = run_ok({name + suffix + "-save", "-t", "nat"});
      while (!text.empty()) {
        const std::size_t end = text.find('\n') + 1;
        if (text[0] != '#') out += text.substr(0, end);
        text.erase(0, end);
      }
    }
    return out;
  }

  // Puts the rules of one family back, or changes them, in iptables-restore's words.
  void restore(const std::string& name, const std::string& text) const {
    const std::string suffix = kind_ == IptablesKind::kNft ? "-nft" : "-legacy";
    run_ok({name + suffix + "-restore", "--noflush"}, "*nat\n" + text + "COMMIT\n");
  }

  // What a client outside is answered at a port of the host.
  std::string ask_host(int port, int transport = IPPROTO_TCP,
                       const std::string& address = "192.0.2.1",
                       std::chrono::milliseconds patience = std::chrono::seconds(4)) {
    return ask(outside, {.transport = transport,
                         .address = address,
                         .port = static_cast<std::uint16_t>(port),
                         .source = {},
                         .source_port = 0,
                         .patience = patience});
  }

 private:
  IptablesKind kind_;
};

inline std::size_t count_of(const std::string& part, const std::string& text) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++out;
  }
  return out;
}

}  // namespace cni::test
