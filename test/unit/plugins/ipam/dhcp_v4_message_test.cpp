// DHCPv4 messages, and the leases that they grant.
#include "plugins/ipam/dhcp/v4/message.hpp"

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/v4/options.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::dhcp;
using namespace cni::dhcp::v4;

namespace {

constexpr std::size_t kSname = 44;
constexpr std::size_t kFile = 108;
constexpr std::size_t kOptions = 240;
constexpr Time kReceived{1'000'000};

Ip ip(const char* text) { return *Ip::parse(text); }
Prefix prefix(const char* text) { return *Prefix::parse(text); }
Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

Bytes octets(const char* address) {
  const Ip value = ip(address);
  return {value.data(), value.data() + 4};
}

Message filled() {
  Message out;
  out.is_reply = true;
  out.xid = 0x01020304;
  out.secs = 0x0506;
  out.broadcast = true;
  out.ciaddr = ip("192.0.2.1");
  out.yiaddr = ip("192.0.2.2");
  out.siaddr = ip("192.0.2.3");
  out.giaddr = ip("192.0.2.4");
  out.chaddr = *Mac::parse("02:00:00:00:00:01");
  return out;
}

Message ack() {
  Message out = filled();
  out.yiaddr = ip("192.0.2.5");
  out.options[option::kMessageType] = {5};
  out.options[option::kServerId] = {192, 0, 2, 1};
  out.options[option::kSubnetMask] = {255, 255, 255, 0};
  return out;
}

Lease4 lease_with(std::uint8_t code, Bytes value) {
  Message message = ack();
  message.options[code] = std::move(value);
  return read_lease(message, kReceived);
}

Bytes seconds(std::uint32_t value) {
  return {static_cast<std::uint8_t>(value >> 24U), static_cast<std::uint8_t>(value >> 16U),
          static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)};
}

std::string refusal(const Message& message) {
  try {
    (void)read_lease(message, kReceived);
  } catch (const Error& error) {
    CHECK(error.code == Code::kSystemCall);
    return error.msg;
  }
  return "granted";
}

// A message whose options field is this, without an end mark of its own.
Bytes with_options(const Bytes& options) {
  Bytes out = encode(filled());
  out.resize(kOptions);
  out.insert(out.end(), options.begin(), options.end());
  return out;
}

}  // namespace

TEST_CASE("a DHCPv4 message has the layout of RFC 2131") {
  Message message = filled();
  message.options[option::kMessageType] = {1};
  message.options[option::kClientId] = {0, 'a'};
  const Bytes out = encode(message);
  const Bytes fixed = {2, 1, 6, 0,   1, 2, 3, 4,   5, 6, 0x80, 0, 192, 0, 2, 1, 192,
                       0, 2, 2, 192, 0, 2, 3, 192, 0, 2, 4,    2, 0,   0, 0, 0, 1};
  CHECK(Bytes(out.begin(), out.begin() + 34) == fixed);
  CHECK(std::all_of(out.begin() + 34, out.begin() + 236, [](auto octet) { return octet == 0; }));
  const Bytes rest = {99, 130, 83, 99, 53, 1, 1, 61, 2, 0, 'a', 255, 0};
  CHECK(Bytes(out.begin() + 236, out.begin() + 249) == rest);
  CHECK(out.size() == 300);
  CHECK(encode(Message{})[0] == 1);
}

TEST_CASE("a DHCPv4 message survives being encoded and decoded") {
  Message message = filled();
  message.options[option::kHostName] = bytes("host");
  message.options[80] = {};  // RFC 4039: an option without a value
  Bytes vendor(600);
  for (std::size_t i = 0; i < vendor.size(); ++i) vendor[i] = static_cast<std::uint8_t>(i);
  message.options[125] = vendor;
  const Bytes out = encode(message);
  CHECK(out.size() > 840);
  const auto again = decode(out);
  REQUIRE(again);
  CHECK(*again == message);
  message.secs = 7;
  CHECK_FALSE(*again == message);
}

TEST_CASE("the layout's own codes are not encoded as DHCPv4 options") {
  Message message = filled();
  message.options[0] = {1};
  message.options[option::kOverload] = {3};
  message.options[255] = {1};
  CHECK(encode(message) == encode(filled()));
}

TEST_CASE("pieces of a DHCPv4 option are joined") {
  const auto message = decode(with_options({12, 2, 'a', 'b', 0, 6, 0, 12, 1, 'c', 255, 12, 1}));
  REQUIRE(message);
  CHECK(message->options.at(option::kHostName) == bytes("abc"));
  CHECK(message->options.at(option::kNameservers).empty());
}

TEST_CASE("a DHCPv4 message needs no end mark") {
  const auto message = decode(with_options({12, 1, 'a'}));
  REQUIRE(message);
  CHECK(message->options.at(option::kHostName) == bytes("a"));
}

