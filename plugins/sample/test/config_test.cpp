// The configuration, without privileges and without the kernel.
#include "config.hpp"

#include <cstdio>
#include <string>
#include <string_view>

#include "pkg/types/config.hpp"
#include "pkg/types/error.hpp"

namespace {

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  (void)std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  ++failures;
}

sample::Config parse(std::string_view text) {
  cni::skel::Request request;
  request.config = cni::NetConf::parse(text);
  return sample::parse(request);
}

void expect_refused(std::string_view text, cni::Code code, std::string_view message) {
  try {
    (void)parse(text);
    expect(false, cni::cat(text, " was taken"));
  } catch (const cni::Error& error) {
    expect(error.code == code && error.msg == message,
           cni::cat(text, " was refused with: ", error.what()));
  }
}

}  // namespace

int main() {
  using enum cni::Code;
  expect(parse(R"({"alias": "web"})").alias == "web", "the alias is read");
  expect(parse(R"({"Alias": "web"})").alias == "web", "keys match without case");
  const std::string longest(255, 'x');
  expect(parse(cni::cat(R"({"alias": ")", longest, R"("})")).alias == longest,
         "255 octets are taken");

  expect_refused("{}", kInvalidNetworkConfig,
                 "failed to load netconf: alias: this key is required");
  expect_refused(R"({"alias": 7})", kDecodingFailure,
                 "failed to load netconf: alias: expected a string, got the number 7");
  expect_refused(R"({"alias": ""})", kInvalidNetworkConfig,
                 "failed to load netconf: alias: needs 1 to 255 octets, but has 0");
  expect_refused(cni::cat(R"({"alias": "x)", longest, R"("})"), kInvalidNetworkConfig,
                 "failed to load netconf: alias: needs 1 to 255 octets, but has 256");
  expect_refused(R"({"alias": "a\nb"})", kInvalidNetworkConfig,
                 R"(failed to load netconf: alias: "a\nb" has control characters)");
  return failures == 0 ? 0 : 1;
}
