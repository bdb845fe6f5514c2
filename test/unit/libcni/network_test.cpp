#include "libcni/network.hpp"

#include <sys/stat.h>

#include "libcni/discovery.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/support/json.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::libcni {
namespace {

using test::TemporaryFolder;
using test::write_file;

template <class Fn>
std::string failure(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.what());
  }
  return "no error";
}

std::string list_failure(const std::string& text) {
  return failure([&] { (void)parse_network_list(text); });
}

TEST_CASE("a list is read with its plugins in order") {
  const std::string text = R"({"cniVersion":"1.0.0","name":"net","disableCheck":"TRUE",
    "disableGC":true,"loadOnlyInlinedPlugins":"false","keys":1,
    "plugins":[{"type":"bridge","capabilities":{"mac":true,"ips":false}},
               {"type":"portmap","name":"ports"}]})";
  const Network network = parse_network_list(text);
  CHECK(network.name == "net");
  CHECK(network.cni_version == "1.0.0");
  CHECK(network.disable_check);
  CHECK(network.disable_gc);
  CHECK_FALSE(network.load_only_inlined_plugins);
  CHECK(network.text == text);
  CHECK(network.file.empty());
  REQUIRE(network.plugins.size() == 2);
  CHECK(network.plugins[0].type == "bridge");
  CHECK(network.plugins[0].capabilities.at("mac"));
  CHECK_FALSE(network.plugins[0].capabilities.at("ips"));
  CHECK(network.plugins[0].name.empty());
  CHECK(network.plugins[1].type == "portmap");
  CHECK(network.plugins[1].name == "ports");
}

TEST_CASE("each fault of a list is named") {
  const struct {
    const char* text;
    const char* start;
  } rows[] = {
      {"{", "6 error parsing configuration list: "},
      {"[]", "6 error parsing configuration list: expected an object, got []"},
      {R"({"plugins":[{"type":"x"}]})", "6 error parsing configuration list: no name"},
      {R"({"name":1})", "6 error parsing configuration list: invalid name type"},
      {R"({"name":"n","cniVersion":1})",
       "6 error parsing configuration list: invalid cniVersion type"},
      {R"({"name":"n","cniVersions":"1.0.0"})",
       "6 error parsing configuration list: invalid type for cniVersions"},
      {R"({"name":"n","cniVersions":["1.0.0",7]})",
       "6 error parsing configuration list: invalid type for cniVersions index 1"},
      {R"({"name":"n","cniVersions":["new"]})",
       "6 error parsing configuration list: invalid cniVersions entry new at index 0"},
      {R"({"name":"n","disableCheck":1})",
       "6 error parsing configuration list: invalid type for disableCheck"},
      {R"({"name":"n","disableGC":"yes"})",
       "6 error parsing configuration list: invalid value \"yes\" for disableGC"},
      {R"({"name":"n","loadOnlyInlinedPlugins":true})",
       "6 error parsing configuration list: `loadOnlyInlinedPlugins` is true, and no 'plugins' "
       "key"},
      {R"({"name":"n","plugins":{}})",
       "6 error parsing configuration list: invalid 'plugins' type"},
      {R"({"name":"n","plugins":[]})", "6 error parsing configuration list: no plugins in list"},
      {R"({"name":"n","plugins":[{"type":"a"},{}]})",
       "6 error parsing configuration list: failed to parse plugin config 1: missing 'type'"},
      {R"({"name":"n","plugins":["bridge"]})",
       "6 error parsing configuration list: failed to parse plugin config 0: expected an object"},
      {R"({"name":"n","plugins":[{"type":"a","capabilities":{"mac":1}}]})",
       "6 error parsing configuration list: failed to parse plugin config 0: capabilities.mac"},
  };
  for (const auto& row : rows) {
    INFO(row.text);
    const std::string got = list_failure(row.text);
    INFO(got);
    CHECK(got.rfind(row.start, 0) == 0);
  }
}

TEST_CASE("the highest version that we speak is chosen of those offered") {
  const auto chosen = [](const std::string& versions) {
    return parse_network_list(R"({"name":"n","plugins":[{"type":"x"}])" + versions + "}")
        .cni_version;
  };
  CHECK(chosen("").empty());
  CHECK(chosen(R"(,"cniVersion":"9.0.0")") == "9.0.0");
  CHECK(chosen(R"(,"cniVersion":"0.4.0","cniVersions":["1.0.0","0.3.1"])") == "1.0.0");
  CHECK(chosen(R"(,"cniVersion":"1.1.0","cniVersions":["1.0.0"])") == "1.1.0");
  CHECK(chosen(R"(,"cniVersions":["2.0.0","1.0.0","1.1.0"])") == "1.1.0");
  CHECK(chosen(R"(,"cniVersion":"3.0.0","cniVersions":["2.0.0"])") == "3.0.0");
  CHECK(chosen(R"(,"cniVersion":"0.4.0","cniVersions":[])") == "0.4.0");
}