TEST_CASE("DHCPv4 options are also read from file and sname where option 52 says so") {
  const auto decoded = [](std::uint8_t overload) {
    Bytes data = with_options({52, 1, overload, 12, 1, 'a', 255});
    const Bytes in_file = {12, 1, 'b', 255};
    const Bytes in_sname = {12, 1, 'c', 52, 1, 1, 255};
    std::copy(in_file.begin(), in_file.end(), data.begin() + kFile);
    std::copy(in_sname.begin(), in_sname.end(), data.begin() + kSname);
    const auto message = decode(data);
    REQUIRE(message);
    CHECK(message->options.count(option::kOverload) == 0);
    return message->options.at(option::kHostName);
  };
  CHECK(decoded(1) == bytes("ab"));
  CHECK(decoded(2) == bytes("ac"));
  CHECK(decoded(3) == bytes("abc"));
  CHECK(decoded(4) == bytes("a"));
}

TEST_CASE("options that end behind their field are no DHCPv4 message") {
  CHECK_FALSE(decode(with_options({12})));
  CHECK_FALSE(decode(with_options({12, 3, 'a', 'b'})));
  Bytes data = with_options({52, 1, 3, 255});
  REQUIRE(decode(data));
  data[kFile - 2] = 12;  // in sname; its last octet is the length
  data[kFile - 1] = 1;
  CHECK_FALSE(decode(data));
  data[kFile - 2] = 0;
  data[kFile - 1] = 0;
  data[kOptions - 5] = 12;  // the last octet of file
  CHECK_FALSE(decode(data));
}

TEST_CASE("what has no fixed part of its kind is no DHCPv4 message") {
  const Bytes good = encode(ack());
  for (std::size_t size = 0; size < kOptions; ++size)
    CHECK_FALSE(decode(std::span(good).first(size)));
  CHECK(decode(std::span(good).first(kOptions)));
  const auto changed = [&](std::size_t at, std::uint8_t value) {
    Bytes data = good;
    data[at] = value;
    return decode(data).has_value();
  };
  CHECK_FALSE(changed(0, 0));  // op
  CHECK_FALSE(changed(0, 3));
  CHECK(changed(0, 1));
  CHECK_FALSE(changed(1, 32));  // hardware type: InfiniBand
  CHECK_FALSE(changed(2, 16));  // and its length
  CHECK_FALSE(changed(236, 98));
  CHECK_FALSE(changed(239, 98));
}

TEST_CASE("a DHCPv4 message has a type if option 53 says a known one") {
  Message message;
  CHECK_FALSE(message.type());
  const auto type = [&](Bytes value) {
    message.options[option::kMessageType] = std::move(value);
    return message.type();
  };
  CHECK(type({1}) == MessageType::kDiscover);
  CHECK(type({8}) == MessageType::kInform);
  CHECK_FALSE(type({0}));
  CHECK_FALSE(type({9}));
  CHECK_FALSE(type({}));
  CHECK_FALSE(type({5, 5}));
}

TEST_CASE("an ACK without more than it needs grants an hour") {
  const Lease4 lease = read_lease(ack(), kReceived);
  Lease4 expected;
  expected.address = prefix("192.0.2.5/24");
  expected.server = ip("192.0.2.1");
  expected.timing = {.renew_at = kReceived + Time{1'800'000},
                     .rebind_at = kReceived + Time{3'150'000},
                     .expires_at = kReceived + Time{3'600'000}};
  CHECK(lease == expected);
}

TEST_CASE("an ACK without what a lease needs is refused by name") {
  Message message = ack();
  message.options.erase(option::kSubnetMask);
  CHECK(refusal(message).starts_with("DHCP option Subnet Mask not found in DHCPACK"));
  message = ack();
  message.options.erase(option::kServerId);
  CHECK(refusal(message).starts_with("DHCP option Server Identifier not found in DHCPACK"));
  CHECK(refusal(ack()) == "granted");
}

TEST_CASE("an ACK with an impossible address or mask or server is refused") {
  for (const char* address : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"}) {
    Message message = ack();
    message.yiaddr = ip(address);
    CHECK(refusal(message).starts_with(cat("DHCPACK grants ", address)));
    message = ack();
    message.options[option::kServerId] = octets(address);
    CHECK(refusal(message).find(cat("Server Identifier in DHCPACK is ", address)) !=
          std::string::npos);
  }
  for (const char* mask : {"255.0.255.0", "0.0.0.0", "0.0.0.255", "255.255.255.253"}) {
    Message message = ack();
    message.options[option::kSubnetMask] = octets(mask);
    CHECK(refusal(message).find(cat("is ", mask)) != std::string::npos);
  }
  CHECK(lease_with(option::kSubnetMask, {255, 255, 255, 255}).address.length == 32);
  CHECK(lease_with(option::kSubnetMask, {128, 0, 0, 0}).address.length == 1);
  CHECK(lease_with(option::kSubnetMask, {255, 255, 254, 0}).address.length == 23);
}

