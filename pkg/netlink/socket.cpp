#include "pkg/netlink/socket.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/netlink/message.hpp"
#include "pkg/os/background.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

// What the kernel fills at most with one dump datagram (NLMSG_GOODSIZE grows with the reader's
// buffer up to 32 KiB).
constexpr std::size_t kBufferSize = 32768;
// Interrupted dumps, EAGAIN and EINTR; with the pauses below some 770 ms in all.
constexpr int kMaxAttempts = 12;
constexpr int kMaxDoublings = 7;

void pause_before_retry(int attempt) {
  const timespec duration{0, 1'000'000L << std::min(attempt, kMaxDoublings)};
  (void)::nanosleep(&duration, nullptr);  // a shorter pause does no harm
}

// Reads of an answer that fail for a passing shortage.
constexpr int kMaxReads = 4;

bool is_transient(int error) { return error == EAGAIN || error == EINTR; }

// The kernel's sentence behind an error message, if it has one.
std::string extended_ack(const nlmsghdr* header) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::size_t offset = sizeof(nlmsgerr);
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) {
    offset += NLMSG_ALIGN(body_of<nlmsgerr>(header).msg.nlmsg_len) - NLMSG_HDRLEN;
  }
  const Attributes attributes(header, offset, NLMSGERR_ATTR_MAX);
  return attributes.text(NLMSGERR_ATTR_MSG);
}

int error_of(const nlmsghdr* header) {
  return header->nlmsg_len < NLMSG_HDRLEN + sizeof(int) ? 0 : -body_of<int>(header);
}

Error refused(std::string_view operation, int error, std::string kernel_text) {
  const Code code = is_transient(error) ? Code::kTryAgainLater : Code::kSystemCall;
  Error out = system_error(operation, error, code);
  out.details = std::move(kernel_text);
  return out;
}

// The size of what was read; -1 if there is nothing and nobody waits. A failed read is repeated:
// the answer is still in the queue, and without it the caller would not know that the kernel has
// done what it was asked for.
ssize_t read_datagram(int fd, std::vector<char>& buffer, bool wait, std::string_view operation) {
  int failure = 0;
  for (int reads = 0;; ++reads) {
    // An answer is there once sendto has returned, so another look for it need not wait.
    const bool look_only = !wait || failure != 0;
    const ssize_t got =
        ::recv(fd, buffer.data(), buffer.size(), MSG_TRUNC | (look_only ? MSG_DONTWAIT : 0));
    if (got >= 0) return got;
    if (errno == EINTR) continue;
    if (errno == EAGAIN && !wait) return -1;
    if (errno == EAGAIN) throw system_error(operation, failure != 0 ? failure : EAGAIN);
    failure = errno;
    // After ENOBUFS messages are lost.
    if (failure == ENOBUFS || reads >= kMaxReads) throw system_error(operation, failure);
  }
}

Error still_changing(std::string_view operation) {
  return Error(Code::kTryAgainLater, cat(operation, ": the list kept changing while it was read"));
}

nlmsghdr batch_marker(int type, std::uint32_t sequence, nfgenmsg& body) {
  body = {AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)};
  nlmsghdr header{};
  header.nlmsg_len = NLMSG_LENGTH(sizeof body);
  header.nlmsg_type = static_cast<std::uint16_t>(type);
  header.nlmsg_flags = NLM_F_REQUEST;
  header.nlmsg_seq = sequence;
  return header;
}

void append_marker(std::vector<char>& out, int type, std::uint32_t sequence) {
  nfgenmsg body;
  const nlmsghdr header = batch_marker(type, sequence, body);
  const auto* raw = reinterpret_cast<const char*>(&header);
  out.insert(out.end(), raw, raw + sizeof header);
  raw = reinterpret_cast<const char*>(&body);
  out.insert(out.end(), raw, raw + sizeof body);
}

// Lets the socket send a datagram of that size, beyond the system's limit where privileges allow
// it; where not, sending fails with EMSGSIZE.
void make_room(int fd, std::size_t size) {
  // What a socket may hold at least (net.core.wmem_default), and the kernel's own share of it.
  constexpr std::size_t kAlwaysFits = 64 * 1024;
  constexpr std::size_t kOverhead = 4096;
  if (size <= kAlwaysFits) return;
  const int wanted = static_cast<int>(size + kOverhead);
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) != 0) {
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
  }
}

}  // namespace

Socket Socket::open(Protocol protocol) {
  const int number = protocol == Protocol::kRoute ? NETLINK_ROUTE : NETLINK_NETFILTER;
  os::Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, number));
  if (!fd) throw system_error("open a netlink socket", errno);
  // All three only improve what we get; kernels without them work too.
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (protocol == Protocol::kRoute) {
    (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  }
  return Socket(std::move(fd));
}

