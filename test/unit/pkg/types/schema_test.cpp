#include "pkg/types/schema.hpp"

#include <algorithm>

#include "pkg/types/shared_keys.hpp"
#include "schema/json_schema.hpp"
#include "test/support/json.hpp"

namespace cni {
namespace {

using nlohmann::json;

enum class Colour { kRed, kGreen };
constexpr std::array kColours = {Choice<Colour>{"red", Colour::kRed},
                                 Choice<Colour>{"green", Colour::kGreen}};

struct Part {
  Ip ip;
};

struct Config {
  bool flag = false;
  int number = 7;
  std::uint32_t size = 0;
  std::string text = "default";
  std::optional<Prefix> prefix;
  std::vector<std::string> words;
  Colour colour = Colour::kRed;
  std::vector<Part> parts;
  Part part;
  std::vector<std::vector<Reader>> later;
  std::string deep;
  int twice = 0;
};

void read_twice(const Reader& in, std::string_view name, Config& out) {
  if (in.optional(name, out.twice)) out.twice *= 2;
}

constexpr auto kPartKeys =
    schema::keys<Part>(schema::key<&Part::ip>("ip", "An address.", {.required = true}));
constexpr schema::Table<Part> kPartTable(kPartKeys);
constexpr auto kDeepKeys = schema::keys<Config>(schema::key<&Config::deep>("deep", "Below."));
constexpr auto kDeepTable = schema::open(schema::Table<Config>(kDeepKeys));

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::flag>("flag", "A flag."),
    schema::key<&Config::number>("number", "A number.", {.minimum = 1, .maximum = 9}),
    schema::key<&Config::size>("size", "A size.",
                               {.fallback = "0", .minimum = 68, .zero_is_default = true}),
    schema::key<&Config::text>("text", "A text.", {.fallback = R"("default")"}),
    schema::key<&Config::prefix>("prefix", "A prefix."),
    schema::key<&Config::words>("words", "Words."),
    schema::choice<&Config::colour, kColours>("colour", "A colour.", {.noun = "colour"}),
    schema::objects<&Config::parts, kPartTable>("parts", "Parts."),
    schema::object<&Config::part, kPartTable>("part", "A part."),
    schema::elements<&Config::later>("later", "Read later.", kPartTable),
    schema::nested("nested", "Has keys of its own.", kDeepTable),
    schema::by<Config, read_twice>(
        {.name = "twice", .about = "Doubled.", .type = schema::Type::kInteger}),
    schema::described<Config>({.name = "other", .about = "Read elsewhere."}));
constexpr schema::Rule kRules[] = {{.name = "flag-or-deep",
                                    .sentence = "flag and deep exclude each other",
                                    .first_condition = "flag",
                                    .second_condition = "nested.deep"},
                                   {.name = "in-code", .sentence = "what code checks"}};
constexpr schema::Table<Config> kTable(kKeys, kRules);

Config read(const json& document) {
  Config out;
  schema::read(Reader(document), kTable, out);
  return out;
}

std::string failure(const json& document) {
  try {
    (void)read(document);
    schema::check_rules(Reader(document), kTable);
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.what());
  }
  return "no error";
}

const json& written() {
  static const json kWritten = json::parse(schema_files::object_schema(kTable).dump());
  return kWritten;
}

}  // namespace

TEST_CASE("a table reads every key into its member") {
  const json document = json::parse(R"({"flag": true, "number": -3, "size": 1500, "text": "x",
      "prefix": "10.0.0.0/8", "words": ["a", "b"], "colour": "green", "parts": [{"ip": "10.0.0.1"}],
      "part": {"ip": "fd00::1"}, "later": [[{"ip": "10.0.0.2"}], []], "nested": {"deep": "y"},
      "twice": 21, "other": [1]})");
  const Config config = read(document);
  CHECK(config.flag);
  CHECK(config.number == -3);
  CHECK(config.size == 1500);
  CHECK(config.text == "x");
  CHECK(config.prefix->to_string() == "10.0.0.0/8");
  CHECK(config.words == std::vector<std::string>{"a", "b"});
  CHECK(config.colour == Colour::kGreen);
  REQUIRE(config.parts.size() == 1);
  CHECK(config.parts[0].ip.to_string() == "10.0.0.1");
  CHECK(config.part.ip.to_string() == "fd00::1");
  REQUIRE(config.later.size() == 2);
  REQUIRE(config.later[0].size() == 1);
  CHECK(config.later[0][0].path() == "later[0][0]");
  CHECK(config.deep == "y");
  CHECK(config.twice == 42);
}

TEST_CASE("absent keys leave the members of a table at their defaults") {
  const json document = {{"number", nullptr}};
  const Config config = read(document);
  CHECK(config.number == 7);
  CHECK(config.text == "default");
  CHECK_FALSE(config.prefix);
  CHECK(config.later.empty());
}

