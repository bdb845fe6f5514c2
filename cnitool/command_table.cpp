#include "cnitool/command_table.hpp"

#include <algorithm>

#include "cnitool/commands.hpp"

namespace cni::cnitool {
namespace {

using Names = std::string_view;

constexpr Option kOptions[] = {
    {"ifname", 'i', "NAME", Complete::kNothing,
     "Name of the interface in the container (default: $CNI_IFNAME, or eth0)."},
    {"container-id", 0, "ID", Complete::kNothing,
     "Container ID (default: cnitool- and 20 digits of the hash of the namespace's path)."},
    {"args", 0, "K=V", Complete::kNothing,
     "Argument for all plugins, added to those of $CNI_ARGS; K=V;K2=V2 gives several. May be "
     "repeated."},
    {"capability", 0, "NAME=JSON", Complete::kNothing,
     "Argument for the plugins that declare this capability, added to those of $CAP_ARGS. May be "
     "repeated."},
    {"conf-dir", 0, "DIR", Complete::kFolder,
     "Folder with the networks (default: $NETCONFPATH, or /etc/cni/net.d)."},
    {"cni-path", 0, "DIRS", Complete::kFolder,
     "Folders with the plugins, separated by colons (default: $CNI_PATH, or /opt/cni/bin and the "
     "folder of cnitool)."},
    {"cache-dir", 0, "DIR", Complete::kFolder,
     "Folder in which attachments are remembered (default: /var/lib/cni)."},
    {"timeout", 0, "TIME", Complete::kNothing,
     "Kill a plugin that takes longer, with all that it runs; seconds, or for example 500ms "
     "(default: no limit)."},
    {"timing", 0, "", Complete::kNothing,
     "Show what each plugin and each of its delegates took: a table on stderr, or in the JSON "
     "document."},
    {"dry-run", 0, "", Complete::kNothing,
     "Check the names and find all plugins, show what would be run or changed, and change "
     "nothing."},
    {"keep-going", 0, "", Complete::kNothing,
     "Go on with the other plugins after one that failed, and report all failures."},
    {"valid", 0, "ID/IFNAME", Complete::kNothing,
     "An attachment that is to stay. May be repeated."},
    {"valid-from", 0, "FILE", Complete::kFile,
     "A file with an attachment that is to stay, ID/IFNAME, on each line; - is stdin."},
    {"all", 0, "", Complete::kNothing, "No attachment is to stay; do not ask."},
    {"gone", 0, "", Complete::kNothing,
     "Also delete the attachments whose network namespace is gone, with the plugins' DEL."},
    {"yes", 'y', "", Complete::kNothing, "Do not ask."},
    {"json", 0, "", Complete::kNothing,
     "Print one line of JSON on stdout, also for an error (code, msg, details)."},
    {"help", 'h', "", Complete::kNothing, "Explain the command."},
};

constexpr Names kCommonOptions[] = {"json", "help"};

constexpr Argument kNetwork{"NETWORK", true, Complete::kNetwork};
constexpr Argument kAttachment[] = {kNetwork, {"NETNS", true, Complete::kNetns}};
constexpr Argument kNetworkOnly[] = {kNetwork};
constexpr Argument kMaybeNetwork[] = {{"NETWORK", false, Complete::kNetwork}};
constexpr Argument kNetworks[] = {{"NETWORK", false, Complete::kNetwork, true}};
constexpr Argument kNetworkAndMore[] = {kNetwork, {"NETNS", false, Complete::kNetns}};
constexpr Argument kCached[] = {kNetwork, {"CONTAINER"}, {"IFNAME", false}};
constexpr Argument kShell[] = {{"SHELL", true, Complete::kShell}};
constexpr Argument kTopic[] = {{"COMMAND", false, Complete::kCommand}, {"COMMAND", false}};

constexpr Names kAddOptions[] = {"ifname",   "container-id", "args",    "capability", "conf-dir",
                                 "cni-path", "cache-dir",    "timeout", "timing",     "dry-run"};
constexpr Names kCheckOptions[] = {"ifname",   "container-id", "args",    "capability", "conf-dir",
                                   "cni-path", "cache-dir",    "timeout", "timing"};
constexpr Names kDelOptions[] = {"ifname",   "container-id", "args",    "capability", "conf-dir",
                                 "cni-path", "cache-dir",    "timeout", "timing",     "keep-going"};
constexpr Names kGcOptions[] = {"valid",     "valid-from", "all",        "conf-dir", "cni-path",
                                "cache-dir", "timeout",    "keep-going", "timing"};
constexpr Names kReconcileOptions[] = {"conf-dir", "cni-path", "cache-dir",
                                       "timeout",  "timing",   "dry-run"};
constexpr Names kCallOptions[] = {"conf-dir", "cni-path", "timeout", "timing"};
constexpr Names kFolders[] = {"conf-dir", "cni-path"};
constexpr Names kVersionOptions[] = {"conf-dir", "cni-path", "timeout"};
constexpr Names kCacheOptions[] = {"cache-dir"};
constexpr Names kPruneOptions[] = {"gone",      "yes",     "conf-dir",   "cni-path",
                                   "cache-dir", "timeout", "keep-going", "timing"};

constexpr Names kAddExamples[] = {
    "ip netns add x && cnitool add mynet /run/netns/x",
    "cnitool add ./my.conflist /proc/4711/ns/net -i net1 --timing",
    "cnitool add mynet /run/netns/x --capability 'ips=[\"10.22.0.9/16\"]' --args K8S_POD_NAME=p"};
constexpr Names kCheckExamples[] = {"cnitool check mynet /run/netns/x"};
constexpr Names kDelExamples[] = {"cnitool del mynet /run/netns/x",
                                  "cnitool del mynet /run/netns/gone --keep-going"};
constexpr Names kGcExamples[] = {"cnitool gc mynet --valid c1/eth0 --valid c2/eth0",
                                 "list-my-containers | cnitool gc mynet --valid-from -",
                                 "cnitool gc mynet --all"};
constexpr Names kReconcileExamples[] = {"firewall-cmd --reload && cnitool reconcile",
                                        "cnitool reconcile mynet --json"};
constexpr Names kUpdateExamples[] = {
    "cnitool update mynet /run/netns/x --dry-run",
    "cnitool update mynet /run/netns/x --capability 'bandwidth={\"egressRate\": 16000000}'"};
constexpr Names kStatusExamples[] = {"cnitool status mynet && echo ready"};
constexpr Names kVersionExamples[] = {"cnitool version mynet"};
constexpr Names kListExamples[] = {"cnitool list", "cnitool list --conf-dir ./net.d --json"};
constexpr Names kValidateExamples[] = {"cnitool validate ./my.conflist"};
constexpr Names kDoctorExamples[] = {
    "cnitool doctor mynet", "cnitool doctor --json | jq '.needs[] | select(.present | not)'"};
constexpr Names kLsExamples[] = {"cnitool cache ls"};
constexpr Names kShowExamples[] = {"cnitool cache show mynet cnitool-77383ca0a0715733ca6f eth0"};
constexpr Names kPruneExamples[] = {"cnitool cache prune --gone --yes"};
constexpr Names kCompletionExamples[] = {
    "cnitool completion bash >/etc/bash_completion.d/cnitool",
    "cnitool completion zsh >/usr/local/share/zsh/site-functions/_cnitool",
    "cnitool completion fish >~/.config/fish/completions/cnitool.fish"};
constexpr Names kHelpExamples[] = {"cnitool help add", "cnitool help cache prune"};

constexpr Command kCommands[] = {
    {.name = "add",
     .about = "Attach a network namespace to a network.",
     .arguments = kAttachment,
     .options = kAddOptions,
     .description =
         "Runs ADD of the network's plugins in order, remembers the result for the other commands, "
         "and prints it. If a plugin fails, or on SIGINT, SIGTERM and SIGHUP, what was added is "
         "deleted again.",
     .examples = kAddExamples,
     .run = add},
    {.name = "check",
     .about = "Check that an attachment is as add left it.",
     .arguments = kAttachment,
     .options = kCheckOptions,
     .description = "Runs CHECK of the network's plugins in order, with the result that add "
                    "remembered, and prints the first difference.",
     .examples = kCheckExamples,
     .run = check},
    {.name = "del",
     .about = "Detach a network namespace from a network.",
     .arguments = kAttachment,
     .options = kDelOptions,
     .description = "Runs DEL of the network's plugins in reverse order and forgets the "
                    "attachment. The namespace need not be there any more, and what is not "
                    "attached may be deleted too. After a failure the attachment stays "
                    "remembered, so that del can be tried again.",
     .examples = kDelExamples,
     .run = del},
    {.name = "gc",
     .about = "Remove what no attachment needs any more.",
     .arguments = kNetworkAndMore,
     .options = kGcOptions,
     .description =
         "Deletes the network's remembered attachments except those that are said to be valid, and "
         "runs GC of its plugins, which then remove what belongs to no valid attachment, such as "
         "addresses. Goes on after a failure.\n\nWithout --valid, --valid-from and --all it shows "
         "what it would delete, and asks; where nobody can be asked, it refuses.",
     .examples = kGcExamples,
     .run = gc},
    {.name = "reconcile",
     .about = "Put back packet filter rules that others removed.",
     .arguments = kNetworks,
     .options = kReconcileOptions,
     .description =
         "For all remembered attachments, or those of the named networks: looks whether their "
         "masquerade, published ports and firewall rules are in place, and adds what is missing; "
         "after a reload of firewalld or a flushed ruleset, for example. What is right is not "
         "touched, and neither are interfaces and addresses.\n\nPlugins that do not know how are "
         "asked for CHECK (\"checked\"), and nothing of theirs is changed. Attachments without a "
         "namespace are left out. Goes on after a failure; fails if something could not be "
         "restored or is not "
         "in order.",
     .examples = kReconcileExamples,
     .run = reconcile},
    {.name = "update",
     .about = "Change a running attachment to what its edited network says.",
     .arguments = kAttachment,
     .options = kAddOptions,
     .description =
         "Compares the network's configuration and the capability arguments with those that the "
         "attachment has, lets the plugins whose part differs change what can change of a running "
         "container (rates, published ports, firewall rules, kernel parameters, routes), and "
         "remembers the result. Open connections stay. If anything cannot change, nothing is "
         "changed, and the reason is printed; if a plugin fails, the others change back.\n\n"
         "Capability arguments that are not given stay as they are; NAME=null takes one away. "
         "--dry-run only shows what would change.",
     .examples = kUpdateExamples,
     .run = update},
    {.name = "status",
     .about = "Ask whether add could work.",
     .arguments = kNetworkAndMore,
     .options = kCallOptions,
     .description = "Runs STATUS of the network's plugins and prints why add could not work. "
                    "Networks before version 1.1.0 are not asked.",
     .examples = kStatusExamples,
     .run = status},
    {.name = "version",
     .about = "Show which versions of CNI a network's plugins support.",
     .arguments = kNetworkOnly,
     .options = kVersionOptions,
     .description = "Asks each plugin of the network, and the IPAM plugins. Fails if one does not "
                    "support the version that the network chose.",
     .examples = kVersionExamples,
     .run = version},
    {.name = "list",
     .about = "Show the networks of the folder and what is broken.",
     .arguments = {},
     .options = kFolders,
     .description = "Shows each network with its version, its plugins and its file; then what is "
                    "wrong: files that cannot be read, names that hide each other, plugins that "
                    "are not there. Runs nothing, and succeeds also if something is broken.",
     .examples = kListExamples,
     .run = list},
    {.name = "validate",
     .about = "Look for mistakes in a network's configuration.",
     .arguments = kNetworkOnly,
     .options = kVersionOptions,
     .description =
         "Shows everything that is wrong with a network or a file, each line with the place and "
         "what to do: misspelt and unknown keys, wrong types, ranges and addresses, keys that "
         "exclude each other, plugins that are not there, versions that a plugin does not support, "
         "and conflicts with the other networks of the folder. Fails if there is an error; "
         "warnings alone are none.",
     .examples = kValidateExamples,
     .run = validate},
    {.name = "doctor",
     .about = "Look whether this host has what the plugins need.",
     .arguments = kMaybeNetwork,
     .options = kFolders,
     .description =
         "Shows the kernel features, programs, kernel parameters and permissions that the plugins "
         "of a network need, or without one all that are in the plugin folders, and whether they "
         "are here. What only some configurations need has that under FOR; of a network it is "
         "needed or not shown. Fails if something is missing that is needed. Changes nothing, but "
         "the kernel may load modules.",
     .examples = kDoctorExamples,
     .run = doctor},
    {.name = "cache ls",
     .about = "Show the remembered attachments.",
     .arguments = {},
     .options = kCacheOptions,
     .description = "Shows network, container, interface, network namespace, whether the namespace "
                    "still exists, and the addresses; then the files that cannot be read.",
     .examples = kLsExamples,
     .run = cache_ls},
    {.name = "cache show",
     .about = "Show all that is remembered of an attachment.",
     .arguments = kCached,
     .options = kCacheOptions,
     .description = "IFNAME may be left out if the container has one interface in the network.",
     .examples = kShowExamples,
     .run = cache_show},
    {.name = "cache prune",
     .about = "Remove unreadable files, and attachments without a namespace.",
     .arguments = {},
     .options = kPruneOptions,
     .description = "Shows what it would remove, and asks; where nobody can be asked, it refuses.",
     .examples = kPruneExamples,
     .run = cache_prune},
    {.name = "completion",
     .about = "Print the completion script of a shell: bash, zsh or fish.",
     .arguments = kShell,
     .options = {},
     .description = "The script completes commands, options, and the networks of the folder.",
     .examples = kCompletionExamples,
     .run = completion},
    {.name = "help",
     .about = "Explain a command.",
     .arguments = kTopic,
     .options = {},
     .description = "The same as COMMAND --help.",
     .examples = kHelpExamples,
     .run = help},
    {.name = "__networks",
     .about = "Print the names of the networks, for completion.",
     .arguments = {},
     .options = kFolders,
     .description = {},
     .examples = {},
     .run = network_names,
     .hidden = true},
    {.name = "__manual",
     .about = "Print the manual page.",
     .arguments = {},
     .options = {},
     .description = {},
     .examples = {},
     .run = manual,
     .hidden = true},
};

constexpr Variable kVariables[] = {
    {"NETCONFPATH",
     "Folder with the networks. Without it and --conf-dir it is /etc/cni/net.d; if that holds no "
     "network and cnitool runs in its source tree, the examples there are taken."},
    {"CNI_PATH", "Folders with the plugins, separated by colons."},
    {"CNI_IFNAME", "Name of the interface in the container."},
    {"CNI_ARGS", "Arguments for all plugins: K=V;K2=V2."},
    {"CAP_ARGS", "Arguments for the plugins that declare a capability: a JSON object."},
    {"TMPDIR", "Folder for what --timing needs for a moment (default: /tmp)."},
    {"NO_COLOR", "If it is not empty, no colours, which otherwise are used on terminals."},
};

}  // namespace

std::span<const Option> all_options() { return kOptions; }
std::span<const Command> all_commands() { return kCommands; }
std::span<const Variable> all_variables() { return kVariables; }
std::span<const std::string_view> common_options() { return kCommonOptions; }

const Option* find_option(std::string_view name) {
  for (const Option& option : kOptions) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

const Option* find_option(char letter) {
  for (const Option& option : kOptions) {
    if (letter != 0 && option.letter == letter) return &option;
  }
  return nullptr;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

bool takes_option(const Command& command, const Option& option) {
  const auto has = [&](std::span<const std::string_view> names) {
    return std::find(names.begin(), names.end(), option.name) != names.end();
  };
  return has(command.options) || has(kCommonOptions);
}

}  // namespace cni::cnitool
