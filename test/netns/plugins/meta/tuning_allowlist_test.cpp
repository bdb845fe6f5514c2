// The node's list of sysctls that networks may set, and STATUS.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkg/os/file.hpp"
#include "test/netns/plugins/meta/tuning_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

constexpr const char* kList = "/etc/cni/tuning/allowlist.conf";

// An /etc of the case's own.
class PrivateEtc {
 public:
  PrivateEtc() {
    REQUIRE(::mount("none", "/etc", "tmpfs", 0, nullptr) == 0);
    os::make_directories("/etc/cni/tuning");
  }
  PrivateEtc(const PrivateEtc&) = delete;
  PrivateEtc& operator=(const PrivateEtc&) = delete;
  ~PrivateEtc() { (void)::umount("/etc"); }
};

json with_sysctl(const char* key) { return {{"sysctl", {{key, "1"}}}}; }

constexpr const char* kFilter = "net.ipv4.conf.IFNAME.arp_filter";
constexpr const char* kProxy = "net.ipv4.conf.IFNAME.proxy_arp";

}  // namespace

TEST_CASE("only sysctls of the node's list are set", "[netns]") {
  TuningNode node;
  const PrivateEtc etc;
  write_file(kList, "\n  ^net\\.ipv4\\.conf\\.IFNAME\\.arp_[a-z]+$  \r\n\nnet.core\n");
  (void)node.add_tuned(with_sysctl(kFilter));
  CHECK(node.tune("STATUS", with_sysctl(kFilter)).ok());
  const std::string refused = std::string("Sysctl ") + kProxy +
                              " is not allowed. Only the following sysctls are allowed: "
                              "[^net\\.ipv4\\.conf\\.IFNAME\\.arp_[a-z]+$ net.core]";
  check_error(node.tune("ADD", with_sysctl(kProxy)), 7, refused);
  check_error(node.tune("STATUS", with_sysctl(kProxy)), 50, refused);
  // As it is written counts, as with the reference; and arguments are no way around.
  check_error(node.tune("ADD", with_sysctl("net/ipv4/conf/IFNAME/arp_filter")), 7, "Sysctl net/");
  const json by_args = {{"args", {{"cni", with_sysctl(kProxy)}}}};
  check_error(node.tune("ADD", by_args), 7, refused);
  CHECK(node.value("net/ipv4/conf/eth0/proxy_arp") == "0");
  // Other options and CHECK are not its matter.
  (void)node.add_tuned({{"mtu", 1400}});
  check_error(node.tune("CHECK", with_sysctl(kProxy)), 105, "Error: Tuning configured value");
}

TEST_CASE("an empty list allows nothing and no list everything", "[netns]") {
  TuningNode node;
  const PrivateEtc etc;
  write_file(kList, "");
  check_error(node.tune("ADD", with_sysctl(kFilter)), 7, "Sysctl net.ipv4.conf.IFNAME.arp_filter");
  REQUIRE(::unlink(kList) == 0);
  (void)node.add_tuned(with_sysctl(kFilter));
}

TEST_CASE("a list that cannot be read allows nothing", "[netns]") {
  TuningNode node;
  const PrivateEtc etc;
  REQUIRE(::mkdir(kList, 0755) == 0);
  check_error(node.tune("ADD", with_sysctl(kFilter)), 5,
              "read /etc/cni/tuning/allowlist.conf: is a directory");
  check_error(node.tune("STATUS", with_sysctl(kFilter)), 50, "read /etc/cni/tuning");
  REQUIRE(::rmdir(kList) == 0);
  write_file(kList, "net\n(net\n");
  check_error(node.tune("ADD", with_sysctl(kFilter)), 7,
              "/etc/cni/tuning/allowlist.conf: error parsing regexp: missing closing");
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "0");
  CHECK_FALSE(os::is_regular_file(node.backup()));
}

TEST_CASE("STATUS of tuning says where backups cannot be kept", "[netns]") {
  TuningNode node;
  CHECK(node.tune("STATUS", json::object()).ok());
  check_error(node.tune("STATUS", {{"dataDir", "/proc/version/tuning"}}), 50, "dataDir: ");
  const std::string folder = node.spaces.folder() + "/readonly";
  os::make_directories(folder);
  REQUIRE(::mount("none", folder.c_str(), "tmpfs", MS_RDONLY, nullptr) == 0);
  check_error(node.tune("STATUS", {{"dataDir", folder + "/a/b"}}), 50,
              "dataDir: write to " + folder + ": read-only file system");
  const PluginRun added = node.tune("ADD", {{"mtu", 1400}, {"dataDir", folder + "/a/b"}});
  REQUIRE(::umount(folder.c_str()) == 0);
  check_error(added, 5, "create the folder ");
  CHECK(node.link().at("mtu") == 1500);
}
