#include "pkg/skel/restoration.hpp"

#include <nlohmann/json.hpp>

#include "pkg/os/file.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/version.hpp"

namespace cni::skel {
namespace {

// What CHECK misses; absent if it is content. Throws what is not an answer.
std::optional<std::string> missing_for(const std::function<void()>& check) {
  try {
    check();
    return std::nullopt;
  } catch (const Error& error) {
    if (error.code != Code::kCheckFailed) throw;
    return error.what();
  }
}

}  // namespace

Restoration::Restoration(const Io& io) : folder_(io.run_folder), undo_(io.on_undo_push) {}

Restoration::~Restoration() { undo_.commit(); }

void Restoration::run(const std::function<void()>& fn) { errors_.run(fn); }

void Restoration::ensure(std::string_view what, const std::function<void()>& check,
                         const std::function<void(os::Undo&)>& add) {
  errors_.run([&] {
    context(cat("restore ", what), [&] {
      auto missing = missing_for(check);
      if (!missing) return;
      if (!lock_) {
        os::make_directories(folder_);
        lock_.emplace(cat(folder_, "/reconcile.lock"));
        missing = missing_for(check);
        if (!missing) return;
      }
      restore(what, *missing, check, add);
    });
  });
}

void Restoration::restore(std::string_view what, const std::string& missing,
                          const std::function<void()>& check,
                          const std::function<void(os::Undo&)>& add) {
  has_added_ = true;  // perhaps a part of it, also after a failure
  add(undo_);
  check();
  restored_.push_back({std::string(what), missing});
}

void Restoration::finish(const std::function<void()>& is_needed) {
  if (has_added_) {
    try {
      is_needed();
    } catch (Error& error) {
      for (const std::string& failure : undo_.roll_back()) {
        error.add_detail(cat("undo failed: ", failure));
      }
      throw;
    }
  }
  undo_.commit();
  try {
    errors_.throw_if_any();
  } catch (Error& error) {
    for (const Restored& each : restored_) error.add_detail(cat(each.what, " was restored"));
    throw;
  }
}

std::string restoration_to_json(const std::vector<Restored>& restored, std::string_view version) {
  nlohmann::ordered_json out;
  out["cniVersion"] = version_or_default(version);
  out["restored"] = nlohmann::ordered_json::array();
  for (const Restored& each : restored) {
    out["restored"].push_back({{"what", each.what}, {"missing", each.missing}});
  }
  return out.dump(4, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::vector<Restored> restoration_from_json(std::string_view text) {
  const auto document = parse_json(text, "answer to RECONCILE");
  if (!document->is_object() || !document->contains("restored")) {
    throw Error(Code::kDecodingFailure, "answer to RECONCILE: missing field restored");
  }
  std::vector<Restored> out;
  for (const Reader& each : Reader(*document).array("restored")) {
    Restored one;
    each.optional("what", one.what);
    each.optional("missing", one.missing);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace cni::skel
