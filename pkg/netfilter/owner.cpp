#include "pkg/netfilter/owner.hpp"

#include <algorithm>
#include <iterator>

#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netfilter {
namespace {

constexpr std::size_t kMaxComment = 128;
constexpr std::string_view kNetwork = ", net: ";
constexpr std::string_view kIfname = ", if: ";
constexpr std::string_view kContainer = ", id: ";

// The value of a lower-case hexadecimal digit.
int value_of(char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; }

std::string without_quotes(std::string_view text) {
  std::string out(text);
  std::erase(out, '"');
  return out;
}

}  // namespace

std::string Owner::to_string() const {
  return cat("container ", container_id, " (network ", network, ", ", ifname, ")");
}

std::string owner_id(const Owner& owner) {
  return attachment_hash(owner.network, owner.ifname, owner.container_id);
}

std::string owner_key(std::string_view id) {
  // 16 digits, "-" and 16 digits.
  std::string digits(id);
  std::erase(digits, '-');
  std::string out;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out.push_back(static_cast<char>(value_of(digits[i]) << 4 | value_of(digits[i + 1])));
  }
  return out;
}

std::string owner_comment(const Owner& owner) {
  return cat(owner_id(owner), kNetwork, without_quotes(owner.network), kIfname,
             without_quotes(owner.ifname), kContainer, without_quotes(owner.container_id))
      .substr(0, kMaxComment);
}

bool is_owned_by(std::string_view comment, const Owner& owner) {
  return comment.starts_with(owner_id(owner));
}

std::string describe_owner(std::string_view comment) {
  const std::size_t network = comment.find(kNetwork);
  // A network's name may have what looks like the end of it; names of interfaces and containers
  // have no spaces.
  const std::size_t container = comment.rfind(kContainer);
  const std::size_t ifname = comment.rfind(kIfname, container);
  const bool is_whole = network != std::string_view::npos && ifname != std::string_view::npos &&
                        container != std::string_view::npos && network < ifname &&
                        ifname < container;
  if (!is_whole) return quote(comment);
  const auto between = [&](std::size_t start, std::string_view label, std::size_t end) {
    return std::string(comment.substr(start + label.size(), end - start - label.size()));
  };
  return Owner{between(network, kNetwork, ifname), between(container, kContainer, comment.size()),
               between(ifname, kIfname, container)}
      .to_string();
}

StaleOwners::StaleOwners(std::string_view network, std::span<const Attachment> valid)
    : prefix_(cat(network_hash(network), '-')) {
  std::transform(valid.begin(), valid.end(), std::back_inserter(kept_), [&](const Attachment& one) {
    return attachment_hash(network, one.ifname, one.container_id);
  });
  std::sort(kept_.begin(), kept_.end());
}

bool StaleOwners::operator()(std::string_view comment) const {
  return comment.starts_with(prefix_) &&
         !std::binary_search(kept_.begin(), kept_.end(), comment.substr(0, comment.find(',')));
}

}  // namespace cni::netfilter
