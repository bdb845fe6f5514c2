// ADD and DEL of one plugin, over and over, with rows for the report.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "test/bench/contest.hpp"
#include "test/bench/report.hpp"
#include "test/bench/scenarios.hpp"

namespace bench {

struct Attachment {
  std::string plugin;
  std::function<std::string(const std::string&)> config;  // is given a folder for state
  std::string programs = kPrograms;                       // PATH
  bool with_floor = false;
  // Called once before the first round for each node, and told whether it is ours.
  std::function<void(const Node&, bool)> prepare = [](const Node&, bool) {};
};

struct ContestMedians {
  Medians ours;
  std::optional<Medians> reference;
  Medians floor;
};

ContestMedians attach_and_detach(const Options& options, const Attachment& attachment);

// A bridge network with host-local; more_keys stand beside the bridge's own.
std::string bridge_config(const std::string& state, const std::string& subnet,
                          const std::string& default_route, const std::string& more_keys);

// "WHAT ADD" and "WHAT DEL", compared with the reference.
void push_attachment(std::vector<Row>& rows, const std::string& what, const ContestMedians& medians,
                     std::optional<double> add_limit, std::optional<double> del_limit);

}  // namespace bench
