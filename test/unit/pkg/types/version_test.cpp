#include "pkg/types/version.hpp"

#include "test/support/catch.hpp"

namespace cni {
namespace {

TEST_CASE("versions have up to three parts and missing ones are zero") {
  CHECK(Version::parse("1.1.0") == Version{1, 1, 0});
  CHECK(Version::parse("1.1") == Version{1, 1, 0});
  CHECK(Version::parse("12") == Version{12, 0, 0});
  CHECK(Version::parse("") == Version{0, 1, 0});
}

TEST_CASE("what is no version is refused") {
  for (const char* text :
       {"1.", ".1", "1..0", "1.2.3.4", "v1.0.0", "1.0.0 ", " 1", "1.-2", "+1", "a", "."}) {
    INFO(text);
    CHECK_FALSE(Version::parse(text));
  }
  CHECK_FALSE(Version::parse("99999999999.0.0"));
}

TEST_CASE("versions compare by number and not by text") {
  CHECK(*Version::parse("0.10.0") > *Version::parse("0.9.9"));
  CHECK(*Version::parse("0.3.1") < kFirstWithCheck);
  CHECK(*Version::parse("1.0") < kFirstWithGc);
}

TEST_CASE("support of a version is an exact match of its text") {
  CHECK(is_supported("1.0.0", kAllVersions));
  CHECK_FALSE(is_supported("1.0", kAllVersions));
  CHECK_FALSE(is_supported("", kAllVersions));
  CHECK_FALSE(is_supported("9.0.0", kAllVersions));
  CHECK(version_or_default("") == "0.1.0");
  CHECK(version_or_default("0.4.0") == "0.4.0");
}

}  // namespace
}  // namespace cni
