// A netlink socket: requests with the kernel's true errno and extended-ack sentence, dumps,
// batches, notifications.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/ns/netns.hpp"
#include "pkg/os/fd.hpp"

struct nlmsghdr;

namespace cni::netlink {

class Message;

enum class Protocol { kRoute, kNetfilter };

// Belongs for life to the namespace it was opened in. Not for use by two threads at once.
class Socket {
 public:
  // After a batch the kernel waits when a netfilter socket is closed: it first frees what batches
  // in this namespace deleted, which takes an RCU grace period, 15 to 20 ms. That is left to the
  // kernel's workers; the deletion itself is complete when batch returns.
  ~Socket();
  Socket(Socket&&) noexcept = default;
  Socket& operator=(Socket&&) noexcept = default;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  using OnMessage = std::function<void(const nlmsghdr*)>;

  // In the calling thread's namespace.
  static Socket open(Protocol protocol = Protocol::kRoute);
  // In another namespace.
  static Socket open_in(const ns::Netns& netns, Protocol protocol = Protocol::kRoute);

  // A number that no other namespace has had since the machine started; 0 before Linux 5.14.
  std::uint64_t netns_cookie() const;

  // Sends one request and waits for its acknowledgement. Throws Code::kSystemCall with message
  // "<operation>: <reason>", the kernel's errno in sys_errno and its extended-ack sentence in
  // details; Code::kTryAgainLater if EAGAIN or EINTR outlasts the retries.
  void request(Message& message, std::string_view operation);

  // As request, for what is done, and announced to a multicast group (RTNLGRP_...), long before the
  // kernel acknowledges it. Returns once is_announced has accepted a notification; the rest is
  // waited for by a process of its own (os::BackgroundSend; where that cannot be, here). What the
  // request holds locked may be held a moment longer. False: notifications were lost, so that it
  // is unknown what became of it.
  bool request_until(Message& message, std::string_view operation, unsigned group,
                     const std::function<bool(const nlmsghdr*)>& is_announced);

  // As request, for a request that is answered by one message: on_reply gets it before get returns.
  void get(Message& message, std::string_view operation, const OnMessage& on_reply);

  // Sends a dump request and calls on_message for each object. A dump that the kernel marks as
  // interrupted is repeated, after calling restart so that the caller forgets what it has seen;
  // Code::kTryAgainLater when that does not help.
  void dump(Message& message, std::string_view operation, const OnMessage& on_message,
            const std::function<void()>& restart);

  // As dump, but a dump that is interrupted is not repeated: false then. What it named was there,
  // but other objects may be missing.
  bool dump_once(Message& message, std::string_view operation, const OnMessage& on_message);

  // Sends nfnetlink messages as one transaction, between BATCH_BEGIN and BATCH_END: all are applied
  // or none. Throws for the first one that is refused, with its index in the batch put in `failed`
  // if given. on_message gets what the kernel echoes.
  void batch(std::span<Message> messages, std::string_view operation, std::size_t* failed = nullptr,
             const OnMessage& on_message = {});

  // Joins a multicast group (RTNLGRP_...): notifications arrive in wait_for.
  void subscribe(unsigned group);

  // Passes notifications to `done` until it returns true or the time is over. False: the time was
  // over. Lost notifications (ENOBUFS) are reported by a call of done with nullptr, which should
  // look again.
  bool wait_for(std::chrono::milliseconds deadline,
                const std::function<bool(const nlmsghdr*)>& done);

 private:
  explicit Socket(os::Fd fd) : fd_(std::move(fd)) {}

  // What came back for one request.
  struct Outcome {
    int error = 0;  // positive errno
    std::string kernel_text;
    bool interrupted = false;
  };
  void send(const void* data, std::size_t size, std::string_view operation);
  // Receives one datagram and calls handle for each of its messages. False: nothing there (only if
  // not waiting).
  bool receive(bool wait, std::string_view operation,
               const std::function<void(const nlmsghdr*)>& handle);
  Outcome transact(Message& message, std::string_view operation, const OnMessage& on_message);
  void change_membership(unsigned group, int option);

  os::Fd fd_;
  bool has_sent_batch_ = false;
  std::uint32_t sequence_ = 0;
  std::vector<char> buffer_;
};

}  // namespace cni::netlink
