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

}  // namespace cni::netfilter