TEST_CASE("a single plugin becomes a list of one") {
  const Network network =
      parse_single_plugin(R"({"cniVersion":"0.4.0","name":"n","type":"bridge","mtu":1400})");
  CHECK(network.name == "n");
  CHECK(network.cni_version == "0.4.0");
  REQUIRE(network.plugins.size() == 1);
  CHECK(network.plugins[0].document->at("mtu") == 1400);
  const Network again = parse_network_list(network.text);
  CHECK(again.name == "n");
  CHECK(again.plugins.at(0).document->at("mtu") == 1400);
  CHECK(failure([] { (void)parse_single_plugin(R"({"name":"n"})"); }) ==
        "6 error parsing configuration: missing 'type'");
  CHECK(failure([] {
          (void)parse_single_plugin("nothing");
        }).rfind("6 error parsing configuration: ", 0) == 0);
}

TEST_CASE("plugins of the folder beside the list follow those in it") {
  const TemporaryFolder folder;
  os::make_directories(folder / "net");
  os::make_directories(folder / "net/30-folder.conf");
  write_file(folder / "net/20-b.conf", R"({"type":"b"})");
  write_file(folder / "net/10-c.conf", R"({"type":"c","capabilities":{"mac":true}})");
  write_file(folder / "net/15-no.json", R"({"type":"no"})");
  const auto types = [&](const std::string& text) {
    write_file(folder / "x.conflist", text);
    std::string out;
    for (const PluginConfig& plugin : load_network_file(folder / "x.conflist").plugins) {
      out += plugin.type;
    }
    return out;
  };
  CHECK(types(R"({"name":"net","plugins":[{"type":"a"}]})") == "acb");
  CHECK(types(R"({"name":"net"})") == "cb");
  CHECK(types(R"({"name":"net","plugins":[{"type":"a"}],"loadOnlyInlinedPlugins":true})") == "a");
  CHECK(types(R"({"name":"other","plugins":[{"type":"a"}]})") == "a");
  CHECK(failure([&] { (void)types(R"({"name":"other"})"); }) ==
        cat("6 ", folder / "x.conflist", ": no plugin configs found"));
  const std::string outside = cat(R"({"name":"../)", "net", R"(","plugins":[{"type":"a"}]})");
  CHECK(types(outside) == "a");
  write_file(folder / "net/40-bad.conf", "{}");
  const std::string bad = failure([&] { (void)types(R"({"name":"net"})"); });
  INFO(bad);
  CHECK(bad.find("failed to read plugin config files in ") != std::string::npos);
  CHECK(bad.find("40-bad.conf: missing 'type'") != std::string::npos);
}

TEST_CASE("a broken file hides no other network and is kept with its error") {
  const TemporaryFolder folder;
  const auto named = [](const std::string& name) {
    return cat(R"({"name":")", name, R"(","type":"x"})");
  };
  write_file(folder / "05-broken.conflist", "{");
  write_file(folder / "10-list.conflist", R"({"name":"list","plugins":[{"type":"x"}]})");
  write_file(folder / "20-first.json", named("first"));
  write_file(folder / "10-second.conf", named("second"));
  write_file(folder / "30-broken.conf", R"({"name":"broken"})");
  write_file(folder / "40-first.conf", R"({"name":"first","type":"y"})");
  write_file(folder / "notes.txt", "no network");
  write_file(folder / "conf", "no network");
  os::make_directories(folder / "sub.conf");
  REQUIRE(::mkfifo((folder / "pipe.conf").c_str(), 0600) == 0);

  const Discovery found = discover_networks(folder.path());
  std::string names;
  for (const Network& network : found.networks) names += cat(network.name, " ");
  CHECK(names == "list second first first ");
  REQUIRE(found.broken.size() == 2);
  CHECK(found.broken[0].path == folder / "05-broken.conflist");
  CHECK(found.broken[1].path == folder / "30-broken.conf");
  CHECK(found.broken[1].error.msg ==
        cat(folder / "30-broken.conf", ": error parsing configuration: missing 'type'"));

  CHECK(find_network(folder.path(), "first").plugins.at(0).type == "x");
  CHECK(find_network(folder.path(), "list").file == folder / "10-list.conflist");
  const std::string missing = failure([&] { (void)find_network(folder.path(), "broken"); });
  INFO(missing);
  CHECK(missing.rfind(cat("7 no net configuration with name \"broken\" in ", folder.path()), 0) ==
        0);
  CHECK(missing.find("30-broken.conf: error parsing") != std::string::npos);
}

TEST_CASE("a folder without networks and one that does not exist say so") {
  const TemporaryFolder folder;
  CHECK(failure([&] { (void)find_network(folder.path(), "n"); }) ==
        cat("7 no net configurations found in ", folder.path()));
  CHECK(failure([&] { (void)find_network(folder / "none", "n"); }) ==
        cat("7 no net configurations found in ", folder / "none"));
  CHECK(failure([&] { (void)load_network_file(folder / "none.conf"); }) ==
        cat("5 there is no file ", folder / "none.conf"));
}

}  // namespace
}  // namespace cni::libcni
