/*
 * up: `blixard up`, the node itself, from reading the configuration to its end.
 */
#pragma once

/* argv[0] is "up". Returns the exit code. */
int up_main(int argc, char **argv);
