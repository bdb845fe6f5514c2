#include "pkg/os/undo.hpp"

#include <memory>
#include <stdexcept>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

namespace cni::os {
namespace {

using Texts = std::vector<std::string>;

TEST_CASE("undo steps run last in first out and once") {
  Texts ran;
  {
    Undo undo;
    undo.push("first", [&] { ran.push_back("first"); });
    undo.push("second", [&] { ran.push_back("second"); });
    CHECK(ran.empty());
    CHECK(undo.roll_back().empty());
    CHECK(ran == Texts{"second", "first"});
  }
  CHECK(ran.size() == 2);
}

TEST_CASE("the destructor rolls back what was not committed") {
  Texts ran;
  {
    Undo undo;
    undo.push("step", [&] { ran.push_back("step"); });
  }
  CHECK(ran == Texts{"step"});
}

TEST_CASE("commit forgets every step") {
  Texts ran;
  {
    Undo undo;
    undo.push("step", [&] { ran.push_back("step"); });
    undo.commit();
    CHECK(undo.roll_back().empty());
  }
  CHECK(ran.empty());
}

TEST_CASE("a failed step is reported and the others still run") {
  Texts ran;
  Undo undo;
  undo.push("first", [&] { ran.push_back("first"); });
  undo.push("release the address", [] { throw Error(Code::kIoFailure, "disk is gone", "really"); });
  undo.push("third", [] { throw std::runtime_error("foreign"); });
  CHECK(undo.roll_back() == Texts{"third: foreign", "release the address: disk is gone; really"});
  CHECK(ran == Texts{"first"});
  CHECK(undo.roll_back().empty());
}

TEST_CASE("an exception that is none of the standard library's does not end the rolling back") {
  Texts ran;
  Undo undo;
  undo.push("first", [&] { ran.push_back("first"); });
  undo.push("second", [] { throw 5; });
  CHECK(undo.roll_back().size() == 1);
  CHECK(ran == Texts{"first"});
}

TEST_CASE("the observer sees each step after it was pushed so that its failure undoes the step") {
  Texts seen;
  Texts ran;
  Undo undo([&](std::string_view name) {
    seen.emplace_back(name);
    if (name == "second") throw std::runtime_error("probe");
  });
  undo.push("first", [&] { ran.push_back("first"); });
  CHECK_THROWS_AS(undo.push("second", [&] { ran.push_back("second"); }), std::runtime_error);
  CHECK(seen == Texts{"first", "second"});
  CHECK(undo.roll_back().empty());
  CHECK(ran == Texts{"second", "first"});
}

TEST_CASE("what a step captured lives until it ran") {
  auto text = std::make_shared<std::string>("value");
  std::string seen;
  Undo undo;
  undo.push("step", [text, &seen] { seen = *text; });
  const std::weak_ptr<std::string> watch = text;
  text.reset();
  CHECK_FALSE(watch.expired());
  (void)undo.roll_back();
  CHECK(seen == "value");
  CHECK(watch.expired());
}

}  // namespace
}  // namespace cni::os
