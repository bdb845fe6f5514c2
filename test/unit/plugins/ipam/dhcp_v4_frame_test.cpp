// Ethernet frames with DHCPv4 messages and ARP probes.
#include "plugins/ipam/dhcp/v4/frame.hpp"

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::dhcp;
using namespace cni::dhcp::v4;

namespace {

const Mac kOwn = *Mac::parse("02:00:00:00:00:01");
const Mac kOther = *Mac::parse("02:00:00:00:00:02");

Ip ip(const char* text) { return *Ip::parse(text); }

// "hello" from 192.0.2.1, port 67, to 192.0.2.5, port 68; the checksums were not reckoned by our
// code.
Bytes answer() {
  return {2, 0,  0, 0,  0, 1,  2,  0,  0,    0,    0,   2,   8,   0,   0x45, 0,
          0, 33, 0, 0,  0, 0,  64, 17, 0xf6, 0xc5, 192, 0,   2,   1,   192,  0,
          2, 5,  0, 67, 0, 68, 0,  13, 0x37, 0x74, 'h', 'e', 'l', 'l', 'o'};
}

std::string payload(const Bytes& frame, bool checksum_is_known = true) {
  const auto found = find_payload(frame, checksum_is_known);
  return found ? std::string(found->begin(), found->end()) : "nothing";
}

Bytes changed(Bytes frame, std::size_t at, std::uint8_t value) {
  frame[at] = value;
  return frame;
}

// Changes an octet of the IP header and makes its checksum right again.
Bytes with_header(Bytes frame, std::size_t at, std::uint8_t value) {
  frame[at] = value;
  frame[24] = frame[25] = 0;
  std::uint32_t sum = 0;
  const std::size_t size = (frame[14] & 0xfU) * std::size_t{4};
  for (std::size_t i = 14; i < 14 + size; i += 2) sum += frame[i] * 256U + frame[i + 1];
  while (sum > 0xffff) sum = sum % 0x10000 + sum / 0x10000;
  frame[24] = static_cast<std::uint8_t>(~sum >> 8U);
  frame[25] = static_cast<std::uint8_t>(~sum);
  return frame;
}

Bytes arp(std::uint8_t operation, const Mac& sender, const Ip& sender_ip, const Ip& target) {
  Bytes out = encode_arp_probe(sender, target);
  out[21] = operation;
  std::copy_n(sender_ip.data(), 4, out.begin() + 28);
  return out;
}

}  // namespace

TEST_CASE("a DHCPv4 frame is what goes over the wire") {
  const Bytes message = {'h', 'e', 'l', 'l', 'o'};
  const Bytes expected = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,    0,    0,    0,    0,  1,
                          8,    0,    0x45, 0,    0,    33,   0,    0,    0,    0,    64, 17,
                          0x7a, 0xcd, 0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff, 0,  68,
                          0,    67,   0,    13,   0xbb, 0x7b, 'h',  'e',  'l',  'l',  'o'};
  CHECK(encode_frame(kOwn, Ip{}, ip("255.255.255.255"), message) == expected);
}

TEST_CASE("a DHCPv4 frame to a server has both addresses") {
  const Bytes frame = encode_frame(kOwn, ip("192.0.2.5"), ip("192.0.2.1"), {});
  CHECK(Bytes(frame.begin() + 26, frame.begin() + 34) == Bytes{192, 0, 2, 5, 192, 0, 2, 1});
  CHECK(frame.size() == 42);
  Bytes back = frame;
  std::swap(back[35], back[37]);  // the ports: the checksum stays right
  CHECK(payload(back).empty());
}

TEST_CASE("a UDP checksum of zero is written as its other form") {
  // Searches the two octets that make the sum come out as 0xffff.
  bool found = false;
  for (unsigned value = 0; value <= 0xffff && !found; ++value) {
    const Bytes message = {static_cast<std::uint8_t>(value >> 8U),
                           static_cast<std::uint8_t>(value)};
    Bytes frame = encode_frame(kOwn, Ip{}, ip("255.255.255.255"), message);
    CHECK((frame[40] != 0 || frame[41] != 0));
    found = frame[40] == 0xff && frame[41] == 0xff;
    if (!found) continue;
    std::swap(frame[35], frame[37]);
    CHECK(payload(frame).size() == 2);
  }
  CHECK(found);
}

