/* The command line alone; the program `blixard` has it and the daemon. */
#include "cli/cli.h"
#include "wire/json.h"

int main(int argc, char **argv)
{
    json_setup();
    return cli_main(argc, argv, NULL);
}
