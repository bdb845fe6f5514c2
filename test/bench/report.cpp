#include "test/bench/report.hpp"

#include <cmath>
#include <cstdio>

#include "pkg/types/error.hpp"

namespace bench {
namespace {

std::string number(double value) {
  char text[32];
  const double size = std::fabs(value);
  const int digits = size < 0.05 ? 4 : size < 10 ? 2 : 1;
  (void)std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string ratio_of(const Row& row) {
  return row.other ? number(row.ours / *row.other) + "x" : "-";
}

std::string limit_of(const Row& row) {
  if (!row.limit) return "-";
  return "<= " + number(*row.limit) + (row.limit_is_absolute ? " " + row.unit : "x");
}

}  // namespace

std::string as_markdown(const std::vector<Row>& rows) {
  std::string out = "| what | compared with | ours | ratio | target |\n|---|---|---|---|---|\n";
  for (const Row& row : rows) {
    out += "| " + row.what + " | " + (row.other ? number(*row.other) + " " + row.unit : "-") +
           " | " + number(row.ours) + " " + row.unit + " | " + ratio_of(row) + " | " +
           limit_of(row) + " |\n";
  }
  return out;
}

std::string as_json(const std::vector<Row>& rows) {
  std::string out = "[\n";
  for (const Row& row : rows) {
    char numbers[160];
    (void)std::snprintf(numbers, sizeof numbers, "\"ours\": %.4f, \"other\": %s}", row.ours,
                        row.other ? std::to_string(*row.other).c_str() : "null");
    out += cni::cat("  {\"what\": \"", row.what, "\", \"unit\": \"", row.unit, "\", ",
                    std::string(numbers), &row == &rows.back() ? "\n" : ",\n");
  }
  return out + "]\n";
}

}  // namespace bench
