#include "test/bench/scenarios.hpp"

#include <sys/stat.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <utility>

#include "pkg/os/file.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "test/bench/attachment.hpp"
#include "test/bench/chain.hpp"
#include "test/bench/contest.hpp"
#include "test/bench/leases.hpp"
#include "test/bench/masqueraded.hpp"
#include "test/bench/node.hpp"
#include "test/bench/published_ports.hpp"

namespace bench {
namespace {

constexpr const char* kVersionConfig = R"({"cniVersion": "1.0.0"})";

// How long, how much memory and how many bytes a plugin takes for nothing.
void measure_processes(const Options& options, std::vector<Row>& rows) {
  const Contest contest(options);
  std::array<Samples, 2> version;
  Samples empty;
  contest.run([&](const Node& node, bool is_ours, bool counts) {
    const Duration duration = node.run(node.call("bridge", "VERSION", kVersionConfig, ""));
    if (counts) version[is_ours ? 0 : 1].add(duration);
    if (!is_ours) return;
    const Duration nothing =
        node.run({.path = options.empty_program, .environment = {}, .input = ""});
    if (counts) empty.add(nothing);
  });
  const double ours = version[0].median();
  const auto theirs = contest.reference ? std::optional(version[1].median()) : std::nullopt;
  rows.push_back({.what = "VERSION, whole process",
                  .unit = "ms",
                  .ours = ours,
                  .other = theirs,
                  .limit = 0.3});
  rows.push_back({.what = "VERSION, against an empty static program",
                  .unit = "ms",
                  .ours = ours,
                  .other = empty.median(),
                  .limit = {}});

  const auto peak = [](const Node& node) {
    return static_cast<double>(peak_memory_of(node.call("bridge", "VERSION", kVersionConfig, ""))) /
           1024;
  };
  rows.push_back(
      {.what = "VERSION, peak memory",
       .unit = "MB",
       .ours = peak(contest.ours),
       .other = contest.reference ? std::optional(peak(*contest.reference)) : std::nullopt,
       .limit = 2,
       .limit_is_absolute = true});
}

double megabytes_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw std::runtime_error("no plugin " + path);
  return static_cast<double>(status.st_size) / 1e6;
}

void measure_sizes(const Options& options, std::vector<Row>& rows) {
  double ours = 0;
  double theirs = 0;
  for (const char* plugin : {"loopback", "bridge", "ptp", "macvlan", "host-local", "static"}) {
    ours += megabytes_of(cni::cat(options.ours, "/", plugin));
    if (options.reference) theirs += megabytes_of(cni::cat(*options.reference, "/", plugin));
  }
  // The target for all plugins of the reference is 25 of 63 MB.
  rows.push_back({.what = "size of loopback, bridge, ptp, macvlan, host-local and static",
                  .unit = "MB",
                  .ours = ours,
                  .other = options.reference ? std::optional(theirs) : std::nullopt,
                  .limit = 0.4});
}

void measure_bridge(const Options& options, std::vector<Row>& rows) {
  const auto config = [](const std::string& more_keys) {
    return [more_keys](const std::string& state) {
      return bridge_config(state, "10.91.0.0/16", "0.0.0.0/0", more_keys);
    };
  };
  const auto plain =
      attach_and_detach(options, {.plugin = "bridge", .config = config(""), .with_floor = true});
  push_attachment(rows, "bridge + host-local", plain, 0.25, std::nullopt);
  rows.push_back({.what = "bridge + host-local ADD, against the kernel's part alone",
                  .unit = "ms",
                  .ours = plain.ours.add,
                  .other = plain.floor.add,
                  .limit = {}});
  rows.push_back({.what = "bridge + host-local DEL, against deleting the link alone",
                  .unit = "ms",
                  .ours = plain.ours.del,
                  .other = plain.floor.del,
                  .limit = 1.1});
  const auto ipv6 =
      attach_and_detach(options, {.plugin = "bridge", .config = [](const std::string& state) {
                                    return bridge_config(state, "fd00:91::/64", "::/0", "");
                                  }});
  push_attachment(rows, "bridge + host-local, IPv6,", ipv6, std::nullopt, std::nullopt);
  rows.push_back({.what = "IPv6 ADD, longer than IPv4",
                  .unit = "ms",
                  .ours = ipv6.ours.add - plain.ours.add,
                  .other = {},
                  .limit = 5,
                  .limit_is_absolute = true});
}

// A store in which the first `count` addresses are held, as host-local writes it.
void fill_store(const std::string& folder, unsigned count) {
  cni::os::make_directories(folder, 0700);
  const cni::Ip network = *cni::Ip::parse("10.92.0.0");
  std::string last;
  for (unsigned i = 0; i < count; ++i) {
    last = network.plus(i + 2).to_string();
    cni::os::replace_file(cni::cat(folder, "/", last), cni::cat("held", i, "\r\neth0"),
                          cni::os::Flush::kNo);
  }
  if (count > 0) cni::os::replace_file(folder + "/last_reserved_ip.0", last, cni::os::Flush::kNo);
}

void measure_held_addresses(const Options& options, std::vector<Row>& rows) {
  double with_none = 0;
  for (const unsigned held : {0U, 10'000U, 50'000U}) {
    const std::string name = cni::cat("held", held);
    for (const char* side : {"/ours/", "/reference/"})
      fill_store(options.state + side + name, held);
    const auto medians = attach_and_detach(
        options, {.plugin = "host-local", .config = [&](const std::string& state) {
                    return cni::cat(
                        R"({"cniVersion": "1.0.0", "name": ")", name, R"(", "type": "bridge", )",
                        R"("ipam": {"type": "host-local", "subnet": "10.92.0.0/16", "dataDir": ")",
                        state, R"("}})");
                  }});
    const std::string what = cni::cat("host-local, ", held, " addresses held,");
    push_attachment(rows, what, medians, std::nullopt, std::nullopt);
    if (held == 0) {
      with_none = medians.ours.add;
      continue;
    }
    rows.push_back({.what = what + " ADD, against ours with none held",
                    .unit = "ms",
                    .ours = medians.ours.add,
                    .other = with_none,
                    .limit = 1.3});
  }
}

}  // namespace

std::vector<Row> run_scenarios(const Options& options) {
  struct Part {
    std::string name;
    void (*measure)(const Options&, std::vector<Row>&);
  };
  const Part parts[] = {{"processes", measure_processes},
                        {"sizes", measure_sizes},
                        {"bridge", measure_bridge},
                        {"ipMasq", measure_masqueraded},
                        {"host-local", measure_held_addresses},
                        {"portmap", measure_published_ports},
                        {"chain", measure_chain},
                        {"dhcp", measure_leases}};
  std::vector<Row> rows;
  bool is_known = false;
  for (const Part& part : parts) {
    if (!options.only.empty() && options.only != part.name) continue;
    is_known = true;
    part.measure(options, rows);
  }
  if (!is_known) throw std::runtime_error("there is no part " + options.only);
  return rows;
}

}  // namespace bench
