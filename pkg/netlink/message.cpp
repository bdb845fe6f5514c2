#include "pkg/netlink/message.hpp"

#include <arpa/inet.h>
#include <endian.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

// Holds nearly every message without growing.
constexpr std::size_t kInitialSize = 1024;

Error out_of_memory() { return system_error("build a netlink message", ENOMEM); }

}  // namespace

Message::Message(int type, int flags) : message_(nlmsg_alloc_size(kInitialSize)) {
  if (!message_ ||
      nlmsg_put(message_.get(), NL_AUTO_PORT, 0, type, 0, NLM_F_REQUEST | flags) == nullptr) {
    throw out_of_memory();
  }
}

void Message::reserve(std::size_t more) {
  const std::size_t needed = get()->nlmsg_len + more + NLA_ALIGNTO;
  const std::size_t have = nlmsg_get_max_size(message_.get());
  if (needed <= have) return;
  if (nlmsg_expand(message_.get(), std::max(needed, 2 * have)) < 0) throw out_of_memory();
}

void Message::append(const void* data, std::size_t size) {
  reserve(size);
  // nlmsg_append copies from the pointer that it takes as not const.
  if (nlmsg_append(message_.get(), const_cast<void*>(data), size, NLMSG_ALIGNTO) < 0) {
    throw out_of_memory();
  }
}

Message& Message::put(int type, const void* data, std::size_t size) {
  reserve(static_cast<std::size_t>(nla_total_size(static_cast<int>(size))));
  if (nla_put(message_.get(), type, static_cast<int>(size), data) < 0) throw out_of_memory();
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
  const std::size_t start = get()->nlmsg_len;
  put(type | NLA_F_NESTED, nullptr, 0);
  return start;
}

void Message::end_nest(std::size_t start) {
  auto* attribute = reinterpret_cast<nlattr*>(reinterpret_cast<char*>(get()) + start);
  attribute->nla_len = static_cast<std::uint16_t>(get()->nlmsg_len - start);
}

Attributes::Attributes(const nlmsghdr* message, std::size_t fixed_size, int max_type)
    : table_(static_cast<std::size_t>(max_type) + 1) {
  // libnl's parser does not write to the message; its signature lacks the const.
  auto* header = const_cast<nlmsghdr*>(message);
  if (nlmsg_attrlen(header, static_cast<int>(fixed_size)) <= 0) return;
  (void)nla_parse(const_cast<nlattr**>(table_.data()), max_type,
                  nlmsg_attrdata(header, static_cast<int>(fixed_size)),
                  nlmsg_attrlen(header, static_cast<int>(fixed_size)), nullptr);
}

Attributes::Attributes(const nlattr* nested, int max_type)
    : table_(static_cast<std::size_t>(max_type) + 1) {
  if (nested == nullptr) return;
  (void)nla_parse(const_cast<nlattr**>(table_.data()), max_type,
                  static_cast<nlattr*>(nla_data(nested)), nla_len(nested), nullptr);
}

const nlattr* Attributes::operator[](int type) const {
  return type >= 0 && static_cast<std::size_t>(type) < table_.size()
             ? table_[static_cast<std::size_t>(type)]
             : nullptr;
}

namespace {

template <class T>
T value_of(const nlattr* attribute, T fallback) {
  if (attribute == nullptr || nla_len(attribute) < static_cast<int>(sizeof(T))) return fallback;
  T value;
  std::memcpy(&value, nla_data(attribute), sizeof value);
  return value;
}

}  // namespace

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
  return be64toh(value_of((*this)[type], htobe64(fallback)));
}

std::string_view Attributes::bytes(int type) const {
  const nlattr* attribute = (*this)[type];
  if (attribute == nullptr) return {};
  return {static_cast<const char*>(nla_data(attribute)),
          static_cast<std::size_t>(nla_len(attribute))};
}

std::string Attributes::text(int type) const {
  const std::string_view all = bytes(type);
  return std::string(all.substr(0, all.find('\0')));
}

}  // namespace cni::netlink
