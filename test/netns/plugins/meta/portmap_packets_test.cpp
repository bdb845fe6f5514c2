// Who answers on a published port, and which source address does it see?
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/publishing_node.hpp"
#include "test/support/skip.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// A client, the address that it asks by IPv4 and by IPv6, and the answer it has to get: "" if
// there is to be none.
struct Expectation {
  const char* why;
  const char* client;
  std::array<const char*, 2> address;
  std::array<std::string, 2> answer;
};

using Protocols = std::vector<std::string>;

json config_of(const std::string& backend, const Protocols& protocols,
               const std::vector<std::string>& host_ips) {
  json mappings = json::array();
  for (const std::string& protocol : protocols) {
    for (const std::string& host_ip : host_ips) mappings.push_back(mapping(protocol, host_ip));
  }
  return {{"backend", backend}, {"runtimeConfig", {{"portMappings", mappings}}}};
}

void check_answers(const PublishingNode& node, const Protocols& protocols,
                   const std::vector<Expectation>& expectations) {
  for (const std::string& protocol : protocols) {
    for (const Expectation& expected : expectations) {
      for (std::size_t family = 0; family < 2; ++family) {
        INFO(protocol << ", " << expected.client << " to " << expected.address[family] << ": "
                      << expected.why);
        const std::string& answer = expected.answer[family];
        const Question question{
            .transport = protocol_number(protocol),
            .address = expected.address[family],
            .port = PublishingNode::kHostPort,
            .source = {},
            .source_port = 0,
            .patience = answer.empty() ? kNoAnswerExpected : std::chrono::seconds(4)};
        CHECK(ask(node.netns(expected.client), question) == answer);
      }
    }
  }
}

// What holds wherever the container is and whatever is published.
const std::vector<Expectation> kNotOurs = {
    {"forwarded traffic to the same port is not ours",
     "remote",
     {"198.51.100.2", "2001:db8:2::2"},
     {"foreign sees 192.0.2.2", "foreign sees 2001:db8:1::2"}},
    {"nor is that of the container itself",
     "c1",
     {"198.51.100.2", "2001:db8:2::2"},
     {"foreign sees 10.22.0.2", "foreign sees fd00:22::2"}},
    {"nor is that of other containers",
     "c3",
     {"192.0.2.2", "2001:db8:1::2"},
     {"remote sees 10.23.0.2", "remote sees fd00:23::2"}},
    {"nor is that of the host",
     "host",
     {"198.51.100.2", "2001:db8:2::2"},
     {"foreign sees 198.51.100.1", "foreign sees 2001:db8:2::1"}},
    {"the container's own address is not the host's",
     "remote",
     {"10.22.0.2", "fd00:22::2"},
     {"c1 sees 192.0.2.2", "c1 sees 2001:db8:1::2"}},
};

// What the container sees of those whose answer would not come back otherwise.
const std::array<std::string, 2> kAsGateway = {"c1 sees 10.22.0.1", "c1 sees fd00:22::1"};
const std::array<std::string, 2> kNobody = {"", ""};

std::vector<Expectation> on_all_addresses(bool reaches_itself, bool answers_ipv6_loopback) {
  const std::string on_ipv6_loopback = answers_ipv6_loopback ? kAsGateway[1] : "";
  return {
      {"remote hosts are seen as they are",
       "remote",
       {"192.0.2.1", "2001:db8:1::1"},
       {"c1 sees 192.0.2.2", "c1 sees 2001:db8:1::2"}},
      {"every address of the host is published",
       "remote",
       {"192.0.2.101", "2001:db8:1::101"},
       {"c1 sees 192.0.2.2", "c1 sees 2001:db8:1::2"}},
      {"containers of other networks are seen as they are",
       "c3",
       {"192.0.2.1", "2001:db8:1::1"},
       {"c1 sees 10.23.0.2", "c1 sees fd00:23::2"}},
      {"neighbours would be answered past the host",
       "c2",
       {"192.0.2.1", "2001:db8:1::1"},
       kAsGateway},
      {"neighbours would be answered past the host", "c2", {"10.22.0.1", "fd00:22::1"}, kAsGateway},
      {"a container would answer itself",
       "c1",
       {"192.0.2.1", "2001:db8:1::1"},
       reaches_itself ? kAsGateway : kNobody},
      {"the host is seen as it is",
       "host",
       {"192.0.2.1", "2001:db8:1::1"},
       {"c1 sees 192.0.2.1", "c1 sees 2001:db8:1::1"}},
      {"the host is seen as it is", "host", {"10.22.0.1", "fd00:22::1"}, kAsGateway},
      {"127.0.0.1 and ::1 could not be answered from elsewhere",
       "host",
       {"127.0.0.1", "::1"},
       {kAsGateway[0], on_ipv6_loopback}},
      {"all of 127.0.0.0/8 is the host's",
       "host",
       {"127.0.0.2", "2001:db8:1::101"},
       {"c1 sees 10.22.0.1", "c1 sees 2001:db8:1::101"}},
  };
}

