// Giving a DHCPv6 lease back, and going on with the lease of an earlier process.
#include "plugins/ipam/dhcp/v6/machine.hpp"
#include "test/unit/plugins/ipam/dhcp_v6_client.hpp"

namespace cni::dhcp::v6 {
namespace {

using namespace test;

TEST_CASE("release tells the server once and leaves an idle client") {
  for (const bool is_renewing : {false, true}) {
    Client client;
    is_renewing ? get_to_renewing(client) : get_to_bound(client);
    client.random = 43;
    client.take(client.machine.release(client.now));
    REQUIRE(client.actions.size() == 1);
    Message expected;
    expected.type = MessageType::kRelease;
    expected.transaction = 43;
    expected.client_id = bytes("client");
    expected.server_id = bytes("server");
    expected.ia_na = {{.iaid = kIaid, .t1 = 0, .t2 = 0, .addresses = {}, .status = {}}};
    expected.ia_na[0].addresses = {
        {.address = ip("2001:db8::7"), .preferred = 0, .valid = 0, .status = {}}};
    expected.elapsed = 0;
    CHECK((client.find<Send>()->message == expected));
    CHECK(client.machine.state() == State::kIdle);
    CHECK_FALSE(client.machine.lease());
    CHECK_FALSE(client.machine.deadline());
    CHECK_FALSE(client.machine.is_listening());
    CHECK(client.take(client.machine.release(client.now)).empty());
  }
}

TEST_CASE("release gives back what has been requested and nothing that was only offered") {
  Client client;
  client.start();
  client.receive(advertise(client));
  CHECK(client.take(client.machine.release(client.now)).empty());
  CHECK_FALSE(client.machine.deadline());

  Client requesting;
  get_to_requesting(requesting);
  requesting.take(requesting.machine.release(requesting.now));
  CHECK(requesting.type_sent() == MessageType::kRelease);
  CHECK(requesting.sent.back().server_id == bytes("server"));
  CHECK(requesting.sent.back().ia_na.at(0).addresses.at(0).address == ip("2001:db8::7"));
}

TEST_CASE("a conflict declines the address and asks anew after a second") {
  Client client;
  get_to_bound(client);
  client.random = 44;
  client.take(client.machine.conflict_found(client.now));
  REQUIRE(client.actions.size() == 2);
  CHECK(client.reason() == "another host uses 2001:db8::7");
  Message expected;
  expected.type = MessageType::kDecline;
  expected.transaction = 44;
  expected.client_id = bytes("client");
  expected.server_id = bytes("server");
  expected.ia_na = {{.iaid = kIaid, .t1 = 0, .t2 = 0, .addresses = {}, .status = {}}};
  expected.ia_na[0].addresses = {
      {.address = ip("2001:db8::7"), .preferred = 0, .valid = 0, .status = {}}};
  expected.elapsed = 0;
  CHECK((client.find<Send>()->message == expected));
  CHECK_FALSE(client.machine.lease());
  const Time before = client.now;
  client.wait();
  CHECK(client.now == before + seconds(1));
  CHECK(client.type_sent() == MessageType::kSolicit);
  CHECK(client.sent.back().ia_na.at(0).addresses.empty());
}

TEST_CASE("a server that grants the same conflict again is asked ever less often") {
  Client client;
  client.start();
  Time pause{0};
  for (int i = 0; i < 8; ++i) {
    Message rapid = reply(client);
    rapid.rapid_commit = true;
    client.receive(rapid);
    client.take(client.machine.conflict_found(client.now));
    const Time before = client.now;
    client.wait();
    pause = client.now - before;
  }
  CHECK(pause == seconds(60));
  // A lease that has been prolonged was a good one.
  Message rapid = reply(client);
  rapid.rapid_commit = true;
  client.receive(rapid);
  client.wait();
  client.receive(reply(client));
  client.take(client.machine.conflict_found(client.now));
  CHECK(client.machine.deadline() == client.now + seconds(1));
}

TEST_CASE("a resumed DHCPv6 lease is renewed when its time comes") {
  Client client;
  const Lease6 lease = lease_since(client.now - seconds(10));
  CHECK(client.take(client.machine.resume(client.now, lease)).empty());
  CHECK(client.machine.state() == State::kBound);
  CHECK((client.machine.lease() == lease));
  CHECK(client.machine.deadline() == lease.timing.renew_at);
  client.wait();
  CHECK(client.type_sent() == MessageType::kRenew);
}

TEST_CASE("a resumed DHCPv6 lease past T1 is renewed within a second") {
  for (const std::uint32_t random : {0U, 500U, 1000U, 0xffffffffU}) {
    Client client;
    client.random = random;
    client.take(client.machine.resume(client.now, lease_since(client.now - seconds(60))));
    CHECK(client.actions.empty());
    CHECK(client.machine.deadline() == client.now + Time(random % 1001));
    client.wait();
    CHECK(client.type_sent() == MessageType::kRenew);
  }
  Client past_t2;
  past_t2.take(past_t2.machine.resume(past_t2.now, lease_since(past_t2.now - seconds(90))));
  past_t2.wait();
  CHECK(past_t2.type_sent() == MessageType::kRebind);
}

TEST_CASE("a resumed DHCPv6 lease that has expired is lost") {
  Client client;
  client.take(client.machine.resume(client.now, lease_since(client.now - seconds(200))));
  REQUIRE(client.find<Lost>() != nullptr);
  CHECK(client.type_sent() == MessageType::kSolicit);
  CHECK(client.machine.state() == State::kSoliciting);
}

TEST_CASE("the identifiers of a resumed lease are used for its life and no longer") {
  Client client;
  Lease6 lease = lease_since(client.now);
  lease.client_id = bytes("earlier client");
  lease.iaid = 5;
  client.take(client.machine.resume(client.now, lease));
  client.wait();
  CHECK(client.sent.back().client_id == bytes("earlier client"));
  CHECK(client.sent.back().ia_na.at(0).iaid == 5);
  client.receive(reply(client));
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK(client.find<Granted>()->lease.client_id == bytes("earlier client"));
  CHECK(client.find<Granted>()->lease.iaid == 5);
  client.wait_until(client.machine.lease()->timing.expires_at);
  CHECK(client.type_sent() == MessageType::kSolicit);
  CHECK(client.sent.back().client_id == bytes("client"));
  CHECK(client.sent.back().ia_na.at(0).iaid == kIaid);
}

}  // namespace
}  // namespace cni::dhcp::v6
