// Side by side with the reference plugins on one node.
#include "test/netns/pkg/netfilter/masquerade_fixture.hpp"
#include "test/support/run_plugin.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

// The reference's bridge with fixed addresses, its state in the case's private folders. Its DEL
// fails on hosts with iptables over nf_tables unless iptables has made the rules: it gets a PATH
// with nothing but nft when the backend is nftables.
class ReferenceBridge {
 public:
  ReferenceBridge(Namespaces& spaces, std::string folder, std::string backend)
      : folder_(std::move(folder)), backend_(std::move(backend)), bin_(spaces.folder() + "/bin") {
    run_ok({"mkdir", bin_});
    run_ok({"ln", "-s", require_program("nft"), bin_ + "/nft"});
  }

  PluginRun call(const std::string& command, const std::string& container_id,
                 const std::string& netns, const std::string& last) const {
    Call what;
    what.command = command;
    what.container_id = container_id;
    what.netns = netns;
    what.path = folder_;
    what.input =
        cat(R"({"cniVersion":"1.0.0","name":"mynet","type":"bridge","bridge":"cni0",)",
            R"("isGateway":true,"ipMasq":true,"macspoofchk":true,"ipMasqBackend":")", backend_,
            R"(","ipam":{"type":"static","addresses":[)", R"({"address":"10.22.0.)", last,
            R"(/16"},{"address":"fd00:22::)", last, R"(/64"}]}})");
    if (backend_ == "nftables") what.wrapper = {"/usr/bin/env", cat("PATH=", bin_)};
    return test::call(folder_ + "/bridge", what);
  }

 private:
  std::string folder_;
  std::string backend_;
  std::string bin_;
};

}  // namespace

TEST_CASE("what the reference masqueraded passes our CHECK and is removed by our DEL", "[netns]") {
  const std::string folder = require_reference();
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  const bool knows_addresses = GENERATE(true, false);
  CAPTURE(backend, knows_addresses);
  Namespaces spaces;
  const ReferenceBridge reference(spaces, folder, backend);
  const PluginRun added = reference.call("ADD", "cont1", spaces.container("c1"), "2");
  INFO(added.describe());
  REQUIRE(added.ok());
  CHECK(check_failure(c1_spec(backend)).empty());
  CHECK(check_failure(c1_spec("")).empty());
  CHECK_FALSE(check_failure(masquerade_spec(backend, {"10.22.0.3/16"})).empty());

  remove_masquerade(knows_addresses ? c1_spec("") : masquerade_spec("", {}));
  CHECK(count_in_ruleset("10.22.0.2") == 0);
  CHECK(count_in_ruleset("fd00:22::2") == 0);
  CHECK(count_in_ruleset("CNI-") == 0);
}

TEST_CASE("our GC removes what the reference masqueraded", "[netns]") {
  const std::string folder = require_reference();
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  Namespaces spaces;
  const ReferenceBridge reference(spaces, folder, backend);
  REQUIRE(reference.call("ADD", "cont1", spaces.container("c1"), "2").ok());
  REQUIRE(reference.call("ADD", "cont2", spaces.container("c2"), "3").ok());
  const std::vector<Attachment> valid = {{"cont2", "eth0"}};
  gc_masquerade("other", {}, "/usr/sbin");
  CHECK(check_failure(c1_spec(backend)).empty());
  gc_masquerade("mynet", valid, "/usr/sbin");
  CHECK_FALSE(check_failure(c1_spec(backend)).empty());
  CHECK(check_failure(masquerade_spec(backend, {"10.22.0.3/16", "fd00:22::3/64"}, "cont2")) == "");
}

TEST_CASE("ADD and DEL of the reference leave ours working and the other way round", "[netns]") {
  const std::string folder = require_reference();
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  MasqueradeNode node;
  const ReferenceBridge reference(node.spaces(), folder, backend);
  const UdpProbe outwards{.source = {}, .destination = "192.0.2.2", .interface = {}};
  const UdpProbe outwards6{.source = {}, .destination = "2001:db8::2", .interface = {}};
  const std::string c9 = node.spaces().container("c9");
  const auto works = [&] {
    return check_failure(c1_spec(backend)).empty() &&
           source_seen(node.c1, node.outside, outwards) == "192.0.2.1" &&
           source_seen(node.c1, node.outside, outwards6) == "2001:db8::1";
  };
  const MasqueradeSpec theirs =
      masquerade_spec(backend, {"10.22.0.77/16", "fd00:22::77/64"}, "cont9");

  add_committed(c1_spec(backend));
  const PluginRun added = reference.call("ADD", "cont9", c9, "77");
  INFO(added.describe());
  REQUIRE(added.ok());
  CHECK(works());
  CHECK(check_failure(theirs).empty());

  add_committed(masquerade_spec(backend, {"10.22.0.8/16"}, "cont8"));
  CHECK(check_failure(theirs).empty());
  remove_masquerade(masquerade_spec("", {"10.22.0.8/16"}, "cont8"));
  CHECK(check_failure(theirs).empty());

  const PluginRun deleted = reference.call("DEL", "cont9", c9, "77");
  INFO(deleted.describe());
  CHECK(deleted.ok());
  CHECK(count_in_ruleset("10.22.0.77") == 0);
  CHECK(works());
}

TEST_CASE("the reference's DEL removes what we masqueraded with iptables", "[netns]") {
  const std::string folder = require_reference();
  require_program("iptables");
  Namespaces spaces;
  const ReferenceBridge reference(spaces, folder, "iptables");
  const std::string netns = spaces.container("c1");
  REQUIRE(reference.call("ADD", "cont1", netns, "2").ok());
  remove_masquerade(c1_spec(""));
  add_committed(c1_spec("iptables"));
  const PluginRun deleted = reference.call("DEL", "cont1", netns, "2");
  INFO(deleted.describe());
  CHECK(deleted.ok());
  CHECK(count_in_ruleset("CNI-") == 0);
}
