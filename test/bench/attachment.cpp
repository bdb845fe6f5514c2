#include "test/bench/attachment.hpp"

#include <array>

#include "pkg/types/error.hpp"
#include "test/bench/kernel_floor.hpp"

namespace bench {
namespace {

std::optional<double> add_of(const std::optional<Medians>& medians) {
  return medians ? std::optional(medians->add) : std::nullopt;
}
std::optional<double> del_of(const std::optional<Medians>& medians) {
  return medians ? std::optional(medians->del) : std::nullopt;
}

}  // namespace

ContestMedians attach_and_detach(const Options& options, const Attachment& attachment) {
  const bool with_floor = attachment.with_floor;
  const Contest contest(options);
  const Node floor_node(options.ours);
  std::array<Samples, 2> add;
  std::array<Samples, 2> del;
  Samples floor_add;
  Samples floor_del;
  attachment.prepare(contest.ours, true);
  if (contest.reference) attachment.prepare(*contest.reference, false);
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

std::string bridge_config(const std::string& state, const std::string& subnet,
                          const std::string& default_route, const std::string& more_keys) {
  return cni::cat(
      R"({"cniVersion": "1.0.0", "name": "bench", "type": "bridge", "bridge": "bench0", )",
      R"("isGateway": true, )", more_keys, R"("ipam": {"type": "host-local", "subnet": ")", subnet,
      R"(", "dataDir": ")", state, R"(", "routes": [{"dst": ")", default_route, R"("}]}})");
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

}  // namespace bench
