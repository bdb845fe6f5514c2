#include "plugins/ipam/dhcp/exchange.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "pkg/types/json.hpp"

namespace cni::dhcp {
namespace {

using Json = nlohmann::json;

constexpr std::array<Choice<Verb>, 5> kVerbs{{{"allocate", Verb::kAllocate},
                                              {"look", Verb::kLook},
                                              {"release", Verb::kRelease},
                                              {"status", Verb::kStatus},
                                              {"collect", Verb::kCollect}}};

std::string_view name_of(Verb verb) {
  for (const Choice<Verb>& row : kVerbs) {
    if (row.value == verb) return row.text;
  }
  return "status";
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Reads the object that a message is. Whatever is wrong with it is one kind of error here: the text
// is no configuration that a user could mend.
template <class Fn>
auto read_message(std::string_view text, std::string_view what, Fn&& fn) {
  try {
    const auto document = parse_json(text, what);
    const Reader in(*document);
    if (!document->is_object()) throw Reader::wrong_type(in, "an object");
    std::uint32_t version = 0;
    in.required("version", version);
    if (version == 0 || version > kExchangeVersion) {
      throw Error(Code::kDecodingFailure,
                  cat("version ", version, " is not known here, where ", kExchangeVersion,
                      " is the newest: use plugin and daemon of one release"));
    }
    return fn(in);
  } catch (Error& error) {
    error.code = Code::kDecodingFailure;
    error.prepend(what);
    throw;
  }
}

LeaseKey read_key(const Reader& in) {
  LeaseKey key;
  in.required("network", key.network);
  (void)in.optional("containerID", key.container_id);  // kCollect has the network alone
  (void)in.optional("ifname", key.ifname);
  return key;
}

std::vector<Attachment> read_valid(const Reader& in) {
  std::vector<Attachment> out;
  for (const Reader& element : in.array("valid")) {
    Attachment attachment;
    element.required("containerID", attachment.container_id);
    element.required("ifname", attachment.ifname);
    out.push_back(std::move(attachment));
  }
  return out;
}

Json error_to_json(const Error& error) {
  return {{"code", static_cast<unsigned>(error.code)},
          {"msg", error.msg},
          {"details", error.details},
          {"errno", error.sys_errno}};
}

Error read_error(const Reader& in) {
  std::uint32_t code = 0;
  Error error(Code::kUnknown, {});
  in.required("code", code);
  in.required("msg", error.msg);
  (void)in.optional("details", error.details);  // most errors have neither
  (void)in.optional("errno", error.sys_errno);
  error.code = static_cast<Code>(code);
  return error;
}

}  // namespace

std::string to_text(const Call& call) {
  Json out{{"version", kExchangeVersion}, {"verb", name_of(call.verb)}};
  switch (call.verb) {
    case Verb::kAllocate:
      out["request"] = to_json(call.lease);
      break;
    case Verb::kLook:
    case Verb::kRelease:
      out["key"] = to_json(call.lease.key);
      break;
    case Verb::kCollect:
      out["key"] = to_json(call.lease.key);
      out["valid"] = Json::array();
      for (const Attachment& attachment : call.valid) {
        out["valid"].push_back(
            {{"containerID", attachment.container_id}, {"ifname", attachment.ifname}});
      }
      break;
    case Verb::kStatus:
      break;
  }
  return dump(out);
}

std::string to_text(const Answer& answer) {
  Json out{{"version", kExchangeVersion}};
  if (answer.error) {
    out["error"] = error_to_json(*answer.error);
  } else {
    out["lease"] = to_json(answer.lease);
    if (answer.is_new) out["isNew"] = true;
  }
  return dump(out);
}

Call read_call(std::string_view text) {
  return read_message(text, "request to the DHCP daemon", [](const Reader& in) {
    Call call;
    std::string verb;
    in.required("verb", verb);
    if (verb.empty()) throw in.missing("verb");  // choice() takes "" for absent
    (void)in.choice<Verb>("verb", call.verb, kVerbs, "request");
    if (call.verb == Verb::kAllocate) call.lease = read_lease_request(in.get("request"));
    if (call.verb == Verb::kLook || call.verb == Verb::kRelease || call.verb == Verb::kCollect) {
      call.lease.key = read_key(in.get("key"));
    }
    if (call.verb == Verb::kCollect) call.valid = read_valid(in);
    return call;
  });
}

Answer read_answer(std::string_view text) {
  return read_message(text, "answer of the DHCP daemon", [](const Reader& in) {
    Answer answer;
    if (const std::optional<Reader> error = in.object("error")) {
      answer.error = read_error(*error);
    } else {
      answer.lease = read_lease(in.get("lease"));
      (void)in.optional("isNew", answer.is_new);
    }
    return answer;
  });
}

std::string length_prefix(std::size_t size) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((size >> shift) & 0xffU);
  return out;
}

std::size_t read_length_prefix(std::string_view octets) {
  if (octets.size() != 4) {
    throw Error(Code::kDecodingFailure,
                cat("a message's length has 4 octets, not ", octets.size()));
  }
  std::size_t size = 0;
  for (const char octet : octets) size = (size << 8) | static_cast<unsigned char>(octet);
  if (size == 0 || size > kLongestMessage) {
    throw Error(Code::kDecodingFailure, cat("a message of ", size, " octets: between 1 and ",
                                            kLongestMessage, " are possible"));
  }
  return size;
}

}  // namespace cni::dhcp
