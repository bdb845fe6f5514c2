// Regular expressions of the allowlist.
#include <string>

#include "pkg/types/error.hpp"
#include "plugins/meta/tuning/pattern.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using tuning::Pattern;

TEST_CASE("patterns match what RE2 says that they do") {
  struct Row {
    const char* pattern;
    const char* text;
    bool matches;
  };
  const Row rows[] = {
      {"^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$", "net.ipv4.conf.IFNAME.accept_redirects", true},
      {"^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$", "net.ipv4.conf.IFNAME.send_redirects2", false},
      {"^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$", "netXipv4.conf.IFNAME.x", false},
      {"^net.ipv4.conf.IFNAME.x$", "netXipv4.conf.IFNAME.x", true},
      {"net.core", "vm.net.core.rmem_max", true},
      {"^net\\.(core|ipv4)\\.", "net.ipv6.conf", false},
      {"^(?:net|vm)\\.", "vm.swappiness", true},
      {"a|b|", "", true},
      {"^x{1,3}$", "xxxx", false},
      {"[^a-c]x", "ax", false},
      {"[]x]", "]", true},
      {"[\\w.]+_max$", "net.core.rmem_max", true},
      {"^\\d+$", "12", true},
      {"^\\d+$", "1d", false},
      {"\\bipv4\\b", "net.ipv4.conf", true},
      {"\\bipv4\\b", "net.ipv46", false},
      {"\\Anet", "vm.net", false},
      {"core\\z", "net.core", true},
      {"core$", "net.core\n", false},
      {"a+?b", "aab", true},
      {"(?i)NET", "net.core", true},
      {"^[[:alpha:]]+$", "net1", false},
      {"\\Qa.b\\E", "axb", false},
      {"(?P<name>net)\\.", "net.core", true},
      {"^net/ipv4", "net/ipv4/conf", true},
      {"\\$", "$", true},
  };
  for (const Row& row : rows) {
    INFO(row.pattern << " on " << row.text);
    CHECK(Pattern::parse(row.pattern).matches(row.text) == row.matches);
  }
}

TEST_CASE("patterns that are none are refused with the place of the mistake") {
  for (const char* pattern : {"(", ")", "a)", "(a", "[", "[a", "[z-a]", "*", "+a", "?", "a{2,1}",
                              "\\", "\\1", "[[:nobody:]]", "\\C"}) {
    INFO(pattern);
    try {
      (void)Pattern::parse(pattern);
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.code == Code::kInvalidNetworkConfig);
      CHECK(error.msg.starts_with("error parsing regexp: "));
      CHECK(error.msg.find(", character ") != std::string::npos);
    }
  }
  CHECK_THROWS_AS(Pattern::parse(std::string(1000, '(') + std::string(1000, ')')), Error);
}

TEST_CASE("a pattern that would take for ever is given up and allows nothing") {
  // Each letter doubles the steps.
  const Pattern pattern = Pattern::parse("^(a|a)*(a|aa)+$");
  try {
    (void)pattern.matches(std::string(200, 'a') + "b");
    FAIL("it came to an end");
  } catch (const Error& error) {
    CHECK(error.code == Code::kInvalidNetworkConfig);
    CHECK(error.msg.find("match limit exceeded") != std::string::npos);
  }
}
