// cache ls, cache show and cache prune.
#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/confirm.hpp"
#include "cnitool/output.hpp"
#include "libcni/discovery.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/json.hpp"

namespace cni::cnitool {
namespace {

using libcni::CachedAttachment;
using nlohmann::json;

bool has_netns(const CachedAttachment& attachment) {
  return ns::Netns::find(attachment.netns).has_value();
}

std::vector<std::string> addresses_of(const CachedAttachment& attachment) {
  std::vector<std::string> out;
  if (attachment.result.empty()) return out;
  try {
    const auto document = parse_json(attachment.result, "result");
    for (const IpConfig& ip : read_result(Reader(*document), "").ips) {
      out.push_back(ip.address.to_string());
    }
  } catch (const Error&) {
    // The attachment is listed all the same; cache show prints the result as it stands there.
  }
  return out;
}

json summary(const CachedAttachment& attachment) {
  return {{"network", attachment.network},
          {"containerId", attachment.container_id},
          {"ifName", attachment.ifname},
          {"netns", attachment.netns},
          {"netnsExists", has_netns(attachment)},
          {"addresses", addresses_of(attachment)},
          {"file", attachment.file}};
}

std::vector<std::string> row_of(const CachedAttachment& attachment) {
  return {attachment.network,
          attachment.container_id,
          attachment.ifname,
          attachment.netns.empty() ? "-" : attachment.netns,
          has_netns(attachment) ? "yes" : "gone",
          joined(addresses_of(attachment), " ")};
}

// JSON text as a value; as text if it is none.
json as_value(const std::string& text) {
  try {
    return *parse_json(text, "");
  } catch (const Error&) {
    return text;
  }
}

json everything(const CachedAttachment& attachment) {
  json out = summary(attachment);
  if (!attachment.network_text.empty()) out["config"] = as_value(attachment.network_text);
  if (!attachment.capability_args.empty()) {
    out["capabilityArgs"] = as_value(attachment.capability_args);
  }
  for (const auto& [name, value] : attachment.arguments) {
    out["cniArgs"].push_back(json::array({name, value}));
  }
  if (!attachment.result.empty()) out["result"] = as_value(attachment.result);
  return out;
}

// The attachment that `cache show` names.
CachedAttachment find_attachment(const libcni::Cache& cache,
                                 const std::vector<std::string>& names) {
  std::vector<CachedAttachment> found;
  std::vector<std::string> ifnames;
  for (CachedAttachment& each : cache.list()) {
    const bool fits = each.network == names[0] && each.container_id == names[1] &&
                      (names.size() < 3 || each.ifname == names[2]);
    if (!fits) continue;
    ifnames.push_back(each.ifname);
    found.push_back(std::move(each));
  }
  if (found.size() == 1) return std::move(found[0]);
  if (found.empty()) {
    throw Error(Code::kUnknownContainer,
                cat("nothing is remembered of network ", quote(names[0]), ", container ",
                    quote(names[1]), names.size() < 3 ? "" : cat(", interface ", quote(names[2]))));
  }
  throw Error(Code::kInvalidEnvironment,
              cat("container ", quote(names[1]), " has several interfaces in network ",
                  quote(names[0]), ": ", joined(ifnames, ", "), "; name one"));
}

// The network for DEL: as it is configured now, else as it was when the attachment was made.
libcni::Network network_of(Session& session, const CachedAttachment& attachment) {
  try {
    return libcni::find_network(session.conf_dir(), attachment.network);
  } catch (const Error& error) {
    libcni::Network out;
    if (attachment.network_text.empty()) throw;
    out = libcni::parse_network_list(attachment.network_text);
    if (out.plugins.empty()) throw Error(error);
    return out;
  }
}

void delete_attachment(Session& session, const CachedAttachment& attachment,
                       const libcni::CallOptions& options) {
  session.runtime().del(network_of(session, attachment), libcni::interface_of(attachment), options);
}

struct Prunable {
  std::vector<std::string> unreadable;
  std::vector<CachedAttachment> gone;

  bool empty() const { return unreadable.empty() && gone.empty(); }
};

Prunable find_prunable(const libcni::Cache& cache, bool with_gone) {
  Prunable out;
  for (CachedAttachment& each : cache.list(&out.unreadable)) {
    if (with_gone && !has_netns(each)) out.gone.push_back(std::move(each));
  }
  return out;
}

std::string announcement(const Prunable& prunable) {
  std::string out;
  if (!prunable.unreadable.empty()) out += "This would remove unreadable files:\n";
  for (const std::string& file : prunable.unreadable) out += cat("  ", file, '\n');
  if (!prunable.gone.empty()) out += "This would delete attachments without a namespace:\n";
  for (const CachedAttachment& each : prunable.gone) {
    out +=
        cat("  ", each.network, ' ', each.container_id, '/', each.ifname, " (", each.netns, ")\n");
  }
  return out;
}

}  // namespace

Report cache_ls(Session& session) {
  const libcni::Cache cache(session.cache_dir());
  std::vector<std::string> unreadable;
  const std::vector<CachedAttachment> attachments = cache.list(&unreadable);
  std::vector<std::vector<std::string>> rows = {
      {"NETWORK", "CONTAINER", "INTERFACE", "NETNS", "EXISTS", "ADDRESSES"}};
  json list = json::array();
  for (const CachedAttachment& each : attachments) {
    rows.push_back(row_of(each));
    list.push_back(summary(each));
  }
  const Surroundings& surroundings = session.surroundings();
  Report out;
  out.text = attachments.empty() ? cat("no attachment is remembered in ", session.cache_dir(), '\n')
                                 : format_table(rows, has_colours(surroundings, surroundings.out));
  for (const std::string& file : unreadable) out.text += cat("unreadable: ", file, '\n');
  out.document =
      std::make_shared<json>(json{{"attachments", std::move(list)}, {"unreadable", unreadable}});
  return out;
}

Report cache_show(Session& session) {
  const libcni::Cache cache(session.cache_dir());
  Report out;
  out.document =
      std::make_shared<json>(everything(find_attachment(cache, session.line().arguments)));
  out.text = cat(out.document->dump(4), '\n');
  return out;
}

Report cache_prune(Session& session) {
  const CommandLine& line = session.line();
  const libcni::CallOptions options = session.call_options();
  const libcni::Cache& cache = session.runtime().cache();
  const Prunable prunable = find_prunable(cache, line.has("gone"));
  if (!prunable.empty() && !line.has("yes") &&
      !confirm(session.surroundings(), announcement(prunable), "say --yes")) {
    return {.status = 1};
  }
  Report out;
  ErrorList errors;
  json removed = json::array();
  json deleted = json::array();
  for (const std::string& file : prunable.unreadable) {
    errors.run([&] {
      if (!os::remove_file(file)) return;
      out.text += cat("removed ", file, '\n');
      removed.push_back(file);
    });
  }
  for (const CachedAttachment& each : prunable.gone) {
    errors.run([&] {
      delete_attachment(session, each, options);
      out.text += cat("deleted ", each.network, ' ', each.container_id, '/', each.ifname, '\n');
      deleted.push_back(summary(each));
    });
  }
  errors.throw_if_any();
  if (out.text.empty()) out.text = "nothing to remove\n";
  out.document = std::make_shared<json>(
      json{{"removed", std::move(removed)}, {"deleted", std::move(deleted)}});
  return out;
}

}  // namespace cni::cnitool
