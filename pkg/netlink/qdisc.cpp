#include "pkg/netlink/qdisc.hpp"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <vector>

#include "pkg/netlink/message.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

constexpr std::uint32_t kMaxU32 = std::numeric_limits<std::uint32_t>::max();
constexpr TcHandle kFirst = tc_handle(1);
// Packets that no class has to shape are not to be dropped while others are shaped.
constexpr std::uint32_t kDirectQueueLength = 1000;
// htb serves the classes of one level in turn, this much at a time. There is one class, so that it
// means nothing; without a value the kernel complains of most rates in its log.
constexpr std::uint32_t kQuantum = 60000;

struct KernelOption {
  std::string_view kind;
  std::string_view option;
};
constexpr std::array kKernelOptions = {KernelOption{"tbf", "CONFIG_NET_SCH_TBF"},
                                       KernelOption{"htb", "CONFIG_NET_SCH_HTB"},
                                       KernelOption{"fq_codel", "CONFIG_NET_SCH_FQ_CODEL"},
                                       KernelOption{"bfifo", "CONFIG_NET_SCH_FIFO"},
                                       KernelOption{"ingress", "CONFIG_NET_SCH_INGRESS"}};

Error no_support(std::string_view kind, const Error& refused) {
  for (const KernelOption& row : kKernelOptions) {
    if (row.kind != kind) continue;
    Error error(Code::kMissingKernelFeature,
                cat("the kernel has no ", kind, " support (", row.option, ")"), refused.details,
                refused.sys_errno);
    return error;
  }
  return refused;
}

tcmsg header_of(LinkIndex link, TcHandle handle, TcHandle parent) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(link);
  header.tcm_handle = static_cast<std::uint32_t>(handle);
  header.tcm_parent = static_cast<std::uint32_t>(parent);
  return header;
}

Message new_object(int type, int flags, const tcmsg& header, std::string_view kind) {
  Message message(type, flags);
  message.header(header).put_string(TCA_KIND, kind);
  return message;
}

Message new_qdisc(const tcmsg& header, std::string_view kind) {
  return new_object(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, header, kind);
}

std::string describe(std::string_view operation, std::string_view kind, LinkIndex link) {
  return cat(operation, " qdisc ", kind, " of link ", static_cast<int>(link));
}

// The parents that we name exist, so that ENOENT is the kind.
void create(Socket& socket, Message& message, std::string_view kind, LinkIndex link) {
  try {
    socket.request(message, describe("add", kind, link));
  } catch (const Error& error) {
    if (error.sys_errno == ENOENT) throw no_support(kind, error);
    throw;
  }
}

// The rate as the kernel's older field has it; the newer one counts where it is there.
tc_ratespec ratespec_of(std::uint64_t rate) {
  tc_ratespec out{};
  out.rate = static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, kMaxU32));
  return out;
}

void put_rate64(Message& message, int type, std::uint64_t rate) {
  if (rate > kMaxU32) message.put(type, &rate, sizeof rate);
}

void put_tbf(Message& message, const Tbf& tbf) {
  tc_tbf_qopt options{};
  options.rate = ratespec_of(tbf.rate);
  options.limit = tbf.limit;
  options.buffer = tbf.buffer;
  message.nest(TCA_OPTIONS, [&](Message& nested) {
    nested.put(TCA_TBF_PARMS, &options, sizeof options);
    put_rate64(nested, TCA_TBF_RATE64, tbf.rate);
  });
}

void put_htb_class(Message& message, const HtbClass& htb_class) {
  tc_htb_opt options{};
  options.rate = options.ceil = ratespec_of(htb_class.rate);
  options.buffer = options.cbuffer = htb_class.buffer;
  options.quantum = kQuantum;
  message.nest(TCA_OPTIONS, [&](Message& nested) {
    nested.put(TCA_HTB_PARMS, &options, sizeof options);
    put_rate64(nested, TCA_HTB_RATE64, htb_class.rate);
    put_rate64(nested, TCA_HTB_CEIL64, htb_class.rate);
  });
}

template <class T>
std::optional<T> value_of(std::string_view bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::uint64_t rate_of(const tc_ratespec& spec, const Attributes& options, int type64) {
  return value_of<std::uint64_t>(options.bytes(type64)).value_or(spec.rate);
}

Qdisc read_qdisc(const nlmsghdr* message) {
  const auto& header = body_of<tcmsg>(message);
  const Attributes attributes(message, sizeof header, TCA_MAX);
  Qdisc out;
  out.kind = attributes.text(TCA_KIND);
  out.handle = TcHandle{header.tcm_handle};
  if (out.kind == "tbf") {
    const Attributes options = attributes.nested(TCA_OPTIONS, TCA_TBF_MAX);
    if (const auto parameters = value_of<tc_tbf_qopt>(options.bytes(TCA_TBF_PARMS))) {
      out.tbf = Tbf{.rate = rate_of(parameters->rate, options, TCA_TBF_RATE64),
                    .limit = parameters->limit,
                    .buffer = parameters->buffer};
    }
  } else if (out.kind == "htb") {
    const Attributes options = attributes.nested(TCA_OPTIONS, TCA_HTB_MAX);
    if (const auto parameters = value_of<tc_htb_glob>(options.bytes(TCA_HTB_INIT))) {
      out.htb_default = parameters->defcls;
    }
  }
  return out;
}

bool is_absence(int error) { return error == ENOENT || error == ENODEV; }

// Asks for one object. Kernels before 6.5 answer as they notify: only with the echo flag does the
// one who asks get it, and nothing comes for a discipline of the kernel's own.
void get_object(Socket& socket, int type, const tcmsg& header, std::string_view operation,
                const Socket::OnMessage& on_reply) {
  Message message(type, NLM_F_ECHO | NLM_F_ACK);
  message.header(header);
  try {
    socket.get(message, operation, on_reply);
  } catch (const Error& error) {
    if (!is_absence(error.sys_errno)) throw;
  }
}

}  // namespace

