// What is measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "test/bench/report.hpp"

namespace bench {

struct Options {
  std::string ours;                      // folder with our plugins
  std::optional<std::string> reference;  // folder with the reference plugins
  std::string empty_program;             // test/bench/empty.cpp
  std::string state;                     // folder for reservations; removed by the caller
  std::string nft_only_path;             // PATH in which there is nft, but no iptables
  std::string only;                      // the part to measure; empty: all
  unsigned rounds = 25;
};

// Every scenario, one after the other; in each, the compared implementations take turns. Parts:
// processes, sizes, bridge, ipMasq, host-local, portmap, chain, dhcp.
std::vector<Row> run_scenarios(const Options& options);

}  // namespace bench
