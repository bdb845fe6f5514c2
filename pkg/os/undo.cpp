#include "pkg/os/undo.hpp"

#include <exception>

#include "pkg/types/error.hpp"

namespace cni::os {

Undo::~Undo() { (void)roll_back(); }  // skel reports failures by calling roll_back itself

void Undo::push(std::string name, Step step) {
  entries_.push_back({std::move(name), std::move(step)});
  if (observer_) observer_(entries_.back().name);
}

void Undo::commit() { entries_.clear(); }

std::vector<std::string> Undo::roll_back() noexcept {
  std::vector<std::string> failures;
  while (!entries_.empty()) {
    const Entry entry = std::move(entries_.back());
    entries_.pop_back();
    try {
      entry.step();
    } catch (const std::exception& error) {
      failures.push_back(cat(entry.name, ": ", error.what()));
    } catch (...) {
      failures.push_back(cat(entry.name, ": unknown exception"));
    }
  }
  return failures;
}

}  // namespace cni::os
