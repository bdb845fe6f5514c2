#include "test/bench/published_ports.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "pkg/netfilter/port_map.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "test/bench/contest.hpp"
#include "test/bench/new_connections.hpp"
#include "test/bench/node.hpp"

namespace bench {
namespace {

constexpr unsigned kFirstHeldPort = 10'000;
constexpr std::uint16_t kContainerPort = 80;
constexpr std::uint16_t kPort = 8080;  // the host's, of the mapping that is measured

// The attachment of that number of those that are there already.
struct Held {
  std::string id;
  std::string address;
  std::string port;
};

Held held(unsigned number) {
  return {cni::cat("held", number), cni::Ip::parse("10.93.1.0")->plus(number).to_string(),
          std::to_string(kFirstHeldPort + number)};
}

std::string config_of(const std::string& backend, const std::string& address,
                      const std::string& port) {
  return cni::cat(
      R"({"cniVersion": "1.0.0", "name": "bench", "type": "portmap", "backend": ")", backend,
      R"(", "capabilities": {"portMappings": true}, "runtimeConfig": {"portMappings": )",
      R"([{"hostPort": )", port, R"(, "containerPort": 80, "protocol": "tcp"}]}, "prevResult": )",
      R"({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/run/container"}], )",
      R"("ips": [{"interface": 0, "address": ")", address, R"(/16"}]}})");
}

// One by one, as so many ADDs would have.
void fill_ours_with_nftables(unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const Held one = held(i);
    cni::os::Undo undo;
    cni::netfilter::add_port_map(
        {.owner = {.network = "bench", .container_id = one.id, .ifname = "eth0"},
         .targets = {*cni::Prefix::parse(one.address + "/16")},
         .mappings = {{.host_port = static_cast<std::uint16_t>(kFirstHeldPort + i),
                       .container_port = kContainerPort}},
         .backend = "nftables",
         .search_path = ""},
        undo);
    undo.commit();
  }
}

// As the reference leaves them; to have it add them all would take minutes.
std::string reference_nftables_rules(unsigned count) {
  std::string hostports;
  std::string masquerading;
  for (unsigned i = 0; i < count; ++i) {
    const Held one = held(i);
    const std::string comment = cni::cat(R"( comment ")", one.id, "\"\n");
    hostports += cni::cat("tcp dport ", one.port, " dnat to ", one.address, ":80", comment);
    for (const std::string& source : {one.address, std::string("127.0.0.1")}) {
      masquerading +=
          cni::cat("ip saddr ", source, " ip daddr ", one.address, " masquerade", comment);
    }
  }
  const auto entry = [](const char* hook) {
    return cni::cat("chain ", hook, " { type nat hook ", hook, " priority -100;\n",
                    "fib daddr type local jump hostports_all; }\n");
  };
  return cni::cat(
      "table ip cni_hostport {\nchain hostports {\n", hostports, "}\nchain hostip_hostports { }\n",
      "chain hostports_all { jump hostip_hostports; jump hostports; }\n", entry("prerouting"),
      entry("output"), "chain masquerading { type nat hook postrouting priority 100;\n",
      masquerading, "}\n}\n");
}

// The same rules for both.
std::string iptables_rules(unsigned count) {
  std::string chains;
  std::string rules;
  for (unsigned i = 0; i < count; ++i) {
    const Held one = held(i);
    const std::string chain = cni::cat("CNI-DN-", std::string(16 - one.port.size(), '0'), one.port);
    chains += cni::cat(':', chain, " - [0:0]\n");
    rules += cni::cat("-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"bench\\\"",
                      " id: \\\"", one.id, "\\\"\" -m multiport --dports ", one.port, " -j ", chain,
                      '\n');
    for (const char* source : {"10.93.0.0/16", "127.0.0.1"}) {
      rules += cni::cat("-A ", chain, " -s ", source, " -p tcp -m tcp --dport ", one.port,
                        " -j CNI-HOSTPORT-SETMARK\n");
    }
    rules += cni::cat("-A ", chain, " -p tcp -m tcp --dport ", one.port,
                      " -j DNAT --to-destination ", one.address, ":80\n");
  }
  return cni::cat("*nat\n:CNI-HOSTPORT-DNAT - [0:0]\n:CNI-HOSTPORT-SETMARK - [0:0]\n", chains,
                  "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n",
                  "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n", rules,
                  "COMMIT\n");
}

void fill(const Node& node, bool is_ours, const std::string& backend, unsigned count) {
  if (backend == "iptables") {
    load_iptables(node, iptables_rules(count));
  } else if (is_ours) {
    node.host().enter();
    fill_ours_with_nftables(count);
  } else {
    load_nftables(node, reference_nftables_rules(count));
  }
}

