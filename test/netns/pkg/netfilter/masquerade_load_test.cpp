// Many attachments: at once, and after one another.
#include <chrono>

#include "test/netns/pkg/netfilter/masquerade_fixture.hpp"
#include "test/support/at_once.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

TEST_CASE("many processes that add and delete at once all succeed", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  Namespaces spaces;
  constexpr int kProcesses = 8;
  const int rounds = backend == "nftables" ? 40 : 4;
  run_at_once(kProcesses, [&](int child) {
    for (int i = 0; i < rounds; ++i) {
      const MasqueradeSpec spec = masquerade_spec(
          backend,
          {cat("10.22.", child, ".", i + 1, "/16"), cat("fd00:22::", child, ":", i + 1, "/64")},
          cat("cont-", child, "-", i));
      add_committed(spec);
      check_masquerade(spec);
      if (i % 2 == 0) remove_masquerade(spec);
    }
  });
  if (backend == "iptables") {
    CHECK(count_in_ruleset("jump CNI-") == 2 * kProcesses * rounds / 2);
    return;
  }
  // Two addresses each, and a record.
  CHECK(count_in_ruleset("id: cont-") == 3 * kProcesses * rounds / 2);
  CHECK(count_in_ruleset("ip daddr != 10.22.0.0/16 masquerade") == 1);
  CHECK(count_in_ruleset("ip6 daddr != fd00:22::/64 masquerade") == 1);
  CHECK(count_in_ruleset("goto masq_checks") == 1);
}

TEST_CASE("ADDs that make the same nftables objects at once make each once", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  constexpr int kProcesses = 6;
  for (int round = 0; round < 50; ++round) {
    run_ok({"nft", "flush", "ruleset"});
    run_at_once(kProcesses, [](int child) {
      add_committed(
          masquerade_spec("nftables", {cat("10.22.0.", child + 1, "/16")}, cat("cont", child)));
    });
    REQUIRE(count_in_ruleset("ip daddr != 10.22.0.0/16 masquerade") == 1);
    REQUIRE(count_in_ruleset("goto masq_checks") == 1);
    REQUIRE(count_in_ruleset("id: cont") == 2 * kProcesses);
  }
}

TEST_CASE("nftables ADD and DEL cost the same with 5000 attachments", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  const auto spec = [](int i) {
    return masquerade_spec("nftables", {cat("10.22.", i / 250, ".", i % 250 + 1, "/16")},
                           cat("cont", i));
  };
  using Times = std::vector<double>;
  const auto measure = [](Times& times, auto&& fn) {
    const auto start = std::chrono::steady_clock::now();
    fn();
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - start;
    times.push_back(taken.count());
  };
  const auto middle = [](Times times) {
    std::nth_element(times.begin(), times.begin() + 25, times.end());
    return times[25];
  };
  const auto median = [&](int first) {
    Times adds;
    Times deletions;
    for (int i = first; i < first + 51; ++i) {
      measure(adds, [&] { add_committed(spec(i)); });
    }
    // Closing a connection after a deletion costs the kernel a grace period, which would hide all
    // else.
    Connection connection;
    for (int i = first; i < first + 51; ++i) {
      measure(deletions, [&] { remove_masquerade(spec(i), connection); });
    }
    return middle(adds) + middle(deletions);
  };
  add_committed(spec(5999));
  const double few = median(6000);
  for (int i = 0; i < 5000; ++i) add_committed(spec(i));
  const double many = median(6100);
  INFO("ADD and DEL: " << few << " us with one, " << many << " us with 5001");
  CHECK(many < 2 * few + 100);
}
