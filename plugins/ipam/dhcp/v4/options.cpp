#include "plugins/ipam/dhcp/v4/options.hpp"

#include <algorithm>
#include <string_view>

#include "plugins/ipam/dhcp/names.hpp"

namespace cni::dhcp::v4 {
namespace {

using View = std::span<const std::uint8_t>;

constexpr std::size_t kLongestName = 253;     // without the dot behind it (RFC 1035 2.3.4)
constexpr std::size_t kLongestMessage = 200;  // of what a server says in option 56
constexpr std::size_t kMostPointers = 64;     // in one name
constexpr std::uint8_t kPointerBits = 0xc0;   // RFC 1035 4.1.4
constexpr std::uint8_t kLongestLabel = 63;

std::optional<View> value_of(const Message& message, std::uint8_t code) {
  const auto found = message.options.find(code);
  if (found == message.options.end()) return std::nullopt;
  return View(found->second);
}

std::optional<std::uint32_t> number_of(const Message& message, std::uint8_t code,
                                       std::size_t size) {
  const auto value = value_of(message, code);
  if (!value || value->size() != size) return std::nullopt;
  std::uint32_t out = 0;
  for (const std::uint8_t octet : *value) out = out << 8U | octet;
  return out;
}

Ip address_at(View value, std::size_t at) { return *Ip::from_bytes(value.data() + at, 4); }

// The length of the address's class (RFC 791 2.3); the address is a unicast one.
unsigned length_of_class(const Ip& address) {
  const std::uint8_t first = address.data()[0];
  if (first < 128) return 8;
  return first < 192 ? 16 : 24;
}

// Reads names of option 119 one after the other.
class NameReader {
 public:
  explicit NameReader(View data) : data_(data) {}

  bool at_end() const { return at_ == data_.size(); }

  // Absent if the option is malformed here: then nothing behind it can be read either. A pointer
  // has to lead backwards, before every place that the name has been read from, so that no name
  // refers to itself.
  std::optional<std::string> next() {
    std::string name;
    is_usable_ = true;
    std::size_t at = at_;
    std::size_t begin = at_;
    std::size_t pointers = 0;
    while (true) {
      if (at >= data_.size()) return std::nullopt;
      const std::uint8_t size = data_[at];
      if (size == 0) break;
      if (size <= kLongestLabel) {
        if (!append_label(name, at)) return std::nullopt;
        at += 1U + size;
        continue;
      }
      const auto target = pointer_target(at);
      if (!target || *target >= begin || ++pointers > kMostPointers) return std::nullopt;
      if (pointers == 1) at_ = at + 2;
      at = begin = *target;
    }
    if (pointers == 0) at_ = at + 1;
    return name;
  }

  // Whether the name last read is one that may be used.
  bool is_usable() const { return is_usable_; }

 private:
  bool append_label(std::string& name, std::size_t at) {
    const std::size_t size = data_[at];
    if (size >= data_.size() - at || name.size() + size + 1 > kLongestName + 1) return false;
    if (!name.empty()) name += '.';
    for (const std::uint8_t c : data_.subspan(at + 1, size)) {
      is_usable_ = is_usable_ && is_label_octet(c);
      name += static_cast<char>(c);
    }
    return name.size() <= kLongestName;
  }

  std::optional<std::size_t> pointer_target(std::size_t at) const {
    if ((data_[at] & kPointerBits) != kPointerBits || data_.size() - at < 2) return std::nullopt;
    return static_cast<std::size_t>(data_[at] & ~kPointerBits & 0xffU) << 8U | data_[at + 1];
  }

