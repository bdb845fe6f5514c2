// RECONCILE: packet filter rules of a running container that others removed (a reload of firewalld,
// `nft flush ruleset`, `iptables -F`) are put back.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/lock.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/error.hpp"

namespace cni::skel {

// One thing that was put back.
struct Restored {
  std::string what;     // "masquerade"
  std::string missing;  // what CHECK said of it before
};

class Restoration {
 public:
  explicit Restoration(const Io& io);
  Restoration(const Restoration&) = delete;
  Restoration& operator=(const Restoration&) = delete;
  // Takes nothing back.
  ~Restoration();

  // If `check` throws Code::kCheckFailed, runs `add` and checks again. What is right is not
  // touched. `add` has to be one that may be repeated. A failure is kept for finish(), so that one
  // thing that cannot be restored keeps no other from it.
  //
  // What failed is not taken back: undo steps of `add` remove all that the attachment has of its
  // kind, also the part that was right before.
  void ensure(std::string_view what, const std::function<void()>& check,
              const std::function<void(os::Undo&)>& add);

  // Keeps what fn throws for finish() too.
  void run(const std::function<void()>& fn);

  // Throws what failed. If something was added and `is_needed` throws, then the container is gone:
  // everything that was added goes again, and that error is thrown.
  void finish(const std::function<void()>& is_needed);

  const std::vector<Restored>& restored() const { return restored_; }

 private:
  void restore(std::string_view what, const std::string& missing,
               const std::function<void()>& check, const std::function<void(os::Undo&)>& add);

  std::string folder_;
  // Held from the first thing that was missing to the end: of two that restore at once the second
  // finds everything in its place. Rules of iptables would else be there twice.
  std::optional<os::FileLock> lock_;
  os::Undo undo_;
  bool has_added_ = false;
  std::vector<Restored> restored_;
  ErrorList errors_;
};

// {"cniVersion": ..., "restored": [{"what": ..., "missing": ...}]}
std::string restoration_to_json(const std::vector<Restored>& restored, std::string_view version);
// What restoration_to_json wrote. Throws Code::kDecodingFailure.
std::vector<Restored> restoration_from_json(std::string_view text);

}  // namespace cni::skel
