// The runtime side of CNI: attach containers to networks, check and detach them, and clean up.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/cache.hpp"
#include "libcni/cancellation.hpp"
#include "libcni/network.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/skel/restoration.hpp"
#include "pkg/skel/update.hpp"
#include "pkg/types/config.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/result.hpp"

namespace cni::libcni {

// The container's end of an attachment.
struct ContainerInterface {
  std::string container_id;
  std::string netns;  // path of the network namespace; may be empty for DEL
  std::string ifname;
  Arguments arguments;  // handed to all plugins as CNI_ARGS
  std::string
      capability_args;  // a JSON object; each plugin gets those whose capability it declares
};

// The container's end of a remembered attachment, as it was for its add.
ContainerInterface interface_of(const CachedAttachment& attachment);

// W3C trace context of the caller, for plugins that report spans. Without a parent the process's
// own environment is handed on as it is.
struct Trace {
  std::string parent;   // TRACEPARENT: 00-<32 hex digits>-<16 hex digits>-<2 hex digits>
  std::string state;    // TRACESTATE
  std::string baggage;  // BAGGAGE
};

// One run of one plugin.
struct PluginRun {
  std::string type;
  skel::Command command;
  std::chrono::nanoseconds duration;
  const Error* error;  // null: it succeeded; valid during the call only
};

struct CallOptions {
  // For each plugin; it is killed with all that it runs when the time is over. 0: no limit.
  std::chrono::milliseconds timeout{0};
  const Cancellation* cancellation = nullptr;
  Trace trace;
  // Called after each plugin, in the thread of the call.
  std::function<void(const PluginRun&)> on_run;
  // A failed add deletes what it has added. Off for callers that send del themselves.
  bool undo_on_failure = true;
  // del goes on after a plugin that failed, and reports all failures.
  bool keep_going = false;
};

struct Attached {
  Result result;
  std::string json;  // the last plugin's result as it printed it, indented
};

struct PluginVersions {
  std::string current;                 // the version of the answer
  std::vector<std::string> supported;  // as the plugin lists them
};

// What reconcile made of one plugin of an attachment.
struct Reconciled {
  enum class State {
    kUnchanged,  // nothing was missing, or the plugin has nothing that it could restore
    kRestored,
    kFailed,
    kChecked,    // it does not know how, but its CHECK is content
    kUnchecked,  // it does not know how, and the network disables CHECK
  };
  std::string type;
  State state = State::kUnchanged;
  // False: a plugin of somebody else, which was asked for CHECK instead.
  bool knows_verb = false;
  std::vector<skel::Restored> restored;
  std::optional<Error> error;  // if it failed
};
// "unchanged", "restored", "failed", "checked", "unchecked".
std::string_view to_string(Reconciled::State state);

// What update changed of an attachment, or would change.
struct Update {
  struct Plugin {
    std::string type;
    std::vector<skel::Change> changes;
  };
  std::vector<Plugin> plugins;  // those that have something to change, in the order of the chain
  std::string json;             // the attachment's result, indented; empty for a trial
};

enum class Trial { kNo, kYes };

struct RuntimeSettings {
  std::vector<std::string> plugin_folders;  // searched in this order
  std::string cache_folder = std::string(Cache::kDefaultFolder);
  // What plugins inherit, CNI_ variables set over it; the process's own if empty.
  std::vector<std::string> environment;
  int err = 2;  // receives what successful plugins say on stderr; -1: nobody
};

// All functions run plugins in the calling thread and wait for them. One instance serves any number
// of threads, as long as no two of them work on the same attachment, and none adds or deletes while
// another runs gc (CNI specification 1.1.0, "Lifecycle & Ordering").
//
// A plugin's own error is thrown with its code, message and details. One that died without is
// Code::kDelegateFailed, with its exit status or signal and the end of its stderr. The details say
// which network, container and interface it was about.
class Runtime {
 public:
  explicit Runtime(RuntimeSettings settings);

  // Runs ADD of all plugins in order and keeps the result in the cache. If one fails, those that
  // ran, that one included, get a DEL in reverse order, unless the options say otherwise or the
  // attachment is in the cache already: the DEL would take away what an earlier add made. Throws
  // `plugin type="T" failed (add): ...`; failures of the undoing are in the details.
  Attached add(const Network& network, const ContainerInterface& where,
               const CallOptions& options = {}) const;

  // Runs CHECK of all plugins in order, with the cached result. Does nothing if the network
  // disables it. Throws the first failure, and `configuration version "V" does not support the
  // CHECK command` before version 0.4.0.
  void check(const Network& network, const ContainerInterface& where,
             const CallOptions& options = {}) const;

  // Restores the packet filter rules that others removed: runs RECONCILE, a verb of ours, of all
  // plugins in order, with the cached result. A plugin that does not know it gets a CHECK instead,
  // and nothing of it is changed. Goes on after a failure. Empty if the attachment is not in the
  // cache (any more). Throws before version 0.4.0, and if the cached result cannot be used.
  std::vector<Reconciled> reconcile(const Network& network, const ContainerInterface& where,
                                    const CallOptions& options = {}) const;

  // Changes a running attachment from the configuration, arguments and capability arguments that
  // the cache remembers to these, without deleting it: runs UPDATE, a verb of ours, of the plugins
  // whose configuration differs. All of them are asked first whether they can (Code::kCannotUpdate
  // if one cannot, or does not know the verb); if one fails nevertheless, those that had changed
  // something change it back, and what could not be changed back is in the details. The cache then
  // holds the new configuration. For a trial nothing is changed. Throws before version 0.4.0, and
  // Code::kUnknownContainer if the attachment is not in the cache.
  Update update(const Network& network, const ContainerInterface& where, Trial trial,
                const CallOptions& options = {}) const;

  // Runs DEL of all plugins in reverse order, with the cached result, and forgets the attachment. A
  // cache that cannot be read is no obstacle. Stops at the first failure (`plugin type="T" failed
  // (delete): ...`) and keeps the cache then, so that it can be called again.
  void del(const Network& network, const ContainerInterface& where,
           const CallOptions& options = {}) const;

  // Deletes the network's cached attachments that are not in the list, each with the namespace and
  // arguments of its ADD, then runs GC of all plugins if the version has it. Goes on after failures
  // and throws them all. Does nothing if the network disables it.
  void gc(const Network& network, const std::vector<Attachment>& valid,
          const CallOptions& options = {}) const;

  // What gc would delete: the network's cached attachments that are not in the list.
  std::vector<CachedAttachment> stale_attachments(const Network& network,
                                                  const std::vector<Attachment>& valid) const;

  // Runs STATUS of all plugins in order and throws the first failure, with its code: 50 and 51 say
  // that add cannot work. Does nothing before version 1.1.0.
  void status(const Network& network, const CallOptions& options = {}) const;

  // Demands that every plugin is there and speaks exactly the network's version; throws all
  // objections as one. Returns the capabilities that its plugins declare, sorted.
  std::vector<std::string> validate(const Network& network, const CallOptions& options = {}) const;

  // What a plugin says to VERSION.
  PluginVersions version(std::string_view type, const CallOptions& options = {}) const;

  // The first of the plugin folders with a regular file of that name. Throws `failed to find plugin
  // "T" in path [...]`.
  std::string find_plugin(std::string_view type) const;

  const Cache& cache() const { return cache_; }

 private:
  RuntimeSettings settings_;
  Cache cache_;
};

}  // namespace cni::libcni
