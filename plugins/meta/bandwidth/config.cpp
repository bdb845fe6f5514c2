#include "plugins/meta/bandwidth/config.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>

#include "pkg/types/error.hpp"

namespace cni::bandwidth {
namespace {

constexpr unsigned kBitsOfOctet = 8;
constexpr std::uint32_t kMaxLatency = 10'000;  // ms
// What the kernel's fields hold, less one, as the reference has it.
constexpr std::uint64_t kMaxBurst = std::numeric_limits<std::uint32_t>::max() - 1ULL;

constexpr std::array kQueues = {Choice<Queue>{"tbf", Queue::kTbf},
                                Choice<Queue>{"htb", Queue::kHtb}};

// As they are written; absent differs from 0.
struct LimitKeys {
  std::optional<std::uint64_t> ingress_rate;
  std::optional<std::uint64_t> ingress_burst;
  std::optional<std::uint64_t> egress_rate;
  std::optional<std::uint64_t> egress_burst;
};

struct ConfigKeys {
  std::optional<std::uint64_t> ingress_rate;
  std::optional<std::uint64_t> ingress_burst;
  std::optional<std::uint64_t> egress_rate;
  std::optional<std::uint64_t> egress_burst;
  std::optional<Queue> queue;
  std::optional<std::uint32_t> latency;
  std::vector<Reader> shaped;
  std::vector<Reader> unshaped;
  LimitKeys runtime;
};

constexpr std::string_view kIngressRate =
    "Bits a second towards the container; 0 is no limit. At least 8.";
constexpr std::string_view kIngressBurst =
    "Bits that pass at once after a pause; by default what the rate passes in 40 milliseconds.";
constexpr std::string_view kEgressRate =
    "Bits a second from the container; 0 is no limit. At least 8.";

template <class Keys>
consteval auto ingress_rate_key() {
  return schema::key<&Keys::ingress_rate>("ingressRate", kIngressRate, {.minimum = 0});
}
template <class Keys>
consteval auto ingress_burst_key() {
  return schema::key<&Keys::ingress_burst>("ingressBurst", kIngressBurst, {.minimum = 0});
}
template <class Keys>
consteval auto egress_rate_key() {
  return schema::key<&Keys::egress_rate>("egressRate", kEgressRate, {.minimum = 0});
}
template <class Keys>
consteval auto egress_burst_key() {
  return schema::key<&Keys::egress_burst>("egressBurst", kIngressBurst, {.minimum = 0});
}

constexpr auto kLimitKeys =
    schema::keys<LimitKeys>(ingress_rate_key<LimitKeys>(), ingress_burst_key<LimitKeys>(),
                            egress_rate_key<LimitKeys>(), egress_burst_key<LimitKeys>());
constexpr schema::Table<LimitKeys> kLimitTable(kLimitKeys);

// The runtime's keys, read into a struct of their own.
constexpr auto kRuntimeKeys =
    schema::keys<ConfigKeys>(schema::object<&ConfigKeys::runtime, kLimitTable>(
        "bandwidth",
        "The limits of this attachment, unless the configuration has some of its own."));
constexpr auto kRuntimeTable = schema::open(schema::Table<ConfigKeys>(kRuntimeKeys));

void read_queue(const Reader& in, std::string_view name, ConfigKeys& out) {
  Queue queue = Queue::kTbf;
  const std::span<const Choice<Queue>> table(kQueues);
  if (in.choice(name, queue, table, "queueing discipline")) out.queue = queue;
}

constexpr std::array<std::string_view, 2> kQueueNames = {"tbf", "htb"};

constexpr auto kKeys = schema::keys<ConfigKeys>(
    ingress_rate_key<ConfigKeys>(), ingress_burst_key<ConfigKeys>(), egress_rate_key<ConfigKeys>(),
    egress_burst_key<ConfigKeys>(),
    schema::by<ConfigKeys, read_queue>(
        {.name = "qdisc",
         .about = "What queues: a plain queue, or htb with a fair one that keeps delays short.",
         .type = schema::Type::kString,
         .details = {.fallback = R"("tbf")", .choices = kQueueNames}}),
    schema::key<&ConfigKeys::latency>("latency",
                                      "Milliseconds that a packet waits at most; of tbf only.",
                                      {.fallback = "25", .minimum = 1, .maximum = kMaxLatency}),
    schema::elements<&ConfigKeys::shaped>(
        "shapedSubnets", "Networks whose traffic alone is limited. With htb.",
        schema::Type::kString, {.format = schema::Format::kPrefix}),
    schema::elements<&ConfigKeys::unshaped>(
        "unshapedSubnets", "Networks whose traffic is not limited. With htb.",
        schema::Type::kString, {.format = schema::Format::kPrefix}),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability bandwidth.",
                   kRuntimeTable));
constexpr schema::Table<ConfigKeys> kTable(kKeys);

Error invalid(std::string message) { return {Code::kInvalidNetworkConfig, std::move(message)}; }

Limit limit_of(std::string_view direction, const std::optional<std::uint64_t>& rate,
               const std::optional<std::uint64_t>& burst) {
  const Limit out{.rate = rate.value_or(0), .burst = burst.value_or(0)};
  if (out.rate == 0 && out.burst != 0) {
    throw invalid(cat("if burst is set, rate must also be set: there is ", direction,
                      "Burst without ", direction, "Rate"));
  }
  if (out.burst / kBitsOfOctet > kMaxBurst) {
    throw invalid(
        cat("burst cannot be more than 4GB: ", direction, "Burst is ", out.burst, " bits"));
  }
  if (out.rate != 0 && out.rate < kBitsOfOctet) {
    throw invalid(cat(direction, "Rate: ", out.rate,
                      " bits a second are less than the least that can be kept, which is 8"));
  }
  return out;
}

template <class Keys>
void take_limits(const Keys& keys, Config& out) {
  out.ingress = limit_of("ingress", keys.ingress_rate, keys.ingress_burst);
  out.egress = limit_of("egress", keys.egress_rate, keys.egress_burst);
}

void take_networks(const std::vector<Reader>& texts, Config& out) {
  for (const Reader& text : texts) {
    const auto prefix = Prefix::parse(text.text());
    if (!prefix) {
      throw invalid(
          cat(text.path(), ": ", quote(text.text()), " is not an address with prefix length"));
    }
    const Prefix network = prefix->network();
    const auto found = std::find(out.networks.begin(), out.networks.end(), network);
    if (found == out.networks.end()) out.networks.push_back(network);
  }
}

void take_queue(const ConfigKeys& keys, Config& out) {
  if (!out.networks.empty() && keys.queue == Queue::kTbf) {
    throw invalid(
        "qdisc: tbf cannot tell networks apart: shapedSubnets and unshapedSubnets need "
        "\"htb\", which they get if qdisc is left out");
  }
  if (keys.queue == Queue::kHtb || !out.networks.empty()) out.queue = Queue::kHtb;
  if (!keys.latency) return;
  if (out.queue == Queue::kHtb) {
    throw invalid("latency: only tbf has it; the queue of htb keeps delays short by itself");
  }
  if (*keys.latency < 1 || *keys.latency > kMaxLatency) {
    throw invalid(cat("latency: ", *keys.latency, " milliseconds are not from 1 to ", kMaxLatency));
  }
  out.latency = *keys.latency;
}

Config validated(const ConfigKeys& keys) {
  Config out;
  // The configuration's own keys win as a whole, as in the reference.
  const bool has_own =
      keys.ingress_rate || keys.ingress_burst || keys.egress_rate || keys.egress_burst;
  if (has_own) {
    take_limits(keys, out);
  } else {
    take_limits(keys.runtime, out);
  }
  if (!keys.shaped.empty() && !keys.unshaped.empty()) {
    throw invalid("shapedSubnets and unshapedSubnets exclude each other");
  }
  out.is_excluded = !keys.unshaped.empty();
  take_networks(out.is_excluded ? keys.unshaped : keys.shaped, out);
  take_queue(keys, out);
  return out;
}

}  // namespace

constinit const schema::Description kDescription{
    .about =
        "Limits how much a container's interface sends and receives, behind a plugin that "
        "has made it.",
    .keys = &kTable};

Config parse(const skel::Request& request) {
  return context("failed to parse network configuration", [&] {
    ConfigKeys keys;
    schema::read(request.config.root(), kTable, keys);
    return validated(keys);
  });
}

}  // namespace cni::bandwidth
