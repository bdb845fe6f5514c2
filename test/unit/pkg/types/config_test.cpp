#include "pkg/types/config.hpp"

#include "test/support/json.hpp"

namespace cni {
namespace {

template <class Fn>
std::string failure(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.msg);
  }
  return "no error";
}

NetConf strict(const char* text) {
  NetConf config = NetConf::parse(text);
  config.read_shared_keys(Strictness::kStrict);
  return config;
}

NetConf lenient(const char* text) {
  NetConf config = NetConf::parse(text);
  config.read_shared_keys(Strictness::kLenient);
  return config;
}

TEST_CASE("a configuration without cniVersion is one of 0.1.0") {
  CHECK(NetConf::parse(R"({"name":"net"})").cni_version == "0.1.0");
  CHECK(NetConf::parse(R"({"name":"net","cniVersion":""})").cni_version == "0.1.0");
  CHECK(NetConf::parse(R"({"name":"net","cniVersion":"9.9"})").cni_version == "9.9");
}

TEST_CASE("name and cniVersion have to be texts in an object") {
  CHECK(failure([] { (void)NetConf::parse(R"({"name":1})"); }) ==
        "6 error unmarshall network config: name: expected a string, got the number 1");
  CHECK(failure([] { (void)NetConf::parse(R"({"cniVersion":1})"); }) ==
        "6 error unmarshall network config: cniVersion: expected a string, got the number 1");
  CHECK(failure([] { (void)NetConf::parse("[]"); }) ==
        "6 error unmarshall network config: the document: expected an object, got an array");
  CHECK(failure([] { (void)NetConf::parse(""); }).rfind("6 error unmarshall network config: ", 0) ==
        0);
}

TEST_CASE("the shared keys are read") {
  const NetConf config =
      strict(R"({"cniVersion":"1.1.0","name":"net","type":"bridge","IPAM":{"type":"host-local"},
    "dns":{"domain":"example.org"}, "capabilities":{"mac":true},
    "cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}],
    "prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}})");
  CHECK(config.type == "bridge");
  CHECK(config.ipam_type == "host-local");
  REQUIRE(config.dns);
  CHECK(config.dns->domain == "example.org");
  CHECK(config.valid_attachments == std::vector<Attachment>{{"a", "eth0"}});
  REQUIRE(config.prev_result() != nullptr);
  CHECK(config.prev_result()->ips.at(0).address.to_string() == "10.0.0.2/24");
}

TEST_CASE("dns counts as given if any of its keys is there") {
  CHECK_FALSE(strict(R"({"name":"n"})").dns);
  CHECK_FALSE(strict(R"({"name":"n","dns":{}})").dns);
  CHECK_FALSE(strict(R"({"name":"n","dns":null})").dns);
  CHECK(strict(R"({"name":"n","dns":{"search":[]}})").dns);
}

TEST_CASE("each shared key of the wrong type is refused by its path unless reading is lenient") {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {R"({"type":1})", "6 type: expected a string, got the number 1"},
      {R"({"capabilities":{"mac":"yes"}})",
       "6 capabilities.mac: expected true or false, got the string \"yes\""},
      {R"({"ipam":[]})", "6 ipam: expected an object, got an array"},
      {R"({"ipam":{"type":7}})", "6 ipam.type: expected a string, got the number 7"},
      {R"({"dns":"x"})", "6 dns: expected an object, got the string \"x\""},
      {R"({"dns":{"nameservers":"x"}})",
       "6 dns.nameservers: expected an array, got the string \"x\""},
      {R"({"prevResult":"x"})", "6 prevResult: expected an object, got the string \"x\""},
      {R"({"cni.dev/valid-attachments":{}})",
       "6 cni.dev/valid-attachments: expected an array, got an object"},
      {R"({"cni.dev/valid-attachments":[{"containerID":1}]})",
       "6 cni.dev/valid-attachments[0].containerID: expected a string, got the number 1"},
  };
  for (const auto& each : cases) {
    INFO(each.text);
    CHECK(failure([&] { (void)strict(each.text); }) == each.message);
    CHECK(failure([&] { (void)lenient(each.text); }) == "no error");
  }
}

TEST_CASE("lenient reading keeps the other keys") {
  const NetConf config =
      lenient(R"({"type":1,"ipam":{"type":"host-local"},"prevResult":7,"dns":{"domain":"d"}})");
  CHECK(config.type.empty());
  CHECK(config.ipam_type == "host-local");
  CHECK(config.prev_result() == nullptr);
  CHECK(config.dns);
}

TEST_CASE("attachments may be null or under the key of older runtimes") {
  CHECK(strict(R"({"cni.dev/valid-attachments":null})").valid_attachments.empty());
  const NetConf old = strict(R"({"cni.dev/attachments":[{"containerID":"a","ifname":"eth1"}]})");
  CHECK(old.valid_attachments == std::vector<Attachment>{{"a", "eth1"}});
  CHECK(is_valid_attachment(old.valid_attachments, "a", "eth1"));
  CHECK_FALSE(is_valid_attachment(old.valid_attachments, "a", "eth0"));
  CHECK_FALSE(is_valid_attachment(old.valid_attachments, "b", "eth1"));
}

TEST_CASE("prevResult of another family than the configuration is refused to who uses it") {
  CHECK(
      failure([] {
        (void)strict(R"({"cniVersion":"1.0.0","prevResult":{"cniVersion":"0.4.0"}})").prev_result();
      }) ==
      "6 could not parse prevResult: result type supports [1.0.0 1.1.0] but unmarshalled "
      "CNIVersion is \"0.4.0\"");
  CHECK(
      failure([] {
        (void)strict(R"({"cniVersion":"0.3.1","prevResult":{"cniVersion":"1.0.0"}})").prev_result();
      }) ==
      "6 could not parse prevResult: result type supports [0.3.0 0.3.1 0.4.0] but unmarshalled "
      "CNIVersion is \"1.0.0\"");
  CHECK(failure([] { (void)strict(R"({"prevResult":{"cniVersion":"0.3.0"}})").prev_result(); }) ==
        "6 could not parse prevResult: result type supports [0.1.0 0.2.0] but unmarshalled "
        "CNIVersion is \"0.3.0\"");
}

}  // namespace
}  // namespace cni
