#include "plugins/ipam/dhcp/daemon/flags.hpp"

#include <vector>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

namespace cni::dhcp {
namespace {

Flags flags(const std::vector<std::string>& arguments) { return parse_flags(arguments); }

std::string failure_of(const std::vector<std::string>& arguments) {
  try {
    (void)parse_flags(arguments);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST_CASE("dhcp daemon flags have the defaults of the reference") {
  const Flags plain = flags({});
  CHECK(plain.socketpath == "/run/cni/dhcp.sock");
  CHECK(plain.statedir == "/var/lib/cni/dhcp");
  CHECK(plain.timeout == Time(10'000));
  CHECK(plain.resendmax == Time(62'000));
  CHECK(plain.resendtimeout == Time(208'000));
  CHECK(plain.probetime == Time(10));
  CHECK_FALSE(plain.broadcast);
  CHECK_FALSE(plain.help);
  CHECK(plain.pidfile.empty());
  CHECK(plain.hostprefix.empty());
}

TEST_CASE("dhcp daemon flags are written with one dash or two and with a space or an equals sign") {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"-pidfile", "/p", "-timeout", "1m30s", "-broadcast"},
        {"--pidfile=/p", "--timeout=1m30s", "--broadcast=true"},
        {"-pidfile=/p", "-timeout=90s", "-broadcast=1"}}) {
    const Flags read = flags(arguments);
    CHECK(read.pidfile == "/p");
    CHECK(read.timeout == Time(90'000));
    CHECK(read.broadcast);
  }
  CHECK_FALSE(flags({"-broadcast", "-broadcast=false"}).broadcast);
  CHECK(flags({"-hostprefix=a=b"}).hostprefix == "a=b");
  CHECK(flags({"-socketpath", "-x"}).socketpath == "-x");
  CHECK(flags({"-statedir="}).statedir.empty());
  CHECK(flags({"-resendmax=1s", "-resendtimeout=2s", "-probetime=0"}).resendtimeout == Time(2000));
  CHECK(flags({"-h"}).help);
}

TEST_CASE("a wrong dhcp daemon flag is named with its value") {
  CHECK(failure_of({"-nothing"}) == "flag provided but not defined: -nothing");
  CHECK(failure_of({"-timeout"}) == "flag needs an argument: -timeout");
  CHECK_THAT(failure_of({"-timeout", "ten"}),
             Catch::Matchers::StartsWith("invalid value \"ten\" for flag -timeout: parse error"));
  CHECK_THAT(failure_of({"-timeout=0"}), Catch::Matchers::Contains("1ms at least"));
  CHECK_THAT(failure_of({"-resendmax=-1s"}), Catch::Matchers::Contains("\"-1s\""));
  CHECK_THAT(failure_of({"-broadcast=maybe"}),
             Catch::Matchers::StartsWith("invalid boolean value \"maybe\" for -broadcast"));
  CHECK(failure_of({"---timeout=1s"}) == "bad flag syntax: ---timeout=1s");
  CHECK(failure_of({"-=1s"}) == "bad flag syntax: -=1s");
  CHECK_THAT(failure_of({"extra"}), Catch::Matchers::Contains("\"extra\""));
  CHECK_THAT(failure_of({"-"}), Catch::Matchers::Contains("\"-\""));
}

TEST_CASE("the help of the dhcp daemon names every flag") {
  for (const char* name : {"pidfile", "hostprefix", "socketpath", "statedir", "broadcast",
                           "timeout", "resendmax", "resendtimeout", "probetime"}) {
    CHECK_THAT(usage(), Catch::Matchers::Contains(std::string("-") + name));
  }
}

TEST_CASE("durations are those of Go") {
  CHECK(parse_duration("10s") == Time(10'000));
  CHECK(parse_duration("500ms") == Time(500));
  CHECK(parse_duration("1h15m30.918s") == Time(4'530'918));
  CHECK(parse_duration("1.5h") == Time(5'400'000));
  CHECK(parse_duration(".5s") == Time(500));
  CHECK(parse_duration("1.s") == Time(1000));
  CHECK(parse_duration("+3s") == Time(3000));
  CHECK(parse_duration("0") == Time(0));
  CHECK(parse_duration("1999us") == Time(1));
  CHECK(parse_duration("2000\xc2\xb5s") == Time(2));
  CHECK(parse_duration("1000000ns") == Time(1));
  for (const char* wrong :
       {"", "+", "3", "1x", "s", ".s", "-1s", "1s ", " 1s", "1 s", "1..5s", "1e3s", "9223372037s",
        "99999999999999999999s", "2562048h", "106752d", "9000000000s9000000000s"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_duration(wrong));
  }
}

}  // namespace
}  // namespace cni::dhcp
