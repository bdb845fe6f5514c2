// Undo steps of an operation that either succeeds as a whole or leaves nothing behind.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cni::os {

// Collects how to take back each side effect. Unless commit() was called, roll_back() (at the
// latest the destructor) runs the steps, last in first out; a failed step is kept and the others
// still run.
class Undo {
 public:
  using Step = std::function<void()>;
  // Called after each push with the step's name; tests throw from it.
  using Observer = std::function<void(std::string_view name)>;

  Undo() = default;
  explicit Undo(Observer observer) : observer_(std::move(observer)) {}
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo();

  // `name` says what the step does ("delete link eth0"). The step captures by value, tolerates that
  // its object is gone, and opens what it needs itself.
  void push(std::string name, Step step);

  // Forgets all steps: the operation has succeeded.
  void commit();

  // Runs all steps. Returns "name: reason" of each that failed.
  std::vector<std::string> roll_back() noexcept;

 private:
  struct Entry {
    std::string name;
    Step step;
  };
  std::vector<Entry> entries_;
  Observer observer_;
};

}  // namespace cni::os
