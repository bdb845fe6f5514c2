#include "libcni/json_keys.hpp"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>

#include "pkg/types/error.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

// Keeps the path of what is being read.
class KeyReader : public nlohmann::json_sax<json> {
 public:
  std::vector<std::string> take() { return std::move(repeated_); }

  bool null() override { return value(); }
  bool boolean(bool /*v*/) override { return value(); }
  bool number_integer(number_integer_t /*v*/) override { return value(); }
  bool number_unsigned(number_unsigned_t /*v*/) override { return value(); }
  bool number_float(number_float_t /*v*/, const string_t& /*s*/) override { return value(); }
  bool string(string_t& /*v*/) override { return value(); }
  bool binary(binary_t& /*v*/) override { return value(); }

  bool start_object(std::size_t /*elements*/) override {
    levels_.push_back({path(), {}, {}, false, 0});
    return true;
  }
  bool start_array(std::size_t /*elements*/) override {
    levels_.push_back({path(), {}, {}, true, 0});
    return true;
  }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.key = name;
    if (!level.keys.insert(name).second) repeated_.push_back(path());
    return true;
  }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const json::exception& /*error*/) override {
    return false;
  }

 private:
  struct Level {
    std::string path;
    std::set<std::string> keys;
    std::string key;  // of an object: the current one
    bool is_array;
    std::size_t index;  // of an array: the current one
  };

  // Of the value that comes next.
  std::string path() const {
    if (levels_.empty()) return "";
    const Level& level = levels_.back();
    if (level.is_array) return cat(level.path, "[", level.index, "]");
    return level.path.empty() ? level.key : cat(level.path, ".", level.key);
  }

  bool value() {
    if (!levels_.empty()) ++levels_.back().index;
    return true;
  }

  bool leave() {
    levels_.pop_back();
    return value();
  }

  std::vector<Level> levels_;
  std::vector<std::string> repeated_;
};

}  // namespace

std::vector<std::string> repeated_keys(std::string_view text) {
  KeyReader reader;
  (void)json::sax_parse(text, &reader);
  return reader.take();
}

}  // namespace cni::libcni
