/*
 * blixard-helper: the process that has the rights. A program of its own, so that nothing runs as root
 * that it does not need: no TLS, no HTTP, no consensus.
 */
#include "host/helper.h"
#include "host/serve.h"

int main(void)
{
    return helper_main(HELPER_FD);
}
