// Netlink messages, attribute by attribute, as the kernel's headers lay them out. For pkg/netlink
// and pkg/netfilter only: nothing of this stands in the other headers.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/address.hpp"

namespace cni::netlink {

// A message under construction. Grows as needed.
class Message {
 public:
  // type and flags of the netlink header; NLM_F_REQUEST is always set.
  Message(int type, int flags);

  // Appends the fixed header that follows nlmsghdr (ifinfomsg, rtmsg, nfgenmsg ...).
  template <class Header>
  Message& header(const Header& fixed) {
    append(&fixed, sizeof fixed);
    return *this;
  }

  Message& put(int type, const void* data, std::size_t size);
  Message& put_u8(int type, std::uint8_t value) { return put(type, &value, sizeof value); }
  Message& put_u16(int type, std::uint16_t value) { return put(type, &value, sizeof value); }
  Message& put_u32(int type, std::uint32_t value) { return put(type, &value, sizeof value); }
  // Network byte order, as nfnetlink wants its numbers.
  Message& put_be32(int type, std::uint32_t value);
  Message& put_be64(int type, std::uint64_t value);
  // With the terminating NUL.
  Message& put_string(int type, std::string_view text);
  Message& put_flag(int type) { return put(type, nullptr, 0); }
  Message& put_ip(int type, const Ip& ip) { return put(type, ip.data(), ip.size()); }
  Message& put_mac(int type, const Mac& mac) { return put(type, mac.data(), mac.size()); }

  // Puts a nested attribute whose content fill(*this) writes.
  template <class Fill>
  Message& nest(int type, Fill&& fill) {
    const std::size_t start = begin_nest(type);
    fill(*this);
    end_nest(start);
    return *this;
  }

  // The message as it is to be sent. Valid until something is put.
  nlmsghdr* get() { return reinterpret_cast<nlmsghdr*>(data_.data()); }

 private:
  void append(const void* data, std::size_t size);
  std::size_t begin_nest(int type);
  void end_nest(std::size_t start);

  std::vector<char> data_;
};

// The fixed header of a received message. The caller knows from the message's type that it has one.
template <class Header>
const Header& body_of(const nlmsghdr* message) {
  return *reinterpret_cast<const Header*>(reinterpret_cast<const char*>(message) + NLMSG_HDRLEN);
}

// Calls fn(const nlmsghdr*) for each whole message of a datagram.
template <class Fn>
void for_each_message(std::string_view datagram, Fn&& fn) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(datagram.data());
    if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > datagram.size()) return;
    const std::size_t aligned = NLMSG_ALIGN(message->nlmsg_len);
    fn(message);
    datagram.remove_prefix(aligned < datagram.size() ? aligned : datagram.size());
  }
}

// An attribute's content.
inline std::string_view payload_of(const nlattr* attribute) {
  return {reinterpret_cast<const char*>(attribute) + NLA_HDRLEN,
          static_cast<std::size_t>(attribute->nla_len - NLA_HDRLEN)};
}

// Calls fn(const nlattr*) for each whole attribute of a sequence.
template <class Fn>
void for_each_attribute(std::string_view sequence, Fn&& fn) {
  while (sequence.size() >= sizeof(nlattr)) {
    const auto* attribute = reinterpret_cast<const nlattr*>(sequence.data());
    if (attribute->nla_len < sizeof(nlattr) || attribute->nla_len > sequence.size()) return;
    const std::size_t aligned = NLA_ALIGN(static_cast<std::size_t>(attribute->nla_len));
    fn(attribute);
    sequence.remove_prefix(aligned < sequence.size() ? aligned : sequence.size());
  }
}

// The attributes of a received message or of a nested attribute, by type. The message must outlive
// it.
class Attributes {
 public:
  // The attributes behind a fixed header of fixed_size octets.
  Attributes(const nlmsghdr* message, std::size_t fixed_size, int max_type);
  // The attributes within one; empty if it is null.
  Attributes(const nlattr* nested, int max_type);

  // Null if absent.
  const nlattr* operator[](int type) const;
  bool has(int type) const { return (*this)[type] != nullptr; }
  // fallback if absent or too short.
  std::uint8_t u8(int type, std::uint8_t fallback = 0) const;
  std::uint16_t u16(int type, std::uint16_t fallback = 0) const;
  std::uint32_t u32(int type, std::uint32_t fallback = 0) const;
  std::uint32_t be32(int type, std::uint32_t fallback = 0) const;
  std::uint64_t be64(int type, std::uint64_t fallback = 0) const;
  // Without the terminating NUL; empty if absent.
  std::string text(int type) const;
  std::string_view bytes(int type) const;
  Attributes nested(int type, int max_type) const { return {(*this)[type], max_type}; }

 private:
  void index(std::string_view sequence);

  std::vector<const nlattr*> table_;
};

}  // namespace cni::netlink
