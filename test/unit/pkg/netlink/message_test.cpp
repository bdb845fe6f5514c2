// Messages and attributes are laid out as the kernel's headers say.
#include "pkg/netlink/message.hpp"

#include <linux/rtnetlink.h>

#include <cstring>

#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::netlink;

namespace {

std::string_view bytes_of(Message& message) {
  return {reinterpret_cast<const char*>(message.get()), message.get()->nlmsg_len};
}

// The kernel's own macro for the first attribute behind a header.
const rtattr* first_attribute(Message& message) {
  return reinterpret_cast<const rtattr*>(bytes_of(message).data() + NLMSG_SPACE(sizeof(ifinfomsg)));
}

}  // namespace

TEST_CASE("a message starts with its header") {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  CHECK(message.get()->nlmsg_len == NLMSG_HDRLEN);
  CHECK(message.get()->nlmsg_type == RTM_NEWLINK);
  CHECK(message.get()->nlmsg_flags == (NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL));
}

TEST_CASE("attributes are padded to four octets but say their own length") {
  Message message(RTM_NEWLINK, 0);
  message.header(ifinfomsg{}).put_string(IFLA_IFNAME, "eth0").put_u32(IFLA_MTU, 1400);
  const rtattr* name = first_attribute(message);
  CHECK(name->rta_type == IFLA_IFNAME);
  CHECK(name->rta_len == RTA_LENGTH(5));
  CHECK(std::strcmp(static_cast<const char*>(RTA_DATA(name)), "eth0") == 0);

  const auto* mtu = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(name) +
                                                    RTA_ALIGN(name->rta_len));
  CHECK(mtu->rta_type == IFLA_MTU);
  CHECK(mtu->rta_len == RTA_LENGTH(4));
  std::uint32_t value = 0;
  std::memcpy(&value, RTA_DATA(mtu), sizeof value);
  CHECK(value == 1400);
  CHECK(message.get()->nlmsg_len == NLMSG_SPACE(sizeof(ifinfomsg)) + RTA_SPACE(5) + RTA_SPACE(4));
}

TEST_CASE("a nested attribute spans its content") {
  Message message(RTM_NEWLINK, 0);
  message.header(ifinfomsg{}).nest(IFLA_LINKINFO, [](Message& info) {
    info.put_string(IFLA_INFO_KIND, "veth");
    info.nest(IFLA_INFO_DATA, [](Message& data) { data.put_flag(1); });
  });
  const rtattr* nested = first_attribute(message);
  CHECK(nested->rta_type == (IFLA_LINKINFO | NLA_F_NESTED));
  CHECK(nested->rta_len == RTA_LENGTH(RTA_SPACE(5) + RTA_SPACE(0) + RTA_SPACE(0)));

  const Attributes attributes(message.get(), sizeof(ifinfomsg), IFLA_MAX);
  const Attributes info = attributes.nested(IFLA_LINKINFO, IFLA_INFO_MAX);
  CHECK(info.text(IFLA_INFO_KIND) == "veth");
  CHECK(info.nested(IFLA_INFO_DATA, 4).has(1));
  CHECK_FALSE(info.nested(IFLA_INFO_DATA, 4).has(2));
}

TEST_CASE("numbers for nfnetlink are in network order") {
  Message message(RTM_NEWLINK, 0);
  message.header(ifinfomsg{}).put_be32(1, 0x01020304).put_be64(2, 0x0102030405060708);
  const Attributes attributes(message.get(), sizeof(ifinfomsg), 2);
  CHECK(attributes.bytes(1) == std::string_view("\x01\x02\x03\x04", 4));
  CHECK(attributes.bytes(2) == std::string_view("\x01\x02\x03\x04\x05\x06\x07\x08", 8));
  CHECK(attributes.be32(1) == 0x01020304);
  CHECK(attributes.be64(2) == 0x0102030405060708);
}

TEST_CASE("a message grows with its content") {
  Message message(RTM_NEWLINK, 0);
  message.header(ifinfomsg{});
  for (int i = 0; i < 1000; ++i) message.put_u32(1, static_cast<std::uint32_t>(i));
  int count = 0;
  for_each_attribute(bytes_of(message).substr(NLMSG_SPACE(sizeof(ifinfomsg))),
                     [&](const nlattr*) { ++count; });
  CHECK(count == 1000);
}

TEST_CASE("absent and short attributes give the fallback") {
  Message message(RTM_NEWLINK, 0);
  message.header(ifinfomsg{}).put_u8(1, 7);
  const Attributes attributes(message.get(), sizeof(ifinfomsg), 4);
  CHECK(attributes.u8(1) == 7);
  CHECK(attributes.u32(1, 99) == 99);
  CHECK(attributes.u16(2, 98) == 98);
  CHECK(attributes.text(3).empty());
  CHECK_FALSE(attributes.has(400));
}

TEST_CASE("a truncated sequence ends at the last whole part") {
  Message message(RTM_NEWLINK, 0);
  message.header(ifinfomsg{}).put_u32(1, 1).put_u32(2, 2);
  const std::string_view attributes = bytes_of(message).substr(NLMSG_SPACE(sizeof(ifinfomsg)));
  for (std::size_t length = 0; length <= attributes.size(); ++length) {
    std::size_t count = 0;
    for_each_attribute(attributes.substr(0, length), [&](const nlattr*) { ++count; });
    CHECK(count == length / RTA_SPACE(4));
  }
  const std::string two = std::string(bytes_of(message)) + std::string(bytes_of(message));
  for (std::size_t length = 0; length <= two.size(); ++length) {
    std::size_t count = 0;
    for_each_message(std::string_view(two).substr(0, length), [&](const nlmsghdr*) { ++count; });
    CHECK(count == length / bytes_of(message).size());
  }
}
