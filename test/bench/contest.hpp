// Two implementations that take turns.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "test/bench/node.hpp"
#include "test/bench/process.hpp"
#include "test/bench/scenarios.hpp"

namespace bench {

inline constexpr unsigned kWarmUpRounds = 3;

class Samples {
 public:
  void add(Duration duration) {
    milliseconds_.push_back(std::chrono::duration<double, std::milli>(duration).count());
  }
  double median() {
    const auto middle =
        milliseconds_.begin() + static_cast<std::ptrdiff_t>(milliseconds_.size() / 2);
    std::nth_element(milliseconds_.begin(), middle, milliseconds_.end());
    return *middle;
  }

 private:
  std::vector<double> milliseconds_;
};

// Ours and, if there is one, the reference, each on a node of its own.
struct Contest {
  explicit Contest(const Options& given) : options(given), ours(given.ours) {
    if (given.reference) reference.emplace(*given.reference);
  }

  // Calls turn(node, is_ours, counts) for every round; who begins changes from round to round.
  void run(const std::function<void(const Node&, bool, bool)>& turn) const {
    for (unsigned round = 0; round < options.rounds + kWarmUpRounds; ++round) {
      const bool counts = round >= kWarmUpRounds;
      if (round % 2 == 0) turn(ours, true, counts);
      if (reference) turn(*reference, false, counts);
      if (round % 2 == 1) turn(ours, true, counts);
    }
  }

  const Options& options;
  Node ours;
  std::optional<Node> reference;
};

struct Medians {
  double add = 0;
  double del = 0;
};

}  // namespace bench
