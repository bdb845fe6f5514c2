#include "pkg/netlink/message.hpp"

#include <arpa/inet.h>
#include <endian.h>

#include <cstring>

namespace cni::netlink {
namespace {

// Holds nearly every message without growing.
constexpr std::size_t kUsualSize = 512;

template <class T>
T value_of(const nlattr* attribute, T fallback) {
  if (attribute == nullptr) return fallback;
  const std::string_view payload = payload_of(attribute);
  if (payload.size() < sizeof(T)) return fallback;
  T value;
  std::memcpy(&value, payload.data(), sizeof value);
  return value;
}

}  // namespace

Message::Message(int type, int flags) {
  data_.reserve(kUsualSize);
  nlmsghdr fixed{};
  fixed.nlmsg_type = static_cast<std::uint16_t>(type);
  fixed.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  const auto* raw = reinterpret_cast<const char*>(&fixed);
  data_.assign(raw, raw + sizeof fixed);
  get()->nlmsg_len = sizeof fixed;
}

void Message::append(const void* data, std::size_t size) {
  const auto* raw = static_cast<const char*>(data);
  if (size != 0) data_.insert(data_.end(), raw, raw + size);
  data_.resize(NLMSG_ALIGN(data_.size()));
  get()->nlmsg_len = static_cast<std::uint32_t>(data_.size());
}

Message& Message::put(int type, const void* data, std::size_t size) {
  nlattr attribute{};
  attribute.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + size);
  attribute.nla_type = static_cast<std::uint16_t>(type);
  append(&attribute, sizeof attribute);
  append(data, size);
  return *this;
}

Message& Message::put_be32(int type, std::uint32_t value) { return put_u32(type, htonl(value)); }

Message& Message::put_be64(int type, std::uint64_t value) {
  const std::uint64_t swapped = htobe64(value);
  return put(type, &swapped, sizeof swapped);
}

Message& Message::put_string(int type, std::string_view text) {
  const std::string terminated(text);
  return put(type, terminated.c_str(), terminated.size() + 1);
}

std::size_t Message::begin_nest(int type) {
  const std::size_t start = data_.size();
  put(type | NLA_F_NESTED, nullptr, 0);
  return start;
}

void Message::end_nest(std::size_t start) {
  auto* attribute = reinterpret_cast<nlattr*>(data_.data() + start);
  attribute->nla_len = static_cast<std::uint16_t>(data_.size() - start);
}

Attributes::Attributes(const nlmsghdr* message, std::size_t fixed_size, int max_type)
    : table_(static_cast<std::size_t>(max_type) + 1) {
  const std::size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(fixed_size);
  if (message->nlmsg_len <= offset) return;
  index({reinterpret_cast<const char*>(message) + offset, message->nlmsg_len - offset});
}

Attributes::Attributes(const nlattr* nested, int max_type)
    : table_(static_cast<std::size_t>(max_type) + 1) {
  if (nested != nullptr) index(payload_of(nested));
}

void Attributes::index(std::string_view sequence) {
  for_each_attribute(sequence, [this](const nlattr* attribute) {
    const std::size_t type = attribute->nla_type & NLA_TYPE_MASK;
    if (type < table_.size()) table_[type] = attribute;
  });
}

const nlattr* Attributes::operator[](int type) const {
  return type >= 0 && static_cast<std::size_t>(type) < table_.size()
             ? table_[static_cast<std::size_t>(type)]
             : nullptr;
}

std::uint8_t Attributes::u8(int type, std::uint8_t fallback) const {
  return value_of((*this)[type], fallback);
}

std::uint16_t Attributes::u16(int type, std::uint16_t fallback) const {
  return value_of((*this)[type], fallback);
}

std::uint32_t Attributes::u32(int type, std::uint32_t fallback) const {
  return value_of((*this)[type], fallback);
}

std::uint32_t Attributes::be32(int type, std::uint32_t fallback) const {
  return ntohl(value_of((*this)[type], htonl(fallback)));
}

std::uint64_t Attributes::be64(int type, std::uint64_t fallback) const {
  return be64toh(value_of<std::uint64_t>((*this)[type], htobe64(fallback)));
}

std::string_view Attributes::bytes(int type) const {
  const nlattr* attribute = (*this)[type];
  return attribute == nullptr ? std::string_view{} : payload_of(attribute);
}

std::string Attributes::text(int type) const {
  const std::string_view all = bytes(type);
  return std::string(all.substr(0, all.find('\0')));
}

}  // namespace cni::netlink
