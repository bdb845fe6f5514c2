#include "test/bench/published_ports.hpp"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "test/bench/contest.hpp"

namespace bench {
namespace {

constexpr unsigned kFirstHeldPort = 10'000;

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

// What leads to the containers.
void add_way_to_containers(const Node& node) {
  node.host().enter();
  auto socket = cni::netlink::Socket::open();
  cni::netlink::add_veth(socket, {.name = "way0", .peer_name = "way1"});
  for (const char* name : {"way0", "way1"}) {
    cni::netlink::set_up(socket, cni::netlink::get_link(socket, name).index);
  }
  cni::netlink::add_address(socket, cni::netlink::get_link(socket, "way0").index,
                            *cni::Prefix::parse("10.93.0.1/16"), cni::netlink::Dad::kSkip);
}

void fill_by_plugin(const Node& node, const std::string& backend, const std::string& programs,
                    unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const Held one = held(i);
    Call call = node.call("portmap", "ADD", config_of(backend, one.address, one.port), programs);
    for (std::string& variable : call.environment) {
      if (variable.starts_with("CNI_CONTAINERID=")) variable = "CNI_CONTAINERID=" + one.id;
    }
    (void)node.run(call);
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

void fill(const Node& node, bool is_ours, const std::string& backend, const std::string& programs,
          unsigned count) {
  if (backend == "iptables") {
    load_iptables(node, iptables_rules(count));
  } else if (is_ours) {
    fill_by_plugin(node, backend, programs, count);
  } else {
    load_nftables(node, reference_nftables_rules(count));
  }
}

struct PortMapMedians {
  Medians ours;
  std::optional<Medians> reference;
};

PortMapMedians publish_and_withdraw(const Options& options, const std::string& backend,
                                    const std::string& programs, unsigned count) {
  const Contest contest(options);
  add_way_to_containers(contest.ours);
  fill(contest.ours, true, backend, programs, count);
  if (contest.reference) {
    add_way_to_containers(*contest.reference);
    fill(*contest.reference, false, backend, programs, count);
  }
  std::array<Samples, 2> add;
  std::array<Samples, 2> del;
  const std::string config = config_of(backend, "10.93.0.2", "8080");
  contest.run([&](const Node& node, bool is_ours, bool counts) {
    const Duration added = node.run(node.call("portmap", "ADD", config, programs));
    const Duration deleted = node.run(node.call("portmap", "DEL", config, programs));
    if (!counts) return;
    add[is_ours ? 0 : 1].add(added);
    del[is_ours ? 0 : 1].add(deleted);
  });
  PortMapMedians out{.ours = {add[0].median(), del[0].median()}, .reference = {}};
  if (contest.reference) out.reference = Medians{add[1].median(), del[1].median()};
  return out;
}

}  // namespace

void measure_published_ports(const Options& options, std::vector<Row>& rows) {
  const std::map<std::string, std::string> programs = {{"iptables", kPrograms},
                                                       {"nftables", options.nft_only_path}};
  for (const auto& [backend, path] : programs) {
    const bool has_targets = backend == "nftables";
    Medians with_none;
    for (const unsigned count : {0U, 1'000U, 5'000U}) {
      const PortMapMedians medians = publish_and_withdraw(options, backend, path, count);
      if (count == 0) with_none = medians.ours;
      const std::string what = cni::cat("portmap with ", backend, ", ", count, " mapped,");
      const auto push = [&](const char* command, double Medians::*value) {
        rows.push_back(
            {.what = cni::cat(what, ' ', command),
             .unit = "ms",
             .ours = medians.ours.*value,
             .other = medians.reference ? std::optional((*medians.reference).*value) : std::nullopt,
             .limit = has_targets && count == 1'000 ? std::optional(0.15) : std::nullopt});
        if (count == 0) return;
        rows.push_back({.what = cni::cat(what, ' ', command, ", against ours with none"),
                        .unit = "ms",
                        .ours = medians.ours.*value,
                        .other = with_none.*value,
                        .limit = has_targets ? std::optional(1.3) : std::nullopt});
      };
      push("ADD", &Medians::add);
      push("DEL", &Medians::del);
    }
  }
}

}  // namespace bench
