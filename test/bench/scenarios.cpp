#include "test/bench/scenarios.hpp"

#include <sys/stat.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <utility>

#include "pkg/os/file.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "test/bench/contest.hpp"
#include "test/bench/kernel_floor.hpp"
#include "test/bench/node.hpp"
#include "test/bench/published_ports.hpp"

namespace bench {
namespace {

constexpr const char* kVersionConfig = R"({"cniVersion": "1.0.0"})";

struct ContestMedians {
  Medians ours;
  std::optional<Medians> reference;
  Medians floor;
};

std::optional<double> add_of(const std::optional<Medians>& medians) {
  return medians ? std::optional(medians->add) : std::nullopt;
}
std::optional<double> del_of(const std::optional<Medians>& medians) {
  return medians ? std::optional(medians->del) : std::nullopt;
}

struct Attachment {
  std::string plugin;
  std::function<std::string(const std::string&)> config;   // is given a folder for state
  std::string programs = "/usr/sbin:/usr/bin:/sbin:/bin";  // PATH
  bool with_floor = false;
};

// ADD and DEL of one plugin, over and over.
ContestMedians attach_and_detach(const Options& options, const Attachment& attachment) {
  const bool with_floor = attachment.with_floor;
  const Contest contest(options);
  const Node floor_node(options.ours);
  std::array<Samples, 2> add;
  std::array<Samples, 2> del;
  Samples floor_add;
  Samples floor_del;
  contest.run([&](const Node& node, bool is_ours, bool counts) {
    const std::string text = attachment.config(options.state + (is_ours ? "/ours" : "/reference"));
    const Duration added = node.run(node.call(attachment.plugin, "ADD", text, attachment.programs));
    const Duration deleted =
        node.run(node.call(attachment.plugin, "DEL", text, attachment.programs));
    KernelFloor floor;
    if (with_floor && is_ours) floor = measure_kernel_floor(floor_node);
    if (!counts) return;
    add[is_ours ? 0 : 1].add(added);
    del[is_ours ? 0 : 1].add(deleted);
    if (with_floor && is_ours) {
      floor_add.add(floor.add);
      floor_del.add(floor.del);
    }
  });
  ContestMedians out{.ours = {add[0].median(), del[0].median()}, .reference = {}, .floor = {}};
  if (contest.reference) out.reference = Medians{add[1].median(), del[1].median()};
  if (with_floor) out.floor = {floor_add.median(), floor_del.median()};
  return out;
}

// A bridge network; more_keys stand beside the bridge's own.
std::string bridge_config(const std::string& state, const std::string& subnet,
                          const std::string& default_route, const std::string& more_keys) {
  return cni::cat(
      R"({"cniVersion": "1.0.0", "name": "bench", "type": "bridge", "bridge": "bench0", )",
      R"("isGateway": true, )", more_keys, R"("ipam": {"type": "host-local", "subnet": ")", subnet,
      R"(", "dataDir": ")", state, R"(", "routes": [{"dst": ")", default_route, R"("}]}})");
}

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

void push_attachment(std::vector<Row>& rows, const std::string& what, const ContestMedians& medians,
                     std::optional<double> add_limit, std::optional<double> del_limit) {
  rows.push_back({.what = what + " ADD",
                  .unit = "ms",
                  .ours = medians.ours.add,
                  .other = add_of(medians.reference),
                  .limit = add_limit});
  rows.push_back({.what = what + " DEL",
                  .unit = "ms",
                  .ours = medians.ours.del,
                  .other = del_of(medians.reference),
                  .limit = del_limit});
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
  const auto masquerading = [&](const std::string& backend, const std::string& programs) {
    const std::string keys = cni::cat(R"("ipMasq": true, "ipMasqBackend": ")", backend, R"(", )");
    return attach_and_detach(options,
                             {.plugin = "bridge", .config = config(keys), .programs = programs});
  };
  push_attachment(rows, "bridge + host-local, ipMasq with iptables,",
                  masquerading("iptables", "/usr/sbin:/usr/bin:/sbin:/bin"), 0.35, 0.35);
  // The reference's DEL looks for rules of both backends, and fails where it finds Debian's
  // iptables but no rules of it.
  push_attachment(rows, "bridge + host-local, ipMasq with nftables,",
                  masquerading("nftables", options.nft_only_path), 0.2, 0.35);
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
  std::vector<Row> rows;
  measure_processes(options, rows);
  measure_sizes(options, rows);
  measure_bridge(options, rows);
  measure_held_addresses(options, rows);
  measure_published_ports(options, rows);
  return rows;
}

}  // namespace bench
