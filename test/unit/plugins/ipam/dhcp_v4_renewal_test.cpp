// How a DHCPv4 client keeps a lease, loses it and gives it back.
#include "plugins/ipam/dhcp/v4/machine.hpp"
#include "test/unit/plugins/ipam/dhcp_v4_server.hpp"

using namespace cni;
using namespace cni::dhcp;
using namespace cni::dhcp::v4;
using namespace cni::dhcp::v4::test;

namespace {

// Lets everything go unanswered until the lease is lost, and says when what was sent.
std::vector<std::int64_t> unanswered(Client& client, State state) {
  std::vector<std::int64_t> out;
  const Time began = client.now;
  while (client.machine.lease()) {
    if (client.machine.state() == state) out.push_back((client.now - began).count() / 1000);
    client.wait();
    REQUIRE(out.size() < 100);
  }
  return out;
}

bool is_new_discover(const Actions& actions) {
  return actions.size() == 2 && std::holds_alternative<Lost>(actions[0]) &&
         std::get<SendBroadcast>(actions[1]).message.type() == MessageType::kDiscover;
}

}  // namespace

TEST_CASE("a lease is renewed a little before T1") {
  for (const auto& [value, early] : {std::pair{0U, 0}, std::pair{0xffffffffU, 200'000}}) {
    Client client(settings(), [value = value] { return value; });
    client.bind();
    const Time at = *client.machine.deadline();
    CHECK((kStart + seconds(4000) - at).count() / 10 == early / 10 - (early > 0 ? 1 : 0));
  }
}

TEST_CASE("a lease of no more than a second is not renewed without end") {
  Client client;
  client.bind(1);
  CHECK(client.machine.deadline() == client.now + seconds(1));
  Client longer;
  longer.request();
  Message ack = longer.ack();
  ack.options[option::kLeaseTime] = octets(2);
  ack.options[option::kRenewalTime] = octets(1);
  longer.hear(ack);
  for (int i = 0; i < 10; ++i) {
    const Time before = longer.now;
    longer.wait();
    ack.xid = longer.sent.xid;
    only<Granted>(longer.hear(ack));
    CHECK(longer.now - before >= seconds(1));
  }
}

TEST_CASE("a lease is renewed at its own server") {
  Settings with = settings();
  with.request = {1, 3};
  Client client(with);
  client.bind();
  const std::uint32_t first = client.sent.xid;
  const SendUnicast sent = only<SendUnicast>(client.wait());
  CHECK(client.now == kStart + seconds(4000) - seconds(100));  // the middle of a twentieth
  CHECK(client.machine.state() == State::kRenewing);
  CHECK(client.machine.is_listening());
  CHECK(sent.source == kAddress);
  CHECK(sent.destination == kServer);
  CHECK(sent.message.type() == MessageType::kRequest);
  CHECK(sent.message.ciaddr == kAddress);
  CHECK(sent.message.xid != first);
  CHECK(sent.message.secs == 0);
  CHECK(codes(sent.message) == std::vector{53, 55, 57, 61});
}

TEST_CASE("a renewed lease runs from its request and tells what it was before") {
  Client client;
  client.bind();
  client.wait();
  const Time requested = client.now;
  client.now += seconds(2);
  CHECK(client.hear(client.ack(kOtherServer)).empty());
  const Granted granted = only<Granted>(client.hear(client.ack()));
  CHECK(granted.lease == lease_from(requested));
  CHECK(granted.before == lease_from(kStart));
  CHECK(client.machine.state() == State::kBound);
  CHECK_FALSE(client.machine.is_listening());
}

TEST_CASE("a renewal may change the address") {
  Client client;
  client.bind();
  client.wait();
  Message ack = client.ack();
  ack.yiaddr = ip("192.0.2.6");
  const Granted granted = only<Granted>(client.hear(ack));
  CHECK(granted.lease.address.address == ip("192.0.2.6"));
  CHECK(granted.before->address.address == kAddress);
}

TEST_CASE("an ACK that grants nothing does not end a renewal") {
  Client client;
  client.bind();
  client.wait();
  Message ack = client.ack();
  ack.options.erase(option::kSubnetMask);
  CHECK(client.hear(ack).empty());
  CHECK(client.machine.state() == State::kRenewing);
  only<Granted>(client.hear(client.ack()));
}

TEST_CASE("renewals are repeated at half of the time to T2 and after T2 to everybody") {
  // T1 at 4000 s less 100, T2 at 7000, expiry at 8000.
  Client client;
  client.bind();
  client.wait();
  const std::uint32_t xid = client.sent.xid;
  Time left = seconds(3100);
  while (client.machine.state() == State::kRenewing) {
    const Time before = client.now;
    const Actions actions = client.wait();
    const Time expected = std::min(std::max(left / 2, seconds(60)), left);
    CHECK(client.now - before == expected);
    left -= expected;
    CHECK(client.sent.xid == xid);
    if (left > Time{0}) only<SendUnicast>(actions);
  }
  CHECK(client.machine.state() == State::kRebinding);
  CHECK(client.machine.is_listening());
  CHECK(client.now == kStart + seconds(7000));
  CHECK(client.sent.ciaddr == kAddress);
  CHECK(codes(client.sent) == std::vector{53, 57, 61});
  CHECK(client.sent.secs == 3100);
  CHECK(unanswered(client, State::kRebinding) ==
        std::vector<std::int64_t>{0, 500, 750, 875, 937, 997});
  CHECK(client.now == kStart + seconds(8000));
}

TEST_CASE("renewals of short leases are repeated sooner") {
  Client client;
  client.bind(80);
  client.wait();
  CHECK(client.now == kStart + seconds(39));
  only<SendUnicast>(client.wait());
  CHECK(client.now == kStart + Time{54'500});
  client.wait_for(State::kRebinding);
  CHECK(client.now == kStart + seconds(70));
  only<SendBroadcast>(client.wait());
  CHECK(client.now == kStart + seconds(75));
  Time before = client.now;
  while (client.machine.lease()) {
    client.wait();
    if (client.machine.lease()) CHECK(client.now - before >= seconds(1));
    before = client.now;
  }
  CHECK(client.now == kStart + seconds(80));
}

TEST_CASE("any server may prolong a lease after T2") {
  Client client;
  client.bind();
  client.wait_for(State::kRebinding);
  const Granted granted = only<Granted>(client.hear(client.ack(kOtherServer)));
  CHECK(granted.lease.server == kOtherServer);
  CHECK(granted.before->server == kServer);
}

TEST_CASE("a lease that expires is lost and a new one is asked for without end") {
  Client client;
  client.bind();
  Actions actions;
  while (client.machine.lease()) actions = client.wait();
  REQUIRE(is_new_discover(actions));
  CHECK(std::get<Lost>(actions[0]).lease == lease_from(kStart));
  CHECK(std::get<Lost>(actions[0]).reason.find("expired") != std::string::npos);
  CHECK(client.machine.state() == State::kSelecting);
  const Time lost = client.now;
  Time longest{0};
  for (int i = 0; i < 300; ++i) {
    const Time before = client.now;
    client.wait();
    REQUIRE(client.machine.state() != State::kIdle);
    longest = std::max(longest, client.now - before);
  }
  CHECK(client.now - lost > std::chrono::hours(1));
  CHECK(longest == seconds(62));
  client.wait_for(State::kSelecting);
  client.hear(client.offer());
  CHECK_FALSE(only<Granted>(client.hear(client.ack())).before);
}

TEST_CASE("a NAK takes the lease") {
  Client client;
  client.bind();
  client.wait();
  CHECK(client.hear(client.nak(kOtherServer)).empty());
  const Actions actions = client.hear(client.nak());
  REQUIRE(is_new_discover(actions));
  CHECK(std::get<Lost>(actions[0]).reason.find("192.0.2.1 refused it (NAK)") != std::string::npos);
  CHECK_FALSE(client.machine.lease());

  Client rebinding;
  rebinding.bind();
  rebinding.wait_for(State::kRebinding);
  CHECK(is_new_discover(rebinding.hear(rebinding.nak(kOtherServer))));
}

TEST_CASE("a server that grants and refuses in turn does not make a storm") {
  Client client;
  client.start();
  int discovers = 1;
  while (client.now < kStart + seconds(100)) {
    client.hear(client.offer());
    Message ack = client.ack();
    ack.options[option::kLeaseTime] = octets(2);
    ack.options[option::kRenewalTime] = octets(1);
    only<Granted>(client.hear(ack));
    client.wait();
    REQUIRE(is_new_discover(client.hear(client.nak())));
    ++discovers;
    REQUIRE(discovers < 1000);
  }
  CHECK(discovers <= 101);
}

TEST_CASE("the seconds of a renewal end at what their field takes") {
  Client client;
  client.bind(1'000'000);
  client.wait_for(State::kRebinding);
  CHECK(client.sent.secs == 65535);
}

TEST_CASE("a clock that jumps finds a lease renewed or rebound or lost") {
  Client rebinding;
  rebinding.bind();
  rebinding.now = kStart + seconds(7500);
  only<SendBroadcast>(rebinding.timer());
  CHECK(rebinding.machine.state() == State::kRebinding);
  Client lost;
  lost.bind();
  lost.now = kStart + seconds(8000);
  CHECK(is_new_discover(lost.timer()));
}

TEST_CASE("a lease that never ends is not renewed") {
  Client client;
  client.bind(0xffffffff);
  CHECK_FALSE(client.machine.deadline());
  only<SendUnicast>(client.renew());
  only<SendUnicast>(client.wait());
  only<SendUnicast>(client.wait());
  CHECK(client.wait().empty());
  CHECK(client.now == kStart + seconds(180));
  CHECK(client.machine.state() == State::kBound);
  CHECK(client.machine.lease());
  CHECK_FALSE(client.machine.deadline());
}

TEST_CASE("a lease is renewed early if that is asked for") {
  Client client;
  CHECK(client.renew().empty());
  client.bind();
  client.now += seconds(5);
  only<SendUnicast>(client.renew());
  CHECK(client.machine.state() == State::kRenewing);
  CHECK(client.renew().empty());
  client.now += seconds(1);
  only<SendUnicast>(client.renew());
  only<Granted>(client.hear(client.ack()));
}

TEST_CASE("a lease is taken up where it was left") {
  Client client;
  CHECK(client.resume(lease_from(kStart - seconds(1000))).empty());
  CHECK(client.machine.state() == State::kBound);
  CHECK(client.machine.lease() == lease_from(kStart - seconds(1000)));
  only<SendUnicast>(client.wait());
  CHECK(client.now == kStart + seconds(3000) - seconds(75));
  CHECK(client.sent.ciaddr == kAddress);
}

TEST_CASE("a lease past T1 is renewed within a second of being taken up") {
  for (const std::uint32_t value : {0U, 0xffffffffU}) {
    Client client(settings(), [value] { return value; });
    CHECK(client.resume(lease_from(kStart - seconds(5000))).empty());
    only<SendUnicast>(client.wait());
    CHECK(client.now - kStart >= (value == 0 ? Time{0} : Time{900}));
    CHECK(client.now - kStart <= seconds(1));
  }
  Client rebinding;
  rebinding.resume(lease_from(kStart - seconds(7500)));
  only<SendBroadcast>(rebinding.wait());
  CHECK(rebinding.machine.state() == State::kRebinding);
}

TEST_CASE("a lease that expired meanwhile is lost when it is taken up") {
  Client client;
  CHECK(is_new_discover(client.resume(lease_from(kStart - seconds(8000)))));
  for (int i = 0; i < 100; ++i) client.wait();
  CHECK(client.machine.state() != State::kIdle);
}

TEST_CASE("a lease with impossible times is taken up all the same") {
  Lease4 lease = lease_from(kStart);
  lease.timing = {.renew_at = kNever, .rebind_at = Time::min(), .expires_at = kStart + seconds(9)};
  Client client;
  CHECK(client.resume(lease).empty());
  client.wait();
  CHECK(client.machine.state() == State::kRebinding);
  lease.timing = {.renew_at = Time{5}, .rebind_at = Time{6}, .expires_at = kNever};
  client.resume(lease);
  CHECK_FALSE(client.machine.deadline());
}

TEST_CASE("a released lease is given back to its server") {
  for (const State state : {State::kBound, State::kRenewing, State::kRebinding}) {
    Settings with = settings();
    with.broadcast = true;
    with.request = {1};
    Client client(with);
    client.bind();
    client.wait_for(state);
    const SendUnicast sent = only<SendUnicast>(client.release());
    CHECK(sent.source == kAddress);
    CHECK(sent.destination == kServer);
    CHECK(sent.message.type() == MessageType::kRelease);
    CHECK(sent.message.ciaddr == kAddress);
    CHECK_FALSE(sent.message.broadcast);
    CHECK(codes(sent.message) == std::vector{53, 54, 61});
    CHECK(sent.message.options.at(54) == octets(kServer));
    CHECK(client.machine.state() == State::kIdle);
    CHECK_FALSE(client.machine.lease());
    CHECK_FALSE(client.machine.deadline());
    CHECK(client.release().empty());
  }
}

TEST_CASE("without a lease nothing is given back") {
  Client client;
  client.request();
  CHECK(client.release().empty());
  CHECK(client.machine.state() == State::kIdle);
  CHECK(client.hear(client.ack()).empty());
  only<SendBroadcast>(client.start());
}
