#include "pkg/types/config.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pkg/types/shared_keys.hpp"
#include "pkg/types/version.hpp"

namespace cni {

NetConf NetConf::parse(std::string_view text) {
  NetConf out;
  out.document = parse_json(text, "error unmarshall network config");
  context("error unmarshall network config", [&] {
    const Reader in = out.root();
    schema::read(in, kIdentityTable, out);
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
  for (const schema::Key& key : kSharedTable.keys) {
    if (key.read != nullptr) read([&] { key.read(in, key, this); });
  }
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
