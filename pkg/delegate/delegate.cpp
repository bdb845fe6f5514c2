#include "pkg/delegate/delegate.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <vector>

#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"

namespace cni::delegate {
namespace {

constexpr std::size_t kMaxStderrShown = 2048;

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const std::size_t colon = path.find(':');
    if (colon != 0) out.emplace_back(path.substr(0, colon));
    path.remove_prefix(colon == std::string_view::npos ? path.size() : colon + 1);
  }
  return out;
}

std::vector<std::string> environment_for(const skel::Request& request, skel::Command command) {
  std::vector<std::string> out;
  out.reserve(request.environment.size() + 1);
  for (const std::string& entry : request.environment) {
    if (!entry.starts_with("CNI_COMMAND=")) out.push_back(entry);
  }
  out.push_back(cat("CNI_COMMAND=", skel::to_string(command)));
  return out;
}

std::string end_of(const std::string& text) {
  return text.size() <= kMaxStderrShown ? text : "..." + text.substr(text.size() - kMaxStderrShown);
}

Error died_without_error(std::string_view type, const os::Exit& exit) {
  std::string msg = exit.err.empty()
                        ? cat("netplugin failed with no error message: ", exit.describe())
                        : cat("netplugin failed: ", quote(end_of(exit.err)), ": ", exit.describe());
  return Error(Code::kDelegateFailed, std::move(msg), cat("plugin ", type));
}

}  // namespace

void check_type(std::string_view type) {
  if (type.empty()) throw Error(Code::kInvalidNetworkConfig, "no plugin name provided");
  const bool separators = type.find('/') != std::string_view::npos ||
                          type.find('\\') != std::string_view::npos ||
                          type.find('\0') != std::string_view::npos;
  if (separators || type == "." || type == "..") {
    throw Error(Code::kInvalidNetworkConfig, cat("invalid plugin name: ", type),
                "a plugin's type is a file name in one of the folders of CNI_PATH");
  }
}

std::string find_in_path(std::string_view type, std::string_view cni_path) {
  return find_in_folders(type, split_path(cni_path));
}

std::string find_in_folders(std::string_view type, std::span<const std::string> folders) {
  check_type(type);
  if (folders.empty()) throw Error(Code::kInvalidEnvironment, "no paths provided");
  std::string searched;
  for (const std::string& folder : folders) {
    std::string path = cat(folder, '/', type);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) return path;
    searched += cat(searched.empty() ? "" : " ", folder);
  }
  throw Error(Code::kDelegateFailed,
              cat("failed to find plugin ", quote(type), " in path [", searched, "]"));
}

Error plugin_failure(std::string_view type, const os::Exit& exit) {
  if (exit.out.empty()) return died_without_error(type, exit);
  try {
    const auto document = parse_json(exit.out, "its output");
    const Reader in(*document);
    std::uint32_t code = 0;
    Error error(Code::kDelegateFailed, "");
    in.optional("code", code);
    in.optional("msg", error.msg);
    in.optional("details", error.details);
    error.code = static_cast<Code>(code);
    if (error.msg.empty()) error.msg = cat("plugin ", type, " gave no message");
    return error;
  } catch (const Error& reason) {
    return Error(Code::kDelegateFailed,
                 cat("netplugin failed but error parsing its diagnostic message ",
                     quote(end_of(exit.out)), ": ", reason.msg),
                 cat("plugin ", type, ", ", exit.describe(),
                     exit.err.empty() ? "" : ", stderr: ", end_of(exit.err)));
  }
}

Delegate::Delegate(const skel::Request& request, std::string_view type, skel::Command command)
    : request_(request), type_(type) {
  os::Command program;
  program.path = find_in_path(type, request.path);
  program.argv = {program.path};
  program.input = request.stdin_data;
  program.environment = environment_for(request, command);
  process_ = std::make_unique<os::Process>(program);
}

void Delegate::begin() { process_->begin(); }

std::string Delegate::finish() {
  os::Exit exit = process_->finish();
  if (!exit.ok()) throw plugin_failure(type_, exit);
  if (!exit.err.empty()) {
    try {
      os::write_all(request_.err, exit.err, "write to stderr");
    } catch (const Error&) {
      // Log text that nobody reads.
    }
  }
  return std::move(exit.out);
}

Result Delegate::finish_add() {
  const std::string out = finish();
  return context(cat("result of plugin ", type_), [&] {
    const auto document = parse_json(out, "failed to unmarshal raw result");
    return read_result(Reader(*document), request_.config.cni_version);
  });
}

std::string run(const skel::Request& request, std::string_view type, skel::Command command) {
  return Delegate(request, type, command).finish();
}

}  // namespace cni::delegate
