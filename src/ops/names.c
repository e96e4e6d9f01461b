#include "ops/names.h"

#include <stdio.h>

static const char *const tempers[] = {
    "able",   "airy",  "amber",  "bold",  "brave", "brief",  "bright", "brisk",  "calm",  "clear",
    "clever", "cosy",  "crisp",  "deep",  "early", "easy",   "fair",   "fast",   "fine",  "fresh",
    "gentle", "glad",  "golden", "grand", "green", "happy",  "hardy",  "honest", "jolly", "keen",
    "kind",   "light", "lively", "lucky", "merry", "mild",   "neat",   "nimble", "noble", "patient",
    "plain",  "proud", "quick",  "quiet", "rapid", "ready",  "round",  "sharp",  "shy",   "silent",
    "silver", "smart", "smooth", "snug",  "solid", "steady", "still",  "sunny",  "swift", "tidy",
    "warm",   "wise",  "witty",  "young",
};

static const char *const animals[] = {
    "adder", "badger", "bear",   "beaver", "bee",    "bison", "crane",   "crow",
    "deer",  "dove",   "duck",   "eagle",  "eel",    "elk",   "falcon",  "ferret",
    "finch", "fox",    "frog",   "gecko",  "goose",  "hare",  "hawk",    "heron",
    "horse", "ibis",   "jay",    "kite",   "koala",  "lark",  "lemur",   "lion",
    "llama", "lynx",   "marten", "mole",   "moose",  "moth",  "mouse",   "newt",
    "otter", "owl",    "panda",  "pike",   "pony",   "quail", "rabbit",  "raven",
    "robin", "salmon", "seal",   "shrew",  "sloth",  "snail", "sparrow", "stork",
    "swan",  "tiger",  "toad",   "trout",  "turtle", "viper", "wolf",    "wren",
};

enum { WORDS_ATTEMPTS = 4 };

void names_make(const uint8_t dice[8], unsigned attempt, char out[NAMES_MAX])
{
    const char *temper = tempers[dice[0] % ARRAY_COUNT(tempers)];
    const char *animal = animals[dice[1] % ARRAY_COUNT(animals)];
    if (attempt < WORDS_ATTEMPTS)
        (void)snprintf(out, NAMES_MAX, "%s-%s", temper, animal);
    else
        (void)snprintf(out, NAMES_MAX, "vm-%02x%02x%02x%02x%02x%02x", dice[2], dice[3], dice[4],
                       dice[5], dice[6], dice[7]);
}
