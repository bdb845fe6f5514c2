// The fixture has to keep its promises before anything else can be believed.
#include "test/support/netns_fixture.hpp"

#include <unistd.h>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

TEST_CASE("a fresh host has lo and it is up", "[netns]") {
  const Namespaces namespaces;
  const json links = ip({"-j", "link", "show"});
  REQUIRE_FALSE(links.empty());
  CHECK(links[0].at("ifname") == "lo");
  CHECK(links[0].at("flags").dump().find("\"UP\"") != std::string::npos);
}

TEST_CASE("every Namespaces of a process starts empty", "[netns]") {
  {
    Namespaces namespaces;
    (void)namespaces.container("one");
    (void)ip({"link", "add", "left", "type", "veth", "peer", "name", "over"});
    write_file("/var/lib/cni/left-over", "text");
  }
  Namespaces namespaces;
  CHECK_FALSE(find_link_json("", "left"));
  CHECK(take({}).lines.count("file /var/lib/cni/left-over 100644 \"text\"") == 0);
  CHECK(::access("/run/netns/one", F_OK) != 0);
}

TEST_CASE("a container is reached by ip and is another namespace", "[netns]") {
  Namespaces namespaces;
  const std::string path = namespaces.container("one");
  CHECK(path == "/run/netns/one");
  CHECK_FALSE(ns::Netns::open(path).is_same(namespaces.host()));
  (void)ip({"-n", "one", "link", "add", "inside", "type", "veth", "peer", "name", "other"});
  CHECK(find_link_json("one", "inside"));
  CHECK_FALSE(find_link_json("", "inside"));
  namespaces.remove_container("one");
  CHECK_FALSE(ns::Netns::find(path));
}

TEST_CASE("sysfs shows the links of the fresh host", "[netns]") {
  const Namespaces namespaces;
  (void)ip({"link", "add", "mine", "type", "veth", "peer", "name", "other"});
  CHECK(::access("/sys/class/net/mine", F_OK) == 0);
}

TEST_CASE("a snapshot shows links and addresses and rules and nftables and files", "[netns]") {
  Namespaces namespaces;
  const std::string one = namespaces.container("one");
  const Snapshot empty = take({one});
  CHECK(take({one}) == empty);
  const auto changed = [&](const std::string& what, const std::string& part) {
    const Snapshot after = take({one});
    INFO(what << ":\n" << diff(empty, after));
    CHECK(diff(empty, after).find(part) != std::string::npos);
  };
  (void)ip({"link", "add", "v0", "type", "veth", "peer", "name", "v1"});
  changed("a link", "\"ifname\":\"v0\"");
  (void)ip({"addr", "add", "10.1.2.3/24", "dev", "v0"});
  changed("an address", "address dev v0");
  (void)ip({"-n", "one", "rule", "add", "from", "10.9.9.9", "lookup", "100"});
  changed("a rule", "10.9.9.9");
  write_file("/var/lib/cni/file", "content");
  changed("a file", "/var/lib/cni/file");
  if (find_installed("nft")) {
    (void)nft(
        {"add table inet probe; add set inet probe s { type ipv4_addr; }; "
         "add element inet probe s { 192.0.2.7 }"});
    changed("a set element", "192.0.2.7");
  }
}

TEST_CASE("the filter keeps what belongs to one attachment", "[netns]") {
  const Namespaces namespaces;
  const Snapshot before = take({});
  (void)ip({"link", "add", "cni0", "type", "bridge"});
  (void)ip({"addr", "add", "10.1.0.1/24", "dev", "cni0"});
  (void)ip({"link", "set", "cni0", "up"});
  CHECK(diff(before, take({})) != "");
  CHECK(diff(without_shared(before), without_shared(take({}))) == "");
  (void)ip({"link", "add", "veth0", "master", "cni0", "type", "veth", "peer", "name", "veth1"});
  CHECK(diff(without_shared(before), without_shared(take({}))).find("veth0") != std::string::npos);
}

}  // namespace
}  // namespace cni::test
