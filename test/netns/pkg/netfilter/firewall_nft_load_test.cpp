// Many attachments: at once, and after one another.
#include <algorithm>
#include <chrono>
#include <functional>

#include "test/netns/pkg/netfilter/firewall_fixture.hpp"
#include "test/support/at_once.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

FirewallSpec numbered_spec(int number) {
  FirewallSpec out;
  out.owner = {"mynet", cat("cont", number), "eth0"};
  out.addresses = {
      *Ip::parse(cat("10.", 22 + number / 60000, ".", number / 250 % 250, ".", number % 250 + 1)),
      *Ip::parse(cat("fd00:22::", number + 1))};
  out.bridge = "cni0";
  out.host_links = {cat("veth", number)};
  out.ingress_policy = IngressPolicy::kIsolated;
  out.egress_deny = {egress_rule("192.0.2.0/24"), egress_rule("2001:db8::/32", Transport::kUdp)};
  return out;
}

std::size_t count(const std::string& text) {
  const std::string all = ruleset();
  std::size_t out = 0;
  for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++out;
  return out;
}

}  // namespace

TEST_CASE("64 that ADD on a cold table all succeed and make what they share once", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  constexpr int kProcesses = 64;
  for (int round = 0; round < 5; ++round) {
    run_ok({"nft", "flush", "ruleset"});
    run_at_once(kProcesses, [](int number) { add_nft(numbered_spec(number)); });
    CHECK(count("jump admin") == 1);
    CHECK(count("jump egress_") == 2);
    CHECK(count("reject with") == 2);
    CHECK(count("uses_isolated_cni0 {") == 1);
    CHECK(count(": goto uses_isolated_cni0") == kProcesses);
    for (int number = 0; number < kProcesses; ++number) {
      CHECK(nft_check_failure(numbered_spec(number)).empty());
    }
    run_at_once(kProcesses, [](int number) {
      remove_nft(number % 2 == 0 ? numbered_spec(number) : only_owner(numbered_spec(number)));
    });
    CHECK(count("elements =") == 0);
    CHECK(count("uses_") == 0);
    CHECK(count("egress_") == 0);
  }
}

TEST_CASE("ADD and DEL of others at the same time leave each attachment whole", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  constexpr int kProcesses = 64;
  constexpr int kRounds = 10;
  // Bridge and network lose their last attachment again and again while others come.
  run_at_once(kProcesses, [](int number) {
    for (int i = 0; i < kRounds; ++i) {
      const FirewallSpec spec = numbered_spec(number * kRounds + i);
      add_nft(spec);
      Connection connection;
      NftFirewall::check(connection.get(), spec);
      NftFirewall::remove(connection.get(), spec);
    }
  });
  CHECK(count("elements =") == 0);
  CHECK(count("uses_") == 0);
  CHECK(count("egress_") == 0);
  CHECK(count("jump admin") == 1);
}

TEST_CASE("nftables firewall ADD and DEL cost the same with 5000 attachments", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  using Times = std::vector<double>;
  constexpr int kTimes = 51;
  const auto measure = [](Times& times, const std::function<void()>& fn) {
    const auto start = std::chrono::steady_clock::now();
    fn();
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - start;
    times.push_back(taken.count());
  };
  const auto middle = [](Times times) {
    std::nth_element(times.begin(), times.begin() + kTimes / 2, times.end());
    return times[kTimes / 2];
  };
  // Closing a connection after a deletion costs the kernel a grace period, which would hide all
  // else.
  Connection connection;
  netlink::Socket& socket = connection.get();
  const auto median = [&](int first) {
    Times adds;
    Times deletions;
    for (int i = first; i < first + kTimes; ++i) {
      measure(adds, [&] { NftFirewall::add(socket, numbered_spec(i)); });
    }
    for (int i = first; i < first + kTimes; ++i) {
      measure(deletions, [&] { NftFirewall::remove(socket, numbered_spec(i)); });
    }
    return std::pair(middle(adds), middle(deletions));
  };
  NftFirewall::add(socket, numbered_spec(5999));
  const auto few = median(6000);
  for (int i = 0; i < 5000; ++i) NftFirewall::add(socket, numbered_spec(i));
  const auto many = median(6100);
  INFO("ADD " << few.first << " us with one and " << many.first << " us with 5001; DEL "
              << few.second << " us and " << many.second << " us");
  CHECK(many.first + many.second < 2 * (few.first + few.second) + 100);
  // A second DEL, and that of who was never here, do not search either.
  Times absent;
  for (int i = 0; i < kTimes; ++i) {
    measure(absent, [&] { NftFirewall::remove(socket, only_owner(numbered_spec(7000 + i))); });
  }
  INFO("DEL of nobody " << middle(absent) << " us");
  CHECK(middle(absent) < 2 * few.second + 100);
}
