// Keeping a DHCPv6 lease; dhcp_v6_machine_test.cpp has how one is got.
#include "plugins/ipam/dhcp/v6/machine.hpp"
#include "test/unit/plugins/ipam/dhcp_v6_client.hpp"

namespace cni::dhcp::v6 {
namespace {

using namespace test;

// The lease that a Reply with these lifetimes grants, seen from when it came.
Timing timing_of(std::uint32_t t1, std::uint32_t t2, std::uint32_t preferred, std::uint32_t valid) {
  Client client;
  get_to_requesting(client);
  Message granting = reply(client);
  granting.ia_na[0].t1 = t1;
  granting.ia_na[0].t2 = t2;
  granting.ia_na[0].addresses[0].preferred = preferred;
  granting.ia_na[0].addresses[0].valid = valid;
  client.receive(granting);
  REQUIRE(client.machine.lease());
  Timing out = client.machine.lease()->timing;
  for (Time* at : {&out.renew_at, &out.rebind_at, &out.expires_at}) {
    if (*at != kNever) *at -= client.now;
  }
  return out;
}

TEST_CASE("a DHCPv6 lease has all that the Reply says") {
  Client client;
  get_to_requesting(client);
  Message granting = reply(client);
  granting.nameservers = {ip("2001:db8::53"), ip("fe80::53"), ip("::1"), ip("ff02::1"),
                          ip("fd00::53")};
  granting.search = {"example.com", "example.org"};
  client.receive(granting);
  Lease6 expected = lease_since(client.now);
  // The others cannot be reached by an address alone.
  expected.nameservers = {ip("2001:db8::53"), ip("fd00::53")};
  expected.search = {"example.com", "example.org"};
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK((client.find<Granted>()->lease == expected));
  CHECK((client.machine.lease() == expected));
}

TEST_CASE("the first usable address of an association is taken") {
  Client client;
  client.start();
  Message rapid = reply(client, "fe80::1");
  rapid.rapid_commit = true;
  rapid.ia_na[0].addresses.push_back(rapid.ia_na[0].addresses[0]);
  rapid.ia_na[0].addresses[1].address = ip("2001:db8::2");
  client.receive(rapid);
  REQUIRE(client.machine.lease());
  CHECK(client.machine.lease()->address == ip("2001:db8::2"));
}

TEST_CASE("of the addresses in a Reply to a Request the requested one is taken") {
  Client client;
  get_to_requesting(client);
  Message granting = reply(client, "2001:db8::1");
  granting.ia_na[0].addresses.push_back(granting.ia_na[0].addresses[0]);
  granting.ia_na[0].addresses[1].address = ip("2001:db8::7");
  client.receive(granting);
  CHECK(client.machine.lease().value().address == ip("2001:db8::7"));
}

TEST_CASE("T1 and T2 are what the server says or parts of the preferred lifetime") {
  const auto in = [](std::int64_t t1, std::int64_t t2, std::int64_t valid) {
    return Timing{Time(t1), Time(t2), seconds(valid)};
  };
  CHECK((timing_of(10, 20, 100, 200) == in(10'000, 20'000, 200)));
  CHECK((timing_of(0, 0, 101, 200) == in(50'500, 80'800, 200)));
  CHECK((timing_of(0, 90, 100, 200) == in(50'000, 90'000, 200)));
  CHECK((timing_of(0, 20, 100, 200) == in(20'000, 20'000, 200)));
  CHECK((timing_of(10, 0, 100, 200) == in(10'000, 80'000, 200)));
  // No renewing as fast as the server answers.
  CHECK((timing_of(0, 0, 0, 200) == in(100'000, 160'000, 200)));
  // Behind the end of the lease they would never come.
  CHECK((timing_of(300, 400, 100, 200) == in(50'000, 80'000, 200)));
  CHECK((timing_of(0xffffffff, 0xffffffff, 100, 200) == in(50'000, 80'000, 200)));
}

TEST_CASE("an infinite DHCPv6 lease is never renewed unless the server says so") {
  constexpr std::uint32_t kInfinite = 0xffffffff;
  CHECK((timing_of(0, 0, kInfinite, kInfinite) == Timing{}));
  CHECK((timing_of(kInfinite, kInfinite, kInfinite, kInfinite) == Timing{}));
  CHECK((timing_of(10, 20, kInfinite, kInfinite) == Timing{seconds(10), seconds(20), kNever}));
  Client client;
  Lease6 lease = lease_since(client.now);
  lease.timing = {};
  client.take(client.machine.resume(client.now, lease));
  CHECK(client.machine.state() == State::kBound);
  CHECK_FALSE(client.machine.deadline());
}

TEST_CASE("a DHCPv6 lease is renewed at T1 by its server") {
  Client client;
  get_to_bound(client);
  const Time began = client.now;
  const Lease6 first = client.machine.lease().value();
  client.random = 42;
  client.wait();
  CHECK(client.now == began + seconds(50));
  CHECK(client.type_sent() == MessageType::kRenew);
  CHECK(client.machine.state() == State::kRenewing);
  CHECK(client.machine.is_listening());
  const Message& renew = client.sent.back();
  CHECK(renew.transaction == 42);
  CHECK(renew.server_id == bytes("server"));
  CHECK(renew.elapsed == 0);
  CHECK(renew.option_request == std::vector<std::uint16_t>{23, 24, 82});
  REQUIRE(renew.ia_na.size() == 1);
  REQUIRE(renew.ia_na[0].addresses.size() == 1);
  CHECK(renew.ia_na[0].addresses[0].address == ip("2001:db8::7"));

  Message other = reply(client);
  other.server_id = bytes("other");
  client.receive(other);
  CHECK(client.actions.empty());
  client.receive(reply(client));
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK((client.find<Granted>()->before == first));
  CHECK((client.machine.lease() == lease_since(client.now)));
  CHECK(client.machine.state() == State::kBound);
}

TEST_CASE("Renew is repeated until T2 and Rebind until the lease ends") {
  Client client;
  get_to_bound(client);
  const Time began = client.now;
  const Lease6 lease = client.machine.lease().value();
  std::vector<std::pair<MessageType, Time::rep>> sent;
  while (client.find<Lost>() == nullptr) {
    client.wait();
    CHECK(client.actions.size() == (client.find<Lost>() != nullptr ? 2U : 1U));
    sent.emplace_back(client.type_sent(), (client.now - began).count() / 1000);
  }
  using enum MessageType;
  CHECK(sent == std::vector<std::pair<MessageType, Time::rep>>{{kRenew, 50},
                                                               {kRenew, 60},
                                                               {kRebind, 80},
                                                               {kRebind, 90},
                                                               {kRebind, 110},
                                                               {kRebind, 150},
                                                               {kSolicit, 200}});
  CHECK((client.find<Lost>()->lease == lease));
  CHECK(client.reason() == "it has expired and no server prolonged it");
  CHECK_FALSE(client.machine.lease());
  // It never gives up then.
  for (int i = 0; i < 100; ++i) {
    client.wait();
    CHECK(client.type_sent() == kSolicit);
  }
}

TEST_CASE("Rebind comes at T2 and not when Renew would be repeated") {
  Client client;
  get_to_requesting(client);
  Message granting = reply(client);
  granting.ia_na[0].t2 = 55;
  client.receive(granting);
  const Time began = client.now;
  client.wait();
  CHECK(client.type_sent() == MessageType::kRenew);
  client.wait();
  CHECK(client.now == began + seconds(55));
  CHECK(client.type_sent() == MessageType::kRebind);
}

TEST_CASE("any server can prolong a lease by a Reply to Rebind") {
  Client client;
  get_to_rebinding(client);
  CHECK(client.sent.back().server_id.empty());
  CHECK(client.sent.back().ia_na.at(0).addresses.at(0).address == ip("2001:db8::7"));
  Message other = reply(client);
  other.server_id = bytes("other");
  client.receive(other);
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK(client.find<Granted>()->lease.server_id == bytes("other"));
  client.wait();
  CHECK(client.sent.back().server_id == bytes("other"));
}

TEST_CASE("an answer of no use lets a Renew be repeated as usual") {
  const std::vector<std::pair<std::string, void (*)(Message&)>> changes{
      {"no association", [](Message& m) { m.ia_na.clear(); }},
      {"T1 after T2", [](Message& m) { m.ia_na[0].t1 = 81; }},
      {"UnspecFail",
       [](Message& m) {
         m.ia_na[0].status = StatusCode{Status::kUnspecFail, ""};
       }},
      {"UseMulticast",
       [](Message& m) {
         m.status = StatusCode{Status::kUseMulticast, ""};
       }},
      {"NoAddrsAvail",
       [](Message& m) {
         m.status = StatusCode{Status::kNoAddrsAvail, ""};
       }},
  };
  for (const auto& [name, change] : changes) {
    CAPTURE(name);
    Client client;
    get_to_renewing(client);
    Message useless = reply(client);
    change(useless);
    client.receive(useless);
    CHECK(client.actions.empty());
    CHECK(client.machine.lease());
    CHECK(client.machine.deadline() == client.now + seconds(10));
  }
}

TEST_CASE("NoBinding to a Renew leads to a Request for the same address of that server") {
  Client client;
  get_to_renewing(client);
  client.receive(failing(client, Status::kNoBinding));
  CHECK(client.type_sent() == MessageType::kRequest);
  CHECK(client.find<Lost>() == nullptr);
  CHECK(client.sent.back().server_id == bytes("server"));
  CHECK(client.sent.back().ia_na.at(0).addresses.at(0).address == ip("2001:db8::7"));
  const Lease6 before = client.machine.lease().value();
  client.receive(reply(client));
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK((client.find<Granted>()->before == before));
  CHECK((client.find<Granted>()->lease == lease_since(client.now)));
}

TEST_CASE("a Request after NoBinding that fails leaves the lease until it ends") {
  for (const Status status : {Status::kNoAddrsAvail, Status::kNoBinding}) {
    Client client;
    get_to_renewing(client);
    const Time ends_at = client.machine.lease()->timing.expires_at;
    client.receive(failing(client, Status::kNoBinding));
    client.receive(failing(client, status));
    CHECK(client.actions.empty());
    CHECK(client.machine.state() == State::kSoliciting);
    client.wait();
    // The address it has is a hint.
    CHECK(client.sent.back().ia_na.at(0).addresses.at(0).address == ip("2001:db8::7"));
    while (client.find<Lost>() == nullptr) client.wait();
    CHECK(client.now == ends_at);
    CHECK(client.machine.state() == State::kSoliciting);
  }
}

TEST_CASE("NotOnLink to a Request after NoBinding ends the lease") {
  Client client;
  get_to_renewing(client);
  client.receive(failing(client, Status::kNoBinding));
  client.receive(failing(client, Status::kNotOnLink, "moved"));
  REQUIRE(client.find<Lost>() != nullptr);
  CHECK(client.reason() == "the server answered NotOnLink \"moved\"");
  CHECK(client.machine.state() == State::kSoliciting);
}

TEST_CASE(
    "NoBinding to a Rebind leads to Solicit and another address takes the place of the lease") {
  Client client;
  get_to_rebinding(client);
  const Lease6 before = client.machine.lease().value();
  client.receive(failing(client, Status::kNoBinding));
  CHECK(client.type_sent() == MessageType::kSolicit);
  CHECK(client.find<Lost>() == nullptr);
  Message rapid = reply(client, "2001:db8::8");
  rapid.rapid_commit = true;
  client.receive(rapid);
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK((client.find<Granted>()->before == before));
  CHECK(client.machine.lease()->address == ip("2001:db8::8"));
}

TEST_CASE("an address that the server prolongs no more is lost") {
  for (const bool is_rebinding : {false, true}) {
    for (const bool is_missing : {false, true}) {
      Client client;
      is_rebinding ? get_to_rebinding(client) : get_to_renewing(client);
      Message ending = reply(client);
      if (is_missing) {
        ending.ia_na[0].addresses.clear();
      } else {
        ending.ia_na[0].addresses[0].preferred = 0;
        ending.ia_na[0].addresses[0].valid = 0;
      }
      client.receive(ending);
      REQUIRE(client.find<Lost>() != nullptr);
      CHECK(client.find<Lost>()->lease.address == ip("2001:db8::7"));
      CHECK(client.type_sent() == MessageType::kSolicit);
      CHECK(client.sent.back().ia_na.at(0).addresses.empty());
    }
  }
}

TEST_CASE("another address in a Reply to Renew takes the place of one that is gone") {
  Client client;
  get_to_renewing(client);
  const Lease6 before = client.machine.lease().value();
  Message both = reply(client, "2001:db8::8");
  both.ia_na[0].addresses.push_back(both.ia_na[0].addresses[0]);
  both.ia_na[0].addresses[1].address = ip("2001:db8::7");
  // As long as the old one is there it stays.
  client.receive(both);
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK(client.find<Granted>()->lease.address == ip("2001:db8::7"));
  client.wait();
  both.transaction = client.sent.back().transaction;
  both.ia_na[0].addresses[1].valid = 0;
  both.ia_na[0].addresses[1].preferred = 0;
  client.receive(both);
  REQUIRE(client.find<Granted>() != nullptr);
  CHECK(client.find<Granted>()->lease.address == ip("2001:db8::8"));
  CHECK(client.find<Granted>()->before.value().address == before.address);
}

TEST_CASE("a Reply after the end of the lease comes too late") {
  Client client;
  get_to_rebinding(client);
  client.now = client.machine.lease()->timing.expires_at;
  client.receive(reply(client));
  CHECK(client.find<Granted>() == nullptr);
  CHECK(client.find<Lost>() != nullptr);
  CHECK(client.type_sent() == MessageType::kSolicit);
}

TEST_CASE("renew asks at once and only once") {
  Client client;
  get_to_bound(client);
  CHECK(client.start().empty());
  client.take(client.machine.renew(client.now));
  CHECK(client.type_sent() == MessageType::kRenew);
  CHECK(client.take(client.machine.renew(client.now)).empty());
  client.receive(reply(client));
  client.take(client.machine.renew(client.now + seconds(80)));
  CHECK(client.type_sent() == MessageType::kRebind);
}

TEST_CASE("each state of a DHCPv6 client has a name") {
  CHECK(to_string(State::kIdle) == "idle");
  CHECK(to_string(State::kSoliciting) == "soliciting");
  CHECK(to_string(State::kRequesting) == "requesting");
  CHECK(to_string(State::kBound) == "bound");
  CHECK(to_string(State::kRenewing) == "renewing");
  CHECK(to_string(State::kRebinding) == "rebinding");
}

}  // namespace
}  // namespace cni::dhcp::v6