TEST_CASE("a DHCPv4 message that fits into no packet is refused") {
  CHECK(encode_frame(kOwn, Ip{}, Ip{}, Bytes(65'507)).size() == 65'549);
  CHECK_THROWS_AS(encode_frame(kOwn, Ip{}, Ip{}, Bytes(65'508)), Error);
}

TEST_CASE("frames from what is no Ethernet link are refused") {
  CHECK_THROWS_AS(encode_frame(Mac{}, Ip{}, Ip{}, {}), Error);
  CHECK_THROWS_AS(encode_arp_probe(*Mac::parse("02:00:00:00:00:00:00:01"), Ip{}), Error);
}

TEST_CASE("the payload of a frame for a DHCPv4 client is found") {
  CHECK(payload(answer()) == "hello");
  Bytes padded = answer();
  padded.resize(60, 0xee);
  CHECK(payload(padded) == "hello");
}

TEST_CASE("the payload behind IP options is found") {
  Bytes frame = answer();
  frame.insert(frame.begin() + 34, {1, 1, 1, 1});
  frame = with_header(with_header(frame, 14, 0x46), 17, 37);
  CHECK(payload(frame) == "hello");
  CHECK(payload(with_header(frame, 14, 0x44)) == "nothing");
}

TEST_CASE("a frame that is cut off has no payload") {
  const Bytes whole = answer();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(payload(cut, false) == "nothing");
  }
}

TEST_CASE("frames of other kinds have no DHCPv4 payload") {
  REQUIRE(payload(with_header(answer(), 23, 17)) == "hello");
  CHECK(payload(changed(answer(), 12, 6)) == "nothing");          // no IP
  CHECK(payload(with_header(answer(), 14, 0x65)) == "nothing");   // another version
  CHECK(payload(with_header(answer(), 23, 6)) == "nothing");      // no UDP
  CHECK(payload(changed(answer(), 37, 67), false) == "nothing");  // another port
}

TEST_CASE("fragments have no DHCPv4 payload") {
  CHECK(payload(with_header(answer(), 20, 0x40)) == "hello");  // do not fragment
  CHECK(payload(with_header(answer(), 20, 0x20)) == "nothing");
  CHECK(payload(with_header(answer(), 20, 0x01)) == "nothing");
  CHECK(payload(with_header(answer(), 21, 0x01)) == "nothing");
}

TEST_CASE("a wrong IP checksum makes a frame worthless") {
  CHECK(payload(changed(answer(), 25, 0xc6)) == "nothing");
  CHECK(payload(changed(answer(), 25, 0xc6), false) == "nothing");
}

TEST_CASE("a UDP checksum is looked at if it is there and known") {
  CHECK(payload(changed(answer(), 42, 'H')) == "nothing");
  CHECK(payload(changed(answer(), 42, 'H'), false) == "Hello");
  Bytes without = changed(changed(answer(), 40, 0), 41, 0);
  CHECK(payload(changed(without, 42, 'H')) == "Hello");
}

TEST_CASE("lengths of a datagram that do not fit make a frame worthless") {
  CHECK(payload(changed(answer(), 39, 14), false) == "nothing");  // behind the packet
  CHECK(payload(changed(answer(), 39, 7), false) == "nothing");   // less than its own header
  CHECK(payload(changed(answer(), 39, 9), false) == "h");
  CHECK(payload(with_header(answer(), 17, 34), false) == "nothing");  // behind the frame
  CHECK(payload(with_header(answer(), 17, 27), false) == "nothing");
  Bytes padded = answer();
  padded.resize(60);
  // What is behind the IP packet does not count, though it is there.
  CHECK(payload(changed(padded, 39, 14), false) == "nothing");
}

TEST_CASE("an ARP probe asks for an address without having one") {
  const Bytes expected = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,   1, 8, 6,
                          0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,   0, 0, 1,
                          0,    0,    0,    0,    0,    0,    0, 0, 0, 0, 192, 0, 2, 5};
  CHECK(encode_arp_probe(kOwn, ip("192.0.2.5")) == expected);
}

TEST_CASE("who sends ARP from an address uses it") {
  const Ip address = ip("192.0.2.5");
  CHECK(is_conflict(arp(2, kOther, address, Ip{}), kOwn, address));
  CHECK(is_conflict(arp(1, kOther, address, ip("192.0.2.9")), kOwn, address));
  CHECK_FALSE(is_conflict(arp(2, kOwn, address, Ip{}), kOwn, address));
  CHECK_FALSE(is_conflict(arp(2, kOther, ip("192.0.2.6"), Ip{}), kOwn, address));
}

TEST_CASE("who probes an address at the same time is in conflict") {
  const Ip address = ip("192.0.2.5");
  CHECK(is_conflict(arp(1, kOther, Ip{}, address), kOwn, address));
  CHECK_FALSE(is_conflict(arp(1, kOwn, Ip{}, address), kOwn, address));
  CHECK_FALSE(is_conflict(arp(1, kOther, Ip{}, ip("192.0.2.6")), kOwn, address));
  // Somebody with an address merely asks, or is answered.
  CHECK_FALSE(is_conflict(arp(1, kOther, ip("192.0.2.6"), address), kOwn, address));
  CHECK_FALSE(is_conflict(arp(2, kOther, Ip{}, address), kOwn, address));
}

TEST_CASE("what is no ARP for Ethernet and IPv4 is no conflict") {
  const Ip address = ip("192.0.2.5");
  const Bytes good = arp(2, kOther, address, Ip{});
  REQUIRE(is_conflict(good, kOwn, address));
  for (const std::size_t at : {std::size_t{13}, std::size_t{15}, std::size_t{16}, std::size_t{18},
                               std::size_t{19}, std::size_t{21}}) {
    CHECK_FALSE(is_conflict(changed(good, at, 9), kOwn, address));
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK_FALSE(is_conflict(std::span(good).first(size), kOwn, address));
  }
  CHECK_FALSE(is_conflict(arp(2, kOther, Ip{}, Ip{}), kOwn, Ip{}));
}
