// Real packets: who answers, and which source address does it see?
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "pkg/ns/netns.hpp"
#include "pkg/os/fd.hpp"

namespace cni::test {

// Answers each UDP datagram, and each TCP (and SCTP) connection, with its own name and the client's
// address: "c1 sees 10.22.0.1". On the wildcard address of both families unless told otherwise, and
// always from the address that was asked.
class NamedServer {
 public:
  struct Options {
    std::vector<std::uint16_t> ports = {80};
    // The only addresses it listens on; empty: all.
    std::vector<std::string> addresses;
    bool sctp = false;
  };
  NamedServer(const ns::Netns& netns, std::string name, const Options& options);
  NamedServer(const NamedServer&) = delete;
  NamedServer& operator=(const NamedServer&) = delete;
  ~NamedServer();

 private:
  void serve();
  void answer_datagram(int fd) const;
  void answer_connection(int fd) const;

  std::string name_;
  os::Fd stop_;
  std::vector<os::Fd> datagram_sockets_;
  std::vector<os::Fd> listeners_;
  std::thread thread_;
};

struct Question {
  int transport = IPPROTO_UDP;  // IPPROTO_TCP, IPPROTO_SCTP
  std::string address;
  std::uint16_t port = 80;
  std::string source;             // the client's own address; empty: the kernel's choice
  std::uint16_t source_port = 0;  // 0: the kernel's choice
  // How long to wait for an answer. Short where none is to come.
  std::chrono::milliseconds patience = std::chrono::seconds(4);
};

inline constexpr std::chrono::milliseconds kNoAnswerExpected{250};

// What is answered to a client in that namespace; empty if nobody answers.
std::string ask(const ns::Netns& client, const Question& question);

// Whether this kernel has SCTP.
bool has_sctp();

}  // namespace cni::test
