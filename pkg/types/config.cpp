#include "pkg/types/config.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "pkg/types/version.hpp"

namespace cni {
namespace {

void read_ipam_type(const Reader& in, NetConf& out) {
  if (const auto ipam = in.object("ipam")) ipam->optional("type", out.ipam_type);
}

void read_shared_dns(const Reader& in, NetConf& out) {
  const auto dns = in.object("dns");
  if (!dns) return;
  const Dns value = read_dns(*dns);
  const bool present =
      dns->has("nameservers") || dns->has("domain") || dns->has("search") || dns->has("options");
  if (present) out.dns = value;
}

void read_valid_attachments(const Reader& in, NetConf& out) {
  // Runtimes before 1.1.0 was final used the second key.
  for (const std::string_view key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
    if (!in.has(key)) continue;
    for (const Reader& item : in.array(key)) {
      Attachment attachment;
      item.optional("containerID", attachment.container_id);
      item.optional("ifname", attachment.ifname);
      out.valid_attachments.push_back(std::move(attachment));
    }
    return;
  }
}

}  // namespace

NetConf NetConf::parse(std::string_view text) {
  NetConf out;
  out.document = parse_json(text, "error unmarshall network config");
  context("error unmarshall network config", [&] {
    const Reader in = out.root();
    in.optional("name", out.name);
    in.optional("cniVersion", out.cni_version);
  });
  out.cni_version = version_or_default(out.cni_version);
  return out;
}

void NetConf::read_shared_keys(Strictness strictness) {
  const Reader in = root();
  const auto read = [&](auto&& read_key) {
    try {
      read_key();
    } catch (const Error&) {
      if (strictness == Strictness::kStrict) throw;
      // Lenient: the key counts as absent.
    }
  };
  read([&] { in.optional("type", type); });
  read([&] {
    std::map<std::string, bool> capabilities;
    in.optional("capabilities", capabilities);
  });
  read([&] { read_ipam_type(in, *this); });
  read([&] { read_shared_dns(in, *this); });
  read([&] { read_valid_attachments(in, *this); });
  read([&] { read_shared_prev_result(strictness); });
}

void NetConf::read_shared_prev_result(Strictness strictness) {
  const auto document_part = root().object("prevResult");
  if (!document_part) return;
  try {
    prev_result_ = read_prev_result(*document_part, cni_version);
  } catch (const Error& error) {
    if (strictness == Strictness::kStrict) prev_result_error_ = error;
  }
}

const Result* NetConf::prev_result() const {
  if (prev_result_error_) throw *prev_result_error_;
  return prev_result_ ? &*prev_result_ : nullptr;
}

Reader NetConf::root() const { return Reader(*document); }

bool is_valid_attachment(const std::vector<Attachment>& valid, std::string_view container_id,
                         std::string_view ifname) {
  return std::any_of(valid.begin(), valid.end(), [&](const Attachment& attachment) {
    return attachment.container_id == container_id && attachment.ifname == ifname;
  });
}

}  // namespace cni
