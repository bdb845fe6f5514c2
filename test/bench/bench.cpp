// cni_bench: measures plugins side by side with those of another folder. Run through
// test/bench/run, which makes the namespaces.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "test/bench/report.hpp"
#include "test/bench/scenarios.hpp"

namespace {

struct Arguments {
  bench::Options options;
  bool json = false;
  bool complete = false;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--ours") out.options.ours = value;
    if (name == "--reference" && *value != '\0') out.options.reference = value;
    if (name == "--empty-program") out.options.empty_program = value;
    if (name == "--state") out.options.state = value;
    if (name == "--only") out.options.only = value;
    if (name == "--nft-only-path") out.options.nft_only_path = value;
    if (name == "--rounds")
      out.options.rounds = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    if (name == "--form") out.json = std::strcmp(value, "json") == 0;
  }
  out.complete = !out.options.ours.empty() && !out.options.state.empty() &&
                 !out.options.empty_program.empty() && out.options.rounds > 0;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (!arguments.complete) {
    (void)std::fputs("cni_bench: is started by test/bench/run\n", stderr);
    return 1;
  }
  try {
    const auto rows = bench::run_scenarios(arguments.options);
    (void)std::fputs((arguments.json ? as_json(rows) : as_markdown(rows)).c_str(), stdout);
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "cni_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
