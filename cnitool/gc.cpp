#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/confirm.hpp"
#include "cnitool/output.hpp"
#include "cnitool/settings.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/version.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

std::vector<Attachment> valid_attachments(const Session& session) {
  std::vector<Attachment> out;
  for (const std::string& text : session.line().values("valid")) {
    out.push_back(context("--valid", [&] { return parse_attachment(text); }));
  }
  for (const std::string& file : session.line().values("valid-from")) {
    context(cat("--valid-from ", file), [&] {
      const auto text = file == "-" ? read_stdin(session.surroundings()) : os::read_file(file);
      if (!text) throw Error(Code::kIoFailure, "there is no such file");
      for (Attachment& each : parse_attachment_lines(*text)) out.push_back(std::move(each));
    });
  }
  return out;
}

bool has_gc(const libcni::Network& network) {
  const auto version = Version::parse(network.cni_version);
  return version && *version >= kFirstWithGc;
}

std::string announcement(const libcni::Network& network,
                         const std::vector<libcni::CachedAttachment>& stale) {
  if (stale.empty()) {
    return cat("No attachment of network ", quote(network.name),
               " is remembered; this would delete ",
               has_gc(network) ? "all that its plugins keep for it.\n" : "nothing.\n");
  }
  std::string out = cat("This would delete these attachments of network ", quote(network.name),
                        has_gc(network) ? ", and all that its plugins keep for it:\n" : ":\n");
  for (const libcni::CachedAttachment& each : stale)
    out += cat("  ", each.container_id, '/', each.ifname, '\n');
  return out;
}

}  // namespace

Report gc(Session& session) {
  const CommandLine& line = session.line();
  const libcni::Network network = session.network();
  const bool told = line.has("valid") || line.has("valid-from");
  if (told && line.has("all")) {
    throw UsageError(line.command, "--all says that no attachment is valid, --valid that one is");
  }
  if (network.disable_gc) {
    print_note(session.surroundings(), cat("network ", quote(network.name), " disables gc"));
    return {};
  }
  const std::vector<Attachment> valid = valid_attachments(session);
  const libcni::CallOptions options = session.call_options();
  const std::vector<libcni::CachedAttachment> stale =
      session.runtime().stale_attachments(network, valid);
  if (!told && !line.has("all") &&
      !confirm(session.surroundings(), announcement(network, stale),
               "say --valid CONTAINER-ID/IFNAME for each attachment that is to stay, or --all if "
               "none is")) {
    return {.status = 1};
  }
  session.runtime().gc(network, valid, options);
  json deleted = json::array();
  for (const libcni::CachedAttachment& each : stale) {
    deleted.push_back({{"containerID", each.container_id}, {"ifname", each.ifname}});
  }
  Report out;
  out.document = std::make_shared<json>(json{{"deleted", std::move(deleted)}});
  return out;
}

}  // namespace cni::cnitool