  View data_;
  std::size_t at_ = 0;
  bool is_usable_ = true;
};

}  // namespace

bool is_unicast(const Ip& address) {
  if (!address.is_ipv4() || address.is_loopback()) return false;
  const std::uint8_t first = address.data()[0];
  return first >= 1 && first <= 223;
}

std::optional<Ip> address_of(const Message& message, std::uint8_t code) {
  const auto value = value_of(message, code);
  if (!value || value->size() != 4) return std::nullopt;
  return address_at(*value, 0);
}

std::optional<std::uint16_t> short_of(const Message& message, std::uint8_t code) {
  const auto value = number_of(message, code, 2);
  if (!value) return std::nullopt;
  return static_cast<std::uint16_t>(*value);
}

std::optional<std::uint32_t> long_of(const Message& message, std::uint8_t code) {
  return number_of(message, code, 4);
}

std::optional<Ip> server_of(const Message& message) {
  const auto server = address_of(message, option::kServerId);
  return server && is_unicast(*server) ? server : std::nullopt;
}

std::vector<Ip> hosts_of(const Message& message, std::uint8_t code) {
  std::vector<Ip> out;
  const auto value = value_of(message, code);
  if (!value || value->size() % 4 != 0) return out;
  for (std::size_t at = 0; at < value->size(); at += 4) {
    const Ip host = address_at(*value, at);
    if (is_unicast(host)) out.push_back(host);
  }
  return out;
}

std::optional<std::string> name_of(const Message& message, std::uint8_t code) {
  const auto value = value_of(message, code);
  if (!value) return std::nullopt;
  std::string out(value->begin(), value->end());
  while (!out.empty() && out.back() == '\0') out.pop_back();
  const bool is_name = std::all_of(out.begin(), out.end(), [](char c) {
    return c == '.' || is_label_octet(static_cast<std::uint8_t>(c));
  });
  if (out.empty() || out.size() > kLongestName + 1 || !is_name) return std::nullopt;
  return out;
}

std::optional<std::string> text_of(const Message& message, std::uint8_t code) {
  const auto value = value_of(message, code);
  if (!value) return std::nullopt;
  std::string out;
  for (const std::uint8_t c : value->first(std::min(value->size(), kLongestMessage))) {
    out += c >= ' ' && c <= '~' ? static_cast<char>(c) : '?';
  }
  if (out.empty()) return std::nullopt;
  return out;
}

std::vector<LeasedRoute> static_routes_of(const Message& message) {
  std::vector<LeasedRoute> out;
  const auto value = value_of(message, option::kStaticRoutes);
  if (!value || value->size() % 8 != 0) return out;
  for (std::size_t at = 0; at < value->size(); at += 8) {
    const Ip destination = address_at(*value, at);
    const Ip router = address_at(*value, at + 4);
    if (!is_unicast(destination) || !is_unicast(router)) continue;
    out.push_back({Prefix{destination, length_of_class(destination)}.network(), router});
  }
  return out;
}

std::optional<std::vector<LeasedRoute>> classless_routes_of(const Message& message) {
  const auto value = value_of(message, option::kClasslessRoutes);
  if (!value || value->empty()) return std::nullopt;
  std::vector<LeasedRoute> out;
  std::size_t at = 0;
  while (at < value->size()) {
    const unsigned length = (*value)[at++];
    const std::size_t octets = (length + 7) / 8;
    if (length > 32 || value->size() - at < octets + 4) return std::nullopt;
    std::array<std::uint8_t, 4> destination{};
    std::copy_n(value->data() + at, octets, destination.begin());
    at += octets;
    const Ip router = address_at(*value, at);
    at += 4;
    if (!router.is_unspecified() && !is_unicast(router)) return std::nullopt;
    LeasedRoute route{Prefix{address_at(destination, 0), length}.network(), std::nullopt};
    if (!router.is_unspecified()) route.router = router;
    out.push_back(route);
  }
  return out;
}

std::vector<std::string> search_domains_of(const Message& message) {
  std::vector<std::string> out;
  const auto value = value_of(message, option::kDomainSearch);
  if (!value) return out;
  NameReader reader(*value);
  for (std::size_t i = 0; i < kMostSearchDomains && !reader.at_end(); ++i) {
    const auto name = reader.next();
    if (!name) return {};
    if (!name->empty() && reader.is_usable()) out.push_back(*name);
  }
  return out;
}

}  // namespace cni::dhcp::v4
