#include "vmm/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qmp_message m;
    struct fault why;
    if (qmp_parse((struct str){(const char *)data, size}, &m, &why) == ST_OK)
        json_decref(m.whole);
    return 0;
}
