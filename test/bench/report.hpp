// The table that a run of the benchmark prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bench {

struct Row {
  std::string what;
  std::string unit;
  double ours = 0;
  std::optional<double> other;  // the reference, or what `what` says ours is compared with
  // ours / other is to be at most this, or ours itself if limit_is_absolute.
  std::optional<double> limit;
  bool limit_is_absolute = false;
};

std::string as_markdown(const std::vector<Row>& rows);
std::string as_json(const std::vector<Row>& rows);

}  // namespace bench
