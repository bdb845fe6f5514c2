#include "pkg/skel/restoration.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include "pkg/os/fd.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::skel {
namespace {

using Texts = std::vector<std::string>;

// A thing that can be missing, and what was done to it.
class Thing {
 public:
  explicit Thing(bool present) : is_there(present) {}

  std::function<void()> check() {
    return [this] {
      if (!is_there) throw Error(Code::kCheckFailed, "it is missing");
    };
  }
  std::function<void(os::Undo&)> add() {
    return [this](os::Undo& undo) {
      ++added;
      undo.push("remove it", [this] { is_there = false; });
      if (add_fails) throw Error(Code::kSystemCall, "the kernel refuses it");
      is_there = add_works;
    };
  }

  bool is_there;
  bool add_fails = false;
  bool add_works = true;
  int added = 0;
};

class Fixture {
 public:
  Fixture() { io_.run_folder = folder_ / "run/cni"; }
  const Io& io() const { return io_; }
  std::string lock() const { return folder_ / "run/cni/reconcile.lock"; }

 private:
  test::TemporaryFolder folder_;
  Io io_;
};

void needed() {}
void gone() { throw Error(Code::kCheckFailed, "the container is gone"); }

std::string failure_of(Restoration& restoration, void (*is_needed)() = needed) {
  try {
    restoration.finish(is_needed);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_CASE("what is there is not added and nobody is locked out") {
  const Fixture fixture;
  Thing thing(true);
  Restoration restoration(fixture.io());
  restoration.ensure("thing", thing.check(), thing.add());
  CHECK(failure_of(restoration, gone).empty());
  CHECK(thing.added == 0);
  CHECK(restoration.restored().empty());
  CHECK(::access(fixture.lock().c_str(), F_OK) != 0);
}

TEST_CASE("what is missing is added and told with what was found") {
  const Fixture fixture;
  Thing thing(false);
  {
    Restoration restoration(fixture.io());
    restoration.ensure("thing", thing.check(), thing.add());
    const os::Fd lock(::open(fixture.lock().c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(lock);
    CHECK(::flock(lock.get(), LOCK_EX | LOCK_NB) == -1);
    CHECK(failure_of(restoration).empty());
    REQUIRE(restoration.restored().size() == 1);
    CHECK(restoration.restored()[0].what == "thing");
    CHECK(restoration.restored()[0].missing == "it is missing");
  }
  CHECK(thing.is_there);
}

TEST_CASE("what somebody else restored during the wait for the lock is left alone") {
  const Fixture fixture;
  Thing thing(false);
  int checks = 0;
  const auto check = [&] {
    if (checks++ == 0) throw Error(Code::kCheckFailed, "it is missing");
  };
  Restoration restoration(fixture.io());
  restoration.ensure("thing", check, thing.add());
  CHECK(checks == 2);
  CHECK(thing.added == 0);
  CHECK(restoration.restored().empty());
}

TEST_CASE("a failure keeps nothing else from being restored and nothing is taken back") {
  const Fixture fixture;
  Thing first(false);
  Thing second(false);
  Thing third(false);
  first.add_fails = true;
  third.add_works = false;
  // A part of the first is there.
  first.is_there = false;
  {
    Restoration restoration(fixture.io());
    restoration.ensure("first", first.check(), first.add());
    restoration.ensure("second", second.check(), second.add());
    restoration.ensure("third", third.check(), third.add());
    restoration.run([] { throw Error(Code::kInternal, "the plugin stumbles"); });
    CHECK(failure_of(restoration) ==
          "restore first: the kernel refuses it; restore third: it is missing; the plugin "
          "stumbles; second was restored");
  }
  CHECK(second.is_there);
}

TEST_CASE("an error of the check that is no answer adds nothing") {
  const Fixture fixture;
  Thing thing(false);
  Restoration restoration(fixture.io());
  restoration.ensure(
      "thing", [] { throw Error(Code::kSystemCall, "no permission"); }, thing.add());
  CHECK(failure_of(restoration) == "restore thing: no permission");
  CHECK(thing.added == 0);
}

TEST_CASE("what was added for a container that is gone by then goes again") {
  const Fixture fixture;
  Thing thing(false);
  Restoration restoration(fixture.io());
  restoration.ensure("thing", thing.check(), thing.add());
  CHECK(failure_of(restoration, gone) == "the container is gone");
  CHECK_FALSE(thing.is_there);
}

TEST_CASE("an interrupted restoration takes nothing back") {
  const Fixture fixture;
  Thing thing(false);
  {
    Restoration restoration(fixture.io());
    restoration.ensure("thing", thing.check(), thing.add());
  }
  CHECK(thing.is_there);
}

TEST_CASE("the answer to RECONCILE is read as it was written") {
  const std::string text = restoration_to_json({{"masquerade", "not in \"set\""}}, "1.0.0");
  CHECK(text.find("\"cniVersion\": \"1.0.0\"") != std::string::npos);
  const auto read = restoration_from_json(text);
  REQUIRE(read.size() == 1);
  CHECK(read[0].what == "masquerade");
  CHECK(read[0].missing == "not in \"set\"");
  CHECK(restoration_from_json(restoration_to_json({}, "")).empty());
  for (const char* other : {"", "{}", "[]", "7", R"({"restored": 7})"}) {
    INFO(other);
    CHECK_THROWS_AS(restoration_from_json(other), Error);
  }
}

}  // namespace
}  // namespace cni::skel
