// Options of DHCPv4 that are lists: routes (33, 121) and search domains (119).
#include "plugins/ipam/dhcp/v4/options.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::dhcp;
using namespace cni::dhcp::v4;

namespace {

using Names = std::vector<std::string>;

Ip ip(const char* text) { return *Ip::parse(text); }
LeasedRoute on_link(const char* destination) { return {*Prefix::parse(destination), std::nullopt}; }
LeasedRoute route(const char* destination, const char* router) {
  return {*Prefix::parse(destination), ip(router)};
}

Message with(std::uint8_t code, Bytes value) {
  Message out;
  out.options[code] = std::move(value);
  return out;
}

std::optional<std::vector<LeasedRoute>> classless(Bytes value) {
  return classless_routes_of(with(option::kClasslessRoutes, std::move(value)));
}

Names search(std::string_view value) {
  return search_domains_of(with(option::kDomainSearch, Bytes(value.begin(), value.end())));
}

// The text of a literal with NULs in it.
template <std::size_t kSize>
std::string_view raw(const char (&text)[kSize]) {
  return {text, kSize - 1};
}

}  // namespace

TEST_CASE("classless routes have the lengths that the server says") {
  const auto routes = classless({0, 192, 0, 2, 1, 8,  10, 192, 0, 2, 2, 24, 10, 1,
                                 2, 192, 0, 2, 3, 32, 10, 1,   2, 3, 0, 0,  0,  0});
  REQUIRE(routes);
  CHECK(*routes == std::vector{route("0.0.0.0/0", "192.0.2.1"), route("10.0.0.0/8", "192.0.2.2"),
                               route("10.1.2.0/24", "192.0.2.3"), on_link("10.1.2.3/32")});
}

TEST_CASE("host bits of classless routes are cleared") {
  CHECK(classless({9, 10, 255, 192, 0, 2, 1}) == std::vector{route("10.128.0.0/9", "192.0.2.1")});
}

TEST_CASE("a classless route that cannot be spoils its option") {
  CHECK_FALSE(classless({}));
  CHECK_FALSE(classless({8, 10, 192, 0, 2, 1, 33, 10, 1, 2, 3, 4, 192, 0, 2, 1}));
  CHECK_FALSE(classless({8, 10, 192, 0, 2}));
  CHECK_FALSE(classless({8, 10, 192, 0, 2, 1, 8}));
  CHECK_FALSE(classless({8, 10, 224, 0, 0, 1}));
  CHECK_FALSE(classless_routes_of(Message{}));
}

TEST_CASE("static routes have the lengths of their classes") {
  const auto routes = static_routes_of(
      with(option::kStaticRoutes,
           {10,  1, 2, 3, 192, 0, 2, 1, 127, 0, 0, 1, 192, 0, 2, 1, 128, 1, 2, 3, 192, 0, 2, 1,
            191, 1, 2, 3, 192, 0, 2, 1, 192, 1, 2, 3, 192, 0, 2, 1, 224, 1, 2, 3, 192, 0, 2, 1}));
  CHECK(routes == std::vector{route("10.0.0.0/8", "192.0.2.1"), route("128.1.0.0/16", "192.0.2.1"),
                              route("191.1.0.0/16", "192.0.2.1"),
                              route("192.1.2.0/24", "192.0.2.1")});
}

TEST_CASE("static routes leave out the default route and routers that cannot be") {
  CHECK(static_routes_of(with(option::kStaticRoutes, {0, 0, 0, 0, 192, 0, 2, 1})).empty());
  CHECK(static_routes_of(with(option::kStaticRoutes, {10, 0, 0, 0, 0, 0, 0, 0})).empty());
  CHECK(static_routes_of(with(option::kStaticRoutes, {10, 0, 0, 0, 192, 0, 2})).empty());
}

TEST_CASE("classless routes take the place of static ones and of routers") {
  Message ack;
  ack.yiaddr = ip("192.0.2.5");
  ack.options[option::kServerId] = {192, 0, 2, 1};
  ack.options[option::kSubnetMask] = {255, 255, 255, 0};
  ack.options[option::kStaticRoutes] = {10, 0, 0, 0, 192, 0, 2, 2};
  Lease4 lease = read_lease(ack, Time{0});
  CHECK_FALSE(lease.has_classless_routes);
  CHECK(lease.routes == std::vector{route("10.0.0.0/8", "192.0.2.2")});
  ack.options[option::kClasslessRoutes] = {12, 172, 16, 192, 0, 2, 1};
  lease = read_lease(ack, Time{0});
  CHECK(lease.has_classless_routes);
  CHECK(lease.routes == std::vector{route("172.16.0.0/12", "192.0.2.1")});
  ack.options[option::kClasslessRoutes] = {33, 172, 16, 192, 0, 2, 1};
  lease = read_lease(ack, Time{0});
  CHECK_FALSE(lease.has_classless_routes);
  CHECK(lease.routes == std::vector{route("10.0.0.0/8", "192.0.2.2")});
}

TEST_CASE("search domains are read through their pointers") {
  // The example of RFC 3397 2.
  CHECK(search(raw("\3eng\5apple\3com\0\11marketing\xc0\4")) ==
        Names{"eng.apple.com", "marketing.apple.com"});
  CHECK(search(raw("\1a\0\1b\xc0\0\1c\xc0\3")) == Names{"a", "b.a", "c.b.a"});
  CHECK(search(raw("\1a\0\xc0\0")) == Names{"a", "a"});
}

TEST_CASE("search domains that refer to themselves or outside are not read") {
  CHECK(search(raw("\xc0\0")).empty());
  CHECK(search(raw("\1a\xc0\0")).empty());
  CHECK(search(raw("\1a\xc0\2")).empty());
  CHECK(search(raw("\xc0\4\1b\0\1a\0")).empty());
  CHECK(search(raw("\1a\0\1b\xc0\x7f")).empty());
  CHECK(search(raw("\1a\0\1b\xc0")).empty());
}

TEST_CASE("search domains that end behind their option or are too long are not read") {
  CHECK(search("").empty());
  CHECK(search(raw("\1a")).empty());
  CHECK(search(raw("\3ab")).empty());
  CHECK(search(raw("\1a\0\3ab")).empty());
  CHECK(search(raw("\x41x\0")).empty());
  const auto long_name = [](std::size_t last) {
    std::string out;
    for (int i = 0; i < 3; ++i) out += '\77' + std::string(63, 'a');
    out += static_cast<char>(last) + std::string(last, 'b');
    return search(out + '\0');
  };
  REQUIRE(long_name(61).size() == 1);
  CHECK(long_name(61)[0].size() == 253);
  CHECK(long_name(62).empty());
}

TEST_CASE("search domains with other characters than those of names are left out") {
  CHECK(search(raw("\3a b\0\1c\0")) == Names{"c"});
  CHECK(search(raw("\3a.b\0\1c\0")) == Names{"c"});
  CHECK(search(raw("\1\n\0\1c\0")) == Names{"c"});
  CHECK(search(raw("\0\1c\0")) == Names{"c"});
}

TEST_CASE("a short option does not make endless search domains") {
  std::string value(raw("\1a\0"));
  for (int i = 0; i < 10'000; ++i) value += raw("\xc0\0");
  CHECK(search(value).size() == kMostSearchDomains);
  // Each name a pointer to the one before: the last would be reached over all of them.
  value = std::string(raw("\1a\0\xc0\0"));
  for (std::size_t at = 3; at < 3 + std::size_t{2} * 29; at += 2) {
    value += static_cast<char>(0xc0);
    value += static_cast<char>(at);
  }
  CHECK(search(value).size() == 31);
}
