// Netlink messages, attribute by attribute. For pkg/netlink and pkg/netfilter only: nothing of
// libnl stands in the other headers.
#pragma once

#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/address.hpp"

namespace cni::netlink {

struct MessageDeleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};

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

  nlmsghdr* get() const { return nlmsg_hdr(message_.get()); }

 private:
  void append(const void* data, std::size_t size);
  void reserve(std::size_t more);
  std::size_t begin_nest(int type);
  void end_nest(std::size_t start);

  std::unique_ptr<nl_msg, MessageDeleter> message_;
};

// The attributes of a received message or of a nested attribute, by type. The message must outlive it.
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
  std::vector<const nlattr*> table_;
};

}  // namespace cni::netlink
