// Regular expressions of the allowlist, compared with grep -P, which reads this part of the syntax
// as RE2 does.
#include <string>
#include <vector>

#include "pkg/types/error.hpp"
#include "plugins/meta/tuning/pattern.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

using namespace cni;
using tuning::Pattern;

namespace {

bool grep_matches(const std::string& pattern, const std::string& text) {
  const os::Exit exit = test::run({"grep", "-qP", "--", pattern}, text + "\n");
  INFO(exit.err);
  REQUIRE(exit.status < 2);
  return exit.ok();
}

}  // namespace

TEST_CASE("patterns match what the same patterns match elsewhere") {
  (void)test::require_program("grep");
  const std::vector<std::string> patterns = {"^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$",
                                             "^net.ipv4.conf.IFNAME.accept_redirects$",
                                             "net.core",
                                             "net\\.(core|ipv4)\\.[a-z]+",
                                             "^(?:net|vm)\\.",
                                             "a|b|",
                                             "x{2}",
                                             "x{2,}y",
                                             "^x{1,3}$",
                                             "(ab)*c",
                                             "(a*)*b",
                                             "(a|aa)+$",
                                             "[^a-c]x",
                                             "[]x]",
                                             "[a\\]x]",
                                             "[a-]x",
                                             "[\\w.]+_max$",
                                             "\\d+",
                                             "\\D",
                                             "\\W",
                                             "\\s",
                                             "\\bipv4\\b",
                                             "ipv\\B4",
                                             "\\Anet",
                                             "core\\z",
                                             "a+?b",
                                             "colou?r",
                                             ".",
                                             "^$",
                                             "\\$",
                                             "\\^a",
                                             "-x"};
  const std::vector<std::string> texts = {"net.ipv4.conf.IFNAME.accept_redirects",
                                          "net.ipv4.conf.IFNAME.send_redirects2",
                                          "netXipv4.conf.IFNAME.x",
                                          "net/ipv4/conf",
                                          "net.core",
                                          "net.core.rmem_max",
                                          "vm.swappiness",
                                          "",
                                          "a",
                                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                          "abababc",
                                          "x",
                                          "xxy",
                                          "xxxx",
                                          "ax",
                                          "dx",
                                          "]",
                                          "-x",
                                          "12",
                                          "a b",
                                          "ipv46",
                                          "color",
                                          "colour",
                                          "$",
                                          "^a"};
  for (const std::string& pattern : patterns) {
    const Pattern parsed = Pattern::parse(pattern);
    for (const std::string& text : texts) {
      INFO(pattern << " on " << text);
      CHECK(parsed.matches(text) == grep_matches(pattern, text));
    }
  }
}

TEST_CASE("patterns that are not understood are refused") {
  for (const char* pattern :
       {"(",        ")",     "a)", "(a",  "[",      "[a",          "[z-a]", "*",
        "a**",      "+a",    "?",  "a{",  "a{2,1}", "a{1001}",     "a{x}",  "(?i)net",
        "(?P<n>a)", "(?=a)", "\\", "\\1", "\\pL",   "[[:alpha:]]", "[\\q]", "\\Qa\\E"}) {
    INFO(pattern);
    try {
      (void)Pattern::parse(pattern);
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.code == Code::kInvalidNetworkConfig);
      CHECK(error.msg.starts_with("error parsing regexp: "));
    }
  }
  CHECK_THROWS_AS(Pattern::parse(std::string(200, '(') + std::string(200, ')')), Error);
}

TEST_CASE("no pattern takes long") {
  // A backtracking matcher takes longer than the universe is old.
  const std::string text(1000, 'a');
  CHECK_FALSE(Pattern::parse("^(a*)*(a|a)*(a+)+$b").matches(text));
  CHECK(Pattern::parse("(x{0,1000}){0,1000}").matches(text));
}
