#include "plugins/main/tap/create.hpp"

#include <fcntl.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "pkg/os/fd.hpp"
#include "pkg/os/process.hpp"
#include "pkg/types/error.hpp"

namespace cni::tap {
namespace {

constexpr std::string_view kNobody = "-";  // no owner or group

std::string id_text(const std::optional<std::uint32_t>& id) {
  return id ? std::to_string(*id) : std::string(kNobody);
}

std::optional<std::uint32_t> id_of(std::string_view text) {
  if (text == kNobody) return std::nullopt;
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(Code::kInvalidEnvironment, cat(quote(text), " is no id"));
  }
  return id;
}

// What the next program of the calling thread is run in.
void set_execution_context(const std::string& context) {
  const char* path = "/proc/thread-self/attr/exec";
  const os::Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
  const bool written = fd && ::write(fd.get(), context.data(), context.size()) >= 0;
  if (written) return;
  throw Error(Code::kSystemCall,
              cat("failed set socket label: write ", path, ": ", errno_text(errno)),
              cat("selinuxContext is ", quote(context), "; it needs SELinux in the kernel"), errno);
}

// The kernel labels a tap device with the context of the process that makes it, and leaves the one
// for new sockets out of it. So this executable runs itself in that context.
void create_in_context(const netlink::TapSpec& spec, const std::string& context) {
  set_execution_context(context);
  const std::string flags = cat(spec.multi_queue ? "m" : "", spec.packet_info ? "p" : "",
                                spec.vnet_header ? "v" : "", "t");
  const os::Exit exit = os::run(
      {.path = "/proc/self/exe",
       .argv = {"tap", "create", spec.name, flags, id_text(spec.owner), id_text(spec.group)},
       .input = {},
       .environment = std::vector<std::string>{}});
  if (exit.ok()) return;
  throw Error(Code::kSystemCall,
              cat("in the context ", context, ": ", exit.err.empty() ? exit.describe() : exit.err));
}

}  // namespace

void create(const ns::Netns& netns, const Config& config, const std::string& name) {
  const netlink::TapSpec spec = tap_spec(config, name);
  if (config.selinux_context.empty()) {
    context("failed to create tap", [&] { netns.run([&] { netlink::add_tap(spec); }); });
    return;
  }
  netns.run([&] { create_in_context(spec, config.selinux_context); });
}

int create_command(int argc, char** argv) {
  if (argc != 6 || std::string_view(argv[1]) != "create") {
    (void)std::fputs("usage: CNI_COMMAND=VERB tap <CONFIGURATION\n", stderr);
    return 2;
  }
  const std::string_view flags = argv[3];
  const auto has = [&](char flag) { return flags.find(flag) != std::string_view::npos; };
  try {
    netlink::add_tap({.name = argv[2],
                      .multi_queue = has('m'),
                      .packet_info = has('p'),
                      .vnet_header = has('v'),
                      .owner = id_of(argv[4]),
                      .group = id_of(argv[5])});
    return 0;
  } catch (const Error& error) {
    (void)std::fputs(error.what(), stderr);
    return 1;
  }
}

}  // namespace cni::tap
