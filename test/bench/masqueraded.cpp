#include "test/bench/masqueraded.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pkg/netfilter/masquerade.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"
#include "test/bench/attachment.hpp"
#include "test/bench/contest.hpp"
#include "test/bench/new_connections.hpp"

namespace bench {
namespace {

constexpr const char* kNetwork = "bench";  // the one of bridge_config
constexpr const char* kSubnet = "10.91.0.0/16";
constexpr std::uint16_t kServerPort = 80;
// Of the subnet, but beyond what host-local comes to hand out.
constexpr const char* kFirstHeld = "10.91.128.0";

// An attachment of which there is nothing but the rules.
struct Held {
  std::string id;
  cni::Prefix address;

  std::string subnet() const { return address.network().to_string(); }
};

std::vector<Held> held(unsigned count) {
  std::vector<Held> out;
  const unsigned length = cni::Prefix::parse(kSubnet)->length;
  for (unsigned i = 0; i < count; ++i) {
    out.push_back({cni::cat("held", i), {cni::Ip::parse(kFirstHeld)->plus(i), length}});
  }
  return out;
}

// One by one, as so many ADDs would have.
void fill_ours_with_nftables(const std::vector<Held>& all) {
  for (const Held& one : all) {
    cni::os::Undo undo;
    cni::netfilter::add_masquerade({.network = kNetwork,
                                    .container_id = one.id,
                                    .ifname = "eth0",
                                    .addresses = {one.address},
                                    .backend = "nftables",
                                    .search_path = ""},
                                   undo);
    undo.commit();
  }
}

// As the reference leaves them; to have it add them all would take minutes.
std::string reference_nftables_rules(const std::vector<Held>& all) {
  std::string rules;
  for (const Held& one : all) {
    rules += cni::cat("ip saddr ", one.address.address.to_string(), " ip daddr != ", one.subnet(),
                      " masquerade comment \"", cni::attachment_hash(kNetwork, "eth0", one.id),
                      ", net: ", kNetwork, ", if: eth0, id: ", one.id, "\"\n");
  }
  return cni::cat("table inet cni_plugins_masquerade {\nchain masq_checks {\n", rules,
                  "}\nchain postrouting { type nat hook postrouting priority 100;\n",
                  "ip daddr == 224.0.0.0/4 return\nip6 daddr == ff00::/8 return\n",
                  "goto masq_checks\n}\n}\n");
}

// The same rules for both.
std::string iptables_rules(const std::vector<Held>& all) {
  std::string chains;
  std::string rules;
  for (const Held& one : all) {
    const std::string chain = cni::masquerade_chain_name(kNetwork, one.id);
    const std::string comment = cni::cat(" -m comment --comment \"name: \\\"", kNetwork,
                                         "\\\" id: \\\"", one.id, "\\\"\" -j ");
    chains += cni::cat(':', chain, " - [0:0]\n");
    rules += cni::cat("-A POSTROUTING -s ", one.address.address.to_string(), "/32", comment, chain,
                      '\n', "-A ", chain, " -d ", one.subnet(), comment, "ACCEPT\n",  //
                      "-A ", chain, " ! -d 224.0.0.0/4", comment, "MASQUERADE\n");
  }
  return cni::cat("*nat\n", chains, rules, "COMMIT\n");
}

void fill(const Node& node, bool is_ours, const std::string& backend,
          const std::vector<Held>& all) {
  if (all.empty()) return;
  if (backend == "iptables") {
    load_iptables(node, iptables_rules(all));
  } else if (is_ours) {
    node.host().enter();
    fill_ours_with_nftables(all);
  } else {
    load_nftables(node, reference_nftables_rules(all));
  }
}

// A node whose container is masqueraded behind so many others.
struct Masquerader {
  Masquerader(const Node& node, bool is_ours, const std::string& backend, unsigned count)
      : connections(node, ClientAndServer::Server::kBeyond, kServerPort) {
    std::vector<Held> all = held(count);
    all.push_back({"measured", *cni::Prefix::parse("10.93.0.2/16")});
    fill(node, is_ours, backend, all);
  }

  ClientAndServer connections;
  Samples connect;
};

struct ConnectionMedians {
  double ours = 0;  // us
  std::optional<double> reference;
};

ConnectionMedians connect_out(const Options& options, const std::string& backend, unsigned count) {
  const Contest contest(options);
  Masquerader ours(contest.ours, true, backend, count);
  std::optional<Masquerader> reference;
  if (contest.reference) reference.emplace(*contest.reference, false, backend, count);
  contest.run([&](const Node&, bool is_ours, bool counts) {
    Masquerader& one = is_ours ? ours : *reference;
    for (unsigned i = 0; i < kConnectionsInRound; ++i) {
      const Duration connected = one.connections.connect(kServerPort);
      if (counts) one.connect.add(connected);
    }
  });
  ConnectionMedians out{.ours = ours.connect.median() * 1000, .reference = {}};
  if (reference) out.reference = reference->connect.median() * 1000;
  return out;
}

ContestMedians masquerade(const Options& options, const std::string& backend,
                          const std::string& programs, unsigned count) {
  const std::string keys = cni::cat(R"("ipMasq": true, "ipMasqBackend": ")", backend, R"(", )");
  return attach_and_detach(
      options, {.plugin = "bridge",
                .config =
                    [keys](const std::string& state) {
                      return bridge_config(state, kSubnet, "0.0.0.0/0", keys);
                    },
                .programs = programs,
                .prepare = [&](const Node& node,
                               bool is_ours) { fill(node, is_ours, backend, held(count)); }});
}

struct Backend {
  std::string name;
  std::string programs;
  double add_limit;  // with none masqueraded, against the reference
};

void push_connections(const Options& options, const std::string& backend, unsigned count,
                      std::vector<Row>& rows) {
  const ConnectionMedians medians = connect_out(options, backend, count);
  rows.push_back(
      {.what = cni::cat("ipMasq with ", backend, ", ", count, " masqueraded, new connection"),
       .unit = "us",
       .ours = medians.ours,
       .other = medians.reference,
       .limit = {}});
}

void measure_backend(const Options& options, const Backend& backend, std::vector<Row>& rows) {
  Medians with_none;
  for (const unsigned count : {0U, 1'000U, 5'000U}) {
    const auto medians = masquerade(options, backend.name, backend.programs, count);
    const std::string what =
        cni::cat("bridge + host-local, ipMasq with ", backend.name, ", ", count, " masqueraded,");
    if (count == 0) {
      with_none = medians.ours;
      push_attachment(rows, what, medians, backend.add_limit, 0.35);
      push_connections(options, backend.name, count, rows);
      continue;
    }
    push_attachment(rows, what, medians, std::nullopt, std::nullopt);
    const auto push_growth = [&](const char* command, double Medians::*value) {
      rows.push_back({.what = cni::cat(what, ' ', command, ", against ours with none"),
                      .unit = "ms",
                      .ours = medians.ours.*value,
                      .other = with_none.*value,
                      .limit = {}});
    };
    push_growth("ADD", &Medians::add);
    push_growth("DEL", &Medians::del);
    push_connections(options, backend.name, count, rows);
  }
}

}  // namespace

void measure_masqueraded(const Options& options, std::vector<Row>& rows) {
  measure_backend(options, {"iptables", kPrograms, 0.35}, rows);
  // The reference's DEL looks for rules of both backends, and fails where it finds Debian's
  // iptables but no rules of it.
  measure_backend(options, {"nftables", options.nft_only_path, 0.2}, rows);
}

}  // namespace bench
