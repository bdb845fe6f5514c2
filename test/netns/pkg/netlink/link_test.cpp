#include "pkg/netlink/link.hpp"

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/container_veth.hpp"
#include "pkg/netlink/neigh.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

using namespace cni;
using namespace cni::netlink;
using namespace cni::test;

namespace {

json link_json(const std::string& name, const std::string& netns = {}) {
  const auto found = find_link_json(netns, name);
  REQUIRE(found);
  return *found;
}

template <class Fn>
Error error_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error");
  return {Code::kInternal, ""};
}

}  // namespace

TEST_CASE("a bridge is made as specified and only once", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  const Mac mac = Mac::parse("02:00:00:00:00:01").value();
  CHECK(ensure_bridge(socket, {.name = "br0", .mtu = 1400, .mac = mac}));
  CHECK_FALSE(ensure_bridge(socket, {.name = "br0", .mtu = 1300}));
  const json link = link_json("br0");
  CHECK(link.at("mtu") == 1400);
  CHECK(link.at("address") == "02:00:00:00:00:01");
  CHECK(link.at("linkinfo").at("info_kind") == "bridge");
  CHECK(link.at("operstate") == "DOWN");
}

TEST_CASE("a veth pair is born in two namespaces", "[netns]") {
  Namespaces spaces;
  Socket container = Socket::open_in(ns::Netns::open(spaces.container("c1")));
  add_veth(container, {.name = "eth0",
                       .mac = Mac::parse("02:00:00:00:00:02").value(),
                       .mtu = 1400,
                       .peer_name = "veth0",
                       .peer_netns_fd = spaces.host().fd()});
  CHECK(link_json("eth0", "c1").at("address") == "02:00:00:00:00:02");
  CHECK(link_json("eth0", "c1").at("mtu") == 1400);
  CHECK(link_json("veth0").at("mtu") == 1400);
  Socket host = Socket::open();
  const Link inner = get_link(container, "eth0");
  CHECK(inner.parent == get_link(host, "veth0").index);
  CHECK(inner.parent_netns_id);
  CHECK(inner.kind == "veth");
}

TEST_CASE("links are found by name and by index or not at all", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  const Link lo = get_link(socket, "lo");
  CHECK(get_link(socket, lo.index).name == "lo");
  CHECK(lo.is_up());
  CHECK_FALSE(find_link(socket, "nosuch"));
  CHECK_FALSE(find_link(socket, LinkIndex{9999}));
  const Error error = error_of([&] { (void)get_link(socket, "nosuch"); });
  CHECK(error.msg == "failed to lookup \"nosuch\": no such device");
  CHECK(error.sys_errno == ENODEV);
  CHECK(error_of([&] { (void)find_link(socket, "a-name-of-more-than-15"); }).code ==
        Code::kInvalidNetworkConfig);
}

TEST_CASE("several changes of a link go in one message", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  (void)ensure_bridge(socket, {.name = "br0"});
  add_veth(socket, {.name = "a0", .peer_name = "a1"});
  LinkChange change;
  change.up = true;
  change.master = get_link(socket, "br0").index;
  change.alias = "what it is";
  change.mtu = 1300;
  change.promiscuous = true;
  change_link(socket, get_link(socket, "a0").index, change, "test");
  const Link link = get_link(socket, "a0");
  CHECK(link.is_up());
  CHECK(link.alias == "what it is");
  CHECK(link.master == get_link(socket, "br0").index);
  CHECK(link_json("a0").at("mtu") == 1300);
  CHECK(link_json("a0").at("master") == "br0");
  CHECK(link_json("a0").at("ifalias") == "what it is");

  set_bridge_port_flags(socket, link.index, {.hairpin = true, .isolated = true});
  CHECK(link_json("a0").at("linkinfo").at("info_slave_data").at("hairpin") == true);
  CHECK(get_link(socket, "a0").isolated == true);
  CHECK(get_link(socket, "a0").hairpin == true);
}

TEST_CASE("removing a link says whether there was one", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  add_veth(socket, {.name = "a0", .peer_name = "a1"});
  CHECK(remove_link(socket, "a0"));
  CHECK_FALSE(remove_link(socket, "a0"));
  CHECK_FALSE(remove_link(socket, LinkIndex{9999}));
  CHECK_FALSE(find_link_json("", "a1"));
}

TEST_CASE("the kernel's errno and words reach the caller", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  add_veth(socket, {.name = "a0", .peer_name = "a1"});
  const Error taken = error_of([&] { add_veth(socket, {.name = "a0", .peer_name = "a2"}); });
  CHECK(taken.sys_errno == EEXIST);
  CHECK(taken.msg == "add veth pair a0 and a2: file exists");
  LinkChange change;
  change.mtu = 9'000'000;
  const LinkIndex a0 = get_link(socket, "a0").index;
  const Error bad_mtu = error_of([&] { change_link(socket, a0, change, "set mtu"); });
  CHECK(bad_mtu.sys_errno == EINVAL);
  CHECK(bad_mtu.details.find("mtu greater than device maximum") != std::string::npos);
}