PacketClock PacketClock::read() {
  const auto text = os::read_file("/proc/thread-self/net/psched");
  std::array<std::uint32_t, 2> numbers{};
  const char* at = text ? text->data() : nullptr;
  const char* const end = text ? at + text->size() : nullptr;
  for (std::uint32_t& number : numbers) {
    while (at != end && *at == ' ') ++at;
    at = std::from_chars(at, end, number, 16).ptr;
  }
  if (numbers[0] == 0 || numbers[1] == 0) return {};
  return {numbers[0], numbers[1]};
}

void add_tbf(Socket& socket, LinkIndex link, const Tbf& tbf) {
  Message message = new_qdisc(header_of(link, kFirst, TcHandle::kRoot), "tbf");
  put_tbf(message, tbf);
  create(socket, message, "tbf", link);
}

void change_tbf(Socket& socket, LinkIndex link, const Tbf& tbf) {
  Message message = new_object(RTM_NEWQDISC, 0, header_of(link, kFirst, TcHandle::kRoot), "tbf");
  put_tbf(message, tbf);
  socket.request(message, describe("change", "tbf", link));
}

void add_htb(Socket& socket, LinkIndex link, std::uint16_t default_minor) {
  Message message = new_qdisc(header_of(link, kFirst, TcHandle::kRoot), "htb");
  tc_htb_glob options{};
  options.version = 3;  // the only one there is
  options.rate2quantum = 10;
  options.defcls = default_minor;
  message.nest(TCA_OPTIONS, [&](Message& nested) {
    nested.put(TCA_HTB_INIT, &options, sizeof options)
        .put_u32(TCA_HTB_DIRECT_QLEN, kDirectQueueLength);
  });
  create(socket, message, "htb", link);
}

void add_htb_class(Socket& socket, LinkIndex link, TcHandle id, const HtbClass& htb_class) {
  Message message =
      new_object(RTM_NEWTCLASS, NLM_F_CREATE | NLM_F_EXCL, header_of(link, id, kFirst), "htb");
  put_htb_class(message, htb_class);
  socket.request(message, cat("add htb class of link ", static_cast<int>(link)));
}

void change_htb_class(Socket& socket, LinkIndex link, TcHandle id, const HtbClass& htb_class) {
  Message message = new_object(RTM_NEWTCLASS, 0, header_of(link, id, kFirst), "htb");
  put_htb_class(message, htb_class);
  socket.request(message, cat("change htb class of link ", static_cast<int>(link)));
}

std::optional<HtbClass> find_htb_class(Socket& socket, LinkIndex link, TcHandle id) {
  std::optional<HtbClass> out;
  get_object(socket, RTM_GETTCLASS, header_of(link, id, TcHandle::kNone),
             cat("look up htb class of link ", static_cast<int>(link)), [&](const nlmsghdr* reply) {
               const Attributes attributes(reply, sizeof(tcmsg), TCA_MAX);
               if (attributes.text(TCA_KIND) != "htb") return;
               const Attributes options = attributes.nested(TCA_OPTIONS, TCA_HTB_MAX);
               const auto parameters = value_of<tc_htb_opt>(options.bytes(TCA_HTB_PARMS));
               if (!parameters) return;
               out = HtbClass{.rate = rate_of(parameters->rate, options, TCA_HTB_RATE64),
                              .buffer = parameters->buffer};
             });
  return out;
}

void add_fq_codel(Socket& socket, LinkIndex link, TcHandle parent) {
  Message message = new_qdisc(header_of(link, TcHandle::kNone, parent), "fq_codel");
  create(socket, message, "fq_codel", link);
}

void add_fifo(Socket& socket, LinkIndex link, TcHandle parent, std::uint32_t limit) {
  Message message = new_qdisc(header_of(link, TcHandle::kNone, parent), "bfifo");
  const tc_fifo_qopt options{.limit = limit};
  message.put(TCA_OPTIONS, &options, sizeof options);
  create(socket, message, "bfifo", link);
}

void add_ingress_qdisc(Socket& socket, LinkIndex link) {
  Message message = new_qdisc(header_of(link, kIngressQdisc, TcHandle::kIngress), "ingress");
  message.nest(TCA_OPTIONS, [](Message&) {});
  create(socket, message, "ingress", link);
}

std::optional<Qdisc> find_qdisc(Socket& socket, LinkIndex link, TcHandle parent) {
  std::optional<Qdisc> out;
  get_object(socket, RTM_GETQDISC, header_of(link, TcHandle::kNone, parent),
             cat("look up the qdisc of link ", static_cast<int>(link)),
             [&](const nlmsghdr* reply) { out = read_qdisc(reply); });
  // The kernel's own choice has no handle.
  if (out && out->handle == TcHandle::kNone) out.reset();
  return out;
}

bool remove_qdisc(Socket& socket, LinkIndex link, TcHandle parent) {
  Message message(RTM_DELQDISC, 0);
  message.header(header_of(link, TcHandle::kNone, parent));
  try {
    socket.request(message, cat("delete the qdisc of link ", static_cast<int>(link)));
    return true;
  } catch (const Error& error) {
    if (is_absence(error.sys_errno)) return false;
    throw;
  }
}

}  // namespace cni::netlink
