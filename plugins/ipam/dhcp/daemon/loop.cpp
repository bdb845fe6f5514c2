#include "plugins/ipam/dhcp/daemon/loop.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/daemon/log.hpp"

namespace cni::dhcp {
namespace {

// The timer's own descriptor; watches begin with 1.
constexpr std::uint64_t kTimerId = 0;

void control(const os::Fd& epoll, int operation, int fd, std::uint64_t id, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll.get(), operation, fd, &event) != 0) {
    throw system_error(cat("watch descriptor ", fd), errno);
  }
}

template <class Fn>
void guarded(Fn&& fn) {
  try {
    fn();
  } catch (const std::exception& error) {
    log(error.what());
  }
}

}  // namespace

Loop::Watch& Loop::Watch::operator=(Watch&& other) noexcept {
  if (this == &other) return *this;
  reset();
  loop_ = std::exchange(other.loop_, nullptr);
  id_ = other.id_;
  return *this;
}

void Loop::Watch::change(std::uint32_t events) {
  if (loop_ == nullptr) return;
  control(loop_->epoll_, EPOLL_CTL_MOD, loop_->watches_.at(id_).fd, id_, events);
}

void Loop::Watch::reset() {
  if (loop_ == nullptr) return;
  const auto entry = loop_->watches_.find(id_);
  if (entry != loop_->watches_.end()) {
    (void)::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_DEL, entry->second.fd, nullptr);
    loop_->watches_.erase(entry);
  }
  loop_ = nullptr;
}

Loop::Timer& Loop::Timer::operator=(Timer&& other) noexcept {
  if (this == &other) return *this;
  reset();
  loop_ = std::exchange(other.loop_, nullptr);
  key_ = other.key_;
  return *this;
}

void Loop::Timer::reset() {
  if (loop_ != nullptr) loop_->timers_.erase(key_);
  loop_ = nullptr;
}

Loop::Loop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)) {
  if (!epoll_ || !timer_) throw system_error("make an epoll and a timer descriptor", errno);
  control(epoll_, EPOLL_CTL_ADD, timer_.get(), kTimerId, EPOLLIN);
}

Loop::Watch Loop::watch(int fd, std::uint32_t events, OnReady on_ready) {
  Watch out;
  const std::uint64_t id = ++last_id_;
  watches_.emplace(id, Entry{fd, std::make_shared<OnReady>(std::move(on_ready))});
  out.loop_ = this;
  out.id_ = id;
  control(epoll_, EPOLL_CTL_ADD, fd, id, events);
  return out;
}

Loop::Timer Loop::at(Time when, Task task) {
  Timer out;
  if (when == kNever) return out;
  out.loop_ = this;
  out.key_ = {when, ++last_id_};
  timers_.emplace(out.key_, std::move(task));
  return out;
}

void Loop::run_later() {
  while (!later_.empty()) {
    std::vector<Task> tasks;
    tasks.swap(later_);
    for (const Task& task : tasks) guarded(task);
  }
}

void Loop::run_timers() {
  std::uint64_t expirations = 0;
  (void)!::read(timer_.get(), &expirations, sizeof expirations);  // nothing to read: not due yet
  armed_for_ = kNever;
  const Time at = now();
  // Tasks that these ask for in turn wait for the next round, so that descriptors get theirs.
  const std::uint64_t newest = last_id_;
  for (auto timer = timers_.begin(); timer != timers_.end() && timer->first.first <= at;
       timer = timers_.begin()) {
    if (timer->first.second > newest) return;
    const Task task = std::move(timer->second);
    timers_.erase(timer);
    guarded(task);
  }
}

void Loop::arm() {
  const Time when = timers_.empty() ? kNever : timers_.begin()->first.first;
  if (when == armed_for_) return;
  itimerspec setting{};
  if (when != kNever) {
    // A time of zero would disarm it.
    const Time at = std::max(when, Time(1));
    setting.it_value.tv_sec = static_cast<time_t>(at.count() / 1000);
    setting.it_value.tv_nsec = static_cast<long>(at.count() % 1000) * 1'000'000;
  }
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr) != 0) {
    throw system_error("set the timer", errno);
  }
  armed_for_ = when;
}

void Loop::run() {
  constexpr int kMostEvents = 64;
  std::array<epoll_event, kMostEvents> events{};
  while (!is_stopped_) {
    run_later();
    arm();
    const int count = ::epoll_wait(epoll_.get(), events.data(), kMostEvents, -1);
    if (count < 0 && errno != EINTR) throw system_error("wait for events", errno);
    for (int i = 0; i < count && !is_stopped_; ++i) {
      const epoll_event& event = events.at(static_cast<std::size_t>(i));
      if (event.data.u64 == kTimerId) {
        run_timers();
        continue;
      }
      // One before it may have ended it.
      const auto entry = watches_.find(event.data.u64);
      if (entry == watches_.end()) continue;
      const std::shared_ptr<OnReady> on_ready = entry->second.on_ready;
      guarded([&] { (*on_ready)(event.events); });
    }
  }
}

}  // namespace cni::dhcp
