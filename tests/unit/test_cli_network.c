/* All that the command line does, over TLS and with a token. */
#define OVER_NETWORK
#include "test_cli.c"
