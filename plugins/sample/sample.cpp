#include "sample.hpp"

#include <unistd.h>

#include <cerrno>
#include <optional>
#include <set>
#include <string>

#include "config.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace sample {
namespace {

using cni::Code;
using cni::Error;
using cni::Result;
using cni::skel::Request;

// State: one file for each attachment, with the alias that its interface had before ADD.
std::string state_folder(const Request& request) {
  return cni::cat("/var/lib/cni/sample/", request.config.name);
}

// Neither container ids nor interface names have a colon.
std::string state_file_name(const std::string& container_id, const std::string& ifname) {
  return cni::cat(container_id, ":", ifname);
}

std::string state_file(const Request& request) {
  return cni::cat(state_folder(request), "/",
                  state_file_name(request.container_id, request.ifname));
}

// Nothing happens if the namespace or the interface is gone: its alias went with it.
void set_alias(const std::string& netns_path, const std::string& ifname, const std::string& alias) {
  const auto netns = cni::ns::Netns::find(netns_path);
  if (!netns) return;
  cni::netlink::Socket container = cni::netlink::Socket::open_in(*netns);
  const auto link = cni::netlink::find_link(container, ifname);
  if (!link) return;
  try {
    cni::netlink::change_link(container, link->index, {.alias = alias},
                              cni::cat("set the alias of ", ifname));
  } catch (const Error& error) {
    if (error.sys_errno != ENODEV) throw;  // it went away just now
  }
}

const Result& result_of_earlier_plugins(const Request& request) {
  const Result* result = request.config.prev_result();
  if (result != nullptr) return *result;
  throw Error(Code::kInvalidNetworkConfig, "Required prevResult missing",
              "sample is a chained plugin: another one has to make the interface first");
}

// Before the change, so that DEL can take back the change of an ADD that was killed right after it.
void remember_alias(const Request& request, const std::string& alias, cni::os::Undo& undo) {
  const std::string path = state_file(request);
  cni::os::make_directories(state_folder(request));
  cni::os::replace_file(path, alias, cni::os::Flush::kNo);
  undo.push(cni::cat("remove ", path), [path] { (void)cni::os::remove_file(path); });
}

// Absent if there was no ADD, or it is taken back already.
std::optional<std::string> remembered_alias(const Request& request) {
  try {
    return cni::os::read_file(state_file(request));
  } catch (const Error& error) {
    // There is no limit for container ids, but for file names: such an ADD has changed nothing.
    if (error.sys_errno == ENAMETOOLONG) return std::nullopt;
    throw;
  }
}

Result add(const Request& request, cni::os::Undo& undo) {
  const Config config = parse(request);
  const Result& result = result_of_earlier_plugins(request);
  cni::netlink::Socket container =
      cni::netlink::Socket::open_in(cni::ns::Netns::open(request.netns));
  const cni::netlink::Link link = cni::netlink::get_link(container, request.ifname);
  // An ADD that is repeated must not take our own alias for the one of before.
  if (link.alias == config.alias && remembered_alias(request)) return result;

  remember_alias(request, link.alias, undo);
  cni::netlink::change_link(container, link.index, {.alias = config.alias},
                            cni::cat("set the alias of ", link.name));
  undo.push(cni::cat("restore the alias of ", link.name),
            [netns = request.netns, ifname = link.name, alias = link.alias] {
              set_alias(netns, ifname, alias);
            });
  return result;
}

// Asks neither the configuration nor prevResult, so nothing that is wrong with them is in its way.
void del(const Request& request) {
  const std::optional<std::string> alias = remembered_alias(request);
  if (!alias) return;
  set_alias(request.netns, request.ifname, *alias);
  // Last: if the alias could not be restored, DEL can be repeated.
  (void)cni::os::remove_file(state_file(request));
}

void check(const Request& request) {
  const Config config = parse(request);
  (void)result_of_earlier_plugins(request);
  cni::netlink::Socket container =
      cni::netlink::Socket::open_in(cni::ns::Netns::open(request.netns));
  const cni::netlink::Link link = cni::netlink::get_link(container, request.ifname);
  if (link.alias != config.alias) {
    throw Error(Code::kCheckFailed,
                cni::cat("sample: the alias of ", link.name, " is ", cni::quote(link.alias),
                         " instead of ", cni::quote(config.alias)));
  }
  if (!remembered_alias(request)) {
    throw Error(Code::kCheckFailed, cni::cat("sample: ", state_file(request), " is missing"),
                "DEL would not restore the alias");
  }
}

void status(const Request& request) {
  (void)parse(request);
  try {
    cni::os::make_directories(state_folder(request));
    if (::access(state_folder(request).c_str(), W_OK) != 0) {
      throw cni::system_error(cni::cat("write to ", state_folder(request)), errno);
    }
  } catch (Error& error) {
    error.code = Code::kPluginNotAvailable;
    throw;
  }
}

// GC names no namespaces: an interface that still exists is left to the plugin that made it.
void gc(const Request& request) {
  std::set<std::string> keep;
  for (const cni::Attachment& attachment : request.config.valid_attachments) {
    keep.insert(state_file_name(attachment.container_id, attachment.ifname));
  }
  const std::string folder = state_folder(request);
  cni::ErrorList errors;
  for (const std::string& name : cni::os::list_directory(folder)) {
    if (keep.contains(name)) continue;
    errors.run([&] { (void)cni::os::remove_file(cni::cat(folder, "/", name)); });
  }
  errors.throw_if_any();
}

}  // namespace

const cni::skel::Plugin plugin{
    .name = "sample", .add = add, .del = del, .check = check, .status = status, .gc = gc};

}  // namespace sample