TEST_CASE("the times of a lease are what the server says if they are in order") {
  const auto timing = [](std::uint32_t lease, std::uint32_t t1, std::uint32_t t2) {
    Message message = ack();
    message.options[option::kLeaseTime] = seconds(lease);
    message.options[option::kRenewalTime] = seconds(t1);
    message.options[option::kRebindingTime] = seconds(t2);
    const Timing at = read_lease(message, kReceived).timing;
    return std::vector<Time>{at.renew_at - kReceived, at.rebind_at - kReceived,
                             at.expires_at - kReceived};
  };
  using Times = std::vector<Time>;
  CHECK(timing(800, 100, 200) == Times{Time{100'000}, Time{200'000}, Time{800'000}});
  const Times defaults = {Time{400'000}, Time{700'000}, Time{800'000}};
  CHECK(timing(800, 0, 200) == defaults);
  CHECK(timing(800, 200, 200) == defaults);
  CHECK(timing(800, 300, 200) == defaults);
  CHECK(timing(800, 100, 800) == defaults);
  CHECK(timing(800, 100, 0xffffffff) == defaults);
}

TEST_CASE("a lease without T1 and T2 is renewed at its half and rebound at seven eighths") {
  const Timing at = lease_with(option::kLeaseTime, seconds(80)).timing;
  CHECK(at.renew_at == kReceived + Time{40'000});
  CHECK(at.rebind_at == kReceived + Time{70'000});
}

TEST_CASE("the longest lease time never comes") {
  Message message = ack();
  message.options[option::kLeaseTime] = seconds(0xffffffff);
  message.options[option::kRenewalTime] = seconds(10);
  CHECK(read_lease(message, kReceived).timing == Timing{});
  CHECK(lease_with(option::kLeaseTime, seconds(0xfffffffe)).timing.expires_at ==
        kReceived + Time{4'294'967'294'000});
  message.options[option::kLeaseTime] = seconds(0);
  CHECK(refusal(message).find("Lease Time in DHCPACK is 0") != std::string::npos);
}

TEST_CASE("addresses of a lease's options are those that hosts can have") {
  CHECK(lease_with(option::kRouters, {192, 0, 2, 1, 192, 0, 2, 2}).routers ==
        std::vector{ip("192.0.2.1"), ip("192.0.2.2")});
  CHECK(lease_with(option::kRouters, {0, 0, 0, 0, 192, 0, 2, 2}).routers ==
        std::vector{ip("192.0.2.2")});
  CHECK(lease_with(option::kRouters, {192, 0, 2, 1, 192}).routers.empty());
  CHECK(lease_with(option::kNameservers, {192, 0, 2, 3}).nameservers ==
        std::vector{ip("192.0.2.3")});
  CHECK(lease_with(option::kNameservers, {192, 0, 2}).nameservers.empty());
}

TEST_CASE("a lease's MTU is at least 68") {
  CHECK(lease_with(option::kInterfaceMtu, {5, 0xdc}).mtu == 1500);
  CHECK(lease_with(option::kInterfaceMtu, {0, 68}).mtu == 68);
  CHECK(lease_with(option::kInterfaceMtu, {0, 67}).mtu == 0);
  CHECK(lease_with(option::kInterfaceMtu, {68}).mtu == 0);
}

TEST_CASE("a lease's domain has only the characters of names") {
  const auto domain = [](std::string_view text) {
    return lease_with(option::kDomainName, bytes(text)).domain;
  };
  CHECK(domain("a-1_b.Example") == "a-1_b.Example");
  CHECK(domain({"example.org\0\0", 13}) == "example.org");
  CHECK(domain({"a\0b", 3}).empty());
  CHECK(domain({"\0\0", 2}).empty());
  CHECK(domain("a b").empty());
  CHECK(domain("a\nnameserver 192.0.2.66").empty());
  CHECK(domain("$(reboot)").empty());
  CHECK(domain("\xc3\xa9").empty());
  CHECK(domain(std::string(253, 'a')).size() == 253);
  CHECK(domain(std::string(300, 'a')).empty());
}

TEST_CASE("a host name is read like a domain") {
  Message message = ack();
  message.options[option::kHostName] = bytes({"web-1\0", 6});
  CHECK(name_of(message, option::kHostName) == "web-1");
  message.options[option::kHostName] = bytes("web;1");
  CHECK_FALSE(name_of(message, option::kHostName));
  message.options.erase(option::kHostName);
  CHECK_FALSE(name_of(message, option::kHostName));
}

TEST_CASE("what a server says is shown in printable characters") {
  Message message = ack();
  CHECK_FALSE(text_of(message, option::kMessage));
  message.options[option::kMessage] = bytes("no\x1b[2J\xff way");
  CHECK(text_of(message, option::kMessage) == "no?[2J? way");
  message.options[option::kMessage] = Bytes(1000, 'a');
  CHECK(text_of(message, option::kMessage)->size() == 200);
}