std::vector<Expectation> on_one_address(bool reaches_itself) {
  return {
      {"this one is published",
       "remote",
       {"192.0.2.1", "2001:db8:1::1"},
       {"c1 sees 192.0.2.2", "c1 sees 2001:db8:1::2"}},
      {"this one is not",
       "remote",
       {"192.0.2.101", "2001:db8:1::101"},
       {"host sees 192.0.2.2", "host sees 2001:db8:1::2"}},
      {"containers of other networks are seen as they are",
       "c3",
       {"192.0.2.1", "2001:db8:1::1"},
       {"c1 sees 10.23.0.2", "c1 sees fd00:23::2"}},
      {"neighbours would be answered past the host",
       "c2",
       {"192.0.2.1", "2001:db8:1::1"},
       kAsGateway},
      {"the gateway is not published",
       "c2",
       {"10.22.0.1", "fd00:22::1"},
       {"host sees 10.22.0.3", "host sees fd00:22::3"}},
      {"a container would answer itself",
       "c1",
       {"192.0.2.1", "2001:db8:1::1"},
       reaches_itself ? kAsGateway : kNobody},
      {"the host is seen as it is",
       "host",
       {"192.0.2.1", "2001:db8:1::1"},
       {"c1 sees 192.0.2.1", "c1 sees 2001:db8:1::1"}},
      {"127.0.0.1 is not published",
       "host",
       {"127.0.0.1", "::1"},
       {"host sees 127.0.0.1", "host sees ::1"}},
  };
}

std::vector<Expectation> on_loopback(const std::string& ipv6_answer) {
  return {
      {"the loopback addresses are published",
       "host",
       {"127.0.0.1", "::1"},
       {kAsGateway[0], ipv6_answer}},
      {"nothing else is",
       "host",
       {"192.0.2.1", "2001:db8:1::1"},
       {"host sees 192.0.2.1", "host sees 2001:db8:1::1"}},
      {"nothing else is",
       "remote",
       {"192.0.2.1", "2001:db8:1::1"},
       {"host sees 192.0.2.2", "host sees 2001:db8:1::2"}},
  };
}

const std::vector<Expectation> kNotLocal = {
    {"nothing of the host's is published",
     "remote",
     {"192.0.2.1", "2001:db8:1::1"},
     {"host sees 192.0.2.2", "host sees 2001:db8:1::2"}},
};

struct Way {
  ContainerNetwork network;
  bool filters_bridged_frames;

  // A bridge does not send a frame back to where it came from, unless its port is in hairpin mode;
  // a packet that the host has routed is another frame.
  bool reaches_itself() const {
    return !filters_bridged_frames || network != ContainerNetwork::kBridge;
  }

  // iptables has the reference's rules: they send ::1 on, but do not masquerade it. On a bridge
  // whose frames pass the rules, an answer has its destination changed back to ::1 while it is a
  // frame, and the kernel then takes it for a packet to ::1 that came from outside.
  bool answers_ipv6_loopback(const std::string& backend) const {
    return backend == "nftables" && (!filters_bridged_frames || network == ContainerNetwork::kPtp);
  }
};

std::vector<Way> ways() {
  std::vector<Way> out = {{ContainerNetwork::kBridge, false},
                          {ContainerNetwork::kHairpinBridge, false},
                          {ContainerNetwork::kPtp, false}};
  if (PublishingNode::can_filter_bridged_frames()) {
    out.push_back({ContainerNetwork::kBridge, true});
    out.push_back({ContainerNetwork::kHairpinBridge, true});
  }
  return out;
}

void check_way(const Way& way, const std::string& backend, const std::string& folder,
               const Protocols& protocols = {"tcp", "udp"}) {
  INFO(to_string(way.network) << (way.filters_bridged_frames ? ", with" : ", without")
                              << " br_netfilter, " << backend);
  const PublishingNode node(way.network, folder);
  if (PublishingNode::can_filter_bridged_frames()) {
    PublishingNode::filter_bridged_frames(way.filters_bridged_frames);
  }
  const auto check_published = [&](const std::vector<std::string>& host_ips,
                                   const std::vector<Expectation>& expectations) {
    INFO("published on " << host_ips.front());
    const json config = config_of(backend, protocols, host_ips);
    node.publish(config);
    check_answers(node, protocols, expectations);
    check_answers(node, protocols, kNotOurs);
    node.unpublish(config);
  };
  check_published({""}, on_all_addresses(way.reaches_itself(), way.answers_ipv6_loopback(backend)));
  check_published({"192.0.2.1", "2001:db8:1::1"}, on_one_address(way.reaches_itself()));
  check_published({"127.0.0.1"}, on_loopback("host sees ::1"));
  check_published({"127.0.0.1", "::1"},
                  on_loopback(way.answers_ipv6_loopback(backend) ? kAsGateway[1] : ""));
  check_published({"198.51.100.2", "2001:db8:2::2"}, kNotLocal);
}

}  // namespace

TEST_CASE("who answers on a published port and whom it sees", "[netns]") {
  require_root_or_skip();
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  for (const Way& way : ways()) check_way(way, backend, CNI_TEST_BIN_DIR);
}

TEST_CASE("who answers on a port published for SCTP", "[netns]") {
  require_root_or_skip();
  if (!has_sctp()) skip("SCTP is not in this kernel");
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  check_way({ContainerNetwork::kBridge, false}, backend, CNI_TEST_BIN_DIR, {"sctp"});
}

// With its nftables backend neighbours get no answer.
TEST_CASE("the same answer on a port published by the reference with iptables", "[netns]") {
  require_root_or_skip();
  require_program("iptables");
  const std::string folder = require_reference();
  for (const Way& way : ways()) check_way(way, "iptables", folder);
}
