#include "plugins/ipam/dhcp/exchange.hpp"

#include "test/support/catch.hpp"

namespace cni::dhcp {
namespace {

LeaseRequest request() {
  LeaseRequest out;
  out.key = {"c1", "net", "eth0"};
  out.netns = "/run/netns/c1";
  out.ipv6 = true;
  out.provide = {{12, {'h', 'o'}}, {77, {0, 255}}};
  out.request = {121, 3, 1};
  out.priority = 70;
  return out;
}

std::string failure_of(std::string_view text) {
  try {
    (void)read_call(text);
  } catch (const Error& error) {
    CHECK(error.code == Code::kDecodingFailure);
    return error.what();
  }
  return "none";
}

TEST_CASE("dhcp requests arrive as they were sent") {
  for (const Verb verb : {Verb::kAllocate, Verb::kLook, Verb::kRelease, Verb::kStatus}) {
    const Call read = read_call(to_text(Call{verb, request(), {}}));
    CHECK(read.verb == verb);
    if (verb == Verb::kAllocate) CHECK(read.lease == request());
    if (verb == Verb::kLook || verb == Verb::kRelease) CHECK(read.lease.key == request().key);
  }
  Call collect{Verb::kCollect, {}, {{"c1", "eth0"}, {"c2", "eth1"}}};
  collect.lease.key.network = "net";
  const Call read = read_call(to_text(collect));
  CHECK(read.verb == Verb::kCollect);
  CHECK(read.lease.key == LeaseKey{"", "net", ""});
  CHECK(read.valid == collect.valid);
}

TEST_CASE("a dhcp release needs no namespace") {
  Call call{Verb::kRelease, {}, {}};
  call.lease.key = {"c1", "net", "eth0"};
  CHECK(read_call(to_text(call)).lease.key == call.lease.key);
}

TEST_CASE("dhcp answers arrive as they were sent") {
  CHECK(read_answer(to_text(Answer{})).lease == Lease{});
  CHECK_FALSE(read_answer(to_text(Answer{})).error);

  Answer granted;
  granted.lease.ipv4 = Lease4{};
  granted.lease.ipv4->address = Prefix::parse("192.0.2.5/24").value();
  granted.lease.ipv4->server = Ip::parse("192.0.2.1").value();
  granted.lease.ipv4->timing = {Time(10), Time(20), Time(30)};
  CHECK(read_answer(to_text(granted)).lease == granted.lease);
  CHECK_FALSE(read_answer(to_text(granted)).is_new);
  granted.is_new = true;
  CHECK(read_answer(to_text(granted)).is_new);

  const Answer refused =
      read_answer(to_text(Answer{Error(Code::kTryAgainLater, "no \"one\"", "d", 11), {}}));
  REQUIRE(refused.error);
  CHECK(refused.error->code == Code::kTryAgainLater);
  CHECK(refused.error->msg == "no \"one\"");
  CHECK(refused.error->details == "d");
  CHECK(refused.error->sys_errno == 11);
}

TEST_CASE("what is no dhcp request is refused with what is wrong") {
  CHECK_THAT(failure_of(""), Catch::Matchers::Contains("request to the DHCP daemon"));
  CHECK_THAT(failure_of("[]"), Catch::Matchers::Contains("an object"));
  CHECK_THAT(failure_of("{}"), Catch::Matchers::Contains("version"));
  CHECK_THAT(failure_of(R"({"version":1})"), Catch::Matchers::Contains("verb"));
  CHECK_THAT(failure_of(R"({"version":1,"verb":""})"), Catch::Matchers::Contains("verb"));
  CHECK_THAT(failure_of(R"({"version":1,"verb":"steal"})"), Catch::Matchers::Contains("steal"));
  CHECK_THAT(failure_of(R"({"version":1,"verb":"release"})"), Catch::Matchers::Contains("key"));
  CHECK_THAT(failure_of(R"({"version":1,"verb":"allocate","request":{}})"),
             Catch::Matchers::Contains("request"));
  CHECK_THAT(failure_of(R"({"version":1,"verb":"collect","key":{"network":"n"},"valid":[1]})"),
             Catch::Matchers::Contains("valid"));
}

TEST_CASE("a newer dhcp request is refused naming both versions") {
  CHECK_THAT(
      failure_of(R"({"version":7,"verb":"status"})"),
      Catch::Matchers::Contains("version 7") && Catch::Matchers::Contains("1 is the newest"));
}

TEST_CASE("the length before a dhcp message is between 1 and the longest") {
  CHECK(length_prefix(0x01020304) == "\x01\x02\x03\x04");
  CHECK(read_length_prefix(length_prefix(1)) == 1);
  CHECK(read_length_prefix(length_prefix(kLongestMessage)) == kLongestMessage);
  CHECK(read_length_prefix(length_prefix(0xf0f1)) == 0xf0f1);
  CHECK_THROWS_AS(read_length_prefix(length_prefix(0)), Error);
  CHECK_THROWS_AS(read_length_prefix(length_prefix(kLongestMessage + 1)), Error);
  CHECK_THROWS_AS(read_length_prefix("\xff\xff\xff\xff"), Error);
  CHECK_THROWS_AS(read_length_prefix("abc"), Error);
}

}  // namespace
}  // namespace cni::dhcp