TEST_CASE("a table refuses values as the reader does") {
  CHECK(failure({{"flag", 1}}) == "6 flag: expected true or false, got the number 1");
  CHECK(failure({{"parts", {{{"ip", "x"}}}}}) ==
        "6 parts[0].ip: expected an IP address, got the string \"x\"");
  CHECK(failure({{"part", json::object()}}) == "7 part.ip: this key is required");
  CHECK(failure({{"later", {1}}}) == "6 later[0]: expected an array, got the number 1");
  CHECK(failure({{"nested", "x"}}) == "6 nested: expected an object, got the string \"x\"");
  CHECK(failure({{"colour", "blue"}}) == "7 unknown colour: \"blue\" (colour; known: red, green)");
}

TEST_CASE("a rule is broken when both of its conditions hold") {
  CHECK(failure({{"flag", true}, {"nested", {{"deep", "x"}}}}) ==
        "7 flag and deep exclude each other; flag is true and nested.deep is \"x\"");
  CHECK(failure({{"flag", true}}) == "no error");
  CHECK(failure({{"flag", true}, {"nested", {{"deep", ""}}}}) == "no error");
  CHECK(failure({{"nested", {{"deep", "x"}}}}) == "no error");
  CHECK(failure({{"FLAG", true}, {"Nested", {{"DEEP", "x"}}}}).starts_with("7 flag and deep"));
}

TEST_CASE("a schema says of each key what its row says") {
  const json& properties = written()["properties"];
  CHECK(properties["flag"] ==
        json::parse(R"({"description": "A flag.", "type": "boolean", "default": false})"));
  CHECK(properties["number"] == json::parse(R"({"description": "A number.", "type": "integer",
        "minimum": 1, "maximum": 9})"));
  CHECK(properties["size"]["anyOf"] ==
        json::parse(R"([{"const": 0}, {"minimum": 68, "maximum": 4294967295}])"));
  CHECK(properties["text"]["default"] == "default");
  CHECK(properties["prefix"]["format"] == "cni-prefix");
  CHECK(properties["words"]["items"] == json::parse(R"({"type": "string"})"));
  CHECK(properties["colour"]["enum"] == json::parse(R"(["red", "green"])"));
  CHECK(properties["later"]["items"]["items"]["required"] == json::parse(R"(["ip"])"));
  CHECK(properties["nested"]["properties"]["deep"]["type"] == "string");
  CHECK_FALSE(properties["nested"].contains("additionalProperties"));
  CHECK(properties["other"] == json::parse(R"({"description": "Read elsewhere."})"));
  CHECK(written()["additionalProperties"] == false);
}

TEST_CASE("a schema names the rules of its object") {
  const json& conflict = written()["allOf"][0];
  CHECK(conflict["errorMessage"] == "flag and deep exclude each other");
  CHECK(conflict["x-cni-conflict"] == json::parse(R"(["flag", "nested.deep"])"));
  CHECK(conflict["not"]["allOf"][1]["properties"]["nested"]["required"] ==
        json::parse(R"(["deep"])"));
  CHECK(written()["x-cni-rules"][0]["name"] == "in-code");
}

TEST_CASE("a plugin that describes itself has a sentence for each key") {
  std::size_t described = 0;
  for (const skel::Plugin* plugin : skel::all_plugins()) {
    INFO(plugin->name);
    if (plugin->description == nullptr) continue;
    ++described;
    CHECK(plugin->description->about.ends_with("."));
    if (plugin->description->keys == nullptr) continue;
    for (const schema::Key& key : plugin->description->keys->keys) {
      INFO(key.name);
      CHECK(key.about.ends_with("."));
      CHECK(std::isupper(static_cast<unsigned char>(key.about[0])));
    }
  }
  CHECK(described >= 6);
}

TEST_CASE("every reference of the schema files leads somewhere") {
  const auto files = schema_files::write_all(skel::all_plugins());
  std::size_t references = 0;
  for (const auto& [name, text] : files) {
    const std::string& file = name;
    // Every "$ref" of the text, wherever it stands.
    const json parsed =
        json::parse(text, [&](int /*depth*/, json::parse_event_t event, json& value) {
          if (event != json::parse_event_t::object_end || !value.contains("$ref")) return true;
          const auto reference = value["$ref"].get<std::string>();
          const std::size_t hash = std::min(reference.find('#'), reference.size());
          const std::string target = hash == 0 ? file : reference.substr(0, hash);
          INFO(file << " refers to " << reference);
          REQUIRE(files.contains(target));
          const std::string pointer = reference.substr(std::min(hash + 1, reference.size()));
          CHECK(json::parse(files.at(target)).contains(json::json_pointer(pointer)));
          ++references;
          return true;
        });
    CHECK(parsed.is_object());
  }
  CHECK(references >= 15);
}

}  // namespace cni
