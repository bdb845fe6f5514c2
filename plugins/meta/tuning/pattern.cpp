#include "plugins/meta/tuning/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "pkg/types/error.hpp"

namespace cni::tuning {
namespace {

// A match of a sysctl's name takes some dozens of steps. Expressions for which the steps double
// with each letter are given up after a few milliseconds.
constexpr std::uint32_t kMaxSteps = 100'000;

template <class T, void (*kFree)(T*)>
struct Deleter {
  void operator()(T* it) const { kFree(it); }
};
using MatchData =
    std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data, pcre2_match_data_free>>;
using MatchContext =
    std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context, pcre2_match_context_free>>;

PCRE2_SPTR octets_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string reason_of(int number) {
  std::array<PCRE2_UCHAR, 120> text{};
  (void)pcre2_get_error_message(number, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

Error invalid(std::string message) { return {Code::kInvalidNetworkConfig, std::move(message)}; }

}  // namespace

Pattern Pattern::parse(std::string_view text) {
  // In RE2 "$" is the end of the text, not also a newline's place before it.
  constexpr std::uint32_t kOptions = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
  int number = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* code =
      pcre2_compile(octets_of(text), text.size(), kOptions, &number, &place, nullptr);
  if (code == nullptr) {
    throw invalid(cat("error parsing regexp: ", reason_of(number), " (", quote(text),
                      ", character ", place + 1, ")"));
  }
  return {text, std::shared_ptr<const void>(code, [](const void* it) {
            pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(it)));
          })};
}

bool Pattern::matches(std::string_view text) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const MatchData data(pcre2_match_data_create_from_pattern(code, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  if (!data || !context) throw Error(Code::kSystemCall, "match a regular expression: no memory");
  (void)pcre2_set_match_limit(context.get(), kMaxSteps);
  const int result =
      pcre2_match(code, octets_of(text), text.size(), 0, 0, data.get(), context.get());
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  throw invalid(cat("regexp ", quote(text_), " on ", quote(text), ": ", reason_of(result)));
}

}  // namespace cni::tuning
