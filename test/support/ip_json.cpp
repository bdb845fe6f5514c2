#include "test/support/ip_json.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"

namespace cni::test {
namespace {

std::string netns_path(const std::string& netns) {
  return netns.find('/') == std::string::npos ? cat("/run/netns/", netns) : netns;
}

std::string joined(const std::vector<std::string>& argv) {
  std::string out;
  for (const std::string& word : argv) out += cat(out.empty() ? "" : " ", word);
  return out;
}

std::string demand(const std::vector<std::string>& argv, const os::Exit& exit) {
  INFO(joined(argv) << ": " << exit.describe() << "\nstdout: " << exit.out
                    << "\nstderr: " << exit.err);
  REQUIRE(exit.ok());
  return exit.out;
}

json parsed(const std::string& text) {
  if (text.find_first_not_of(" \n") == std::string::npos) return json::array();
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) return json(text);
  return value;
}

std::vector<std::string> with_name(std::string name, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), std::move(name));
  return arguments;
}

}  // namespace

std::optional<std::string> find_installed(std::string_view name) {
  const char* path = std::getenv("PATH");
  return os::find_program(name, cat(path != nullptr ? path : "", ":/usr/sbin:/sbin:/usr/bin:/bin"));
}

os::Exit run(const std::vector<std::string>& argv, const std::string& input) {
  const auto program = find_installed(argv.at(0));
  INFO("looking for the program " << argv[0]);
  REQUIRE(program);
  return os::run({*program, argv, input, std::nullopt});
}

os::Exit run_in(const std::string& netns, const std::vector<std::string>& argv,
                const std::string& input) {
  if (netns.empty()) return run(argv, input);
  // No checks on the other thread: Catch2 is not made for that.
  const auto program = find_installed(argv.at(0));
  INFO("looking for the program " << argv[0]);
  REQUIRE(program);
  return ns::Netns::open(netns_path(netns)).run([&] {
    return os::run({*program, argv, input, std::nullopt});
  });
}

std::string run_ok(const std::vector<std::string>& argv, const std::string& input) {
  return demand(argv, run(argv, input));
}

std::string run_ok_in(const std::string& netns, const std::vector<std::string>& argv,
                      const std::string& input) {
  return demand(argv, run_in(netns, argv, input));
}

json ip(std::vector<std::string> arguments) {
  return parsed(run_ok(with_name("ip", std::move(arguments))));
}

json bridge(std::vector<std::string> arguments) {
  return parsed(run_ok(with_name("bridge", std::move(arguments))));
}

json tc(std::vector<std::string> arguments) {
  return parsed(run_ok(with_name("tc", std::move(arguments))));
}

json nft(std::vector<std::string> arguments) {
  return parsed(run_ok(with_name("nft", std::move(arguments))));
}

json ip_in(const std::string& netns, std::vector<std::string> arguments) {
  return parsed(run_ok_in(netns, with_name("ip", std::move(arguments))));
}

json bridge_in(const std::string& netns, std::vector<std::string> arguments) {
  return parsed(run_ok_in(netns, with_name("bridge", std::move(arguments))));
}

json nft_in(const std::string& netns, std::vector<std::string> arguments) {
  return parsed(run_ok_in(netns, with_name("nft", std::move(arguments))));
}

std::optional<json> find_link_json(const std::string& netns, const std::string& name) {
  for (const json& link : ip_in(netns, {"-j", "-d", "link", "show"})) {
    if (link.value("ifname", "") == name) return link;
  }
  return std::nullopt;
}

json ipv6_addresses_on(const std::string& netns, const std::string& link) {
  std::vector<std::string> command = {"-j",  "-d", "-6",    "address", "show",
                                      "dev", link, "scope", "global"};
  const json shown = netns.empty() ? ip(command) : ip_in(netns, command);
  json out = json::array();
  if (shown.empty()) return out;
  for (json address : shown.at(0).at("addr_info")) {
    if (!address.contains("local")) continue;  // what the scope leaves out is empty
    for (const char* key : {"valid_life_time", "preferred_life_time"}) {
      address[key] = address.at(key) == 4294967295 ? "forever" : "ends";
    }
    out.push_back(address);
  }
  std::sort(out.begin(), out.end(),
            [](const json& a, const json& b) { return a.at("local") < b.at("local"); });
  return out;
}

std::vector<std::string> addresses_on(const std::string& netns, const std::string& link) {
  std::vector<std::string> out;
  for (const json& entry : ip_in(netns, {"-j", "addr", "show"})) {
    if (entry.value("ifname", "") != link) continue;
    for (const json& address : entry.at("addr_info")) {
      const bool automatic =
          address.value("scope", "") == "link" && address.value("family", "") == "inet6";
      if (automatic) continue;
      out.push_back(
          cat(address.at("local").get<std::string>(), "/", address.at("prefixlen").get<int>()));
    }
  }
  return out;
}

std::string vlans_shown(const std::string& link) {
  std::string out;
  for (const json& port : bridge({"-j", "-compressvlans", "vlan", "show", "dev", link})) {
    for (const json& vlan : port.at("vlans")) {
      out += cat(out.empty() ? "" : "; ", vlan.at("vlan").get<int>());
      if (vlan.contains("vlanEnd")) out += cat("-", vlan.at("vlanEnd").get<int>());
      for (const json& flag : vlan.value("flags", json::array())) {
        out += cat(" ", flag.get<std::string>());
      }
    }
  }
  return out;
}

std::optional<std::string> sysctl(const std::string& netns, const std::string& path) {
  const auto read = [&]() -> std::optional<std::string> {
    std::ifstream file(cat("/proc/sys/", path));
    if (!file) return std::nullopt;
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  };
  if (netns.empty()) return read();
  return ns::Netns::open(netns_path(netns)).run(read);
}

}  // namespace cni::test
