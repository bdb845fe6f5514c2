#include "test/bench/chain.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "pkg/types/error.hpp"
#include "test/bench/attachment.hpp"
#include "test/bench/contest.hpp"

namespace bench {
namespace {

using nlohmann::json;

// The plugins of the list, in order, as the runtime hands them their configurations.
std::vector<json> chain_of(const std::string& backend, bool is_ours, const std::string& state) {
  std::vector<json> out = {
      {{"type", "bridge"},
       {"bridge", "bench0"},
       {"isDefaultGateway", true},
       {"ipMasq", backend == "iptables"},
       {"ipam", {{"type", "host-local"}, {"subnet", "10.94.0.0/16"}, {"dataDir", state}}}},
      {{"type", "portmap"},
       {"backend", backend},
       {"runtimeConfig",
        {{"portMappings",
          json::array({{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "tcp"}}})}}}},
      {{"type", "firewall"}, {"backend", is_ours ? backend : "iptables"}},
      {{"type", "bandwidth"},
       {"ingressRate", 100'000'000},
       {"ingressBurst", 10'000'000},
       {"egressRate", 100'000'000},
       {"egressBurst", 10'000'000}},
      {{"type", "tuning"},
       {"dataDir", state + "/tuning"},
       {"mtu", 1400},
       {"sysctl", {{"net.core.somaxconn", "500"}}}},
      {{"type", "sbr"}}};
  for (json& each : out) {
    each["cniVersion"] = "1.0.0";
    each["name"] = "bench";
  }
  return out;
}

// Runs a verb of all of them, and adds up what the plugins themselves take.
Duration add_all(const Node& node, std::vector<json>& chain) {
  Duration total{};
  json result;
  for (json& config : chain) {
    if (!result.is_null()) config["prevResult"] = result;
    std::string output;
    total += node.run(node.call(config.at("type"), "ADD", config.dump(), kPrograms), &output);
    result = json::parse(output);
  }
  for (json& config : chain) config["prevResult"] = result;
  return total;
}

Duration delete_all(const Node& node, const std::vector<json>& chain) {
  Duration total{};
  for (auto config = chain.rbegin(); config != chain.rend(); ++config) {
    total += node.run(node.call(config->at("type"), "DEL", config->dump(), kPrograms));
  }
  return total;
}

void measure_backend(const Options& options, const std::string& backend, std::vector<Row>& rows) {
  const Contest contest(options);
  std::array<Samples, 2> add;
  std::array<Samples, 2> del;
  contest.run([&](const Node& node, bool is_ours, bool counts) {
    std::vector<json> chain =
        chain_of(backend, is_ours, options.state + (is_ours ? "/ours" : "/reference"));
    const Duration added = add_all(node, chain);
    const Duration deleted = delete_all(node, chain);
    if (!counts) return;
    add[is_ours ? 0 : 1].add(added);
    del[is_ours ? 0 : 1].add(deleted);
  });
  ContestMedians medians{.ours = {add[0].median(), del[0].median()}, .reference = {}, .floor = {}};
  if (contest.reference) medians.reference = Medians{add[1].median(), del[1].median()};
  push_attachment(rows,
                  cni::cat("bridge, portmap, firewall, bandwidth, tuning, sbr; ", backend, ","),
                  medians, 0.25, 0.25);
}

}  // namespace

void measure_chain(const Options& options, std::vector<Row>& rows) {
  for (const char* backend : {"iptables", "nftables"}) measure_backend(options, backend, rows);
}

}  // namespace bench
