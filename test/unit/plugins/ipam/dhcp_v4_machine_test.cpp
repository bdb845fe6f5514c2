// How a DHCPv4 client gets a lease.
#include "plugins/ipam/dhcp/v4/machine.hpp"

#include "test/unit/plugins/ipam/dhcp_v4_server.hpp"

using namespace cni;
using namespace cni::dhcp;
using namespace cni::dhcp::v4;
using namespace cni::dhcp::v4::test;

// When the last of the early DISCOVERs is sent.
constexpr Time kEarly{500};

TEST_CASE("a DHCPv4 client discovers at once") {
  Settings with = settings();
  with.request = {3, 1, 6};
  Client client(with);
  CHECK(client.machine.state() == State::kIdle);
  CHECK_FALSE(client.machine.is_listening());
  const Message message = only<SendBroadcast>(client.start()).message;
  CHECK(client.machine.state() == State::kSelecting);
  CHECK(client.machine.is_listening());
  CHECK_FALSE(message.is_reply);
  CHECK(message.type() == MessageType::kDiscover);
  CHECK(message.chaddr == kMac);
  CHECK(message.secs == 0);
  CHECK_FALSE(message.broadcast);
  CHECK(message.ciaddr.is_unspecified());
  CHECK(codes(message) == std::vector{53, 55, 57, 61});
  CHECK(message.options.at(55) == Bytes{3, 1, 6});
  CHECK(message.options.at(57) == Bytes{5, 0xdc});
  CHECK(message.options.at(61) == Bytes{0, 'i', 'd'});
  CHECK(client.start().empty());
}

TEST_CASE("provided options take the place of a DHCPv4 client's own but not of the protocol's") {
  Settings with = settings();
  with.broadcast = true;
  with.provide = {{12, bytes("web")}, {50, {192, 0, 2, 99}}, {53, {9}},
                  {54, {1, 1, 1, 1}}, {57, {2, 0x40}},       {61, bytes("me")}};
  Client client(with);
  Message message = only<SendBroadcast>(client.start()).message;
  CHECK(message.broadcast);
  CHECK(codes(message) == std::vector{12, 50, 53, 57, 61});
  CHECK(message.options.at(12) == bytes("web"));
  CHECK(message.options.at(50) == Bytes{192, 0, 2, 99});
  CHECK(message.options.at(57) == Bytes{2, 0x40});
  CHECK(message.options.at(61) == bytes("me"));
  CHECK(message.type() == MessageType::kDiscover);
  message = only<SendBroadcast>(client.hear(client.offer())).message;
  CHECK(message.broadcast);
  CHECK(message.options.at(50) == octets(kAddress));
  CHECK(message.options.at(54) == octets(kServer));
  client.hear(client.ack());
  client.wait();
  CHECK(codes(client.sent) == std::vector{12, 53, 57, 61});
  client.release();
  CHECK(codes(client.sent) == std::vector{53, 54, 61});
  CHECK(client.sent.options.at(61) == bytes("me"));
}

TEST_CASE("a DHCPv4 message is sent three times with doubling timeouts") {
  Client client;
  client.start();
  const Message first = client.sent;
  // Two early ones that are not counted: the way to the server may just be opening.
  CHECK(client.machine.deadline() == kStart + Time{100});
  CHECK(only<SendBroadcast>(client.wait()).message.xid == first.xid);
  CHECK(client.machine.deadline() == kStart + kEarly);
  CHECK(only<SendBroadcast>(client.wait()).message.xid == first.xid);
  CHECK(client.machine.deadline() == kStart + kEarly + seconds(10));
  client.now = kStart + kEarly + seconds(10) - Time{1};
  CHECK(client.timer().empty());
  Message again = only<SendBroadcast>(client.wait()).message;
  CHECK(again.xid == first.xid);
  CHECK(again.secs == 10);
  CHECK(client.machine.deadline() == kStart + kEarly + seconds(30));
  CHECK(only<SendBroadcast>(client.wait()).message.secs == 30);
  CHECK(client.machine.deadline() == kStart + kEarly + seconds(70));
  CHECK(client.wait().empty());
  CHECK(client.machine.state() == State::kWaiting);
  CHECK_FALSE(client.machine.is_listening());
  again = only<SendBroadcast>(client.wait()).message;
  CHECK(client.now == kStart + kEarly + seconds(72));
  CHECK(again.xid != first.xid);
  CHECK(again.secs == 0);
  // Another attempt has none of them.
  CHECK(client.machine.deadline() == kStart + kEarly + seconds(82));
}

