#include "pkg/dbus/message.hpp"

#include <cstring>

#include "pkg/types/error.hpp"

namespace cni::dbus {
namespace {

// Names of the D-Bus specification, "Message Format".
constexpr char kLittleEndian = 'l';
constexpr char kBigEndian = 'B';
constexpr std::uint8_t kMethodCall = 1;
constexpr std::uint8_t kMethodReturn = 2;
constexpr std::uint8_t kError = 3;
constexpr std::uint8_t kNoAutoStart = 2;
constexpr std::uint8_t kProtocolVersion = 1;
constexpr std::uint8_t kPath = 1;
constexpr std::uint8_t kInterface = 2;
constexpr std::uint8_t kMember = 3;
constexpr std::uint8_t kErrorName = 4;
constexpr std::uint8_t kReplySerial = 5;
constexpr std::uint8_t kDestination = 6;
constexpr std::uint8_t kSignature = 8;

constexpr std::size_t kFixedHeader = 16;  // up to and with the length of the header's fields
constexpr std::size_t kBodyLengthAt = 4;
constexpr std::size_t kFieldsLengthAt = 12;

std::size_t aligned(std::size_t size, std::size_t to) { return (size + to - 1) / to * to; }

Error malformed(std::string_view why) {
  return {Code::kDecodingFailure, cat("malformed message from the message bus: ", why)};
}

class Writer {
 public:
  void align(std::size_t to) { bytes_.resize(aligned(bytes_.size(), to)); }
  void u8(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void u32(std::uint32_t value) {
    align(4);
    for (unsigned shift = 0; shift < 32; shift += 8) u8(static_cast<std::uint8_t>(value >> shift));
  }
  void text(std::string_view value) {
    u32(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
    u8(0);
  }
  void signature(std::string_view value) {
    u8(static_cast<std::uint8_t>(value.size()));
    bytes_ += value;
    u8(0);
  }
  // A header field with a text in it: type "s", or "o" for a path.
  void field(std::uint8_t code, std::string_view type, std::string_view value) {
    align(8);
    u8(code);
    signature(type);
    text(value);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads from the start of a message: alignment counts from there.
class Cursor {
 public:
  Cursor(std::string_view data, bool big_endian) : data_(data), big_endian_(big_endian) {}

  std::size_t position() const { return at_; }
  void align(std::size_t to) { skip(aligned(at_, to) - at_); }
  void skip(std::size_t size) {
    if (size > data_.size() - at_) throw malformed("it ends too early");
    at_ += size;
  }
  std::uint8_t u8() {
    skip(1);
    return static_cast<std::uint8_t>(data_[at_ - 1]);
  }
  std::uint32_t u32() {
    align(4);
    std::uint32_t out = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint32_t octet = u8();
      out |= octet << (big_endian_ ? 24 - 8 * i : 8 * i);
    }
    return out;
  }
  std::string text() { return octets(u32()); }
  std::string signature() { return octets(u8()); }

  // One value of a type that is no container.
  void skip_value(char type) {
    switch (type) {
      case 'y':
        return skip(1);
      case 'n':
      case 'q':
        align(2);
        return skip(2);
      case 'b':
      case 'i':
      case 'u':
      case 'h':
        (void)u32();
        return;
      case 'x':
      case 't':
      case 'd':
        align(8);
        return skip(8);
      case 's':
      case 'o':
        (void)text();
        return;
      case 'g':
        (void)signature();
        return;
      default:
        throw malformed("a header field of an unknown type");
    }
  }

 private:
  std::string octets(std::size_t size) {
    const std::size_t start = at_;
    skip(size);
    if (u8() != 0) throw malformed("a text without its end");
    return std::string(data_.substr(start, size));
  }

  std::string_view data_;
  std::size_t at_ = 0;
  bool big_endian_;
};

bool is_big_endian(std::string_view data) {
  if (data[0] != kLittleEndian && data[0] != kBigEndian) throw malformed("no byte order");
  return data[0] == kBigEndian;
}

std::uint32_t u32_at(std::string_view data, std::size_t at) {
  Cursor cursor(data, is_big_endian(data));
  cursor.skip(at);
  return cursor.u32();
}

// Returns the body's signature.
std::string read_fields(Cursor& cursor, std::size_t end, Message& out) {
  std::string signature;
  while (cursor.position() < end) {
    cursor.align(8);
    const std::uint8_t code = cursor.u8();
    const std::string type = cursor.signature();
    if (type.size() != 1) throw malformed("a header field of an unknown type");
    if (code == kReplySerial && type == "u") {
      out.reply_serial = cursor.u32();
    } else if (code == kErrorName && type == "s") {
      out.error_name = cursor.text();
    } else if (code == kSignature && type == "g") {
      signature = cursor.signature();
    } else {
      cursor.skip_value(type[0]);
    }
  }
  return signature;
}

}  // namespace

std::string encode(const MethodCall& call, std::uint32_t serial) {
  Writer body;
  for (const std::string& argument : call.arguments) body.text(argument);

  Writer fields;  // starts at a multiple of 8 as in the message, which alignment counts from
  fields.field(kPath, "o", call.path);
  fields.field(kDestination, "s", call.destination);
  fields.field(kInterface, "s", call.interface);
  fields.field(kMember, "s", call.member);
  if (!call.arguments.empty()) {
    fields.align(8);
    fields.u8(kSignature);
    fields.signature("g");
    fields.signature(std::string(call.arguments.size(), 's'));
  }

  Writer out;
  out.u8(static_cast<std::uint8_t>(kLittleEndian));
  out.u8(kMethodCall);
  out.u8(kNoAutoStart);
  out.u8(kProtocolVersion);
  out.u32(static_cast<std::uint32_t>(body.bytes().size()));
  out.u32(serial);
  out.u32(static_cast<std::uint32_t>(fields.bytes().size()));
  std::string message = out.bytes() + fields.bytes();
  message.resize(aligned(message.size(), 8));
  return message + body.bytes();
}

std::optional<std::size_t> message_size(std::string_view data) {
  if (!data.empty()) (void)is_big_endian(data);
  if (data.size() < kFixedHeader) return std::nullopt;
  const std::size_t fields = u32_at(data, kFieldsLengthAt);
  const std::size_t body = u32_at(data, kBodyLengthAt);
  if (fields > kMaxMessage || body > kMaxMessage) throw malformed("it is too long");
  const std::size_t size = aligned(kFixedHeader + fields, 8) + body;
  if (size > kMaxMessage) throw malformed("it is too long");
  return size;
}

Message decode(std::string_view data) {
  if (message_size(data) != data.size()) throw malformed("its length is another");
  Cursor cursor(data, is_big_endian(data));
  cursor.skip(1);
  const std::uint8_t type = cursor.u8();
  Message out;
  if (type == kMethodReturn) out.type = Message::Type::kReturn;
  if (type == kError) out.type = Message::Type::kError;
  cursor.skip(kFieldsLengthAt - cursor.position());
  const std::size_t fields = cursor.u32();
  const std::string signature = read_fields(cursor, kFixedHeader + fields, out);
  if (cursor.position() != kFixedHeader + fields)
    throw malformed("header fields of another length");
  cursor.align(8);
  if (signature.starts_with('s')) out.text = cursor.text();
  if (signature.starts_with('b')) out.flag = cursor.u32() != 0;
  return out;
}

}  // namespace cni::dbus
