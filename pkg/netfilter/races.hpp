// Two processes that change the same table at once.
#pragma once

#include <cerrno>
#include <utility>

#include "pkg/types/error.hpp"

namespace cni::netfilter {

// Runs fn(attempt) until it succeeds; EEXIST, ENOENT and EBUSY (somebody uses what was to be
// deleted) mean that somebody else was faster, and fn looks again. Code::kTryAgainLater if that
// does not end.
template <class Fn>
void with_retries(Fn&& fn) {
  // Changes by others, between our look and our transaction, that are put up with.
  constexpr int kMaxAttempts = 16;
  for (int attempt = 0;; ++attempt) {
    try {
      fn(attempt);
      return;
    } catch (Error& error) {
      const bool is_race =
          error.sys_errno == EEXIST || error.sys_errno == ENOENT || error.sys_errno == EBUSY;
      if (!is_race) throw;
      if (attempt == kMaxAttempts) {
        error.code = Code::kTryAgainLater;
        throw;
      }
    }
  }
}

// Looks for a number of elements by listing, and returns the look that found most. The kernel's
// list of a set may pass over some that are there while the set grows or shrinks, without a word of
// it: so fewer than expected are looked for again. That others have removed some may be the reason
// too, and is put up with after some looks.
template <class Look, class Size>
auto look_for(std::size_t expected, Look&& look, Size&& size_of) {
  constexpr int kMaxLooks = 8;
  auto best = look();
  for (int i = 1; i < kMaxLooks && size_of(best) < expected; ++i) {
    auto next = look();
    if (size_of(next) > size_of(best)) best = std::move(next);
  }
  return best;
}

}  // namespace cni::netfilter
