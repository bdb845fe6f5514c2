// The daemon's one thread: waits for descriptors and times, and calls who asked for them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pkg/os/fd.hpp"
#include "plugins/ipam/dhcp/time.hpp"

namespace cni::dhcp {

// What a handler throws is logged, and the loop goes on: one attachment's trouble is not another's.
class Loop {
 public:
  using OnReady = std::function<void(std::uint32_t events)>;
  using Task = std::function<void()>;

  // Interest in a descriptor, for as long as the object lives; the descriptor has to outlive it.
  class Watch {
   public:
    Watch() = default;
    Watch(Watch&& other) noexcept { *this = std::move(other); }
    Watch& operator=(Watch&& other) noexcept;
    ~Watch() { reset(); }
    // Waits for other events from now on; EPOLLERR and EPOLLHUP are always reported.
    void change(std::uint32_t events);
    void reset();

   private:
    friend class Loop;
    Loop* loop_ = nullptr;
    std::uint64_t id_ = 0;
  };

  // A task that is run once, unless the object ends before.
  class Timer {
   public:
    Timer() = default;
    Timer(Timer&& other) noexcept { *this = std::move(other); }
    Timer& operator=(Timer&& other) noexcept;
    ~Timer() { reset(); }
    void reset();

   private:
    friend class Loop;
    Loop* loop_ = nullptr;
    std::pair<Time, std::uint64_t> key_;
  };

  // Throws Code::kSystemCall.
  Loop();

  // `events` as epoll has them, level-triggered. Throws Code::kSystemCall.
  [[nodiscard]] Watch watch(int fd, std::uint32_t events, OnReady on_ready);
  // At a time of now()'s clock, or as soon as possible if that has passed; never for kNever.
  [[nodiscard]] Timer at(Time when, Task task);
  // Once no handler is running: for what a handler cannot do to itself, such as ending its object.
  void later(Task task) { later_.push_back(std::move(task)); }

  // Until stop() is called.
  void run();
  void stop() { is_stopped_ = true; }

 private:
  struct Entry {
    int fd = -1;
    std::shared_ptr<OnReady> on_ready;  // shared: it may end its own watch
  };

  void run_later();
  void run_timers();
  void arm();

  os::Fd epoll_;
  os::Fd timer_;  // CLOCK_BOOTTIME: leases run on while the machine sleeps
  Time armed_for_ = kNever;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, Entry> watches_;
  std::map<std::pair<Time, std::uint64_t>, Task> timers_;
  std::vector<Task> later_;
  bool is_stopped_ = false;
};

}  // namespace cni::dhcp
