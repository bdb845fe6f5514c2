// Getting a lease; dhcp_v6_lease_test.cpp has what comes after.
#include "plugins/ipam/dhcp/v6/machine.hpp"

#include "test/unit/plugins/ipam/dhcp_v6_client.hpp"

namespace cni::dhcp::v6 {
namespace {

using namespace test;

TEST_CASE("a DHCPv6 client starts with a Solicit at once") {
  Client client;
  CHECK(client.machine.state() == State::kIdle);
  CHECK_FALSE(client.machine.deadline());
  CHECK_FALSE(client.machine.is_listening());
  client.start();
  REQUIRE(client.sent.size() == 1);
  Message expected;
  expected.transaction = kNoJitter & 0xffffffU;
  expected.client_id = bytes("client");
  expected.ia_na = {{.iaid = kIaid, .t1 = 0, .t2 = 0, .addresses = {}, .status = {}}};
  expected.option_request = {23, 24, 82};
  expected.elapsed = 0;
  expected.rapid_commit = true;
  CHECK((client.sent[0] == expected));
  CHECK(client.machine.is_listening());
  CHECK(client.machine.state() == State::kSoliciting);
}

TEST_CASE("Solicit is repeated after twice the time as the RFC has it") {
  // RAND is between -0.1 and 0.1, and above 0 for the first.
  const auto timeouts = [](std::uint32_t random) {
    Client client;
    client.random = random;
    client.start();
    std::vector<Time::rep> out;
    for (int i = 0; i < 4; ++i) {
      const Time before = client.now;
      client.wait();
      CHECK(client.type_sent() == MessageType::kSolicit);
      out.push_back((client.now - before).count());
    }
    return out;
  };
  CHECK(timeouts(kNoJitter) == std::vector<Time::rep>{1050, 2100, 4200, 8400});
  CHECK(timeouts(0) == std::vector<Time::rep>{1001, 1902, 3614, 6867});
  CHECK(timeouts(0xffffffff) == std::vector<Time::rep>{1099, 2307, 4844, 10172});
}

TEST_CASE("repetitions of a DHCPv6 message differ in the elapsed time alone") {
  Client client;
  client.start();
  client.random = 12345;
  client.wait();
  client.wait();
  REQUIRE(client.sent.size() == 3);
  Message expected = client.sent[0];
  expected.elapsed = static_cast<std::uint16_t>((client.now.count() - 1'000'000) / 10);
  CHECK(*expected.elapsed > 250);
  CHECK((client.sent[2] == expected));
}

TEST_CASE("the elapsed time of a DHCPv6 message ends at what fits") {
  Client client;
  get_to_bound(client);
  client.take(client.machine.conflict_found(client.now));
  client.wait();
  while (client.now < Time(2'000'000)) client.wait();
  CHECK(client.sent.back().elapsed == 0xffff);
}

TEST_CASE("a Reply with Rapid Commit is taken at once") {
  Client client;
  client.start();
  client.receive(reply(client));
  CHECK(client.actions.empty());
  Message rapid = reply(client);
  rapid.rapid_commit = true;
  client.receive(rapid);
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK_FALSE(client.find<Granted>()->before);
  CHECK(client.machine.state() == State::kBound);
  CHECK_FALSE(client.machine.is_listening());
}

TEST_CASE("an Advertise with preference 255 is taken at once") {
  Client client;
  client.start();
  Message offer = advertise(client);
  offer.preference = 255;
  client.now += Time(30);
  client.receive(offer);
  CHECK(client.type_sent() == MessageType::kRequest);
  const Message& request = client.sent.back();
  CHECK(request.server_id == bytes("server"));
  CHECK(request.client_id == bytes("client"));
  CHECK(request.elapsed == 0);
  CHECK_FALSE(request.rapid_commit);
  CHECK(request.option_request == std::vector<std::uint16_t>{23, 24, 82});
  REQUIRE(request.ia_na.size() == 1);
  CHECK(request.ia_na[0].iaid == kIaid);
  REQUIRE(request.ia_na[0].addresses.size() == 1);
  CHECK(request.ia_na[0].addresses[0].address == ip("2001:db8::7"));
}

TEST_CASE("the best Advertise of 50 milliseconds is taken") {
  Client client;
  client.start();
  const Time began = client.now;
  client.now = began + Time(10);
  client.receive(advertise(client, "2001:db8::1"));
  CHECK(client.actions.empty());
  CHECK(client.machine.deadline() == began + Time(60));
  client.now = began + Time(30);
  Message better = advertise(client, "2001:db8::2");
  better.preference = 9;
  better.server_id = bytes("better");
  client.receive(better);
  client.now = began + Time(40);
  client.receive(advertise(client, "2001:db8::3"));
  Message equal = better;
  equal.server_id = bytes("late");
  client.receive(equal);
  CHECK(client.machine.deadline() == began + Time(60));
  client.wait_until(began + Time(59));
  CHECK(client.actions.empty());
  client.wait();
  CHECK(client.type_sent() == MessageType::kRequest);
  CHECK(client.sent.back().server_id == bytes("better"));
  CHECK(client.sent.back().ia_na.at(0).addresses.at(0).address == ip("2001:db8::2"));
}

TEST_CASE("an Advertise is taken at the end of the first timeout and at once after it") {
  Client client;
  client.start();
  client.now += Time(1049);
  client.receive(advertise(client));
  CHECK(client.machine.deadline() == client.now + Time(1));
  client.wait();
  CHECK(client.type_sent() == MessageType::kRequest);

  Client late;
  late.start();
  late.wait();
  late.receive(advertise(late));
  CHECK(late.type_sent() == MessageType::kRequest);
}

TEST_CASE("an Advertise that offers nothing usable is ignored") {
  const std::vector<std::pair<std::string, void (*)(Message&)>> changes{
      {"no association", [](Message& m) { m.ia_na.clear(); }},
      {"another's association", [](Message& m) { m.ia_na[0].iaid = 1; }},
      {"no address", [](Message& m) { m.ia_na[0].addresses.clear(); }},
      {"status",
       [](Message& m) {
         m.status = StatusCode{Status::kNoAddrsAvail, ""};
       }},
      {"inner status",
       [](Message& m) {
         m.ia_na[0].status = StatusCode{Status::kNoAddrsAvail, ""};
       }},
      {"address status",
       [](Message& m) {
         m.ia_na[0].addresses[0].status = StatusCode{Status::kNotOnLink, ""};
       }},
      {"unknown status",
       [](Message& m) {
         m.status = StatusCode{static_cast<Status>(99), ""};
       }},
      {"T1 after T2", [](Message& m) { m.ia_na[0].t1 = 81; }},
      {"nothing valid", [](Message& m) { m.ia_na[0].addresses[0].valid = 0; }},
      {"preferred longer than valid", [](Message& m) { m.ia_na[0].addresses[0].preferred = 201; }},
      {"multicast", [](Message& m) { m.ia_na[0].addresses[0].address = ip("ff05::1"); }},
      {"link-local", [](Message& m) { m.ia_na[0].addresses[0].address = ip("fe80::1"); }},
      {"loopback", [](Message& m) { m.ia_na[0].addresses[0].address = ip("::1"); }},
      {"unspecified", [](Message& m) { m.ia_na[0].addresses[0].address = ip("::"); }},
      {"IPv4", [](Message& m) { m.ia_na[0].addresses[0].address = ip("192.0.2.1"); }},
      {"IPv4 in IPv6", [](Message& m) { m.ia_na[0].addresses[0].address = ip("::c000:201"); }},
      {"another transaction", [](Message& m) { ++m.transaction; }},
      {"another's client id", [](Message& m) { m.client_id = bytes("other"); }},
      {"no client id", [](Message& m) { m.client_id.clear(); }},
      {"no server id", [](Message& m) { m.server_id.clear(); }},
      {"Reconfigure", [](Message& m) { m.type = MessageType::kReconfigure; }},
      {"a client's message", [](Message& m) { m.type = MessageType::kRequest; }},
  };
  for (const auto& [name, change] : changes) {
    CAPTURE(name);
    Client client;
    client.start();
    Message offer = advertise(client);
    offer.preference = 255;
    change(offer);
    client.receive(offer);
    CHECK(client.actions.empty());
    CHECK(client.machine.deadline() == client.now + Time(1050));
    // Nor does it keep a good one from being taken.
    offer = advertise(client, "fd00::7");
    offer.preference = 255;
    client.receive(offer);
    CHECK(client.type_sent() == MessageType::kRequest);
  }
}

TEST_CASE("a Reply to a Request has to come from the server that was asked") {
  Client client;
  get_to_requesting(client);
  Message other = reply(client);
  other.server_id = bytes("other");
  client.receive(other);
  CHECK(client.actions.empty());
  other = reply(client);
  ++other.transaction;
  client.receive(other);
  CHECK(client.actions.empty());
  client.receive(advertise(client));
  CHECK(client.actions.empty());
  client.receive(reply(client));
  CHECK(client.find<Granted>() != nullptr);
}

TEST_CASE("Request is repeated ten times and then servers are looked for again") {
  Client client;
  get_to_requesting(client);
  const Time began = client.now;
  for (int i = 0; i < 9; ++i) {
    client.wait();
    CHECK(client.type_sent() == MessageType::kRequest);
  }
  CHECK(client.now - began == Time(1000 + 2000 + 4000 + 8000 + 16000 + 30000 * 4));
  client.wait();
  CHECK(client.actions.empty());
  CHECK(client.machine.state() == State::kSoliciting);
  CHECK_FALSE(client.machine.is_listening());
  client.wait();
  CHECK(client.type_sent() == MessageType::kSolicit);
  CHECK(client.sent.back().elapsed == 0);
}

TEST_CASE("a Request that is refused leads back to Solicit after a pause that grows") {
  for (const Status status : {Status::kNoAddrsAvail, Status::kNotOnLink, Status::kNoBinding}) {
    Client client;
    get_to_requesting(client);
    std::vector<Time::rep> pauses;
    for (int i = 0; i < 8; ++i) {
      client.receive(failing(client, status));
      CHECK(client.actions.empty());
      const Time before = client.now;
      client.wait();
      CHECK(client.type_sent() == MessageType::kSolicit);
      pauses.push_back((client.now - before).count());
      Message offer = advertise(client);
      offer.preference = 255;
      client.receive(offer);
    }
    CHECK(pauses == std::vector<Time::rep>{1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000});
  }
}

TEST_CASE("a Reply to a Request without an address leads back to Solicit") {
  Client client;
  get_to_requesting(client);
  client.receive(reply(client, {}));
  CHECK(client.actions.empty());
  CHECK(client.machine.state() == State::kSoliciting);
}

TEST_CASE("UnspecFail and UseMulticast let a Request be repeated as usual") {
  for (const Status status :
       {Status::kUnspecFail, Status::kUseMulticast, static_cast<Status>(4711)}) {
    Client client;
    get_to_requesting(client);
    client.receive(failing(client, status));
    CHECK(client.actions.empty());
    CHECK(client.machine.deadline() == client.now + Time(1000));
    client.wait();
    CHECK(client.type_sent() == MessageType::kRequest);
  }
}

TEST_CASE("a DHCPv6 client gives up when its time is over") {
  Client client;
  client.start();
  const Time began = client.now;
  while (client.find<GaveUp>() == nullptr) client.wait();
  CHECK(client.now == began + seconds(208));
  CHECK(client.reason() ==
        "no more tries: 8 Solicit and 0 Request messages sent within 208 s, and no DHCPv6 server "
        "answered: check that one serves this network");
  CHECK(client.machine.state() == State::kIdle);
  CHECK_FALSE(client.machine.deadline());
  CHECK_FALSE(client.machine.is_listening());
  // A second time everything is counted anew.
  const std::string reason = client.reason();
  client.start();
  CHECK(client.type_sent() == MessageType::kSolicit);
  while (client.find<GaveUp>() == nullptr) client.wait();
  CHECK(client.reason() == reason);
}

TEST_CASE("giving up says what the server answered in printable characters") {
  Client client;
  client.start();
  Message refusal = advertise(client, {});
  refusal.status = StatusCode{Status::kNoAddrsAvail, "pool\n\x1b\xff full"};
  client.receive(refusal);
  while (client.find<GaveUp>() == nullptr) client.wait();
  CHECK(client.reason() ==
        "no more tries: 8 Solicit and 0 Request messages sent within 208 s, and the last failure "
        "was: a server's Advertise had no usable address: NoAddrsAvail \"pool??? full\"");

  client.start();
  refusal = advertise(client, {});
  refusal.status = StatusCode{static_cast<Status>(700), std::string(60'000, 'x')};
  client.receive(refusal);
  while (client.find<GaveUp>() == nullptr) client.wait();
  CHECK(client.reason().ends_with("address: status 700 \"" + std::string(200, 'x') + "\""));

  // What it said then does not stand in the reason of another failure.
  client.start();
  while (client.find<GaveUp>() == nullptr) client.wait();
  CHECK(client.reason().ends_with("no DHCPv6 server answered: check that one serves this network"));
}

TEST_CASE("SOL_MAX_RT of a server is respected between a minute and a day") {
  const auto longest_timeout = [](std::optional<std::uint32_t> sol_max_rt) {
    Client client;
    get_to_bound(client);
    client.take(client.machine.conflict_found(client.now));  // nothing ends this Solicit
    client.wait();
    Message refusal = advertise(client, {});
    refusal.sol_max_rt = sol_max_rt;
    client.receive(refusal);
    for (int i = 0; i < 30; ++i) client.wait();
    const Time before = client.now;
    client.wait();
    return client.now - before;
  };
  CHECK(longest_timeout({}) == seconds(3600));
  CHECK(longest_timeout(60) == seconds(60));
  CHECK(longest_timeout(86400) == seconds(86400));
  CHECK(longest_timeout(59) == seconds(3600));
  CHECK(longest_timeout(86401) == seconds(3600));
}

TEST_CASE("start while soliciting limits that and has it repeated within two seconds") {
  Client client;
  get_to_bound(client);
  client.take(client.machine.conflict_found(client.now));
  for (int i = 0; i < 10; ++i) client.wait();
  client.start();
  CHECK(client.actions.empty());
  const Time began = client.now;
  client.wait();
  CHECK(client.now == began + seconds(1));
  CHECK(client.type_sent() == MessageType::kSolicit);
  while (client.find<GaveUp>() == nullptr) client.wait();
  CHECK(client.now == began + seconds(208));
}

TEST_CASE("start leaves a Solicit alone whose answer may be on its way") {
  Client client;
  client.start();
  client.now += Time(20);
  CHECK(client.start().empty());
  Message offer = advertise(client);
  offer.preference = 255;
  client.receive(offer);
  CHECK(client.type_sent() == MessageType::kRequest);
}

TEST_CASE("timer does nothing before the deadline and an idle client nothing at all") {
  Client client;
  Message stray;
  stray.type = MessageType::kReply;
  stray.client_id = bytes("client");
  stray.server_id = bytes("server");
  stray.rapid_commit = true;
  CHECK(client.receive(stray).empty());
  CHECK(client.take(client.machine.timer(client.now)).empty());
  CHECK(client.take(client.machine.renew(client.now)).empty());
  CHECK(client.take(client.machine.release(client.now)).empty());
  CHECK(client.take(client.machine.conflict_found(client.now)).empty());
  client.start();
  client.wait_until(client.machine.deadline().value() - Time(1));
  CHECK(client.actions.empty());
}

}  // namespace
}  // namespace cni::dhcp::v6