TEST_CASE("timeouts and pauses of a DHCPv4 client are moved by a second at most") {
  for (const std::uint32_t value : {0U, 0xffffffffU}) {
    Settings with = settings();
    with.patience.first_timeout = seconds(5);
    Client client(with, [value] { return value; });
    client.start();
    const auto moved = [&](Time by) { return value == 0 ? -by : by; };
    const auto near = [](Time one, Time other) {
      return one - other <= Time{1} && other - one <= Time{1};
    };
    client.wait();
    client.wait();
    std::vector<Time> waits;
    for (int i = 0; i < 4; ++i) {
      waits.push_back(*client.machine.deadline() - client.now);
      client.wait();
    }
    CHECK(near(waits[0], Time{5000} + moved(Time{500})));
    CHECK(near(waits[1], Time{10'000} + moved(Time{1000})));
    CHECK(near(waits[2], Time{20'000} + moved(Time{1000})));
    CHECK(near(waits[3], Time{2000} + moved(Time{1000})));
    CHECK(waits[3] >= Time{1000});
  }
}

TEST_CASE("pauses between attempts of a DHCPv4 client grow up to the longest") {
  Settings with = settings();
  with.patience.give_up_after = std::chrono::hours(10);
  with.patience.longest_pause = seconds(20);
  Client client(with);
  client.start();
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < 8; ++i) {
    client.hear(client.offer());
    client.hear(client.nak());
    REQUIRE(client.machine.state() == State::kWaiting);
    const Time from = client.now;
    client.wait();
    REQUIRE(client.machine.state() == State::kSelecting);
    pauses.push_back((client.now - from).count());
  }
  CHECK(pauses == std::vector<std::int64_t>{2000, 2000, 2000, 2000, 8000, 16'000, 20'000, 20'000});
}

TEST_CASE("a server that refuses at once does not make a storm") {
  Settings with = settings();
  with.patience.longest_pause = Time{0};
  with.patience.give_up_after = seconds(100);
  Client client(with, [] { return 0U; });
  client.start();
  int discovers = 1;
  while (client.machine.state() != State::kIdle) {
    client.hear(client.offer());
    client.hear(client.nak());
    const Actions actions = client.wait();
    if (client.machine.state() == State::kSelecting) ++discovers;
    REQUIRE(discovers < 1000);
  }
  CHECK(discovers <= 100);
  CHECK(discovers > 50);
}

TEST_CASE("an offer is asked for with what it says") {
  Client client;
  client.start();
  client.now += seconds(10);
  client.timer();
  const Message discover = client.sent;
  client.now += seconds(3);
  const Message message = only<SendBroadcast>(client.hear(client.offer())).message;
  CHECK(client.machine.state() == State::kRequesting);
  CHECK(message.type() == MessageType::kRequest);
  CHECK(message.xid == discover.xid);
  CHECK(message.secs == 10);  // the DISCOVER's, for relays
  CHECK(message.ciaddr.is_unspecified());
  CHECK(codes(message) == std::vector{50, 53, 54, 57, 61});
  CHECK(message.options.at(50) == octets(kAddress));
  CHECK(message.options.at(54) == octets(kServer));
  // A second offer comes too late.
  CHECK(client.hear(client.offer(kOtherServer)).empty());
  CHECK(client.machine.deadline() == client.now + seconds(10));
  only<SendBroadcast>(client.wait());
  only<SendBroadcast>(client.wait());
  CHECK(client.sent.type() == MessageType::kRequest);
  CHECK(client.wait().empty());
  CHECK(client.machine.state() == State::kWaiting);
}

TEST_CASE("messages that answer something else change nothing") {
  Client client;
  client.start();
  const auto ignored = [&](const Message& message) {
    const State before = client.machine.state();
    const auto deadline = client.machine.deadline();
    return client.hear(message).empty() && client.machine.state() == before &&
           client.machine.deadline() == deadline;
  };
  const auto all_ignored = [&](const Message& good) {
    std::vector<Message> bad(6, good);
    bad[0].is_reply = false;
    bad[1].xid ^= 1U;
    bad[2].chaddr = *Mac::parse("02:00:00:00:00:02");
    bad[3].options.erase(option::kServerId);
    bad[4].options[option::kServerId] = {224, 0, 0, 1};
    bad[5].options.erase(option::kMessageType);
    return std::all_of(bad.begin(), bad.end(), ignored);
  };
  CHECK(all_ignored(client.offer()));
  Message offer = client.offer();
  offer.yiaddr = Ip{};
  CHECK(ignored(offer));
  CHECK(ignored(client.ack()));
  CHECK(ignored(client.nak()));
  client.hear(client.offer());
  CHECK(all_ignored(client.ack()));
  CHECK(all_ignored(client.nak()));
  CHECK(ignored(client.ack(kOtherServer)));
  CHECK(ignored(client.nak(kOtherServer)));
  client.hear(client.ack());
  CHECK(ignored(client.nak()));
  CHECK(client.machine.state() == State::kBound);
}

TEST_CASE("an ACK grants a lease that runs from the request") {
  Client client;
  client.request();
  const Time requested = client.now;
  client.now += seconds(4);
  const Granted granted = only<Granted>(client.hear(client.ack()));
  CHECK(client.machine.state() == State::kBound);
  CHECK_FALSE(client.machine.is_listening());
  CHECK_FALSE(granted.before);
  CHECK(granted.lease == lease_from(requested));
  CHECK(client.machine.lease() == granted.lease);
}

TEST_CASE("an ACK without a mask fails the attempt with its reason") {
  Settings with = settings();
  with.patience.give_up_after = seconds(1);
  Client client(with);
  client.request();
  Message ack = client.ack();
  ack.options.erase(option::kSubnetMask);
  CHECK(client.hear(ack).empty());
  CHECK(client.machine.state() == State::kWaiting);
  const std::string reason = only<GaveUp>(client.wait()).reason;
  CHECK(
      reason.starts_with("no more tries: in 1 s 1 DISCOVER and 1 REQUEST were sent, and 1 OFFER, "
                         "1 ACK and 0 NAK came back"));
  CHECK(reason.find("Subnet Mask not found in DHCPACK") != std::string::npos);
}

TEST_CASE("a DHCPv4 client gives up in time and can start again") {
  Client client;
  client.start();
  const GaveUp gave_up = only<GaveUp>(client.wait_for(State::kIdle));
  CHECK(client.now == kStart + seconds(208));
  CHECK(
      gave_up.reason.starts_with("no more tries: in 208 s 11 DISCOVER and 0 REQUEST were sent, "
                                 "and 0 OFFER, 0 ACK and 0 NAK came back"));
  CHECK(gave_up.reason.find("no DHCP server answered") != std::string::npos);
  CHECK_FALSE(client.machine.deadline());
  CHECK_FALSE(client.machine.is_listening());
  CHECK_FALSE(client.machine.lease());
  CHECK(client.hear(client.offer()).empty());
  only<SendBroadcast>(client.start());
  CHECK(client.machine.deadline() == client.now + Time{100});
}

TEST_CASE("a DHCPv4 client that gives up says what the server said") {
  Settings with = settings();
  with.patience.give_up_after = seconds(1);
  Client client(with);
  client.request();
  Message nak = client.nak();
  nak.options[option::kMessage] = bytes("wrong\nnetwork");
  client.hear(nak);
  const std::string reason = only<GaveUp>(client.wait()).reason;
  CHECK(reason.find("192.0.2.1 refused it (NAK): \"wrong?network\"") != std::string::npos);
}

TEST_CASE("no time to give up is said with the longest one") {
  Settings with = settings();
  with.patience.give_up_after = kNever;
  Client client(with);
  client.start();
  for (int i = 0; i < 200; ++i) client.wait();
  CHECK(client.machine.state() != State::kIdle);
}

TEST_CASE("an address is probed while the server thinks") {
  Settings with = settings();
  with.patience.probe_time = Time{200};
  Client client(with);
  client.start();
  const Actions actions = client.hear(client.offer());
  REQUIRE(actions.size() == 2);
  CHECK(std::holds_alternative<SendBroadcast>(actions[0]));
  CHECK(std::get<Probe>(actions[1]).address == kAddress);
  client.now += Time{50};
  CHECK(client.hear(client.ack()).empty());
  CHECK(client.machine.state() == State::kProbing);
  CHECK(client.machine.is_listening());
  CHECK_FALSE(client.machine.lease());
  CHECK(client.machine.deadline() == kStart + Time{200});
  CHECK(only<Granted>(client.wait()).lease == lease_from(kStart));
  CHECK(client.conflict().empty());
  CHECK(client.machine.state() == State::kBound);
}

TEST_CASE("an address that is granted in time is probed to the end") {
  Settings with = settings();
  with.patience.probe_time = Time{200};
  with.patience.give_up_after = Time{100};
  Client client(with);
  client.request();
  client.hear(client.ack());
  CHECK(client.machine.deadline() == kStart + Time{200});
  only<Granted>(client.wait());
}

TEST_CASE("a probe that is over by the ACK costs nothing") {
  Settings with = settings();
  with.patience.probe_time = Time{200};
  Client client(with);
  client.request();
  client.now += Time{200};
  only<Granted>(client.hear(client.ack()));
}

TEST_CASE("another address than the one offered is probed too") {
  Settings with = settings();
  with.patience.probe_time = Time{200};
  Client client(with);
  client.request();
  client.now += Time{500};
  Message ack = client.ack();
  ack.yiaddr = ip("192.0.2.6");
  CHECK(only<Probe>(client.hear(ack)).address == ip("192.0.2.6"));
  CHECK(client.machine.deadline() == client.now + Time{200});
  CHECK(only<Granted>(client.wait()).lease.address.address == ip("192.0.2.6"));
}

TEST_CASE("an address in use is declined once it is granted") {
  Settings with = settings();
  with.broadcast = true;
  with.request = {1};
  with.provide = {{12, bytes("web")}};
  with.patience.probe_time = Time{200};
  Client client(with);
  client.request();
  client.hear(client.ack());
  const Message message = only<SendBroadcast>(client.conflict()).message;
  CHECK(client.machine.state() == State::kWaiting);
  CHECK_FALSE(client.machine.is_listening());
  CHECK(message.type() == MessageType::kDecline);
  CHECK(codes(message) == std::vector{50, 53, 54, 61});
  CHECK(message.options.at(50) == octets(kAddress));
  CHECK(message.options.at(54) == octets(kServer));
  CHECK(message.ciaddr.is_unspecified());
  CHECK_FALSE(message.broadcast);
  CHECK(client.conflict().empty());
  // The first pause is short, the next ones are as RFC 2131 wants them.
  CHECK(client.machine.deadline() == client.now + seconds(1));
  client.wait();
  CHECK(client.sent.type() == MessageType::kDiscover);
  client.hear(client.offer());
  client.hear(client.ack());
  only<SendBroadcast>(client.conflict());
  CHECK(client.machine.deadline() == client.now + seconds(10));
}

TEST_CASE("an address in use that is granted later is declined then") {
  Settings with = settings();
  with.patience.probe_time = Time{200};
  Client client(with);
  client.request();
  CHECK(client.conflict().empty());
  CHECK(client.machine.state() == State::kWaiting);
  CHECK(client.machine.is_listening());
  const auto deadline = client.machine.deadline();
  CHECK(deadline == client.now + seconds(1));
  CHECK(client.hear(client.ack(kOtherServer)).empty());
  CHECK(client.hear(client.nak()).empty());
  const Message ack = client.ack();
  CHECK(only<SendBroadcast>(client.hear(ack)).message.type() == MessageType::kDecline);
  CHECK_FALSE(client.machine.is_listening());
  CHECK(client.hear(ack).empty());
  CHECK(client.machine.deadline() == deadline);
  client.wait();
  CHECK(client.sent.type() == MessageType::kDiscover);
}

TEST_CASE("a DHCPv4 client that finds addresses in use gives up with that") {
  Settings with = settings();
  with.patience.probe_time = Time{200};
  with.patience.give_up_after = Time{500};
  Client client(with);
  client.request();
  client.conflict();
  const std::string reason = only<GaveUp>(client.wait()).reason;
  CHECK(reason.find("192.0.2.5, which DHCP server 192.0.2.1 offers, is used by another host") !=
        std::string::npos);
}

TEST_CASE("states of a DHCPv4 client have names") {
  CHECK(to_string(State::kIdle) == "idle");
  CHECK(to_string(State::kRebinding) == "rebinding");
}
