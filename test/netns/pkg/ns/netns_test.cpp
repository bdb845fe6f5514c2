#include "pkg/ns/netns.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "pkg/types/error.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

namespace cni::ns {
namespace {

using test::Namespaces;

template <class Fn>
std::string failure(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.msg);
  }
  return "no error";
}

TEST_CASE("a namespace is the same by whatever path it is opened", "[netns]") {
  Namespaces namespaces;
  const std::string one = namespaces.container("one");
  const std::string two = namespaces.container("two");
  CHECK(Netns::open(one).is_same(Netns::open("/run/../run/netns/one")));
  CHECK_FALSE(Netns::open(one).is_same(Netns::open(two)));
  CHECK(Netns::current().is_same(Netns::open("/proc/self/ns/net")));
  CHECK_FALSE(Netns::current().is_same(Netns::open(one)));
  CHECK(Netns::open(one).path() == one);
}

TEST_CASE("code runs inside and the caller stays outside", "[netns]") {
  Namespaces namespaces;
  const Netns one = Netns::open(namespaces.container("one"));
  const Netns before = Netns::current();
  CHECK(one.run([&] { return Netns::current().is_same(one); }));
  CHECK(Netns::current().is_same(before));
}

TEST_CASE("an exception inside comes out with everything", "[netns]") {
  Namespaces namespaces;
  const Netns one = Netns::open(namespaces.container("one"));
  try {
    one.run([] { throw Error(Code::kTryAgainLater, "busy", "details", EBUSY); });
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.code == Code::kTryAgainLater);
    CHECK(error.details == "details");
    CHECK(error.sys_errno == EBUSY);
  }
}

TEST_CASE("an open namespace outlives its name", "[netns]") {
  Namespaces namespaces;
  const Netns one = Netns::open(namespaces.container("one"));
  namespaces.remove_container("one");
  CHECK_FALSE(Netns::find("/run/netns/one"));
  CHECK(one.run([] { return 7; }) == 7);
}

TEST_CASE("what is no namespace is refused when opened and absent when looked for", "[netns]") {
  const Namespaces namespaces;
  test::write_file("/run/plain", "");
  CHECK(failure([] { (void)Netns::open("/run/none"); }) ==
        "8 failed to open netns \"/run/none\": failed to Statfs \"/run/none\": no such file or "
        "directory");
  CHECK(failure([] { (void)Netns::open("/run/plain"); }) ==
        "8 failed to open netns \"/run/plain\": unknown FS magic on \"/run/plain\": 1021994");
  CHECK(failure([] { (void)Netns::open("/proc/self/status"); }) ==
        "8 failed to open netns \"/proc/self/status\": it is no network namespace");
  CHECK(failure([] { (void)Netns::open("/proc/self/ns/mnt"); }) ==
        "8 failed to open netns \"/proc/self/ns/mnt\": it is no network namespace");
  for (const char* path : {"", "/run/none", "/run/none/below", "/run/plain", "/run/plain/below",
                           "/proc/self/status", "/proc/self/ns/mnt", "/proc/999999999/ns/net"}) {
    INFO(path);
    CHECK_FALSE(Netns::find(path));
  }
}

}  // namespace
}  // namespace cni::ns
