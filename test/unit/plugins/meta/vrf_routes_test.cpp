// Which routing table a VRF gets, and which routes are put where.
#include <set>

#include "plugins/meta/vrf/belongings.hpp"
#include "plugins/meta/vrf/table.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::vrf;
using netlink::KernelRoute;
using netlink::TableId;

namespace {

constexpr int kKernel = 2;   // RTPROT_KERNEL
constexpr int kUnicast = 1;  // RTN_UNICAST
constexpr int kLocal = 2;    // RTN_LOCAL

KernelRoute route(const char* destination, int protocol = kKernel, int type = kUnicast,
                  std::uint32_t priority = 0) {
  KernelRoute out;
  out.route.destination = Prefix::parse(destination).value();
  out.route.protocol = protocol;
  out.route.priority = priority;
  out.type = type;
  return out;
}

std::vector<std::string> destinations(const std::vector<KernelRoute>& routes) {
  std::vector<std::string> out;
  for (const KernelRoute& each : routes) out.push_back(each.route.destination.to_string());
  return out;
}

std::uint32_t free_table(const std::set<std::uint32_t>& taken,
                         const std::set<std::uint32_t>& in_use = {}) {
  return first_free_table(taken, [&](std::uint32_t table) { return in_use.contains(table); });
}

}  // namespace

TEST_CASE("a VRF gets the first table that is free") {
  CHECK(free_table({}) == 1);
  CHECK(free_table({1, 2, 4}) == 3);
  CHECK(free_table({2, 3}) == 1);
  CHECK(free_table({1}, {2, 3}) == 4);
}

TEST_CASE("a VRF never gets a table of the kernel's own") {
  std::set<std::uint32_t> taken;
  for (std::uint32_t table = 1; table <= 252; ++table) taken.insert(table);
  CHECK(free_table(taken) == 256);
  taken.insert(256);
  CHECK(free_table(taken, {257}) == 258);
}

TEST_CASE("routes of the main and the local table go to the VRF's and others stay") {
  const Tables into{.main = TableId{7}, .local = TableId{7}};
  CHECK(into(TableId::kMain) == TableId{7});
  CHECK(into(TableId::kLocal) == TableId{7});
  CHECK(into(TableId{100}) == TableId{100});
  CHECK(into(TableId{7}) == TableId{7});
  const Tables back;
  CHECK(back(TableId::kMain) == TableId::kMain);
  CHECK(back(TableId::kLocal) == TableId::kLocal);
  CHECK(back(TableId{100}) == TableId{100});
}

TEST_CASE("the kernel's routes for addresses are too many where there were none before") {
  Belongings before;
  before.routes = {route("10.1.0.0/24"), route("fd00::/64", kKernel, kUnicast, 256),
                   route("10.2.0.0/24", 3)};
  const std::vector<KernelRoute> present = {
      route("10.1.0.0/24"),                        // was there
      route("fd00::/64", kKernel, kUnicast, 256),  // was there
      route("10.2.0.0/24"),                        // was another's, not the kernel's
      route("10.3.0.0/24"),                        // was not there
      route("fd00::/64", kKernel, kUnicast, 100),  // with another metric
      route("10.4.0.0/24", 3),                     // not the kernel's
      route("10.1.0.2/32", kKernel, kLocal),       // to the container itself
      route("fe80::/64", kKernel, kUnicast, 256),  // of every interface
      route("ff00::/8", kKernel, kUnicast, 256),   // of every interface
  };
  CHECK(destinations(surplus_of(present, before)) ==
        std::vector<std::string>{"10.2.0.0/24", "10.3.0.0/24", "fd00::/64"});
  CHECK(surplus_of({}, before).empty());
}