TEST_CASE("probing for a link type creates nothing", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  CHECK(kernel_has_link_kind(socket, "veth"));
  CHECK(kernel_has_link_kind(socket, "bridge"));
  CHECK_FALSE(kernel_has_link_kind(socket, "nosuchkind"));
  CHECK(ip({"-j", "link", "show"}).size() == 1);
}

TEST_CASE("waiting for a link ends when it comes up or goes away or never does", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  add_veth(socket, {.name = "a0", .peer_name = "a1"});
  const Link a0 = get_link(socket, "a0");
  set_up(socket, a0.index);
  using namespace std::chrono_literals;
  CHECK(wait_until_up(socket, a0.index, 50ms) == OperState::kLowerLayerDown);
  CHECK_FALSE(wait_until_up(socket, LinkIndex{9999}, 50ms));

  std::thread later([] {
    std::this_thread::sleep_for(50ms);
    Socket other = Socket::open();
    set_up(other, get_link(other, "a1").index);
  });
  CHECK(wait_until_up(socket, a0.index, 5s) == OperState::kUp);
  later.join();
}

TEST_CASE("the host end of a pair is found by its owner alone", "[netns]") {
  Namespaces spaces;
  const ns::Netns netns = ns::Netns::open(spaces.container("c1"));
  Socket host = Socket::open();
  Socket container = Socket::open_in(netns);
  const VethOwner owner{.network = "net", .container_id = "c1", .ifname = "eth0"};
  const VethOwner other{.network = "net", .container_id = "c2", .ifname = "eth0"};
  const auto pair = add_container_veth(host, spaces.host(), container, {.owner = owner}, [] {});
  CHECK(pair.host.name == host_veth_name(owner, 0));
  attach_host_veth(host, pair.host, owner);
  CHECK(link_json(pair.host.name).at("ifalias") == "cni:net:c1:eth0");
  CHECK(sysctl("", "net/ipv6/conf/" + pair.host.name + "/accept_ra") == "0");

  CHECK_FALSE(remove_host_veth(host, other));
  CHECK(remove_host_veth(host, owner));
  CHECK_FALSE(find_link_json("c1", "eth0"));
  CHECK_FALSE(remove_host_veth(host, owner));
}

TEST_CASE("a host end's name that somebody else has is left alone", "[netns]") {
  Namespaces spaces;
  const ns::Netns netns = ns::Netns::open(spaces.container("c1"));
  Socket host = Socket::open();
  Socket container = Socket::open_in(netns);
  const VethOwner owner{.network = "net", .container_id = "c1", .ifname = "eth0"};
  const std::string name = host_veth_name(owner, 0);
  (void)ip({"link", "add", name, "type", "veth", "peer", "name", "foreign"});
  (void)ip({"link", "set", name, "up", "alias", "somebody else's"});
  const auto pair = add_container_veth(host, spaces.host(), container, {.owner = owner}, [] {});
  CHECK(pair.host.name == host_veth_name(owner, 1));
  attach_host_veth(host, pair.host, owner);
  CHECK(remove_host_veth(host, owner));
  CHECK(find_link_json("", name));
}

TEST_CASE("stale host ends of a network are removed and others kept", "[netns]") {
  Namespaces spaces;
  Socket host = Socket::open();
  const auto attach = [&](const std::string& network, const std::string& id) {
    Socket container = Socket::open_in(ns::Netns::open(spaces.container(id)));
    const VethOwner owner{.network = network, .container_id = id, .ifname = "eth0"};
    const auto pair = add_container_veth(host, spaces.host(), container, {.owner = owner}, [] {});
    attach_host_veth(host, pair.host, owner);
    return pair.host.name;
  };
  const std::string valid = attach("net", "c1");
  const std::string stale = attach("net", "c2");
  const std::string elsewhere = attach("other", "c3");
  const std::vector<Attachment> attachments = {{.container_id = "c1", .ifname = "eth0"}};
  remove_stale_host_veths(host, "net", attachments);
  CHECK(find_link_json("", valid));
  CHECK_FALSE(find_link_json("", stale));
  CHECK(find_link_json("", elsewhere));
}

TEST_CASE("an alias is never longer than the kernel takes", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  add_veth(socket, {.name = "a0", .peer_name = "a1"});
  for (const std::size_t length : {10UL, 200UL, 240UL, 300UL, 1000UL}) {
    const VethOwner owner{.network = std::string(length / 2, 'n'),
                          .container_id = std::string(length, 'c'),
                          .ifname = "eth0"};
    LinkChange change;
    change.alias = host_veth_alias(owner);
    change_link(socket, get_link(socket, "a0").index, change, "test");
    CHECK(get_link(socket, "a0").alias == host_veth_alias(owner));
  }
}

