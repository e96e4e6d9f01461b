/*
 * blixard: one program. Its first word decides what it is: the node, a job of its image store, or the
 * command line.
 */
#include <string.h>

#include "cli/cli.h"
#include "daemon/up.h"
#include "image/job.h"
#include "wire/json.h"

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    json_setup();
    if (strcmp(word, JOB_ARGUMENT) == 0 && argc == 5)
        return job_main(argc - 2, argv + 2);
    return cli_main(argc, argv, up);
}
