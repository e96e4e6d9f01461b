#include "ops/query.h"
#include "pb/api.pb-c.h"
#include "wire/check.h"
#include "wire/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void to_message(const struct query *q, const ProtobufCMessageDescriptor *desc)
{
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    struct fault why = {0};
    enum status s = query_message(q, desc, (const char *const[]){"project", NULL}, &m, &why);
    ensure((s == ST_OK) == (m != NULL));
    ensure(s == ST_OK || (why.status == s && why.text[0] && why.field[0]));
    if (m)
        (void)!check_message(m, CHECK_REQUEST, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct query q;
    if (query_parse(&q, (struct str){(const char *)data, size}, NULL) != ST_OK)
        return 0;
    to_message(&q, &pb__vm_exec_query__descriptor);
    to_message(&q, &pb__list_query__descriptor);
    to_message(&q, &pb__delete_request__descriptor);
    query_done(&q);
    return 0;
}