Socket::~Socket() {
  if (fd_ && has_sent_batch_) os::close_in_background(std::move(fd_));
}

Socket Socket::open_in(const ns::Netns& netns, Protocol protocol) {
  return netns.run([protocol] { return open(protocol); });
}

std::uint64_t Socket::netns_cookie() const {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  const int got = ::getsockopt(fd_.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size);
  return got == 0 ? cookie : 0;
}

void Socket::send(const void* data, std::size_t size, std::string_view operation) {
  // Before the request is on its way: what the kernel has done must not go unnoticed.
  if (buffer_.empty()) buffer_.resize(kBufferSize);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  for (;;) {
    const ssize_t sent = ::sendto(fd_.get(), data, size, 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    if (sent >= 0) return;
    if (errno != EINTR) throw system_error(operation, errno);
  }
}

bool Socket::receive(bool wait, std::string_view operation,
                     const std::function<void(const nlmsghdr*)>& handle) {
  if (buffer_.empty()) buffer_.resize(kBufferSize);
  const ssize_t got = read_datagram(fd_.get(), buffer_, wait, operation);
  if (got < 0) return false;
  if (static_cast<std::size_t>(got) > buffer_.size()) throw system_error(operation, EMSGSIZE);

  for_each_message({buffer_.data(), static_cast<std::size_t>(got)}, handle);
  return true;
}

Socket::Outcome Socket::transact(Message& message, std::string_view operation,
                                 const OnMessage& on_message) {
  nlmsghdr* header = message.get();
  header->nlmsg_seq = ++sequence_;
  header->nlmsg_pid = 0;
  const bool is_dump = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  const bool wants_ack = (header->nlmsg_flags & NLM_F_ACK) != 0;
  send(header, header->nlmsg_len, operation);

  Outcome outcome;
  bool done = false;
  while (!done) {
    (void)receive(true, operation, [&](const nlmsghdr* reply) {
      if (reply->nlmsg_seq != sequence_) return;  // a notification, or late for an earlier request
      if ((reply->nlmsg_flags & NLM_F_DUMP_INTR) != 0) outcome.interrupted = true;
      if (reply->nlmsg_type == NLMSG_ERROR || reply->nlmsg_type == NLMSG_DONE) {
        outcome.error = error_of(reply);
        if (outcome.error != 0 && reply->nlmsg_type == NLMSG_ERROR) {
          outcome.kernel_text = extended_ack(reply);
        }
        done = true;
        return;
      }
      if (on_message) on_message(reply);
      if (!is_dump && !wants_ack) done = true;
    });
  }
  return outcome;
}

void Socket::request(Message& message, std::string_view operation) {
  message.get()->nlmsg_flags |= NLM_F_ACK;
  for (int attempt = 0;; ++attempt) {
    Outcome outcome = transact(message, operation, {});
    if (outcome.error == 0) return;
    if (!is_transient(outcome.error) || attempt == kMaxAttempts) {
      throw refused(operation, outcome.error, std::move(outcome.kernel_text));
    }
    pause_before_retry(attempt);
  }
}

bool Socket::request_until(Message& message, std::string_view operation, unsigned group,
                           const std::function<bool(const nlmsghdr*)>& is_announced) {
  nlmsghdr* header = message.get();
  header->nlmsg_flags |= NLM_F_ACK;
  header->nlmsg_seq = ++sequence_;
  header->nlmsg_pid = 0;
  change_membership(group, NETLINK_ADD_MEMBERSHIP);
  os::BackgroundSend sender(fd_.get(), {reinterpret_cast<const char*>(header), header->nlmsg_len});
  bool is_done = false;
  int error = 0;
  const auto look = [&](const nlmsghdr* reply) {
    if (reply->nlmsg_seq == sequence_ && reply->nlmsg_type == NLMSG_ERROR) {
      error = error_of(reply);
      is_done = true;
    } else if (!is_done && is_announced(reply)) {
      is_done = true;
    }
  };
  while (sender.was_begun() && !is_done) {
    // It is asked first: what it sent is answered before it ends.
    const bool has_ended = sender.has_ended();
    pollfd polled{fd_.get(), POLLIN, 0};
    constexpr int kLookAfter = 50;  // milliseconds
    if (::poll(&polled, 1, has_ended ? 0 : kLookAfter) <= 0) {
      if (has_ended) break;
      continue;
    }
    try {
      (void)receive(false, operation, look);
    } catch (const Error&) {
      break;  // what is said from now on may be incomplete: the caller has to ask again
    }
  }
  change_membership(group, NETLINK_DROP_MEMBERSHIP);
  // It has a message to itself, with the kernel's own words.
  if (error != 0 || !sender.was_begun()) {
    request(message, operation);
    return true;
  }
  return is_done;
}

void Socket::get(Message& message, std::string_view operation, const OnMessage& on_reply) {
  for (int attempt = 0;; ++attempt) {
    Outcome outcome = transact(message, operation, on_reply);
    if (outcome.error == 0) return;
    if (!is_transient(outcome.error) || attempt == kMaxAttempts) {
      throw refused(operation, outcome.error, std::move(outcome.kernel_text));
    }
    pause_before_retry(attempt);
  }
}

bool Socket::dump_once(Message& message, std::string_view operation, const OnMessage& on_message) {
  message.get()->nlmsg_flags |= NLM_F_DUMP;
  Outcome outcome = transact(message, operation, on_message);
  if (outcome.error != 0 && !is_transient(outcome.error)) {
    throw refused(operation, outcome.error, std::move(outcome.kernel_text));
  }
  return outcome.error == 0 && !outcome.interrupted;
}

void Socket::dump(Message& message, std::string_view operation, const OnMessage& on_message,
                  const std::function<void()>& restart) {
  for (int attempt = 0;; ++attempt) {
    if (dump_once(message, operation, on_message)) return;
    if (attempt == kMaxAttempts) throw still_changing(operation);
    pause_before_retry(attempt);
    restart();
  }
}

void Socket::batch(std::span<Message> messages, std::string_view operation, std::size_t* failed,
                   const OnMessage& on_message) {
  if (messages.empty()) return;
  has_sent_batch_ = true;
  const std::uint32_t begin = sequence_ + 1;
  std::vector<char> data;
  append_marker(data, NFNL_MSG_BATCH_BEGIN, ++sequence_);
  // Refused messages are always answered; of the others only the last one says that all was done,
  // so that the answers to a large batch fit the socket's buffer.
  messages.back().get()->nlmsg_flags |= NLM_F_ACK;
  for (Message& message : messages) {
    nlmsghdr* header = message.get();
    header->nlmsg_seq = ++sequence_;
    header->nlmsg_pid = 0;
    const auto* raw = reinterpret_cast<const char*>(header);
    data.insert(data.end(), raw, raw + NLMSG_ALIGN(header->nlmsg_len));
  }
  const std::uint32_t last = sequence_;
  append_marker(data, NFNL_MSG_BATCH_END, ++sequence_);
  make_room(fd_.get(), data.size());
  send(data.data(), data.size(), operation);

  int error = 0;
  bool acknowledged = false;
  std::string kernel_text;
  const auto handle = [&](const nlmsghdr* reply) {
    if (reply->nlmsg_seq < begin || reply->nlmsg_seq > sequence_) return;
    if (reply->nlmsg_type != NLMSG_ERROR) {
      if (on_message) on_message(reply);
      return;
    }
    if (reply->nlmsg_seq == last) acknowledged = true;
    const int this_error = error_of(reply);
    if (this_error == 0 || error != 0) return;
    error = this_error;
    kernel_text = extended_ack(reply);
    if (failed != nullptr && reply->nlmsg_seq > begin) *failed = reply->nlmsg_seq - begin - 1;
  };
  // The kernel has answered all of it by the time that sendto returns.
  while (receive(false, operation, handle)) {
  }
  if (error == 0 && !acknowledged) error = EPROTO;
  if (error != 0) throw refused(operation, error, std::move(kernel_text));
}

void Socket::subscribe(unsigned group) {
  // A socket without an address (port 0) is taken for the sender of the kernel's own notifications,
  // and gets none.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) {
    throw system_error("bind a netlink socket", errno);
  }
  change_membership(group, NETLINK_ADD_MEMBERSHIP);
}

void Socket::change_membership(unsigned group, int option) {
  const int number = static_cast<int>(group);
  if (::setsockopt(fd_.get(), SOL_NETLINK, option, &number, sizeof number) != 0) {
    throw system_error("subscribe to kernel notifications", errno);
  }
}

bool Socket::wait_for(std::chrono::milliseconds deadline,
                      const std::function<bool(const nlmsghdr*)>& done) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + deadline;
  bool satisfied = false;
  while (!satisfied) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return false;
    pollfd polled{fd_.get(), POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(left.count())) <= 0) continue;
    try {
      (void)receive(false, "wait for kernel notifications",
                    [&](const nlmsghdr* message) { satisfied = satisfied || done(message); });
    } catch (const Error& error) {
      if (error.sys_errno != ENOBUFS) throw;
      satisfied = done(nullptr);
    }
  }
  return true;
}

}  // namespace cni::netlink
