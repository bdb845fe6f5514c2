#include "plugins/ipam/dhcp/v6/message.hpp"

#include <initializer_list>

#include "test/support/catch.hpp"

namespace cni::dhcp::v6 {
namespace {

Ip ip(std::string_view text) { return Ip::parse(text).value(); }

Bytes option_of(unsigned code, const Bytes& body) {
  Bytes out{static_cast<std::uint8_t>(code >> 8U), static_cast<std::uint8_t>(code & 0xffU),
            static_cast<std::uint8_t>(body.size() >> 8U),
            static_cast<std::uint8_t>(body.size() & 0xffU)};
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

// A Reply with these options.
Bytes reply(std::initializer_list<Bytes> options) {
  Bytes out{7, 0x12, 0x34, 0x56};
  for (const Bytes& option : options) out.insert(out.end(), option.begin(), option.end());
  return out;
}

Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Bytes address_body(std::uint8_t last) {
  return {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 1, 0, 0, 0, 2, 0};
}

Bytes ia_body(std::uint8_t iaid) { return {0, 0, 0, iaid, 0, 0, 0, 50, 0, 0, 0, 80}; }

Message everything() {
  Message out;
  out.type = MessageType::kAdvertise;
  out.transaction = 0xabcdef;
  out.client_id = {0, 3, 0, 1, 2, 0, 0, 0, 0, 1};
  out.server_id = {0, 2, 9};
  out.ia_na = {{.iaid = 7,
                .t1 = 50,
                .t2 = 80,
                .addresses = {{.address = ip("2001:db8::7"),
                               .preferred = 100,
                               .valid = 0xffffffff,
                               .status = StatusCode{Status::kUnspecFail, "no"}},
                              {.address = ip("fd00::1"), .preferred = 0, .valid = 1, .status = {}}},
                .status = StatusCode{Status::kNoBinding, ""}},
               {.iaid = 8, .t1 = 0, .t2 = 0, .addresses = {}, .status = {}}};
  out.option_request = {23, 24, 82};
  out.elapsed = 0xffff;
  out.preference = 255;
  out.rapid_commit = true;
  out.status = StatusCode{Status::kUseMulticast, "use it"};
  out.nameservers = {ip("2001:db8::53"), ip("fe80::53")};
  out.search = {"example.com", "a-b._tcp.example"};
  out.sol_max_rt = 120;
  return out;
}

TEST_CASE("a DHCPv6 message with everything is read as it was written") {
  const auto decoded = decode(encode(everything()));
  REQUIRE(decoded);
  CHECK((*decoded == everything()));
}

TEST_CASE("a DHCPv6 Solicit has the octets that the RFC prescribes") {
  Message solicit;
  solicit.transaction = 0x010203;
  solicit.client_id = duid_of(Mac::parse("02:00:00:00:00:05").value());
  solicit.ia_na = {{.iaid = 0x01020304, .t1 = 0, .t2 = 0, .addresses = {}, .status = {}}};
  solicit.option_request = {23, 24};
  solicit.elapsed = 0x0102;
  solicit.rapid_commit = true;
  CHECK(encode(solicit) == Bytes{1, 1,  2, 3,                                         // Solicit
                                 0, 1,  0, 10, 0, 3,  0, 1,  2, 0, 0, 0, 0, 5,        // client id
                                 0, 3,  0, 12, 1, 2,  3, 4,  0, 0, 0, 0, 0, 0, 0, 0,  // IA_NA
                                 0, 6,  0, 4,  0, 23, 0, 24,                          // ORO
                                 0, 8,  0, 2,  1, 2,                                  // elapsed
                                 0, 14, 0, 0});  // rapid commit
}

TEST_CASE("a Reply as a server sends it is read") {
  const Bytes data = reply({option_of(1, bytes("client")), option_of(2, bytes("server")),
                            option_of(3, joined(ia_body(9), option_of(5, address_body(1)))),
                            option_of(13, joined({0, 2}, bytes("none"))), option_of(14, {}),
                            option_of(999, bytes("unknown"))});
  const auto message = decode(data);
  REQUIRE(message);
  CHECK(message->type == MessageType::kReply);
  CHECK(message->transaction == 0x123456);
  CHECK(message->client_id == bytes("client"));
  CHECK(message->server_id == bytes("server"));
  REQUIRE(message->ia_na.size() == 1);
  CHECK(message->ia_na[0].iaid == 9);
  CHECK(message->ia_na[0].t1 == 50);
  CHECK(message->ia_na[0].t2 == 80);
  REQUIRE(message->ia_na[0].addresses.size() == 1);
  CHECK(message->ia_na[0].addresses[0].address == ip("2001:db8::1"));
  CHECK(message->ia_na[0].addresses[0].preferred == 256);
  CHECK(message->ia_na[0].addresses[0].valid == 512);
  CHECK((message->status == StatusCode{Status::kNoAddrsAvail, "none"}));
  CHECK(message->rapid_commit);
}

TEST_CASE("every beginning of a DHCPv6 message is refused or lacks what was cut off") {
  const Bytes whole = encode(everything());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // On the heap in just this size, so that reading on is seen.
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto message = decode(part);
    if (message) CHECK_FALSE((*message == everything()));
  }
}

TEST_CASE("relay messages and unknown types are no DHCPv6 messages") {
  for (const unsigned type : {0U, 12U, 13U, 14U, 255U}) {
    CHECK_FALSE(decode(Bytes{static_cast<std::uint8_t>(type), 0, 0, 0}));
  }
  for (unsigned type = 1; type <= 11; ++type) {
    CHECK(decode(Bytes{static_cast<std::uint8_t>(type), 0, 0, 0}));
  }
}

TEST_CASE("a DHCPv6 option with a length its kind cannot have makes a message none") {
  const Bytes long_duid(131, 1);
  for (const Bytes& wrong : {
           option_of(1, {0, 3}),
           option_of(2, long_duid),
           option_of(2, {}),
           option_of(3, Bytes(11, 0)),
           option_of(6, {0}),
           option_of(7, {}),
           option_of(7, {1, 2}),
           option_of(8, {1}),
           option_of(13, {0}),
           option_of(14, {0}),
           option_of(23, Bytes(15, 1)),
           option_of(82, {0, 0, 1}),
           Bytes{0, 99, 0, 1},
           Bytes{0, 99, 0},
           Bytes{0},
           option_of(3, joined(ia_body(1), {0, 5, 0, 24})),               // address cut off
           option_of(3, joined(ia_body(1), option_of(5, Bytes(23, 0)))),  // address too short
           option_of(3, joined(ia_body(1), option_of(13, {0}))),
           option_of(3, joined(ia_body(1), option_of(5, joined(address_body(1), {0, 13, 0, 9})))),
       }) {
    CHECK_FALSE(decode(reply({wrong})));
    // Nor behind one in good order.
    CHECK_FALSE(decode(reply({option_of(99, {1}), wrong})));
  }
  CHECK(decode(reply({option_of(2, Bytes(130, 1)), option_of(1, {0, 3, 0})})));
}

TEST_CASE("domain names in DHCPv6 are read up to what they may hold") {
  const auto names = [](const Bytes& body) -> std::optional<std::vector<std::string>> {
    const auto message = decode(reply({option_of(24, body)}));
    if (!message) return std::nullopt;
    return message->search;
  };
  using List = std::vector<std::string>;
  CHECK(names(joined(Bytes{1, 'a', 2, 'b', 'c', 0}, {1, 'd', 0})) == List{"a.bc", "d"});
  CHECK(names({}) == List{});
  CHECK(names({0}) == List{});                        // the root
  CHECK(names({1, ' ', 0, 1, 'x', 0}) == List{"x"});  // what no host's name has
  CHECK(names({3, 'a', '.', 'b', 0}) == List{});      // a label that would be two
  CHECK(names({1, '\n', 0}) == List{});               // nothing gets a line of its own
  CHECK_FALSE(names({1, 'a'}));                       // no end
  CHECK_FALSE(names({3, 'a', 0}));                    // label behind the option
  CHECK_FALSE(names({1, 'a', 0xc0, 0}));              // compressed
  CHECK_FALSE(names(joined({64}, Bytes(65, 'a'))));   // label too long
  Bytes longest;
  for (int i = 0; i < 127; ++i) longest = joined(longest, {1, 'a'});
  CHECK(names(joined(longest, {0})).value().at(0).size() == 253);
  CHECK_FALSE(names(joined(longest, {1, 'a', 0})));
}

TEST_CASE("no more of a DHCPv6 message is kept than its bounds say") {
  Bytes addresses = ia_body(1);
  Bytes associations;
  Bytes names;
  for (std::uint8_t i = 0; i < 100; ++i) {
    addresses = joined(addresses, option_of(5, address_body(i)));
    associations = joined(associations, option_of(3, ia_body(i)));
    names = joined(names, {1, 'a', 0});
  }
  const auto message = decode(reply({option_of(3, addresses), associations, option_of(24, names),
                                     option_of(23, Bytes(1600, 0x20)), option_of(6, Bytes(200))}));
  REQUIRE(message);
  CHECK(message->ia_na.size() == kMostAssociations);
  CHECK(message->ia_na[0].addresses.size() == kMostAddresses);
  CHECK(message->ia_na[0].addresses[15].address == ip("2001:db8::f"));
  CHECK(message->search.size() == kMostSearchNames);
  CHECK(message->nameservers.size() == kMostNameservers);
  CHECK(message->option_request.size() == kMostRequestedOptions);
  // What is left out must be well-formed nevertheless.
  CHECK_FALSE(decode(reply({associations, option_of(3, Bytes(5))})));
}

TEST_CASE("of a DHCPv6 option that may stand once the first counts") {
  const auto options = [](std::uint8_t which) {
    Bytes out;
    for (const Bytes& option :
         {option_of(1, {0, 3, which}), option_of(2, {0, 4, which}), option_of(6, {0, which}),
          option_of(7, {which}), option_of(8, {0, which}), option_of(13, {0, which}),
          option_of(23, Bytes(16, which)),
          option_of(24, {1, static_cast<std::uint8_t>('a' + which), 0}),
          option_of(82, {0, 0, 0, which})}) {
      out = joined(out, option);
    }
    return out;
  };
  const auto alone = decode(reply({options(1)}));
  const auto twice = decode(reply({options(1), options(2)}));
  REQUIRE(alone);
  REQUIRE(twice);
  CHECK((*alone == *twice));
  CHECK_FALSE((*alone == decode(reply({options(2)}))));
}

TEST_CASE("what fits into no DHCPv6 option is left out when written") {
  Message message;
  message.client_id = Bytes(65536, 1);
  message.nameservers = {ip("192.0.2.1")};
  message.search = {"", "a..b", ".", "a.", std::string(64, 'a'), "a b"};
  message.ia_na = {{.iaid = 1,
                    .t1 = 0,
                    .t2 = 0,
                    .addresses = {{.address = Ip(), .preferred = 0, .valid = 0, .status = {}}},
                    .status = {}}};
  const auto decoded = decode(encode(message));
  REQUIRE(decoded);
  CHECK(decoded->client_id.empty());
  CHECK(decoded->nameservers.empty());
  CHECK(decoded->search.empty());
  REQUIRE(decoded->ia_na.size() == 1);
  CHECK(decoded->ia_na[0].addresses.empty());
}

}  // namespace
}  // namespace cni::dhcp::v6
