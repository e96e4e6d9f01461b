#include "ops/filter.h"
#include "pb/node.pb-c.h"
#include "pb/vm.pb-c.h"
#include "wire/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A filter that is taken can be asked about an empty object. */
static void try_filter(const ProtobufCMessageDescriptor *desc, struct str text)
{
    struct filter f;
    struct fault why = {0};
    enum status s = filter_parse(&f, desc, text, &why);
    ensure(s == ST_OK || (why.status == s && why.text[0]));
    AUTO(auto_proto_free) ProtobufCMessage *m = proto_new(desc);
    if (s == ST_OK)
        (void)filter_passes(&f, m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_filter(&pb__vm__descriptor, (struct str){(const char *)data, size});
    try_filter(&pb__node__descriptor, (struct str){(const char *)data, size});
    return 0;
}
