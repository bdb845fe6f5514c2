// The keys of a network configuration that every plugin shares.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/result.hpp"

namespace cni {

// One attachment that the runtime knows (cni.dev/valid-attachments).
struct Attachment {
  std::string container_id;
  std::string ifname;

  bool operator==(const Attachment& other) const = default;
};

// How strictly the shared keys are read. DEL takes what it can get: a config that would fail ADD
// still has to release.
enum class Strictness { kStrict, kLenient };

struct NetConf {
  std::shared_ptr<const nlohmann::json> document;

  std::string cni_version;  // as written; "0.1.0" if absent or empty
  std::string name;
  std::string type;
  std::string ipam_type;   // empty without an ipam section
  std::optional<Dns> dns;  // absent if none of its keys is given
  std::vector<Attachment> valid_attachments;

  // Reads name and cniVersion of a document. Throws Code::kDecodingFailure if it is not a JSON
  // object or one of the two is not a string. The other keys are read by read_shared_keys, once the
  // version is known to be one that the plugin speaks.
  static NetConf parse(std::string_view text);

  // Reads the other shared keys. Strict: throws for one of the wrong type. Lenient: such a key
  // counts as absent.
  void read_shared_keys(Strictness strictness);

  // The result of the plugins before this one, or of the ADD that is checked or undone; null
  // without one. Throws what read_prev_result found wrong with it, so that only plugins that use it
  // refuse it; after lenient reading such a one counts as absent.
  const Result* prev_result() const;

  Reader root() const;

 private:
  void read_shared_prev_result(Strictness strictness);

  std::optional<Result> prev_result_;
  std::optional<Error> prev_result_error_;
};

// True if the list has that container and interface.
bool is_valid_attachment(const std::vector<Attachment>& valid, std::string_view container_id,
                         std::string_view ifname);

}  // namespace cni