TEST_CASE("permanent neighbours are set and removed", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  add_veth(socket, {.name = "a0", .peer_name = "a1"});
  set_up(socket, get_link(socket, "a0").index);
  const Neighbour neighbour{.link = get_link(socket, "a0").index,
                            .address = Ip::parse("192.0.2.7").value(),
                            .mac = Mac::parse("02:00:00:00:00:07").value()};
  set_neighbour(socket, neighbour);
  const json shown = ip({"-j", "neigh", "show", "dev", "a0", "nud", "permanent"});
  REQUIRE(shown.size() == 1);
  CHECK(shown[0].at("dst") == "192.0.2.7");
  CHECK(shown[0].at("lladdr") == "02:00:00:00:00:07");
  CHECK(remove_neighbour(socket, neighbour));
  CHECK_FALSE(remove_neighbour(socket, neighbour));
}

TEST_CASE("a link is moved and named and tagged in one message and loses the tag when it leaves",
          "[netns]") {
  Namespaces spaces;
  Socket host = Socket::open();
  const auto netns = ns::Netns::open(spaces.container("c1"));
  Socket container = Socket::open_in(netns);
  (void)ip({"link", "add", "a0", "type", "veth", "peer", "name", "a1"});
  (void)ip({"link", "set", "a0", "up"});
  LinkChange there;
  there.netns_fd = netns.fd();
  there.name = "eth0";
  there.alias = "a0";
  there.tag = 12345;
  change_link(host, get_link(host, "a0").index, there, "move a0");
  CHECK_FALSE(find_link_json("", "a0"));
  CHECK(link_json("eth0", "c1").at("ifalias") == "a0");
  CHECK(sysctl("c1", "net/ipv4/conf/eth0/tag") == "12345");
  const Link moved = get_link(container, "eth0");
  CHECK(moved.tag == 12345);
  CHECK(moved.alias == "a0");
  CHECK_FALSE(moved.is_up());

  LinkChange back;
  back.netns_fd = spaces.host().fd();
  back.name = "a0";
  back.alias = "";
  change_link(container, moved.index, back, "move eth0 back");
  CHECK(sysctl("", "net/ipv4/conf/a0/tag") == "0");
  CHECK_FALSE(link_json("a0").contains("ifalias"));
}

TEST_CASE("the settings of a tap device are read", "[netns]") {
  require_kind("tap");
  Namespaces spaces;
  (void)ip({"tuntap", "add", "name", "t0", "mode", "tap", "user", "4321", "multi_queue"});
  (void)ip({"tuntap", "add", "name", "t1", "mode", "tun", "group", "4322"});
  Socket socket = Socket::open();
  const auto tap = get_link(socket, "t0").tun;
  REQUIRE(tap);
  CHECK(tap->tap);
  CHECK(tap->persistent);
  CHECK(tap->multi_queue);
  CHECK(tap->owner == 4321U);
  CHECK_FALSE(tap->group);
  const auto tun = get_link(socket, "t1").tun;
  REQUIRE(tun);
  CHECK_FALSE(tun->tap);
  CHECK(tun->group == 4322U);
}

TEST_CASE("a deleted link is gone with its peer and its routes when the call returns", "[netns]") {
  Namespaces spaces;
  const ns::Netns netns = ns::Netns::open(spaces.container("container"));
  Socket host = Socket::open();
  Socket container = Socket::open_in(netns);
  for (int round = 0; round < 50; ++round) {
    add_veth(host, {.name = "gone0", .peer_name = "eth0", .peer_netns_fd = netns.fd()});
    const auto index = get_link(host, "gone0").index;
    set_up(host, index);
    add_address(host, index, Prefix::parse("192.0.2.1/24").value(), Dad::kSkip);
    if (round % 2 == 0) {
      CHECK(remove_link(host, index));
    } else {
      CHECK(remove_link(host, "gone0"));
    }
    CHECK_FALSE(find_link(host, "gone0"));
    CHECK_FALSE(find_link(container, "eth0"));
    CHECK(os::read_file("/proc/sys/net/ipv4/conf/gone0/forwarding") == std::nullopt);
    CHECK_FALSE(remove_link(host, index));
    CHECK_FALSE(remove_link(host, "gone0"));
  }
}

TEST_CASE("deletions at once find each of their links gone", "[netns]") {
  Namespaces spaces;
  constexpr int kLinks = 40;
  Socket socket = Socket::open();
  for (int i = 0; i < kLinks; ++i) {
    add_veth(socket, {.name = cat("at", i), .peer_name = cat("once", i)});
  }
  const ns::Netns here = ns::Netns::current();
  std::vector<std::thread> threads;
  std::atomic<int> removed = 0;
  for (int i = 0; i < kLinks; ++i) {
    // Two threads for each: one of them is the one that removed it.
    for (const std::string& name : {cat("at", i), cat("once", i)}) {
      threads.emplace_back([&here, &removed, name] {
        Socket own = Socket::open_in(here);
        if (remove_link(own, name)) ++removed;
        if (find_link(own, name)) removed = -1000;
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(removed >= kLinks);
  CHECK(removed <= 2 * kLinks);
}

TEST_CASE("a link that cannot be deleted is named with the kernel's reason", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  const Error error = error_of([&] { (void)remove_link(socket, "lo"); });
  CHECK(error.sys_errno == EOPNOTSUPP);
  CHECK_THAT(error.msg, Catch::Matchers::StartsWith("delete link lo: "));
}
