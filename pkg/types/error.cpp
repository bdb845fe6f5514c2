#include "pkg/types/error.hpp"

#include <cctype>
#include <cstdio>
#include <cstring>

namespace cni {

Error::Error(Code error_code, std::string message, std::string more, int error_number)
    : code(error_code),
      msg(std::move(message)),
      details(std::move(more)),
      sys_errno(error_number) {}

const char* Error::what() const noexcept {
  try {
    text_ = details.empty() ? msg : cat(msg, "; ", details);
    return text_.c_str();
  } catch (...) {
    return msg.c_str();
  }
}

void Error::prepend(std::string_view prefix) { msg.insert(0, cat(prefix, ": ")); }

void Error::add_detail(std::string_view detail) {
  if (detail.empty()) return;
  if (!details.empty()) details += "; ";
  details += detail;
}

std::string errno_text(int error_number) {
  // strerrordesc_np is not translated, so no locale is needed.
  const char* text = strerrordesc_np(error_number);
  if (text == nullptr) return cat("error ", error_number);
  std::string out = text;
  const bool acronym = out.size() > 1 && std::isupper(static_cast<unsigned char>(out[1])) != 0;
  if (!acronym) out[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(out[0])));
  return out;
}

Error system_error(std::string_view operation, int error_number, Code code) {
  return Error(code, cat(operation, ": ", errno_text(error_number)), {}, error_number);
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char hex[5];
      (void)std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(c) & 0xffU);
      out += hex;
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

void ErrorList::add(Error error) { errors_.push_back(std::move(error)); }

void ErrorList::throw_if_any() const {
  if (errors_.empty()) return;
  Error joined = errors_.front();
  for (size_t i = 1; i < errors_.size(); ++i) {
    joined.msg += cat("; ", errors_[i].msg);
    joined.add_detail(errors_[i].details);
  }
  throw joined;
}

}  // namespace cni
