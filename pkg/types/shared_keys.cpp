#include "pkg/types/shared_keys.hpp"

#include "pkg/types/version.hpp"

namespace cni {
namespace {

constexpr auto kDnsKeys = schema::keys<Dns>(
    schema::key<&Dns::nameservers>("nameservers", "Addresses of the name servers, best first."),
    schema::key<&Dns::domain>("domain", "The local domain, which short names are looked up in."),
    schema::key<&Dns::search>("search", "Domains that short names are looked up in, in order."),
    schema::key<&Dns::options>("options", "Options of the resolver, as in resolv.conf."));

constexpr auto kRouteKeys = schema::keys<Route>(
    schema::key<&Route::destination>("dst", "The destination, with prefix length.",
                                     {.required = true}),
    schema::key<&Route::gateway>("gw",
                                 "The next hop; by default the gateway of the address of the same "
                                 "family."),
    schema::key<&Route::mtu>("mtu", "The path MTU, in octets.", {.fallback = "0"}),
    schema::key<&Route::advmss>("advmss", "The TCP segment size to advertise, in octets.",
                                {.fallback = "0"}),
    schema::key<&Route::priority>("priority", "The metric; of equal routes the lowest is used.",
                                  {.fallback = "0"}),
    schema::key<&Route::table>("table", "The routing table; by default the main one."),
    schema::key<&Route::scope>("scope", "The scope: 0 global, 253 link, 254 host."));

constexpr auto kIdentityKeys = schema::keys<NetConf>(
    schema::key<&NetConf::name>("name", "The network's name: letters, digits, and \"_.-\".",
                                {.format = schema::Format::kNetworkName}),
    schema::key<&NetConf::cni_version>(
        "cniVersion", "The version of the CNI specification that the configuration is written for.",
        {.fallback = R"("0.1.0")", .choices = kAllVersions}));

void read_capabilities(const Reader& in, std::string_view name, NetConf& /*out*/) {
  // The runtime acts on them; a plugin only demands that they are well-formed.
  std::map<std::string, bool> capabilities;
  in.optional(name, capabilities);
}

void read_shared_dns(const Reader& in, std::string_view name, NetConf& out) {
  const auto dns = in.object(name);
  if (!dns) return;
  const Dns value = read_dns(*dns);
  for (const schema::Key& key : kDnsKeys.keys) {
    if (dns->has(key.name)) out.dns = value;
  }
}

constexpr std::string_view kValidAttachments = "cni.dev/valid-attachments";

void read_attachments(const Reader& in, std::string_view name, NetConf& out) {
  // The first of the two spellings that is there counts.
  if (name != kValidAttachments && in.has(kValidAttachments)) return;
  for (const Reader& item : in.array(name)) {
    Attachment attachment;
    item.optional("containerID", attachment.container_id);
    item.optional("ifname", attachment.ifname);
    out.valid_attachments.push_back(std::move(attachment));
  }
}

constexpr auto kIpamKeys = schema::keys<NetConf>(schema::key<&NetConf::ipam_type>(
    "type", "The plugin that manages the addresses, for example host-local.",
    {.format = schema::Format::kPluginName}));
constexpr schema::Table<NetConf> kIpamTable = schema::open(schema::Table<NetConf>(kIpamKeys));

constexpr auto kSharedKeys = schema::keys<NetConf>(
    schema::key<&NetConf::type>("type", "The plugin: the name of its executable.",
                                {.format = schema::Format::kPluginName}),
    schema::by<NetConf, read_capabilities>(
        {.name = "capabilities",
         .about = "The arguments that the runtime shall give to the plugin in runtimeConfig: true "
                  "for each that is wanted.",
         .type = schema::Type::kObject}),
    schema::nested("ipam", "Address management.", kIpamTable),
    schema::by<NetConf, read_shared_dns>(
        {.name = "dns",
         .about = "DNS settings for the containers, for plugins that give them back.",
         .type = schema::Type::kObject,
         .object = &kDnsTable}),
    schema::described<NetConf>(
        {.name = "args",
         .about = "Arguments of the runtime or its user; those for plugins are below \"cni\".",
         .type = schema::Type::kObject}),
    schema::described<NetConf>(
        {.name = "runtimeConfig",
         .about = "Set by the runtime: the arguments of the capabilities that the plugin declares.",
         .type = schema::Type::kObject}),
    schema::by<NetConf, read_attachments>(
        {.name = kValidAttachments,
         .about = "Set by the runtime for GC: the attachments that are still in use.",
         .type = schema::Type::kObject,
         .lists = 1}),
    schema::by<NetConf, read_attachments>(
        {.name = "cni.dev/attachments",
         .about = "As cni.dev/valid-attachments, from older runtimes.",
         .type = schema::Type::kObject,
         .lists = 1,
         .details = {.deprecated = "write cni.dev/valid-attachments"}}),
    schema::described<NetConf>(
        {.name = "prevResult",
         .about = "Set by the runtime: the result of the plugins before this one.",
         .type = schema::Type::kObject}));

}  // namespace

constinit const schema::Table<Dns> kDnsTable(kDnsKeys);
constinit const schema::Table<Route> kRouteTable(kRouteKeys);
constinit const schema::Table<NetConf> kIdentityTable(kIdentityKeys);
constinit const schema::Table<NetConf> kSharedTable(kSharedKeys);

}  // namespace cni