// One implementation's node, on which so many ports are mapped already.
struct Publisher {
  Publisher(const Node& node, bool is_ours, const std::string& backend, unsigned count)
      : connections(node, ClientAndServer::Server::kContainer, kContainerPort) {
    fill(node, is_ours, backend, count);
  }

  ClientAndServer connections;
  Samples add;
  Samples del;
  Samples connect;
};

struct Times {
  double add = 0;      // ms
  double del = 0;      // ms
  double connect = 0;  // us
};

Times medians_of(Publisher& publisher) {
  return {publisher.add.median(), publisher.del.median(), publisher.connect.median() * 1000};
}

struct PortMapMedians {
  Times ours;
  std::optional<Times> reference;
};

PortMapMedians publish_and_withdraw(const Options& options, const std::string& backend,
                                    const std::string& programs, unsigned count) {
  const Contest contest(options);
  Publisher ours(contest.ours, true, backend, count);
  std::optional<Publisher> reference;
  if (contest.reference) reference.emplace(*contest.reference, false, backend, count);

  const std::string config = config_of(backend, "10.93.0.2", std::to_string(kPort));
  contest.run([&](const Node& node, bool is_ours, bool counts) {
    const Duration added = node.run(node.call("portmap", "ADD", config, programs));
    const Duration deleted = node.run(node.call("portmap", "DEL", config, programs));
    if (!counts) return;
    Publisher& publisher = is_ours ? ours : *reference;
    publisher.add.add(added);
    publisher.del.add(deleted);
  });

  // The port that is connected to is the last one that was mapped.
  (void)contest.ours.run(contest.ours.call("portmap", "ADD", config, programs));
  if (contest.reference) {
    (void)contest.reference->run(contest.reference->call("portmap", "ADD", config, programs));
  }
  contest.run([&](const Node&, bool is_ours, bool counts) {
    Publisher& publisher = is_ours ? ours : *reference;
    for (unsigned i = 0; i < kConnectionsInRound; ++i) {
      const Duration connected = publisher.connections.connect(kPort);
      if (counts) publisher.connect.add(connected);
    }
  });
  PortMapMedians out{.ours = medians_of(ours), .reference = {}};
  if (reference) out.reference = medians_of(*reference);
  return out;
}

struct Limits {
  std::optional<double> against_reference;
  std::optional<double> against_none;
};

// What is measured of a mapping, and how the row says it.
struct Measured {
  const char* name;
  const char* unit;
  double Times::*value;
  bool has_limits;
};
constexpr Measured kMeasured[] = {{"ADD", "ms", &Times::add, true},
                                  {"DEL", "ms", &Times::del, true},
                                  {"new connection", "us", &Times::connect, false}};

void push_rows(std::vector<Row>& rows, const std::string& what, const PortMapMedians& medians,
               const std::optional<Times>& with_none, const Limits& given) {
  for (const Measured& one : kMeasured) {
    const Limits limits = one.has_limits ? given : Limits{};
    const auto value = one.value;
    rows.push_back(
        {.what = cni::cat(what, ' ', one.name),
         .unit = one.unit,
         .ours = medians.ours.*value,
         .other = medians.reference ? std::optional((*medians.reference).*value) : std::nullopt,
         .limit = limits.against_reference});
    if (!with_none) continue;
    rows.push_back({.what = cni::cat(what, ' ', one.name, ", against ours with none"),
                    .unit = one.unit,
                    .ours = medians.ours.*value,
                    .other = (*with_none).*value,
                    .limit = limits.against_none});
  }
}

}  // namespace

void measure_published_ports(const Options& options, std::vector<Row>& rows) {
  const std::map<std::string, std::string> programs = {{"iptables", kPrograms},
                                                       {"nftables", options.nft_only_path}};
  for (const auto& [backend, path] : programs) {
    const bool has_targets = backend == "nftables";
    std::optional<Times> with_none;
    for (const unsigned count : {0U, 1'000U, 5'000U}) {
      const PortMapMedians medians = publish_and_withdraw(options, backend, path, count);
      Limits limits;
      if (has_targets && count == 1'000) limits.against_reference = 0.15;
      if (has_targets) limits.against_none = 1.3;
      push_rows(rows, cni::cat("portmap with ", backend, ", ", count, " mapped,"), medians,
                with_none, limits);
      if (count == 0) with_none = medians.ours;
    }
  }
}

}  // namespace bench
